"""The line to the API: requests go through the gate, and are repeated in a short burst where that is harmless.

The burst bridges a restart of the API or a blip of the network while the message is at hand; all longer waits belong
to the durable schedule."""

from collections.abc import Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_result, stop_after_attempt, stop_after_delay
from tenacity.wait import wait_random_exponential

from ingest.api.circuit_breaker import CircuitBreaker
from ingest.api.http import Http, Request
from ingest.api.responses import ApiResponse, ResponseClass

TRIES = 3
BURST_SECONDS = 2.0
SHORT_WAIT = 1.0
"""Seconds of ``Retry-After`` up to which a request waits at hand."""

_full_jitter = wait_random_exponential(multiplier=0.2, max=0.8)
_NO_EFFECT = (ResponseClass.UNREACHED, ResponseClass.THROTTLED)


class RetryingTransport:
    """Sends requests, as often and as fast as is decent."""

    def __init__(self, http: Http, gate: CircuitBreaker) -> None:
        self._http = http
        self._gate = gate

    async def send(self, request: Request) -> ApiResponse:
        """The answer to the last try."""
        burst = AsyncRetrying(
            stop=stop_after_attempt(TRIES) | stop_after_delay(BURST_SECONDS),
            wait=_wait,
            retry=retry_if_result(_repeatable(request)),
            retry_error_callback=_last,
        )
        answer: ApiResponse = await burst(self._try, request)
        return answer

    async def _try(self, request: Request) -> ApiResponse:
        if (held := self._gate.hold(request.ticket_id)) is not None:
            return held
        answer = await self._http.exchange(request)
        self._gate.learn(answer, request.ticket_id)
        return answer


def _repeatable(request: Request) -> Callable[[ApiResponse], bool]:
    """A POST is repeated only if it certainly had no effect, a look-up also in doubt."""
    harmless = _NO_EFFECT if request.has_effect else (*_NO_EFFECT, ResponseClass.IN_DOUBT)
    return lambda answer: answer.meaning in harmless and (answer.retry_after or 0.0) <= SHORT_WAIT


def _last(state: RetryCallState) -> ApiResponse:
    assert state.outcome is not None
    answer: ApiResponse = state.outcome.result()
    return answer


def _wait(state: RetryCallState) -> float:
    """What the other side asked for, and a random bit more, so that many messages do not come back together."""
    return (_last(state).retry_after or 0.0) + _full_jitter(state)
