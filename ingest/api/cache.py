"""A cache of the API's answers. Callers that ask for the same key at the same time share one request."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

V = TypeVar("V")


class Cache(Generic[V]):
    """TTL cache with request coalescing.

    ``fetch(key)`` gets a value that is not cached. If it raises, every waiter gets the exception and nothing is cached.
    A value lives for ``seconds`` by ``clock``. Above ``max_entries`` values, the oldest is evicted."""

    def __init__(
        self, fetch: Callable[[str], Awaitable[V]], *, seconds: float, max_entries: int, clock: Callable[[], float]
    ) -> None:
        self._fetch = fetch
        self._seconds = seconds
        self._max_entries = max_entries
        self._clock = clock
        self._values: dict[str, tuple[float, V]] = {}
        """Key -> (time at which it ends, value), oldest first."""
        self._running: dict[str, asyncio.Task[V]] = {}

    async def get(self, key: str) -> V:
        """Return the cached value, or fetch it. If one caller is cancelled, the fetch goes on for the others."""
        if (cached := self._values.get(key)) is not None and self._clock() < cached[0]:
            return cached[1]
        if (running := self._running.get(key)) is None:
            running = self._running[key] = asyncio.create_task(self._fetch_and_cache(key))
            running.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(running)

    def forget(self, key: str) -> None:
        """Remove a value, so that the next ``get`` fetches it. A fetch that is under way is not affected."""
        self._values.pop(key, None)

    async def close(self) -> None:
        """Cancel the fetches under way."""
        for running in self._running.values():
            running.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _fetch_and_cache(self, key: str) -> V:
        try:
            value = await self._fetch(key)
        finally:
            del self._running[key]
        self._values.pop(key, None)
        self._values[key] = (self._clock() + self._seconds, value)
        while len(self._values) > self._max_entries:
            del self._values[next(iter(self._values))]
        return value
