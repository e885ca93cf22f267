"""Decides when requests may be sent at all.

A 429 pauses all requests for as long as the API asks. A 401 or 403 stops sending, because a thousand messages that
fail on a bad token help nobody. While it is stopped, single requests (probes) are let through at growing intervals,
and the first one that succeeds resumes sending.

A 403 may be about one ticket only. So after the first 403 a message of another ticket may be sent at once. If that one
is accepted, sending resumes, and further 403s of the first ticket stop nobody else."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ingest.api.responses import ApiResponse, ResponseClass
from ingest.log import get
from ingest.metrics import SENDING_PAUSED, SENDING_STOPPED

PAUSE_SECONDS = 5.0
"""Pause after a 429 without ``Retry-After``. Rate limits are mostly counted per second or minute."""
FIRST_PROBE_SECONDS = 30.0
"""Time from a 401 or 403 to the first probe. It doubles with each probe that fails."""
SLOWEST_PROBE_SECONDS = 300.0
"""Longest time between probes: how late we may notice that the token was mended, against needless requests."""
LONG_PAUSE_SECONDS = 60.0
"""A pause longer than this is told as an error: rate limits are counted per second or minute, so either the API is in
trouble or somebody has to decide."""
MAX_FORBIDDEN_TICKETS = 1_000
"""How many tickets are remembered as forbidden. It bounds the memory; a further one would stop sending again."""

log = get("api")


@dataclass(slots=True)
class _Stoppage:
    """Why sending is stopped, and when the next probe may be sent."""

    response: ApiResponse
    probe_at: float
    interval: float = FIRST_PROBE_SECONDS
    """Seconds from the next probe to the one after it."""
    refused_tickets: set[str] = field(default_factory=set)
    """Tickets that were refused since the last success."""

    @property
    def is_forbidden(self) -> bool:
        """True if a 403 caused it, which may be about one ticket only."""
        return self.response.response_class is ResponseClass.FORBIDDEN

    @property
    def allows_other_ticket(self) -> bool:
        """True after a first 403: a message of another ticket may be sent at once as the probe."""
        return self.is_forbidden and self.interval == FIRST_PROBE_SECONDS


class CircuitBreaker:
    """Pauses and stops sending after certain responses. The only one that sets the metric ``ingest_sending_stopped``.

    ``clock`` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._paused_until = 0.0
        self._is_pause_told = False
        self._stoppage: _Stoppage | None = None
        self._forbidden_tickets: set[str] = set()
        SENDING_STOPPED.set(0)
        SENDING_PAUSED.set_function(lambda: max(0.0, self._paused_until - clock()))

    @property
    def is_stopped(self) -> bool:
        """True after a 401 or 403, until a probe succeeds."""
        return self._stoppage is not None

    @property
    def wait_seconds(self) -> float:
        """Seconds until some message may be sent; 0 if one may be sent now."""
        stoppage = self._stoppage
        probe_at = stoppage.probe_at if stoppage is not None and not stoppage.allows_other_ticket else 0.0
        return max(0.0, max(self._paused_until, probe_at) - self._clock())

    def rejection(self, ticket_id: str | None) -> ApiResponse | None:
        """Return ``None`` if a request may be sent now, else the response that it gets instead, with the time to wait.

        ``ticket_id`` is that of a message to be posted, ``None`` for a look-up. A request that is let through while
        sending is stopped is the probe; the next one has to wait for its interval."""
        now = self._clock()
        if now < self._paused_until:
            return ApiResponse(
                response_class=ResponseClass.THROTTLED,
                reason="the API asked us to slow down",
                retry_after=self._paused_until - now,
            )
        stoppage = self._stoppage
        if stoppage is None or (ticket_id is None and stoppage.is_forbidden):
            return None
        is_other_ticket = stoppage.allows_other_ticket and ticket_id not in stoppage.refused_tickets
        if now < stoppage.probe_at and not is_other_ticket:
            cause = stoppage.response
            reason = f"sending is stopped: {cause.reason}"
            return ApiResponse(response_class=cause.response_class, reason=reason, retry_after=stoppage.probe_at - now)
        stoppage.probe_at = now + stoppage.interval
        stoppage.interval = min(stoppage.interval * 2, SLOWEST_PROBE_SECONDS)
        return None

    def record(self, response: ApiResponse, ticket_id: str | None) -> None:
        """Pause, stop or resume sending as the response to a request demands.

        A look-up (``ticket_id`` is ``None``) that is forbidden stops nothing: an id in a stranger's mail may point to a
        ticket that our token may not see."""
        match response.response_class:
            case ResponseClass.THROTTLED:
                self._pause(PAUSE_SECONDS if response.retry_after is None else response.retry_after)
            case ResponseClass.UNAUTHORIZED:
                self._stop_sending(response, ticket_id)
            case ResponseClass.FORBIDDEN if ticket_id is not None and ticket_id not in self._forbidden_tickets:
                self._stop_sending(response, ticket_id)
            case ResponseClass.ACCEPTED | ResponseClass.REFUSED:
                self._resume_sending(ticket_id)

    def resume(self) -> None:
        """Let requests through again at once: end a pause that the API asked for, and send the next probe now."""
        self._paused_until = 0.0
        if self._stoppage is not None:
            self._stoppage.probe_at = self._clock()

    def _pause(self, seconds: float) -> None:
        now = self._clock()
        if now >= self._paused_until:
            self._is_pause_told = False
        self._paused_until = max(self._paused_until, now + seconds)
        if seconds > LONG_PAUSE_SECONDS and not self._is_pause_told:
            self._is_pause_told = True
            log.error(
                "the API asked us to send nothing for long; mail is taken in and kept",
                because="429 with a long Retry-After",
                seconds=round(seconds),
                to_do="find out why, from whoever runs the API; to send again before that: `ingest resume`",
            )

    def _stop_sending(self, response: ApiResponse, ticket_id: str | None) -> None:
        if self._stoppage is None:
            self._stoppage = _Stoppage(response=response, probe_at=self._clock() + FIRST_PROBE_SECONDS)
            SENDING_STOPPED.set(1)
            log.error(
                "sending stopped; mail is taken in and kept",
                because=response.reason,
                to_do="check RAVENNA_API_TOKEN, its rights and the addresses it may be used from, then reload "
                "(SIGHUP) or restart; "
                "if only the API was wrong, sending goes on by itself",
            )
        if ticket_id is not None:
            self._stoppage.refused_tickets.add(ticket_id)

    def _resume_sending(self, ticket_id: str | None) -> None:
        stoppage = self._stoppage
        if ticket_id is not None:
            self._forbidden_tickets.discard(ticket_id)
        if stoppage is None or (ticket_id is None and stoppage.is_forbidden):
            return
        self._stoppage = None
        SENDING_STOPPED.set(0)
        log.warning("sending goes on", after=stoppage.response.reason)
        if stoppage.is_forbidden and len(self._forbidden_tickets) < MAX_FORBIDDEN_TICKETS:
            self._forbidden_tickets |= stoppage.refused_tickets - {ticket_id or ""}
