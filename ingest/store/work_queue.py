"""Units of work on their way from asyncio callers to a database's thread and back.

The hand-over is cheap in both directions: one C queue in, and one wake-up of the event loop for a whole batch out.
"""

import asyncio
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from ingest.store import StoreUnavailable, Transaction

T = TypeVar("T")


class WorkItem:
    """One function that wants to run in a transaction, and what came of it.

    The answer carries no value and no exception: a caller that was cancelled never collects them, and asyncio would
    complain of an exception that nobody retrieved."""

    __slots__ = ("_work", "answered", "error", "value")

    def __init__(self, work: Callable[[Transaction], Any], answered: "asyncio.Future[None]") -> None:
        self._work = work
        self.answered = answered
        self.value: Any = None
        self.error: BaseException | None = None

    def run(self, transaction: Transaction) -> None:
        """Run the work, unless its caller is gone; an exception of it goes up."""
        if not self.answered.cancelled():
            self.value = self._work(transaction)


class WorkQueue:
    """Units that wait for a thread. Callers belong to one event loop; the threads that take may be several."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[WorkItem | None] = SimpleQueue()
        self._closed = False

    async def run(self, work: Callable[[Transaction], T]) -> T:
        """Have ``work`` run by a thread. A caller that is cancelled leaves its unit behind, which then runs whole or
        not at all.

        Raises:
            StoreUnavailable: the inbox is closed.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed: the service is stopping")
        unit = WorkItem(work, asyncio.get_running_loop().create_future())
        self._waiting.put(unit)
        await unit.answered
        if unit.error is not None:
            raise unit.error
        value: T = unit.value
        return value

    def close(self) -> None:
        """Take in nothing more; what is in here is still worked off."""
        if not self._closed:
            self._closed = True
            self._waiting.put(None)

    def take(self) -> WorkItem | None:
        """The next unit, as soon as there is one; ``None`` when the inbox is closed and empty."""
        return self._unless_end(self._waiting.get())

    def take_waiting(self) -> WorkItem | None:
        """The next unit, if one is waiting."""
        try:
            return self._unless_end(self._waiting.get_nowait())
        except Empty:
            return None

    def _unless_end(self, unit: WorkItem | None) -> WorkItem | None:
        if unit is None:
            self._waiting.put(None)  # every thread that takes from here has to see the end
        return unit


def answer(units: Sequence[WorkItem]) -> None:
    """Wake the callers of ``units`` (at least one), from a thread."""
    try:
        units[0].answered.get_loop().call_soon_threadsafe(_wake, units)
    except RuntimeError:
        return  # the event loop is closed: nobody waits any more


def _wake(units: Sequence[WorkItem]) -> None:
    for unit in units:
        if not unit.answered.done():
            unit.answered.set_result(None)
