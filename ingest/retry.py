"""When to try again: exponential back-off with full jitter over whole days, as mail has always been retried."""

from dataclasses import dataclass

DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The durable schedule behind the short burst of tries inside a lease. All figures are seconds."""

    first: float = 5.0
    cap: float = 1_800.0
    max_age: float = 5 * DAY

    def delay(self, attempts: int, retry_after: float | None, jitter: float) -> float:
        """Seconds until the next attempt after ``attempts`` claims.

        ``jitter`` is a random number in [0, 1): the wait is spread over the upper half of the exponential step, so
        that a thousand messages that failed together do not come back together, and none comes back at once.
        ``retry_after`` is the other side's own word: never earlier, though a silly figure is cut to ``max_age``.
        """
        step = min(self.cap, self.first * 2.0 ** min(max(attempts, 1) - 1, 30))
        own = step * (0.5 + jitter / 2)
        return max(own, min(retry_after, self.max_age)) if retry_after is not None else own

    def is_exhausted(self, since: float, now: float) -> bool:
        """Whether a message has been tried for so long that a person should look instead."""
        return now - since > self.max_age
