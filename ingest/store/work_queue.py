"""Hands functions from asyncio callers to a database's threads, and the results back.

The hand-over is cheap in both directions: one C queue in, and one wake-up of the event loop for a whole batch out.
"""

import asyncio
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from ingest.store import StoreUnavailable, Transaction

T = TypeVar("T")


class WorkItem:
    """A function queued to run in a transaction, and its result.

    The result is in ``value`` or ``error``; the future ``done`` only tells that it is there. If the exception were in
    the future, asyncio would log it as never retrieved whenever the caller was cancelled."""

    __slots__ = ("_work", "done", "error", "value")

    def __init__(self, work: Callable[[Transaction], Any], done: "asyncio.Future[None]") -> None:
        self._work = work
        self.done = done
        self.value: Any = None
        self.error: BaseException | None = None

    def run(self, transaction: Transaction) -> None:
        """Run the function and keep its value, unless its caller was cancelled. Its exceptions are raised."""
        if not self.done.cancelled():
            self.value = self._work(transaction)


class WorkQueue:
    """Functions that wait for a thread. The callers belong to one event loop; several threads may take from here."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[WorkItem | None] = SimpleQueue()
        self._closed = ""

    async def run(self, work: Callable[[Transaction], T]) -> T:
        """Have a thread run ``work``, and return what it returns. If the caller is cancelled, ``work`` still runs
        wholly or not at all.

        Raises:
            StoreUnavailable: the queue is closed.
        """
        if self._closed:
            raise StoreUnavailable(self._closed)
        item = WorkItem(work, asyncio.get_running_loop().create_future())
        self._waiting.put(item)
        await item.done
        if item.error is not None:
            raise item.error
        value: T = item.value
        return value

    def close(self, reason: str = "the store is closed: the service is stopping") -> None:
        """Accept no more items; those already queued are still run. ``reason`` is told to those who come later."""
        if not self._closed:
            self._closed = reason
            self._waiting.put(None)

    def take(self) -> WorkItem | None:
        """Wait for the next item and return it; ``None`` once the queue is closed and empty."""
        return self._unless_end(self._waiting.get())

    def take_waiting(self) -> WorkItem | None:
        """Return the next item if one is queued, else ``None`` at once."""
        try:
            return self._unless_end(self._waiting.get_nowait())
        except Empty:
            return None

    def _unless_end(self, item: WorkItem | None) -> WorkItem | None:
        if item is None:
            self._waiting.put(None)  # every thread that takes from here has to see the end
        return item


def wake_callers(items: Sequence[WorkItem]) -> None:
    """Wake the callers of ``items`` (at least one). Called from a database thread."""
    try:
        items[0].done.get_loop().call_soon_threadsafe(_set_done, items)
    except RuntimeError:
        return  # the event loop is closed: nobody waits any more


def _set_done(items: Sequence[WorkItem]) -> None:
    for item in items:
        if not item.done.done():
            item.done.set_result(None)
