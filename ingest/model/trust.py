"""How far a message is trusted: what is known of its sender's domain, who the sender is to the ticket, and how well the
mail proves its ticket. ``policy.py`` decides by these three what becomes of the message.
"""

from dataclasses import dataclass

from ingest.model.described import DescribedStrEnum

CELL_WORDS = 4
"""Words of a stored cell: who, authentication, evidence level, treatment."""


class AuthenticationResult(DescribedStrEnum):
    """Whether the domain of the From field has been shown to have sent the mail."""

    PROVEN = "proven", "A DKIM signature or SPF that passed is aligned with the domain of From (DMARC)."
    NOTHING_KNOWN = "nothing-known", "Neither proof nor refusal: the domain signs nothing, or nobody could check."
    FAILED = "failed", "The domain says that its mail is signed or comes from elsewhere, and this mail is neither."


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """What is known about the claim of the From field."""

    result: AuthenticationResult
    domain: str = ""
    """The domain of From that was checked, as an A-label in lower case; empty where there is none."""
    reason: str = ""
    """How the result came about, in words for an operator; it names no address."""
    is_lasting: bool = True
    """False: the DNS did not answer, so that another attempt asks again. Else later attempts use the result again."""


NOTHING_KNOWN = Authentication(result=AuthenticationResult.NOTHING_KNOWN)


class Who(DescribedStrEnum):
    """Who the address in From belongs to, as the help desk knows it. It says nothing about who wrote the mail."""

    STAFF = "staff", "An agent: of a staff domain, a bot, the ticket's assignee, or an author of WEB messages."
    ON_TICKET = "on-ticket", "The ticket's requester, a follower, or somebody who has written to it before."
    API_USER = "api-user", "A user of the API who has nothing to do with the ticket."
    UNKNOWN = "unknown", "The API has no user with the address."


class EvidenceLevel(DescribedStrEnum):
    """How well a mail proves that it belongs to its ticket."""

    SIGNED_FOR_SENDER = "signed-for-sender", "A signature of ours names the ticket and the sender's address."
    SIGNED_OR_KNOWN = "signed-or-known", "A signature of ours names the ticket, or it answers a mail of the ticket."
    GUESSABLE = "guessable", "Only an address detail or a subject names the ticket, which anybody can write."
    NONE = "none", "Nothing names a ticket."


class AuthenticationMode(DescribedStrEnum):
    """What counts as proof of the sender; the values of ``INGEST_AUTHENTICATION``."""

    REQUIRED = "required", "Only what was shown counts: nothing known is no proof."
    ADVISORY = "advisory", "Nothing known counts as proven; only mail that failed authentication is suspected."

    @property
    def other(self) -> "AuthenticationMode":
        """The mode that this one could be switched to."""
        return AuthenticationMode.ADVISORY if self is AuthenticationMode.REQUIRED else AuthenticationMode.REQUIRED


class Treatment(DescribedStrEnum):
    """What becomes of a mail, by what is known of its sender and its ticket: the cells of the decision table."""

    POST = "post", "Posted as a message of the sender."
    POST_FLAGGED = (
        "post-flagged",
        "Posted as a message of the sender, unchanged; lists and a metric show that its sender is not proven.",
    )
    POST_FALLBACK = "post-fallback", "Posted as a message of the fallback author; its first line names the sender."
    NOTE = "note", "Posted as a private note of the sender; its first line says why it is a note."
    NOTE_FALLBACK = (
        "note-fallback",
        "Posted as a private note of the fallback author; its first lines say why it is a note and name the sender.",
    )
    QUARANTINE = "quarantine", "Not posted: a person looks at it, and releases or discards it."
    UNMATCHED = "unmatched", "Not posted: nothing in it names a ticket. Nothing else speaks against it."

    @property
    def is_posted(self) -> bool:
        """Whether the mail goes to its ticket, as a message or as a note."""
        return self not in (Treatment.QUARANTINE, Treatment.UNMATCHED)

    @property
    def is_private(self) -> bool:
        """Whether only agents see it on the ticket."""
        return self in (Treatment.NOTE, Treatment.NOTE_FALLBACK)

    @property
    def is_as_sender(self) -> bool:
        """Whether it is posted under the sender's own name, where the API has a user for the sender."""
        return self in (Treatment.POST, Treatment.POST_FLAGGED, Treatment.NOTE)

    @property
    def is_flagged(self) -> bool:
        """Whether lists show that a person may want to look, although it is posted."""
        return self is Treatment.POST_FLAGGED


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """How far a mail was trusted, and the cell of the decision table that applied to it."""

    who: Who
    authentication: Authentication
    level: EvidenceLevel
    treatment: Treatment

    @property
    def cell(self) -> str:
        """The cell in the form in which the store keeps and counts it: ``on-ticket proven guessable post``."""
        return f"{self.who} {self.authentication.result} {self.level} {self.treatment}"

    @classmethod
    def parse(cls, cell: str, domain: str = "", reason: str = "") -> "Trust | None":
        """Return what ``cell`` was made from, with the ``domain`` and ``reason`` of its authentication; ``None`` for a
        mail of which none was stored, or with a word that this version does not know."""
        words = cell.split()
        if len(words) != CELL_WORDS:
            return None
        try:
            return cls(
                who=Who.named(words[0]),
                authentication=Authentication(
                    result=AuthenticationResult.named(words[1]), domain=domain, reason=reason
                ),
                level=EvidenceLevel.named(words[2]),
                treatment=Treatment.named(words[3]),
            )
        except ValueError:
            return None
