"""How many messages are worked on at the same time: as many as the API takes, and one at a time while it is down.

outage    several messages in a row failed by the API, and no message came through between them: claiming stops, and
          single messages probe whether it is back, with growing pauses. A single sick ticket is no outage.
recovery  the first success ends the outage; the limit starts low and grows by one with each success
trouble   a failure halves the limit, at most once a second
"""

from collections.abc import Callable

OUTAGE_FAILURES = 5
"""Failures in a row that are an outage. Fewer, and the hiccup of one server behind a load balancer would count."""
OUTAGE_MESSAGES = 2
"""Different messages among these failures. Of one ticket only one message is worked on, so one alone proves nothing."""
RECOVERY_LIMIT = 4
"""Messages at the same time right after an outage: the API may be weak, and many workers may come back at once."""
FIRST_PROBE_SECONDS = 1.0
SLOWEST_PROBE_SECONDS = 30.0
"""The pause between probes doubles from the first to the slowest: an API that is back is noticed within half a
minute."""
HALVING_SECONDS = 1.0
"""Messages that were on their way together fail together: they are one sign of trouble, not many."""


class ConcurrencyLimit:
    """The limit of messages at the same time.

    Args:
        capacity: the limit while all is well.
        clock: gives seconds that never go back.
    """

    def __init__(self, capacity: int, clock: Callable[[], float]) -> None:
        self._capacity = capacity
        self._clock = clock
        self._limit = capacity
        self._failures = 0
        self._failing: set[str] = set()
        self._probe_at: float | None = None
        self._probe_pause = FIRST_PROBE_SECONDS
        self._halved_at = float("-inf")

    @property
    def is_outage(self) -> bool:
        """Whether the API does not answer anybody."""
        return self._probe_at is not None

    @property
    def wait_seconds(self) -> float:
        """Seconds until the next message may be claimed; 0 if one may be claimed now."""
        return 0.0 if self._probe_at is None else max(0.0, self._probe_at - self._clock())

    def free(self, running: int) -> int:
        """How many more messages may be worked on beside the ``running`` ones."""
        limit = self._limit if self._probe_at is None else 1
        return 0 if self.wait_seconds > 0 else max(0, limit - running)

    def succeeded(self) -> None:
        """The API took a message, or refused it for good: it is there."""
        if self._probe_at is not None:
            self._limit = min(RECOVERY_LIMIT, self._capacity)
        self._probe_at, self._probe_pause = None, FIRST_PROBE_SECONDS
        self._failures = 0
        self._failing.clear()
        self._limit = min(self._limit + 1, self._capacity)

    def failed(self, queue_id: str) -> None:
        """The API failed while this message was worked on."""
        now = self._clock()
        self._failures += 1
        self._failing.add(queue_id)
        if now - self._halved_at >= HALVING_SECONDS:
            self._halved_at = now
            self._limit = max(1, self._limit // 2)
        if self._probe_at is not None:
            if self._probe_at <= now:
                self._probe_pause = min(self._probe_pause * 2, SLOWEST_PROBE_SECONDS)
                self._probe_at = now + self._probe_pause
        elif self._failures >= OUTAGE_FAILURES and len(self._failing) >= OUTAGE_MESSAGES:
            self._probe_at = now + self._probe_pause
