"""The store: one database that holds every mail from before its ``250`` until after its retention time.

``messages.py`` has every SQL statement, written once. A driver (``sqlite.py``) is a ``Database``: it runs functions in
durable transactions and states only what differs between databases.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ingest.model.outcome import State

T = TypeVar("T")
Row = tuple[Any, ...]


class StoreUnavailable(Exception):
    """The store cannot take or give anything now: disk full, database locked, or its thread gone.

    Always temporary: SMTP answers ``452 4.3.1``, IMAP stops reading, workers wait. The text names the cause and
    what the operator can do; it is for the log, never for an SMTP client."""


class Transaction(Protocol):
    """What a unit of work may do. SQL uses named parameters (``:name``); drivers translate the style."""

    def execute(self, sql: str, parameters: Mapping[str, object] = ...) -> list[Row]:
        """Run one statement and return all its rows (use ``RETURNING`` to learn what changed)."""
        ...

    def execute_many(self, sql: str, parameters: Sequence[Mapping[str, object]]) -> None:
        """Run one statement for each set of parameters."""
        ...


class Database(Protocol):
    """A database as the store needs it.

    ``write`` returns only after COMMIT has reached the disk. Concurrent calls share one transaction (group commit):
    whoever comes while a commit is running goes into the next one. A unit of work that raises is rolled back alone,
    its exception goes to its caller, and the others are committed; so a unit of work may run twice and must have no
    effect outside its transaction. Units take effect in the order of the calls. A caller that is cancelled leaves its
    unit behind, done wholly or not at all."""

    claim_lock: str
    """What follows the SELECT of a claim so that two claimers never take the same row: ``""`` where there is one
    writer, ``FOR UPDATE SKIP LOCKED`` where there are several."""

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run ``work`` in a durable transaction.

        Raises:
            StoreUnavailable: nothing of ``work`` has taken effect.
        """
        ...

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run ``work``, which only reads, on a consistent snapshot that holds all that was committed before.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        ...

    async def migrate(self) -> tuple[str, ...]:
        """Bring the schema up to date; the names of the migrations that were applied now, in order."""
        ...

    async def close(self) -> None:
        """Finish what is running and close. Further calls raise ``StoreUnavailable``."""
        ...

    def free_bytes(self) -> int | None:
        """Octets left where the data lies; ``None`` where that is not known (a server elsewhere)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """Where a message stands among the others, told when the worker has identified it."""

    lease_held: bool
    """False: another worker has the message now; drop the work."""
    duplicate_of: str | None = None
    """Queue id of an older message with the same Message-ID and content for the same ticket."""
    blocked_by: str | None = None
    """Queue id of an older, unfinished message of the same ticket."""
    post_fingerprints: tuple[str, ...] = ()
    """What this message was to be posted as, by this attempt and all before it, the first one first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One line of the audit trail."""

    number: int
    started_at: float
    finished_at: float | None
    """``None``: running, or ended by a crash."""
    outcome: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRecord:
    """A row as an operator sees it: facts, no content."""

    queue_id: str
    source: str
    mail_from: str
    rcpt_tos: tuple[str, ...]
    received_at: float
    size: int
    state: State
    rule: str
    reason: str
    attempts: int
    next_attempt_at: float | None
    leased_until: float | None
    released_by: str | None
    message_id: str | None
    subject: str
    sender: str
    ticket_id: str | None
    ticket_message_id: str | None
    email_message_id: str | None
    evidence: str
    """JSON: the list of ``Evidence`` objects."""
    has_content: bool
    updated_at: float
    history: tuple[AuditEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadRecord:
    """A Message-ID and the ticket it belongs to; ``ticket_id`` is ``None`` for a stub: referred to, never seen."""

    message_id: str
    ticket_id: str | None
    learned_from: str
    """``mail``, ``api``, ``sync``, ``verified``, ``operator`` or ``stub``."""
    learned_at: float
    alias_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The law of conservation: what was accepted is in exactly one state.

    ``accepted`` is counted by the store at the moment of acceptance, apart from the rows themselves, so that a row
    that vanished shows."""

    accepted: int
    by_state: Mapping[State, int]
    missing_content: int
    """Rows that still need their octets (queued, waiting, quarantined, failed) and have none."""
    expired_leases: int

    @property
    def holds(self) -> bool:
        """Whether nothing was lost and nothing came from nowhere."""
        return self.accepted == sum(self.by_state.values()) and self.missing_content == 0
