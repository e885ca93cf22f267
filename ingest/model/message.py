"""What a mail says, in the terms of RFC 5322 and MIME, and the reply that was extracted from it. These are facts only;
other packages decide what follows from them."""

from dataclasses import dataclass
from enum import StrEnum

from ingest.model.author import AuthorFault
from ingest.model.defects import Defect
from ingest.model.reasons import Confidence, Recognised


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


class ReportKind(StrEnum):
    """What a report tells about the mail that it speaks of."""

    DELIVERY = "delivery"
    """Whether the mail was delivered (RFC 3464, or written for people alone)."""
    COMPLAINT = "complaint"
    """Its recipient called it spam (RFC 5965)."""
    RECEIPT = "receipt"
    """Its recipient's mail program showed or deleted it (RFC 8098)."""


class ReportProof(StrEnum):
    """How sure it is that a machine wrote the report, and not a person who passes one on."""

    PROVEN = "proven"
    """The mail itself is a report (``multipart/report`` at its root), or its reverse-path is null."""
    LIKELY = "likely"
    """A mail system's address and a mail system's words; the mail begins no answer and no forward."""
    QUOTED = "quoted"
    """The mail holds a report or its words, as a mail does whose author forwards a report and asks about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedRecipient:
    """One recipient block of a delivery report (RFC 3464 section 2.3)."""

    recipient: str
    action: str
    """``failed``, ``delayed``, ``delivered``, ``relayed`` or ``expanded``; ``""`` where none is given. In a read
    receipt it is the disposition, such as ``displayed`` or ``deleted``; in a complaint its type, such as ``abuse``."""
    status: str
    """The enhanced status code (RFC 3463), such as ``5.1.1``; ``""`` where none is given."""
    diagnostic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryReport:
    """What a delivery report, complaint or read receipt says, and about which mail."""

    recipients: tuple[ReportedRecipient, ...]
    original_message_id: str | None
    """Message-ID of the mail reported on, from the mail or header that was returned."""
    original_references: tuple[str, ...] = ()
    """In-Reply-To and References of the mail reported on."""
    kind: ReportKind = ReportKind.DELIVERY
    proof: ReportProof = ReportProof.PROVEN
    """How sure the report is by the mail alone; ``screening.settle_report`` adds what the envelope says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """A calendar invitation (RFC 5545), or an answer to one (RFC 5546); each value is one line for people, ``""`` if it
    is missing."""

    method: str
    summary: str
    start: str
    end: str
    location: str
    organizer: str
    answer: str = ""
    """What the attendee answers (PARTSTAT) in lower case: ``accepted``, ``declined``, ``tentative``."""
    comment: str = ""
    """What the attendee wrote beside the answer."""


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
    """The author; where ``author_fault`` is set, whatever looks like an address in the From fields. The domain is
    written as A-labels (RFC 5891)."""
    author_fault: AuthorFault | None = None
    """Why the From fields do not name exactly one author; ``None`` where they do."""
    original_from: tuple[Address, ...] = ()
    """The authors whom a list names in X-Original-From because it put its own address into From."""
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
    authentication_results: tuple[str, ...] = ()
    """The topmost run of Authentication-Results fields (RFC 8601), the topmost first, with encoded words left as they
    are. Nothing says that a server wrote them: anybody can."""
    auto_submitted: tuple[str, ...] = ()
    """The keywords of the Auto-Submitted fields (RFC 3834 section 5) in lower case, without comments, quotes and
    parameters: ``no``, ``auto-replied``."""
    received_count: int = 0
    text: str | None = None
    """The body as plain text, when the message has one: all text parts that belong to the body, in order."""
    html: str | None = None
    """The body as HTML, when the message has one."""
    attachments: tuple[Attachment, ...] = ()
    unread_parts: int = 0
    """How many MIME parts there are beyond the limit; they were not read, and are not among the attachments."""
    delivery_report: DeliveryReport | None = None
    calendar: tuple[Calendar, ...] = ()
    content_digest: str = ""
    """SHA-256 over sender, subject, decoded bodies and the attachments' digests: the same for two copies of a mail
    that came by different paths, different for two mails that share a Message-ID."""
    defects: tuple[Defect, ...] = ()
    """What was wrong and was repaired or given up, in the order in which it was found."""


class SegmentKind(StrEnum):
    """What a stretch of the body was taken for."""

    NEW = "new"
    """The sender wrote it in this mail."""
    ANSWERED_QUOTE = "answered-quote"
    """Quoted text that stays, because what follows answers it."""
    FORWARDED = "forwarded"
    """A mail that the sender passed on; it stays."""
    QUOTE = "quote"
    ATTRIBUTION = "attribution"
    """A line or a header block above a quote that says who wrote it."""
    SIGNATURE = "signature"
    DEVICE_LINE = "device-line"
    """A line that a telephone or a mail program adds, such as ``Sent from my iPhone``."""
    FOOTER = "footer"
    """A legal notice, the data of a company, or the footer of a mailing list or a virus scanner."""
    MARKER = "marker"
    """``Reply above this line``, a rule above a quote, or the banner of a mail server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Consecutive lines of the body, what they were taken for, and whether they are kept."""

    text: str
    kind: SegmentKind
    kept: bool
    reason: Recognised | None = None
    """What the lines were recognised by; ``None`` for text that nothing was recognised in. ``str()`` gives the text for
    people: ``attribution (German)``, ``gmail_quote``."""

    @property
    def confidence(self) -> Confidence:
        """How sure the cut is; ``CERTAIN`` where nothing was cut."""
        return Confidence.CERTAIN if self.kept or self.reason is None else self.reason.confidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the sender newly wrote, and everything that was cut."""

    content: str
    """The new text: Markdown if ``markdown`` is true, else the text as it was written. It is never empty unless the
    body itself is, and has no blank lines at its ends."""
    elided: str
    """The text that was cut, in its order."""
    method: str
    """How the content was found, in a few words for people: the body that was read, and the reasons of all cuts, such
    as ``html: gmail_quote`` or ``text: attribution (German)``. ``ingest explain --json`` calls it ``how``."""
    markdown: bool = False
    """True if ``content`` was made of HTML and is Markdown."""
    ambiguous: bool = False
    """True if a comparison with the ticket's earlier messages could improve the result (``extract(sent=...)``): answers
    may have been typed into a quote that was cut as a whole, or a quote without any mark may have been kept."""
    segments: tuple[Segment, ...] = ()
    """The whole body in its order. Joined, their texts are the chosen body: nothing is lost by extraction."""

    @property
    def confidence(self) -> Confidence:
        """The level of the least sure cut; ``CERTAIN`` where nothing was cut."""
        return min((segment.confidence for segment in self.segments), default=Confidence.CERTAIN)

    @property
    def body(self) -> str:
        """The chosen body as text, before anything was cut."""
        return "".join(segment.text for segment in self.segments)
