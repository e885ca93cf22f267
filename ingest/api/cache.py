"""Answers remembered for a while. Callers that ask for the same thing at the same time share one request."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

V = TypeVar("V")


class Cache(Generic[V]):
    """``fetch(key)`` is asked for what is not remembered; what it raises goes to all who wait, and is forgotten.

    Answers live for ``seconds`` by ``clock``, and at most ``entries`` of them: the oldest goes first."""

    def __init__(
        self, fetch: Callable[[str], Awaitable[V]], *, seconds: float, entries: int, clock: Callable[[], float]
    ) -> None:
        self._fetch = fetch
        self._seconds = seconds
        self._entries = entries
        self._clock = clock
        self._known: dict[str, tuple[float, V]] = {}
        self._running: dict[str, asyncio.Task[V]] = {}

    async def get(self, key: str) -> V:
        """The remembered answer, or a fresh one. A caller that is cancelled does not take the others with it."""
        if (known := self._known.get(key)) is not None and self._clock() < known[0]:
            return known[1]
        if (running := self._running.get(key)) is None:
            running = self._running[key] = asyncio.create_task(self._learn(key))
            running.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(running)

    def forget(self, key: str) -> None:
        self._known.pop(key, None)

    async def close(self) -> None:
        """Cancel the requests under way."""
        for running in self._running.values():
            running.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _learn(self, key: str) -> V:
        try:
            value = await self._fetch(key)
        finally:
            del self._running[key]
        self._known.pop(key, None)
        self._known[key] = (self._clock() + self._seconds, value)
        while len(self._known) > self._entries:
            del self._known[next(iter(self._known))]
        return value
