"""What a mail says, in the terms of RFC 5322 and MIME, and the reply that was extracted from it. These are facts only;
other packages decide what follows from them."""

from dataclasses import dataclass
from typing import Literal

from ingest.model.defects import Defect


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A mailbox (RFC 5322 section 3.4): ``display_name <addr_spec>``, decoded, without control characters."""

    display_name: str
    addr_spec: str
    """``local-part@domain``, the domain in lower case, the local part as written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A part that is not the body. Its bytes stay in the stored mail; ``parse.attachment_bytes`` decodes them again
    when they are needed."""

    part_number: int
    """Number of the MIME part, counted depth first from 0. ``parse.attachment_bytes`` takes it."""
    filename: str
    """Safe to show and to store: no path, no control or bidirectional characters, 1 to 200 characters long."""
    content_type: str
    size: int
    """Bytes, after the transfer encoding is undone."""
    sha256: str
    content_id: str = ""
    """The Content-ID without angle brackets; ``""`` if the part has none."""
    inline: bool = False
    """The body shows the attachment in place: HTML refers to it, or it is a picture with disposition ``inline``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedRecipient:
    """One recipient block of a delivery report (RFC 3464 section 2.3)."""

    recipient: str
    action: str
    """``failed``, ``delayed``, ``delivered``, ``relayed`` or ``expanded``; ``""`` where none is given."""
    status: str
    """The enhanced status code (RFC 3463), such as ``5.1.1``; ``""`` where none is given."""
    diagnostic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryReport:
    """What a delivery report (RFC 3464, or one written for people) says, and about which mail."""

    recipients: tuple[ReportedRecipient, ...]
    original_message_id: str | None
    """Message-ID of the mail reported on, from the mail or header that was returned."""
    original_references: tuple[str, ...] = ()
    """In-Reply-To and References of the mail reported on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """A calendar invitation (RFC 5545); each value is one line for people, ``""`` if it is missing."""

    method: str
    summary: str
    start: str
    end: str
    location: str
    organizer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedMessage:
    """A parsed message. No string has a NUL character; strings from the header have no line ends and no control
    characters. Identifiers are normalised: no brackets, no comments, domain in lower case."""

    message_id: str | None
    message_ids: tuple[str, ...] = ()
    """All identifiers in the Message-ID fields; more than one field is a defect, and a way to confuse programs."""
    in_reply_to: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    """Identifiers in the order of the field: the oldest ancestor first."""
    date: str | None = None
    """The Date field in ISO 8601 with offset; ``None`` if it is missing or cannot be parsed."""
    from_: tuple[Address, ...] = ()
    """Addresses of all From fields together; several fields are a defect."""
    sender: Address | None = None
    reply_to: tuple[Address, ...] = ()
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    delivered_to: tuple[str, ...] = ()
    """Addresses in Delivered-To, X-Original-To, Envelope-To and X-Delivered-To, the topmost first."""
    return_path: str | None = None
    """Address of the Return-Path field; ``""`` is the null reverse-path, ``None`` means no field."""
    subject: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    """All header fields of the message, names in lower case, values unfolded and decoded; at most 1,000 fields."""
    received_count: int = 0
    text: str | None = None
    """The body as plain text, when the message has one: all text parts that belong to the body, in order."""
    html: str | None = None
    """The body as HTML, when the message has one."""
    attachments: tuple[Attachment, ...] = ()
    delivery_report: DeliveryReport | None = None
    calendar: tuple[Calendar, ...] = ()
    content_digest: str = ""
    """SHA-256 over sender, subject, decoded bodies and the attachments' digests: the same for two copies of a mail
    that came by different paths, different for two mails that share a Message-ID."""
    defects: tuple[Defect, ...] = ()
    """What was wrong and was repaired or given up, in the order in which it was found."""


SegmentKind = Literal[
    "new", "answered-quote", "forwarded", "quote", "attribution", "signature", "device-line", "footer", "marker"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of the body, kept or cut, and what it was taken for."""

    text: str
    kind: SegmentKind
    kept: bool
    confidence: float = 1.0
    """0 to 1: how sure the cut is; 1 where nothing was cut."""
    reason: str = ""
    """What it was recognised by, in a few words: ``attribution (German)``, ``gmail_quote``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the sender newly wrote, and everything that was cut."""

    content: str
    """Markdown, never empty unless the body itself is; trimmed of blank lines at both ends."""
    elided: str
    """What was cut, in order."""
    confidence: float
    """0 to 1: the lowest confidence of any cut; 1 where nothing was cut."""
    method: str
    """Which reading gave this, in a few words, such as ``html: gmail_quote`` or ``text: attribution (German)``."""
    markdown: bool = False
    """``content`` was made of HTML, and is Markdown; else it is text as it was written."""
    ambiguous: bool = False
    """Answers may have been typed into a quote that was cut as a whole, or a quote without any mark may have been kept:
    reading it once more beside the texts of the ticket would tell."""
    segments: tuple[Segment, ...] = ()
    """The whole body in order. Joined, their texts are the chosen body: nothing is lost by extraction."""

    @property
    def body(self) -> str:
        """The chosen body as text, before anything was cut."""
        return "".join(segment.text for segment in self.segments)
