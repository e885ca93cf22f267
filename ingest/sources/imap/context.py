"""What the reader of a folder is given: dependencies that all folders share, and the folder's own."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from ingest.config.imap_accounts import ImapAccount
from ingest.sources import Receive, Refusal
from ingest.sources.imap.fetch_retries import FetchRetries
from ingest.sources.imap.status import FolderEvent
from ingest.sources.imap.timing import Timing
from ingest.store.imap import ImapStore


class MemoryBudget:
    """Limits how many bytes of mail all folders together hold in memory."""

    def __init__(self, total: int) -> None:
        self._total = self._free = total
        self._changed = asyncio.Condition()

    async def reserve(self, count: int) -> int:
        """Wait until ``count`` bytes are free, reserve them, and return how many were reserved: at most the whole
        budget, so that a message larger than the budget is read alone. Pass that number to ``release``."""
        granted = min(count, self._total)
        async with self._changed:
            await self._changed.wait_for(lambda: self._free >= granted)
            self._free -= granted
        return granted

    async def release(self, granted: int) -> None:
        """Free bytes that were reserved, and wake those that wait for them."""
        async with self._changed:
            self._free += granted
            self._changed.notify_all()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderContext:
    """The dependencies and limits that all folders share."""

    receive: Receive
    refusal: Refusal
    store: ImapStore
    clock: Callable[[], float]
    timing: Timing
    max_message_bytes: int
    memory: MemoryBudget


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderContext:
    """What a ``FolderSupervisor`` gives to each session of its folder, one connection after another."""

    shared: ReaderContext
    account: ImapAccount
    name: str
    """The folder's name in readable Unicode, not in modified UTF-7."""
    retries: FetchRetries
    holds_lease: Callable[[], bool]
    """Returns whether this process still holds the folder's lease."""
    failing_since: Callable[[], float | None]
    """Returns since when the folder could not be opened; ``None``: it could at the first attempt."""
    report: Callable[[FolderEvent], None]
    """Tells the supervisor what happened; the supervisor alone changes the folder's status."""

    @property
    def source(self) -> str:
        """The folder's name in the store, as in ``SourceRef.source``."""
        return self.account.source(self.name)


class LeaseLost(Exception):
    """Our process does not hold the folder's lease any more: another worker may read it now."""
