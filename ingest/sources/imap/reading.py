"""What reading one folder needs from the rest of the worker, and what outlives a connection."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ingest.config.imap_accounts import ImapAccount
from ingest.model.imap_folder import Folder
from ingest.sources import Receive
from ingest.sources.imap.budget import Budget
from ingest.sources.imap.fetch_retries import FetchRetries
from ingest.sources.imap.state import ImapState
from ingest.sources.imap.timing import Timing

Refusal = Callable[[], Awaitable[str | None]]
"""Why no mail can be taken now; ``None`` when it can. Raises ``StoreUnavailable``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderContext:
    """What all folders share."""

    receive: Receive
    refusal: Refusal
    memory: ImapState
    clock: Callable[[], float]
    pace: Timing
    max_message_bytes: int
    budget: Budget


@dataclass(slots=True, kw_only=True)
class FolderStatus:
    """One folder of one account, read over one connection after the other."""

    house: ReaderContext
    account: ImapAccount
    name: str
    """The folder's name, as people write it."""
    trials: FetchRetries
    record: Folder | None = None
    """What is remembered of the folder; ``None`` until it was opened."""
    stored: int = 0
    """Messages stored since the process began."""
    trouble: str = ""
    """What is wrong now, in one line; ``""`` while all is well."""
    trouble_since: float | None = None
    paused: str = ""
    """Why reading pauses; ``""`` while it does not."""
    still_ours: Callable[[], bool] = field(default=lambda: True)
    """Whether we still hold the folder's lease."""

    @property
    def source(self) -> str:
        """The folder's name in the store."""
        return self.account.source(self.name)


class LeaseLost(Exception):
    """Another worker reads the folder now."""
