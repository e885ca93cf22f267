"""When requests may be sent at all.

Throttled (429): everything pauses for as long as the API asks. Refused (401, 403): sending stops, because a thousand
messages failing on a bad token help nobody; slow probes find out when it is mended, and any success opens the gate.

A 403 may be about one ticket only. So after the first 403 a message of another ticket is the probe, at once; if that
one is accepted, the gate opens and remembers the ticket, whose further 403s stop nobody else."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ingest.api.responses import ApiResponse, ResponseClass
from ingest.log import get
from ingest.metrics import SENDING_STOPPED

PAUSE = 5.0
"""Seconds of pause after a 429 that does not say how long."""
FIRST_PROBE = 30.0
SLOWEST_PROBE = 300.0
MAX_FORBIDDEN = 1_000

log = get("api")


@dataclass(slots=True)
class _Stop:
    """Why sending is stopped, and when to ask again."""

    answer: ApiResponse
    probe_at: float
    interval: float = FIRST_PROBE
    refused: set[str] = field(default_factory=set)
    """Tickets that were refused since the last success."""

    @property
    def wants_second_opinion(self) -> bool:
        """After a first 403, a message of another ticket may go at once."""
        return self.answer.meaning is ResponseClass.FORBIDDEN and self.interval == FIRST_PROBE


class CircuitBreaker:
    """``clock`` gives seconds that only ever grow."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._resume_at = 0.0
        self._stop: _Stop | None = None
        self._forbidden: set[str] = set()
        SENDING_STOPPED.set(0)

    @property
    def stopped(self) -> bool:
        return self._stop is not None

    @property
    def held_for(self) -> float:
        """Seconds until some message may be sent; 0 when one may be sent now."""
        stop = self._stop
        probe_at = stop.probe_at if stop is not None and not stop.wants_second_opinion else 0.0
        return max(0.0, max(self._resume_at, probe_at) - self._clock())

    def hold(self, ticket_id: str | None) -> ApiResponse | None:
        """``None`` if a request may be sent now; else the answer it gets instead, with the time to wait.

        ``ticket_id`` is that of a message to be posted, ``None`` for a look-up. Whoever is let through while sending
        is stopped is the probe; the next one has to wait."""
        now = self._clock()
        if now < self._resume_at:
            reason = "the API asked us to slow down"
            return ApiResponse(meaning=ResponseClass.THROTTLED, reason=reason, retry_after=self._resume_at - now)
        stop = self._stop
        if stop is None or (ticket_id is None and stop.answer.meaning is ResponseClass.FORBIDDEN):
            return None
        second_opinion = stop.wants_second_opinion and ticket_id not in stop.refused
        if now < stop.probe_at and not second_opinion:
            reason = f"sending is stopped: {stop.answer.reason}"
            return ApiResponse(meaning=stop.answer.meaning, reason=reason, retry_after=stop.probe_at - now)
        stop.probe_at = now + stop.interval
        stop.interval = min(stop.interval * 2, SLOWEST_PROBE)
        return None

    def learn(self, answer: ApiResponse, ticket_id: str | None) -> None:
        """Take note of an answer. A look-up that is forbidden says nothing about sending: an id in a stranger's mail
        may point to a ticket that is none of our business."""
        match answer.meaning:
            case ResponseClass.THROTTLED:
                pause = PAUSE if answer.retry_after is None else answer.retry_after
                self._resume_at = max(self._resume_at, self._clock() + pause)
            case ResponseClass.UNAUTHORIZED:
                self._close(answer, ticket_id)
            case ResponseClass.FORBIDDEN if ticket_id is not None and ticket_id not in self._forbidden:
                self._close(answer, ticket_id)
            case ResponseClass.ACCEPTED | ResponseClass.REFUSED:
                self._open(ticket_id)

    def _close(self, answer: ApiResponse, ticket_id: str | None) -> None:
        if self._stop is None:
            self._stop = _Stop(answer=answer, probe_at=self._clock() + FIRST_PROBE)
            SENDING_STOPPED.set(1)
            log.error(
                "sending stopped; mail is taken in and kept",
                because=answer.reason,
                to_do="check RAVENNA_API_TOKEN, its rights and the addresses it may be used from, then restart; "
                "if only the API was wrong, sending goes on by itself",
            )
        if ticket_id is not None:
            self._stop.refused.add(ticket_id)

    def _open(self, ticket_id: str | None) -> None:
        stop = self._stop
        if ticket_id is not None:
            self._forbidden.discard(ticket_id)
        if stop is None or (ticket_id is None and stop.answer.meaning is ResponseClass.FORBIDDEN):
            return
        self._stop = None
        SENDING_STOPPED.set(0)
        log.warning("sending goes on", after=stop.answer.reason)
        if stop.answer.meaning is ResponseClass.FORBIDDEN and len(self._forbidden) < MAX_FORBIDDEN:
            self._forbidden |= stop.refused - {ticket_id or ""}
