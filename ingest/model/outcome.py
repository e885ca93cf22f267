"""What became of a message: one sum type, returned by policy, the API client and the crash handling alike.

    queued ──► Delivered     it is a ticket message
      │  ▲
      │  └──── Deferred      not now: try again later
      │  └──── Waiting       its parent is not known yet; resumes when it is
      ├──────► Discarded     nobody needs it: loop, automatic reply, duplicate
      ├──────► Quarantined   a person must look before it goes anywhere
      └──────► Failed        refused for good, or given up: a person must look

Only ``worker`` writes an outcome to the store. An error that nobody understands is Deferred; the other ends need proof.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from ingest.model.described import DescribedStrEnum
from ingest.model.trust import EvidenceLevel


class State(StrEnum):
    """The states of a message in the store. Being worked on is a lease on a queued message, not a state."""

    QUEUED = "queued"
    WAITING = "waiting"
    DELIVERED = "delivered"
    DISCARDED = "discarded"
    QUARANTINED = "quarantined"
    FAILED = "failed"


FINAL_STATES = frozenset({State.DELIVERED, State.DISCARDED, State.QUARANTINED, State.FAILED})
"""The states that no worker ends. An operator can retry, release or discard quarantined and failed messages."""


class RuleName(DescribedStrEnum):
    """Why a message was discarded, quarantined or made a private note. The value stands in the database and in JSON."""

    LOOP = "loop", "The mail has passed too many mail systems (Received fields), or is our own and came back."
    MALFORMED = "malformed", "The mail is empty, is no mail, cannot be read, or does not have exactly one author."
    DELIVERY_REPORT = (
        "delivery-report",
        "A mail system reports on a mail: a failure becomes a private note on its ticket, anything else is discarded.",
    )
    AUTOMATIC_REPLY = (
        "automatic-reply",
        "A machine wrote it: an absence notice, an acknowledgement, a read receipt or another automatic mail.",
    )
    BULK = "bulk", "It came by a mailing list or in bulk, and answers no mail that is known."
    COMPLAINT = "complaint", "A mail system says that a recipient called a mail spam: a private note on its ticket."
    PAUSED = "paused", "Its ticket or its sender wrote so often, or the same so often, that a loop is likely."
    RECIPIENT = "recipient", "None of its recipients is an address of the help desk."
    CONFLICT = "conflict", "Evidence of the same strength names different tickets."
    UNMATCHED = "unmatched", "Nothing in the mail names a ticket."
    WEAK_EVIDENCE = "weak-evidence", "Only the subject names the ticket, and the sender is not on that ticket."
    GUESSABLE_ADDRESS = (
        "guessable-address",
        "Only an address that anybody can guess names the ticket, and the sender is not on that ticket or not proven.",
    )
    FORGED_AUTHOR = (
        "forged-author",
        "The domain in From says that its mail is signed or comes from elsewhere, and this mail is neither.",
    )
    UNPROVEN_AUTHOR = (
        "unproven-author",
        "From names somebody of staff, nothing proves it, and the ticket is only named by what anybody can guess.",
    )
    UNPROVEN_LIST = (
        "unproven-list",
        "A mailing list put its own address into From, and nothing proves that the mail came through that list.",
    )
    DECISION_TABLE = "decision-table", "The decision table of the settings file holds such mail."
    NO_FALLBACK_AUTHOR = (
        "no-fallback-author",
        "It is to be posted under the fallback author, since its sender is not proven, and none is set.",
    )
    UNKNOWN_AUTHOR = "unknown-author", "The API has no user with the sender's address, and no fallback author is set."
    UNKNOWN_PARENT = "unknown-parent", "The mail waited too long for the mail that it answers."
    SENT_COPY = "sent-copy", "A copy of mail that the help desk sent: it teaches its Message-ID, and is never posted."
    DUPLICATE = "duplicate", "The same mail was received before."
    POISON = "poison", "The mail killed the process that parsed it, or took too long to parse."
    PERHAPS_POSTED = "perhaps-posted", "An attempt may have posted it, and its ticket message may have been changed."
    INCOMPLETE = "incomplete", "The IMAP server could not deliver the whole mail."
    OPERATOR = "operator", "An operator discarded it."


HELD_FOR_TRUST = (
    RuleName.WEAK_EVIDENCE,
    RuleName.GUESSABLE_ADDRESS,
    RuleName.FORGED_AUTHOR,
    RuleName.UNPROVEN_AUTHOR,
    RuleName.UNPROVEN_LIST,
    RuleName.DECISION_TABLE,
)
"""Rules that hold a mail for how it came and not for what it says: another copy of it may have come by a better way."""


class DeferCause(StrEnum):
    """Why a message is tried again later, which decides what the attempt counts for."""

    FAULT = "fault"
    """Something failed that may be the message's own fault: the attempt counts, and the next one waits longer."""
    API_FAILURE = "API failure"
    """The API failed. Where it fails for others as well, that is an outage; else it counts as this message's fault."""
    OUTAGE = "outage"
    """The API does not answer anybody: no attempt is used up, and the message is due again at once, in its order."""
    WAIT = "wait"
    """Nothing failed, it is only too early: an older message goes first, a POST in doubt may still show."""


class PostEffect(StrEnum):
    """What is known of the POST of an attempt that did not end as delivered."""

    NOT_POSTED = "not posted"
    """The attempt ended before its POST. An earlier POST in doubt stays in doubt."""
    NONE = "none"
    """The POST certainly had no effect: the request was never sent, or the API proved that it refused it."""
    UNKNOWN = "unknown"
    """No answer came, or one that proves nothing: the POST may have had its effect, or may still have it."""
    ANSWERED = "answered"
    """The API answered that it did nothing now (429), which it may have said too late: nothing more is on its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The API has the message."""

    ticket_id: str
    ticket_message_id: str
    email_message_id: str | None = None
    """``emailMessageId`` of the API's response, normalised."""
    email_in_reply_to: str | None = None
    note: str = ""
    """How it was delivered, where that is unusual: ``found by looking after an unconfirmed attempt``."""
    posted_after_doubt: bool = False
    """It was posted although an earlier POST was in doubt: look later whether it is on its ticket twice."""
    state: ClassVar[State] = State.DELIVERED


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """The message stays queued and is tried again later."""

    reason: str
    retry_after: float | None = None
    """The least number of seconds to wait, where the other side named one; ``None`` leaves it to the schedule."""
    cause: DeferCause = DeferCause.FAULT
    """What the attempt counts for."""
    post_effect: PostEffect = PostEffect.NOT_POSTED
    """What is known of the POST of this attempt; after doubt the next attempt looks for the message at the API."""
    found_absent: bool = False
    """The message was looked for after doubt and not found; it is looked for once more before it is posted again."""
    blocked_by: str | None = None
    """Queue id of an older message of the same ticket that must go first; the store resumes this one after it."""
    optional_step_failed: bool = False
    """Only a step failed that the message can be posted without (attachments, ticket history). The store notes since
    when; ``attachments.PATIENCE_SECONDS`` later the message is posted without it."""
    posted: Delivered | None = None
    """The API has the message already, and only a step after the POST failed: it must not be posted again."""
    state: ClassVar[State] = State.QUEUED


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The mails that it answers are not known yet; the store resumes it when it learns the ticket of one of them."""

    missing: tuple[str, ...]
    """The Message-IDs that would tell the ticket, normalised; at least one."""
    state: ClassVar[State] = State.WAITING


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded:
    """Nobody needs the message. Its content is kept for the retention time."""

    rule: RuleName
    reason: str
    """The reason in words, for an operator."""
    state: ClassVar[State] = State.DISCARDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A person must look at the message; its content is kept until then."""

    rule: RuleName
    reason: str
    """The reason in words, for an operator."""
    perhaps_posted_as: str | None = None
    """The ticket message that it may be; only with ``RuleName.PERHAPS_POSTED``."""
    state: ClassVar[State] = State.QUARANTINED


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The API refused the message for good, or the worker gave it up."""

    reason: str
    post_effect: PostEffect = PostEffect.NOT_POSTED
    """``NONE`` where the API refused the POST; a retry then needs no look for it."""
    state: ClassVar[State] = State.FAILED


Outcome = Delivered | Deferred | Waiting | Discarded | Quarantined | Failed


class Strength(DescribedStrEnum):
    """How far evidence is believed, the strongest first: ``tickets.resolve`` weighs in the order of definition."""

    PROOF_FOR_SENDER = "proof-for-sender", "A signature of ours names the ticket and the address of the sender."
    PROOF = "proof", "A signature of ours names the ticket; nobody else can make one."
    STRONG = "strong", "The mail answers a message that is known to be on the ticket."
    MEDIUM = "medium", "The mail was sent to an address that names the ticket."
    WEAK = "weak", "Only the subject names the ticket; the sender must be on it."
    NONE = "none", "The evidence names no ticket."


_LEVELS = {
    Strength.PROOF_FOR_SENDER: EvidenceLevel.SIGNED_FOR_SENDER,
    Strength.PROOF: EvidenceLevel.SIGNED_OR_KNOWN,
    Strength.STRONG: EvidenceLevel.SIGNED_OR_KNOWN,
    Strength.MEDIUM: EvidenceLevel.GUESSABLE,
    Strength.WEAK: EvidenceLevel.GUESSABLE,
    Strength.NONE: EvidenceLevel.NONE,
}


class Signal(DescribedStrEnum):
    """Where in a mail a piece of evidence was found."""

    SIGNED_ADDRESS = "signed-address", "A recipient `reply+<ticket>.<code>@ours`, signed by us."
    SIGNED_MESSAGE_ID = (
        "signed-message-id",
        "An ancestor's Message-ID `<ticket.<ticket>.<unique>.<code>@ours>`, signed by us.",
    )
    REPORTED_MESSAGE = "reported-message", "A delivery report is about this mail, or about an answer to it."
    IN_REPLY_TO = "in-reply-to", "In-Reply-To names this Message-ID."
    REFERENCES = "references", "References name this Message-ID."
    VERIFIED_CANDIDATE = (
        "verified-candidate",
        "The ticket that an address or the subject names has a message with this Message-ID, which the mail answers.",
    )
    ADDRESS_DETAIL = "address-detail", "A recipient `help+TAI-<id>@ours` (RFC 5233) names the ticket."
    SUBJECT_TAG = "subject-tag", "The subject holds a ticket's tag, by default its code in brackets: `[TAI-42]`."
    SUBJECT_CODE = "subject-code", "The subject has no tag, but holds a ticket's code: `TAI-42`, `tai-42`."
    SENT_COPY = "sent-copy", "A mark of ours shows a copy of outbound mail (X-Ingest-Sent, or its recipient)."
    OPERATOR = "operator", "An operator named the ticket when releasing the mail."


class Finding(DescribedStrEnum):
    """What was found out about a piece of evidence. ``Evidence.note`` is made from it."""

    PLAIN = "plain", "The evidence is what it seems, and needs no note."
    FORGED = "forged", "The signature is not ours."
    SIGNATURE_EXPIRED = "signature-expired", "The signature is ours, and older than INGEST_SIGNATURE_DAYS."
    SIGNED_WITH_WEAK_KEY = "signed-with-weak-key", "The signature is ours, but its key can be guessed."
    SIGNED_FOR_ANOTHER = "signed-for-another", "The signature is ours, and was made for another person than the sender."
    UNKNOWN_MESSAGE = "unknown-message", "Neither the store nor the API knows the Message-ID."
    ONLY_REFERRED_TO = "only-referred-to", "Other mails refer to this Message-ID, but its mail has never been seen."
    LISTED = "listed", "The API lists the Message-ID among the messages of the ticket."
    NO_SUCH_TICKET = "no-such-ticket", "The API has no ticket of this id or code."
    TICKET_GONE = "ticket-gone", "The API does not have the ticket any more."
    TICKET_MERGED = "ticket-merged", "The ticket was merged into another one, which is the one named."
    OUTWEIGHED = "outweighed", "There is stronger evidence, so the mail did not wait for this ticket to be looked up."
    NOT_ASKED = "not-asked", "The ticket was not looked up, because no API is configured (`ingest explain`)."
    RELEASED = "released", "An operator released the mail to this ticket."


_NOTES = {
    Finding.PLAIN: "",
    Finding.FORGED: "the signature is not ours",
    Finding.SIGNATURE_EXPIRED: "the signature is too old to prove anything",
    Finding.SIGNED_WITH_WEAK_KEY: "the signature was made with a weak key, and proves nothing",
    Finding.SIGNED_FOR_ANOTHER: "the signature was made for another person",
    Finding.UNKNOWN_MESSAGE: "not known",
    Finding.ONLY_REFERRED_TO: "referred to by others, never seen",
    Finding.LISTED: "listed by the API as an ancestor ({detail})",
    Finding.NO_SUCH_TICKET: "the API has no such ticket",
    Finding.TICKET_GONE: "the API has no ticket {detail} any more",
    Finding.TICKET_MERGED: "ticket {detail} was merged into it",
    Finding.OUTWEIGHED: "not looked up: there is stronger evidence",
    Finding.NOT_ASKED: "not looked up: RAVENNA_API_TOKEN is not set",
    Finding.RELEASED: "released by {detail}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One signal that was looked at, and what it said."""

    signal: Signal
    value: str
    """The text that was found, as the sender wrote it: an address, a Message-ID, a tag."""
    ticket_id: str | None
    """The ticket that it names; ``None`` where it names none."""
    strength: Strength
    finding: Finding = Finding.PLAIN
    detail: str = ""
    """What the note names: a ticket, an operator, or the signal in which a listed ancestor was found."""

    @property
    def is_certain(self) -> bool:
        """Whether nobody but us or the correspondents of the ticket can have made it."""
        return _LEVELS[self.strength] in (EvidenceLevel.SIGNED_FOR_SENDER, EvidenceLevel.SIGNED_OR_KNOWN)

    @property
    def note(self) -> str:
        """The finding as a sentence for people; ``""`` where there is nothing to say."""
        return _NOTES[self.finding].format(detail=self.detail)

    def facts(self) -> dict[str, str | None]:
        """The evidence as the database and ``ingest explain --json`` hold it."""
        return {
            "signal": self.signal.value,
            "value": self.value,
            "ticket_id": self.ticket_id,
            "strength": self.strength.value,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """Which ticket a message belongs to, and why."""

    ticket_id: str | None
    evidence: tuple[Evidence, ...] = ()
    conflict: bool = False
    """Two signals of the highest strength name different tickets."""
    missing: tuple[str, ...] = ()
    """Message-IDs of ancestors that nobody knows yet and that would tell the ticket."""

    @property
    def strength(self) -> Strength:
        """The strength of the strongest evidence for the ticket; ``Strength.NONE`` where nothing names one."""
        deciding = {e.strength for e in self.evidence if e.ticket_id and e.ticket_id == self.ticket_id}
        return next((strength for strength in Strength if strength in deciding), Strength.NONE)

    @property
    def level(self) -> EvidenceLevel:
        """How well the mail proves that it belongs to the ticket, as the table of decisions counts it."""
        return _LEVELS[self.strength]

    @property
    def names_known_mail(self) -> bool:
        """A signature of ours, or a Message-ID that is known, names the ticket: nobody can guess either."""
        return self.level in (EvidenceLevel.SIGNED_FOR_SENDER, EvidenceLevel.SIGNED_OR_KNOWN)

    @property
    def disagreeing(self) -> tuple[Evidence, ...]:
        """The weaker evidence that names another ticket than the one decided on; it flags the message."""
        if self.ticket_id is None:
            return ()
        return tuple(e for e in self.evidence if e.ticket_id and e.ticket_id != self.ticket_id)
