"""How far a message is trusted: what is known of its sender's domain, who the sender is to the ticket, and how well the
mail proves its ticket. ``policy.py`` decides by these three what becomes of the message.
"""

from dataclasses import dataclass

from ingest.model.described import DescribedStrEnum


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
