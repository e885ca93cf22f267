"""Mail as it travels: the nouns of RFC 5321, before anyone looks inside.

Times are Unix times in seconds, and always passed in: nothing below the application reads a clock.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What the SMTP client said around the message (RFC 5321 section 2.3.1)."""

    mail_from: str
    """The reverse-path without angle brackets; ``""`` is the null reverse-path of a report."""
    rcpt_tos: tuple[str, ...]
    """The forward-paths that we accepted, without angle brackets, in the order in which they were given."""
    helo: str = ""
    """The name that the client gave; worth nothing as a proof."""
    client: str = ""
    """The client's IP address (the one behind a trusted proxy); ``""`` where mail did not come over a network."""
    smtputf8: bool = False
    """The client asked for SMTPUTF8 (RFC 6531)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRef:
    """Where a message was read: which source, and which place in it."""

    source: str
    """``smtp:<port>``, ``lmtp:<port>``, ``imap:<account>/<folder>`` or ``replay``."""
    position: str | None = None
    """The place to go on from after this message (IMAP: ``<UIDVALIDITY>/<UID>``); ``None`` where a source has none.

    It is saved in the transaction that stores the message, so position and mail cannot disagree after a crash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMessage:
    """A message as a source hands it to ``receive``: nothing parsed, nothing decided."""

    envelope: Envelope
    content: bytes
    """The octets to keep: our own trace field (if the source adds one), and below it exactly what was received."""
    trace_length: int = 0
    """How many octets at the start of ``content`` are our own trace field. They differ each time a message is sent
    again, so they do not count when the store asks whether it has the message already."""
    source_ref: SourceRef
    received_at: float
    incomplete: str = ""
    """Why ``content`` is not the whole mail: the source could not read all of it, and this is what it knows. Such a
    message is stored as quarantined, and a person looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedMessage:
    """A message that a worker has claimed. The octets stay in the store until the parser asks for them, so that
    two hundred messages waiting for a slow API do not hold two hundred mails in memory."""

    queue_id: str
    envelope: Envelope
    source_ref: SourceRef
    size: int
    """Octets of the stored content."""
    received_at: float
    retry_window_start: float
    """What the age at which we give up counts from: the receipt, or an operator's latest retry."""
    attempts: int
    """Claims so far, this one included."""
    unfinished_attempts: int
    """Earlier claims that never settled: the process died, or its lease was lost, while it had the message."""
    first_attempt_at: float
    """When the first attempt began: a POST of ours that we no longer know about cannot be older."""
    lease_token: str
    unconfirmed: bool
    """An earlier attempt may have reached the API without our learning of it: look before posting again."""
    optional_failing_since: float | None = None
    """Since when nothing has failed but what the message can be posted without; ``None``: not so the last time."""
    ticket_message_id: str | None = None
    """The ticket message that it is already, where what comes after the POST failed; ``email_message_id`` is its."""
    email_message_id: str | None = None
    released_by: str | None = None
    """The operator who looked at the message and let it through; policy does not stop it a second time."""
    released_ticket: str | None = None
    """The ticket that the operator named when releasing the message; it needs no other evidence."""
