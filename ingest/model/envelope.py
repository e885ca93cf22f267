"""Messages before they are parsed: the SMTP envelope (RFC 5321), a message as received, a message as claimed.

Times are Unix times in seconds.
"""

from dataclasses import dataclass

from ingest.model.trust import Authentication


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The envelope of a message: what the SMTP client said around its content (RFC 5321 section 2.3.1)."""

    mail_from: str
    """The reverse-path without angle brackets; ``""`` is the null reverse-path of a report."""
    rcpt_tos: tuple[str, ...]
    """The forward-paths that we accepted, without angle brackets, in the order in which they were given."""
    helo: str = ""
    """The name that the client gave in HELO, EHLO or LHLO. Anybody can give any name."""
    client: str = ""
    """The client's IP address (with a trusted proxy, the one that the proxy names); ``""`` if the mail did not
    come over SMTP or LMTP."""
    smtputf8: bool = False
    """The client asked for SMTPUTF8 (RFC 6531)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRef:
    """The source of a message, and the message's position in it."""

    source: str
    """``smtp:<port>``, ``lmtp:<port>``, ``imap:<account>/<folder>`` or ``replay``."""
    position: str | None = None
    """The message's position in the source (IMAP: ``<UIDVALIDITY>/<UID>``); ``None`` if the source has no positions.

    It is stored in the transaction that stores the message, so that the two cannot disagree after a crash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMessage:
    """A message as a source passes it to ``Receiver.receive``, before anything is parsed or decided."""

    envelope: Envelope
    content: bytes
    """The bytes to store: our own trace field (if the source adds one), and below it exactly what was received."""
    trace_length: int = 0
    """Length in bytes of our own trace field at the start of ``content``. The field differs each time a message is
    delivered again, so ``dedupe_key`` leaves it out."""
    source_ref: SourceRef
    received_at: float
    incomplete: str = ""
    """Why ``content`` is not the whole message, if the source could not read all of it; else empty. An incomplete
    message is stored as quarantined, so that a person looks at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedMessage:
    """A message that a worker has claimed. Its content stays in the store until it is parsed, so that two hundred
    messages that wait for a slow API do not hold two hundred contents in memory."""

    queue_id: str
    envelope: Envelope
    source_ref: SourceRef
    size: int
    """Length of the content in bytes."""
    received_at: float
    retry_window_start: float
    """Start of the retry window (``INGEST_RETRY_MAX_DAYS``): the receipt, or the latest retry by an operator."""
    attempts: int
    """Number of claims so far, this one included."""
    failures: int = 0
    """Number of earlier attempts that failed by what may be the message's own fault; the next one waits longer for
    it."""
    lone_crashes: int
    """Number of crashes of the worker while it held this message and no other: this message may have caused them."""
    first_attempt_at: float
    """When the first attempt began. No POST of this message can be older, so the search for one starts here."""
    lease_token: str
    """Names this claim. The store writes nothing for a token that is no longer the row's."""
    post_began_at: float | None = None
    """When the latest POST began whose end is not known; ``None``: none did, or all are known to have had no effect.
    Where it is set, the message is in doubt: look for it at the API before posting it again."""
    post_was_answered: bool = False
    """The API has answered that POST (429), so that nothing of it is on its way any more."""
    absent_at: float | None = None
    """When that POST was looked for and not found for the first time; ``None``: nobody has looked."""
    optional_failing_since: float | None = None
    """Since when only an optional step has been failing (see ``Deferred.optional_step_failed``); ``None``: the latest
    attempt did not end so."""
    ticket_id: str | None = None
    """The ticket that it was last resolved to; ``None``: to none yet."""
    ticket_message_id: str | None = None
    """Id of the ticket message that this message was posted as, if only a step after the POST failed; else ``None``."""
    email_message_id: str | None = None
    """``emailMessageId`` of that ticket message."""
    authentication: Authentication | None = None
    """What an earlier attempt found out about the claim of From; ``None``: none did."""
    released_by: str | None = None
    """The operator who released the message, if one did; policy does not stop it a second time."""
    released_ticket: str | None = None
    """The ticket that the operator named with the release; it needs no other evidence."""
    released_author: str | None = None
    """Id or address of the API user under whom a released message is posted; ``None``: under the fallback author."""
