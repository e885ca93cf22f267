"""When mail on a ticket is taken for a loop, and what is equal in it."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

SHORT_WORDS_CHARACTERS = 40
"""Below this length several people may well say the same ("Thank you!"), so that equal words count for each sender."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopLimits:
    """The numbers of posts at which a thread is paused. 0 switches a limit off."""

    equal_posts: int = 3
    """The third post with the same words, and each after it, is held."""
    equal_seconds: float = 86_400.0
    """Time within which posts with the same words count."""
    sender_posts: int = 10
    """After so many posts of one sender to one ticket the next is held."""
    ticket_posts: int = 30
    """The same for one ticket, whoever sends."""
    window_seconds: float = 600.0
    """Time within which those two count."""


NO_LOOP_LIMITS = LoopLimits(equal_posts=0, sender_posts=0, ticket_posts=0)
"""All limits switched off."""


class LoopCause(StrEnum):
    """By which limit a thread was paused; a label of the metric."""

    EQUAL = "equal words"
    SENDER = "one sender"
    TICKET = "one ticket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A thread that takes no mail until an operator resumes it."""

    ticket_id: str
    sender: str
    """The sender whose mail is held, in lower case; empty: all mail to the ticket is."""
    cause: LoopCause
    paused_at: float
    """Unix time."""
    is_new: bool = False
    """The message at hand has paused it: that is to be told once."""


def words_key(ticket_id: str, sender: str, content: str, attachments: Iterable[str]) -> str:
    """Return a digest that is the same for two posts to a ticket that say the same: words and attachments (their
    SHA-256). Letter case and white space do not count."""
    words = " ".join(content.split()).casefold()
    who = sender.lower() if len(words) < SHORT_WORDS_CHARACTERS else ""
    return hashlib.sha256("\0".join((ticket_id, who, words, *attachments)).encode("utf-8", "replace")).hexdigest()


def report_key(kind: str, original_message_id: str, recipient: str) -> str:
    """Return a digest of a report: one for each kind of report, mail reported on, and recipient."""
    facts = "\0".join((kind, original_message_id, recipient.lower()))  # noqa: FLY002 - as in ``words_key``
    return hashlib.sha256(facts.encode("utf-8", "replace")).hexdigest()
