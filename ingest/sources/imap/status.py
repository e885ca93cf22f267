"""How the reading of a folder goes, as operators and alarms see it, and the events that change it."""

from dataclasses import dataclass, replace
from typing import TypeAlias

from ingest.model.imap_folder import Folder


@dataclass(frozen=True, slots=True)
class FolderCounted:
    """The server's messages were compared with the store's; ``record`` has the result."""

    record: Folder


@dataclass(frozen=True, slots=True)
class MessagesStored:
    """``count`` more messages are stored."""

    count: int


@dataclass(frozen=True, slots=True)
class ReadingPaused:
    """The worker takes no mail now, for ``reason``."""

    reason: str


@dataclass(frozen=True, slots=True)
class ReadingResumed:
    """The worker takes mail (again)."""


FolderEvent: TypeAlias = FolderCounted | MessagesStored | ReadingPaused | ReadingResumed


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderStatus:
    """How the reading of one folder goes. Its ``FolderSupervisor`` is the only one that replaces it."""

    account: str
    folder: str
    source: str
    """Name of the folder in the store: ``imap:<account>/<folder>``, as in ``SourceRef.source``."""
    record: Folder | None = None
    """The folder's row in the store; ``None`` until this process has opened the folder."""
    stored: int = 0
    """Messages stored since the process began."""
    failure: str = ""
    """Why the folder cannot be read, in one line that says what to do; ``""`` while it can."""
    failing_since: float | None = None
    """Unix time of the first failure since the folder was last opened."""
    paused: str = ""
    """Why the worker takes no mail now; ``""`` while it does."""

    def after(self, event: FolderEvent) -> "FolderStatus":
        """Return the status as ``event`` leaves it."""
        match event:
            case FolderCounted(record):
                return replace(self, record=record)
            case MessagesStored(count):
                return replace(self, stored=self.stored + count)
            case ReadingPaused(reason):
                return replace(self, paused=reason)
            case ReadingResumed():
                return replace(self, paused="") if self.paused else self

    def opened(self, record: Folder) -> "FolderStatus":
        """Return the status after the folder was opened, which ends any failure."""
        return replace(self, record=record, failure="", failing_since=None)

    def failed(self, failure: str, now: float) -> "FolderStatus":
        """Return the status after a failure; the time of the first one is kept."""
        return replace(self, failure=failure, failing_since=self.failing_since or now)
