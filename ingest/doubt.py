"""What to do about a POST whose end is not known: wait, look for it at the API, or post.

The API knows no idempotency key, and a POST may take effect after we stopped waiting for it. So after a crash or a lost
answer the worker first lets the settle window pass, in which a POST of ours may still end and show; then it looks; and
where it finds nothing it looks a second time before it posts again.
"""

from dataclasses import dataclass
from enum import Enum


class DoubtStep(Enum):
    """The next step of a message that may have been posted before."""

    POST = "no POST of ours can be on its way any more, or none ever began"
    WAIT = "a POST of ours may still take effect: it is too early to look"
    LOOK = "the message has to be looked for at the API before it may be posted"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleWindow:
    """How long a POST of ours may take to show, all in seconds."""

    post_timeout_seconds: float
    """The time after which we stop waiting for the answer to a POST."""
    settle_seconds: float
    """The time after that in which the API may still finish the POST and list the message."""
    second_look_seconds: float
    """The time between the first look that found nothing and the second."""

    @property
    def first_look_seconds(self) -> float:
        """The time from the beginning of a POST to the first look for it."""
        return self.post_timeout_seconds + self.settle_seconds


NO_WINDOW = SettleWindow(post_timeout_seconds=0.0, settle_seconds=0.0, second_look_seconds=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """What is known of an earlier POST. Times are those of one steady clock, in Unix seconds."""

    post_began_at: float
    """When the POST began, as it was written before it."""
    absent_at: float | None
    """When a look found nothing for the first time; ``None``: nobody has looked."""
    was_answered: bool = False
    """The API has answered the POST (429), so that nothing of it is on its way any more. Had it an effect all the same,
    the list may still show it late."""


def next_step(
    doubt: Doubt | None, window: SettleWindow, *, process_began_at: float, now: float
) -> tuple[DoubtStep, float]:
    """The next step, and how many seconds it has to wait (0 unless it is ``WAIT``).

    A POST of an earlier process is counted from the beginning of this process, which came later: the clock may have
    been set meanwhile, so the difference of the two times means nothing.
    """
    if doubt is None:
        return DoubtStep.POST, 0.0
    began_here = process_began_at <= doubt.post_began_at <= now
    since = doubt.post_began_at if began_here else process_began_at
    look_at = since + (window.settle_seconds if doubt.was_answered else window.first_look_seconds)
    if doubt.absent_at is not None:
        looked_at = doubt.absent_at if process_began_at <= doubt.absent_at <= now else process_began_at
        look_at = max(look_at, looked_at + window.second_look_seconds)
    return (DoubtStep.WAIT, look_at - now) if now < look_at else (DoubtStep.LOOK, 0.0)
