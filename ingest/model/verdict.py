"""What a rule of ``screening.py`` or ``policy.py`` decides about a message."""

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

    @property
    def outcome(self) -> Discarded | Quarantined | None:
        """How the message ends; ``None`` where it goes on as a private note."""
        if self.action is Action.NOTE:
            return None
        end = Discarded if self.action is Action.DISCARD else Quarantined
        return end(rule=self.rule, reason=self.reason)
