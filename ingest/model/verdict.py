"""What a rule of ``screening`` or ``policy.py`` decides about a message."""

from dataclasses import dataclass
from enum import Enum

from ingest.model.outcome import Discarded, Quarantined, RuleName


class Action(Enum):
    """What a rule does with the message."""

    NOTE = "post as a private note"
    DISCARD = "discard"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The rule that applied to a message, and what it does."""

    rule: RuleName
    action: Action
    reason: str
    """The reason in words, for an operator."""
    is_machine: bool = False
    """A machine wrote the mail. It is never a public message, because the help desk may answer each of those."""
    is_report: bool = False
    """It is a report about a mail of ours, and needs the Message-ID of one in it: the note goes to that mail's ticket.
    Who sent it does not matter."""
    is_proven: bool = False
    """Proof that a machine wrote it was found, not only a sign. A proven report about no mail of ours is discarded;
    what only looks like one waits for a person."""
    is_person_if_known: bool = False
    """The sign is one that lists and gateways put on people's mail, too: a mail that answers a known one is a
    person's all the same."""

    @property
    def outcome(self) -> Discarded | Quarantined | None:
        """How the message ends; ``None`` where it goes on as a private note."""
        if self.action is Action.NOTE:
            return None
        end = Discarded if self.action is Action.DISCARD else Quarantined
        return end(rule=self.rule, reason=self.reason)

    def without_mail_of_ours(self, *, names_ticket: bool) -> Discarded | Quarantined:
        """Return how a report ends that names no mail of ours: a proven one is about a mail that we never sent. Where
        its recipient's address names a ticket (``names_ticket``), which anybody can guess, a person looks."""
        reason = f"{self.reason}, and no mail of ours is named in it"
        if self.is_proven and not names_ticket:
            return Discarded(rule=self.rule, reason=reason)
        return Quarantined(rule=self.rule, reason=f"{reason}; release it with --ticket if it belongs to one")
