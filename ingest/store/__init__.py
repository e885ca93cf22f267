"""The store: one database that holds every mail from before its ``250`` until after its retention time.

This module has the protocols of a database (``Database``, ``Transaction``) and the records that the store returns.
The SQL statements are written once, for every database, in the module that the rows belong to:

    messages            ``Store``, what the rest of the worker calls; counts and positions
    lifecycle           a message's way: receive, claim, settle, expire
    identification      what was found out about a message, and that its POST begins
    loops               pauses a ticket on which a loop is likely; which reports have a note
    transitions         changes of a row that several events share: the audit trail, requeue, unblock
    contents            the bytes of messages: stored, read, purged
    threads             which ticket a Message-ID belongs to, and which messages wait for one
    post_claims         which messages have, or may have, become a ticket message
    operator            what a person lists, retries, releases and discards; the ledger
    facts               deletes what is known of messages that were finished long ago
    controls            what a command asks of the running worker
    generation          tells a restored or copied database from the one that worked last
    integrity           looks for damage
    uploads             ``Uploads``: what became of each attachment
    imap                ``ImapStore``: folders, leases and refresh tokens of mailboxes

The functions in them take a ``Transaction`` and run inside one; the classes open it. Below them is the driver:

    sqlite              ``SqliteDatabase``: batches of work, one thread that writes, several that read; migrations
    work_queue          hands work from asyncio callers to the threads and the results back
    sqlite_connection   one SQLite connection, and what its errors mean for an operator
    opening             opens the database that ``INGEST_DATABASE_URL`` names; the lock of the one worker
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from ingest.model.envelope import ReceivedMessage
from ingest.model.loops import Pause
from ingest.model.outcome import Evidence, State
from ingest.model.trust import Authentication, Trust

T = TypeVar("T")
Row = tuple[Any, ...]


class StoreUnavailable(Exception):
    """The store cannot read or write now: disk full, database locked, or its thread gone.

    Always temporary: SMTP answers ``452 4.3.1``, IMAP stops reading, workers wait. The text names the cause and
    what the operator can do; it is for the log, never for an SMTP client."""


class Transaction(Protocol):
    """Runs statements inside one database transaction.

    SQL uses named parameters (``:name``); a driver translates them to its own style."""

    def execute(self, sql: str, parameters: Mapping[str, object] = ...) -> list[Row]:
        """Run one statement and return all its rows (use ``RETURNING`` to learn what changed)."""
        ...

    def execute_many(self, sql: str, parameters: Sequence[Mapping[str, object]]) -> None:
        """Run one statement for each set of parameters."""
        ...


class Database(Protocol):
    """A database as the store needs it.

    ``write`` returns only after COMMIT has reached the disk. Concurrent calls share one transaction (group commit):
    calls made while a commit is running go into the next one. A function that raises is rolled back alone: its
    exception goes to its caller, and the others are committed. So a function may run twice, and must have no effect
    outside its transaction. Functions take effect in the order of the calls. If a caller is cancelled, its function
    still runs wholly or not at all."""

    claim_lock: str
    """SQL appended to the claim's SELECT to lock rows, so that two workers never claim the same one: empty for SQLite
    (one writer), ``FOR UPDATE SKIP LOCKED`` for a database with several."""

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run ``work`` in a durable transaction and return what it returns.

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
        """Bring the schema up to date and return the names of the migrations applied now, in order."""
        ...

    async def close(self) -> None:
        """Finish the calls in progress and close. Further calls raise ``StoreUnavailable``."""
        ...

    def loss(self) -> str | None:
        """Return how the data was taken away from under the open database (its file was removed or replaced), in a
        sentence for the operator; ``None`` if it is still there. Cheap; nothing is read or written."""
        ...

    def free_bytes(self) -> int | None:
        """Return the bytes free on the disk of the data; ``None`` if that is not known (a server elsewhere)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the worker found out about a message before it is posted."""

    message_id: str | None
    content_digest: str
    ticket_id: str | None
    subject: str
    sender: str
    evidence: tuple[Evidence, ...] = ()
    ticket_names: Mapping[str, str] = field(default_factory=dict)
    """The codes and ids of tickets that were looked up, and the tickets that they mean today."""
    post_fingerprint: str | None = None
    """One line that tells the posted message again at the API; the row keeps that of every attempt."""
    post_digest: str | None = None
    """The digest in it, by which other messages with the same words are found."""
    begins_post: bool = False
    """The POST follows at once, so that it begins is written in the same commit: one less than ``begin_post`` takes."""
    trust: Trust | None = None
    """The cell of the decision table that applied; ``None`` leaves what is stored."""
    authentication: Authentication | None = None
    """What was found out about the claim of From; a lasting result is used again by later attempts."""
    flag: str = ""
    """Why a person may want to look although it is posted."""
    words_key: str | None = None
    """The digest of what the message says on its ticket (``words_key``), by which a loop is known; ``None``: there is
    nothing to post."""
    written_at: float | None = None
    """When it was written, as far as that is known (Unix time); posts are counted by it."""
    may_be_paused: bool = False
    """It is held where its thread is paused: not if a person released it, or a POST of it is in doubt."""
    report_keys: tuple[str, ...] = ()
    """What a report is about (``report_key``), one for each recipient; empty for any other message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A message that is to be stored, with what was found out about it before."""

    message: ReceivedMessage
    queue_id: str
    """Its queue id, unless it is stored already."""
    dedupe_key: str
    order_names: tuple[str, ...] = ()
    """The names of its ticket and thread (``ingest.order_hints``): it is not worked on before older messages with a
    common name are finished."""
    is_unnamed: bool = False
    """Nothing in the message tells it from a later one with the same words, so it is the same only within the duplicate
    window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """What the store answers when the worker has identified a message: how it relates to the others."""

    lease_held: bool
    """False: another worker has the message now; drop the work."""
    duplicate_of: str | None = None
    """Queue id of an older message with the same Message-ID and content for the same ticket."""
    delivered_as: str | None = None
    """Queue id of a younger message that is the same mail, and was posted while this one was held."""
    blocked_by: str | None = None
    """Queue id of the nearest older, unfinished message of the same ticket, which must be posted first."""
    post_count: int | None = None
    """The number of POSTs so far, if the beginning of this message's POST was written with it; else ``None``."""
    post_fingerprints: tuple[str, ...] = ()
    """Fingerprints of the drafts of this attempt and all before it, oldest first."""
    pause: Pause | None = None
    """The pause of its thread, for which it has to be held."""
    reported_by: str | None = None
    """Queue id of an earlier report on the same mail and recipients, which has a note already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One line of a message's audit trail: an attempt, or an act of an operator."""

    number: int
    started_at: float
    finished_at: float | None
    """``None``: running, or ended by a crash."""
    outcome: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRecord:
    """A row of the table ``messages`` as an operator sees it, without the content. Times are Unix times in seconds."""

    queue_id: str
    source: str
    mail_from: str
    rcpt_tos: tuple[str, ...]
    received_at: float
    size: int
    """Length of the content in bytes."""
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
    blocked_by: str | None
    """Queue id of the older message that has to be posted first."""
    failing_since: float | None
    """Since when it fails by its own fault."""
    post_in_doubt_since: float | None
    """When the POST began of which nobody knows whether it had an effect."""
    post_not_found_at: float | None
    """When that POST was looked for in vain; it is looked for once more before the message is posted again."""
    trust: Trust | None = None
    """The cell of the decision table that applied at the latest attempt; ``None``: none did, or none was stored."""
    flag: str = ""
    """Why a person may want to look at it although it is posted."""
    released_author: str | None = None
    """Whom the operator who released it named as its author; ``None``: the fallback author."""
    history: tuple[AuditEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PostInDoubt:
    """A POST of another message, with the same words, whose end is not known."""

    began_at: float
    post_fingerprints: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PostClaims:
    """What other messages may claim of the ticket messages that one in doubt has found."""

    taken: frozenset[str]
    """Ids of ticket messages that are theirs for certain."""
    rivals: tuple[PostInDoubt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedAfterDoubt:
    """A message that was posted although an earlier POST of it was in doubt."""

    queue_id: str
    ticket_id: str
    first_attempt_at: float
    post_fingerprints: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadRecord:
    """A Message-ID and the ticket it belongs to; ``ticket_id`` is ``None`` for a stub: referred to, never seen."""

    message_id: str
    ticket_id: str | None
    learned_from: str
    """The value of a ``Teacher``."""
    learned_at: float
    alias_of: str | None = None
    disputed: str = ""
    """Another ticket that a teacher named for it who was not believed, and that teacher: ``T2 (mail)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The counts that must agree: every accepted message is in exactly one state.

    ``accepted`` is counted by the store at the moment of acceptance, apart from the rows themselves, so that a row
    that vanished shows."""

    accepted: int
    by_state: Mapping[State, int]
    pruned: int = 0
    """Delivered and discarded messages whose facts were deleted after their time; they are in no state any more."""
    missing_content: int
    """Rows that still need their content (queued, waiting, quarantined, failed) and have none."""
    expired_leases: int

    @property
    def holds(self) -> bool:
        """Whether the counts agree: no message was lost, and none appeared without being accepted."""
        return self.accepted == sum(self.by_state.values()) + self.pruned and self.missing_content == 0
