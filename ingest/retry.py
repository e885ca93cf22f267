"""Decides when a message is tried again: exponential back-off with full jitter over whole days, as mail servers do
(RFC 5321 section 4.5.4.1)."""

from dataclasses import dataclass

DAY_SECONDS = 86_400.0
"""Seconds of a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The schedule of attempts, which the store keeps. All figures are seconds.

    Within one attempt, a request is retried only for a moment (`ingest/api/http.py`)."""

    first: float = 5.0
    """Longest wait after the first attempt; it doubles with each further one."""
    cap: float = 1_800.0
    """Longest wait between two attempts."""
    max_age: float = 5 * DAY_SECONDS
    """Age at which a message is given up. RFC 5321 recommends at least four to five days."""

    def delay(self, attempts: int, retry_after: float | None, jitter: float) -> float:
        """Return the seconds until the next attempt after `attempts` claims.

        `jitter` is a random number in [0, 1). The wait is spread over the upper half of the exponential step, so that
        a thousand messages that failed together do not come back together, and none comes back at once.
        `retry_after` is what the API asked for. The wait is never shorter, but it is cut to `max_age`.
        """
        step = min(self.cap, self.first * 2.0 ** min(max(attempts, 1) - 1, 30))
        wait = step * (0.5 + jitter / 2)
        return max(wait, min(retry_after, self.max_age)) if retry_after is not None else wait

    def is_exhausted(self, since: float, now: float) -> bool:
        """Return True if a message has been retried since `since` for so long that a person should look instead."""
        return now - since > self.max_age
