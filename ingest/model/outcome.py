"""What became of a message: one sum type, returned by policy, the API client and the crash handling alike.

    queued ──► Delivered     it is a ticket message
      │  ▲
      │  └──── Deferred      not now: try again later
      │  └──── Waiting       its parent is not known yet; resumes when it is
      ├──────► Discarded     nobody needs it: loop, automatic reply, duplicate
      ├──────► Quarantined   a person must look before it goes anywhere
      └──────► Failed        refused for good, or given up: a person must look

One place, ``worker``, settles an outcome into the store. Unknown errors are Deferred; the other ends must be proved.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class State(StrEnum):
    """The states of a row. Being worked on is a lease on a queued row, not a state."""

    QUEUED = "queued"
    WAITING = "waiting"
    DELIVERED = "delivered"
    DISCARDED = "discarded"
    QUARANTINED = "quarantined"
    FAILED = "failed"


FINAL_STATES = frozenset({State.DELIVERED, State.DISCARDED, State.QUARANTINED, State.FAILED})
"""States that no worker leaves by itself. An operator can retry, release or discard the last two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The API has the message."""

    ticket_id: str
    ticket_message_id: str
    email_message_id: str | None = None
    """``emailMessageId`` of the API's answer, normalised."""
    email_in_reply_to: str | None = None
    note: str = ""
    """How it ended, where that is not plain: ``found by looking after an unconfirmed attempt``."""
    state: ClassVar[State] = State.DELIVERED


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """Try again later."""

    reason: str
    retry_after: float | None = None
    """Seconds to wait at least, where the other side said so; ``None`` leaves it to the schedule."""
    unconfirmed: bool = False
    """A POST may have had its effect: the next attempt looks before it posts."""
    blocked_by: str | None = None
    """Queue id of an older message of the same ticket that must go first; the store resumes this one after it."""
    optional_step_failed: bool = False
    """Nothing failed but what the message can be posted without; the store notes since when."""
    posted: Delivered | None = None
    """The API has the message already, and only what comes after it failed: it must not be posted again."""
    state: ClassVar[State] = State.QUEUED


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Its relatives are not known yet; the store resumes it when one of them is learned."""

    missing: tuple[str, ...]
    """The Message-IDs that would tell the ticket, normalised; at least one."""
    state: ClassVar[State] = State.WAITING


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded:
    """Nobody needs it."""

    rule: str
    reason: str
    state: ClassVar[State] = State.DISCARDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A person must look; the octets are kept."""

    rule: str
    reason: str
    state: ClassVar[State] = State.QUARANTINED


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Refused for good, or given up."""

    reason: str
    state: ClassVar[State] = State.FAILED


Outcome = Delivered | Deferred | Waiting | Discarded | Quarantined | Failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One signal that was looked at, and what it said."""

    signal: str
    """``signed-address``, ``signed-message-id``, ``in-reply-to``, ``references``, ``verified-candidate``,
    ``address-detail``, ``subject-tag`` or ``operator``."""
    value: str
    ticket_id: str | None
    """The ticket that it points at; ``None`` where it points nowhere."""
    strength: str
    """``proof``, ``strong``, ``medium``, ``weak`` or ``none``."""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """Which ticket, and why."""

    ticket_id: str | None
    evidence: tuple[Evidence, ...] = ()
    conflict: bool = False
    """Two signals of the highest strength name different tickets."""
    missing: tuple[str, ...] = ()
    """Message-IDs that nobody knows yet and that would tell."""

    @property
    def strength(self) -> str:
        """The strength of the evidence that decided; ``none`` where nothing did."""
        deciding = (e.strength for e in self.evidence if e.ticket_id and e.ticket_id == self.ticket_id)
        return next(deciding, "none")
