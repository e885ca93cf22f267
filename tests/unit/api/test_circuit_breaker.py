"""When requests may be sent: pauses, the stop after a refused token, and the probes that end it."""

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from ingest.api.circuit_breaker import (
    FIRST_PROBE_SECONDS,
    LONG_PAUSE_SECONDS,
    PAUSE_SECONDS,
    SLOWEST_PROBE_SECONDS,
    CircuitBreaker,
)
from ingest.api.responses import ApiResponse, ResponseClass


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(clock)


def response(response_class: ResponseClass, retry_after: float | None = None) -> ApiResponse:
    return ApiResponse(response_class=response_class, reason="the API answered", retry_after=retry_after)


OK = response(ResponseClass.ACCEPTED)
UNAUTHORIZED = response(ResponseClass.UNAUTHORIZED)
FORBIDDEN = response(ResponseClass.FORBIDDEN)


def wait_of(held: ApiResponse | None) -> float | None:
    return held.retry_after if held is not None else None


def test_nothing_is_held_at_first(breaker: CircuitBreaker) -> None:
    assert breaker.rejection("T1") is None
    assert not breaker.is_stopped
    assert breaker.wait_seconds == 0
    assert REGISTRY.get_sample_value("ingest_sending_stopped") == 0


def test_a_429_pauses_everything_for_as_long_as_it_says(breaker: CircuitBreaker, clock: Clock) -> None:
    breaker.record(response(ResponseClass.THROTTLED, retry_after=7.0), "T1")
    clock.now += 3
    assert wait_of(breaker.rejection("T2")) == wait_of(breaker.rejection(None)) == breaker.wait_seconds == 4.0
    clock.now += 4
    assert breaker.rejection("T2") is None


def test_a_429_without_a_time_pauses_for_some_seconds(breaker: CircuitBreaker) -> None:
    breaker.record(response(ResponseClass.THROTTLED), "T1")
    assert breaker.wait_seconds == PAUSE_SECONDS


def test_a_shorter_429_does_not_shorten_the_pause(breaker: CircuitBreaker) -> None:
    breaker.record(response(ResponseClass.THROTTLED, retry_after=9.0), "T1")
    breaker.record(response(ResponseClass.THROTTLED, retry_after=1.0), "T2")
    assert breaker.wait_seconds == 9.0


def test_a_pause_is_no_stop(breaker: CircuitBreaker) -> None:
    breaker.record(response(ResponseClass.THROTTLED, retry_after=9.0), "T1")
    assert not breaker.is_stopped


def test_a_401_stops_messages_and_look_ups_and_shows_in_the_metrics(breaker: CircuitBreaker) -> None:
    breaker.record(UNAUTHORIZED, "T1")
    assert breaker.is_stopped
    assert REGISTRY.get_sample_value("ingest_sending_stopped") == 1
    assert (
        wait_of(breaker.rejection("T2"))
        == wait_of(breaker.rejection(None))
        == breaker.wait_seconds
        == FIRST_PROBE_SECONDS
    )


def test_one_probe_at_a_time_goes_at_a_growing_pace(breaker: CircuitBreaker, clock: Clock) -> None:
    breaker.record(UNAUTHORIZED, "T1")
    paces = []
    for _probe in range(6):
        clock.now += breaker.wait_seconds
        assert breaker.rejection("T2") is None
        assert breaker.rejection("T3") is not None
        breaker.record(UNAUTHORIZED, "T2")
        paces.append(breaker.wait_seconds)
    assert paces == [30.0, 60.0, 120.0, 240.0, SLOWEST_PROBE_SECONDS, SLOWEST_PROBE_SECONDS]


@pytest.mark.parametrize("ticket_id", ["T2", None])
def test_any_success_opens_the_gate_that_a_401_closed(breaker: CircuitBreaker, ticket_id: str | None) -> None:
    breaker.record(UNAUTHORIZED, "T1")
    breaker.record(OK, ticket_id)
    assert not breaker.is_stopped
    assert breaker.rejection("T1") is None
    assert REGISTRY.get_sample_value("ingest_sending_stopped") == 0


def test_a_refusal_proves_the_token_as_well_as_a_success(breaker: CircuitBreaker) -> None:
    breaker.record(UNAUTHORIZED, "T1")
    breaker.record(response(ResponseClass.REFUSED), "T2")
    assert not breaker.is_stopped


@pytest.mark.parametrize("response_class", [ResponseClass.IN_DOUBT, ResponseClass.UNREACHED])
def test_no_answer_says_nothing_about_the_token(breaker: CircuitBreaker, response_class: ResponseClass) -> None:
    breaker.record(UNAUTHORIZED, "T1")
    breaker.record(response(response_class), "T2")
    assert breaker.is_stopped


def test_after_a_403_only_a_message_of_another_ticket_goes_at_once(breaker: CircuitBreaker) -> None:
    breaker.record(FORBIDDEN, "T1")
    assert breaker.wait_seconds == 0
    assert wait_of(breaker.rejection("T1")) == FIRST_PROBE_SECONDS
    assert breaker.rejection("T2") is None
    assert wait_of(breaker.rejection("T3")) == FIRST_PROBE_SECONDS


def test_a_second_403_of_another_ticket_leaves_sending_stopped(breaker: CircuitBreaker) -> None:
    breaker.record(FORBIDDEN, "T1")
    breaker.rejection("T2")
    breaker.record(FORBIDDEN, "T2")
    assert breaker.is_stopped
    assert breaker.wait_seconds == FIRST_PROBE_SECONDS


def test_a_ticket_that_alone_is_forbidden_stops_nobody_twice(breaker: CircuitBreaker) -> None:
    breaker.record(FORBIDDEN, "T1")
    breaker.record(OK, "T2")
    assert not breaker.is_stopped
    breaker.record(FORBIDDEN, "T1")
    assert not breaker.is_stopped


def test_a_forbidden_ticket_that_is_allowed_again_is_forgotten(breaker: CircuitBreaker) -> None:
    breaker.record(FORBIDDEN, "T1")
    breaker.record(OK, "T2")
    breaker.record(OK, "T1")
    breaker.record(FORBIDDEN, "T1")
    assert breaker.is_stopped


def test_a_look_up_neither_causes_nor_ends_nor_suffers_a_stop_for_403(breaker: CircuitBreaker) -> None:
    breaker.record(FORBIDDEN, None)
    assert not breaker.is_stopped
    breaker.record(FORBIDDEN, "T1")
    assert breaker.rejection(None) is None
    breaker.record(OK, None)
    assert breaker.is_stopped


# Long pauses


def test_a_long_pause_is_told_once_as_an_error_and_counted(breaker: CircuitBreaker, clock: Clock) -> None:
    with capture_logs() as lines:
        for _ in range(3):
            breaker.record(response(ResponseClass.THROTTLED, retry_after=3600.0), "T1")
            clock.now += 1
    (line,) = lines
    assert (line["log_level"], line["seconds"]) == ("error", 3600)
    assert "ingest resume" in line["to_do"]
    assert REGISTRY.get_sample_value("ingest_sending_paused_seconds") == 3599.0
    clock.now += 4000
    assert REGISTRY.get_sample_value("ingest_sending_paused_seconds") == 0
    with capture_logs() as lines:
        breaker.record(response(ResponseClass.THROTTLED, retry_after=3600.0), "T1")
    assert len(lines) == 1


def test_a_short_pause_is_no_error(breaker: CircuitBreaker) -> None:
    with capture_logs() as lines:
        breaker.record(response(ResponseClass.THROTTLED, retry_after=LONG_PAUSE_SECONDS), "T1")
    assert lines == []


def test_an_operator_ends_a_pause(breaker: CircuitBreaker) -> None:
    breaker.record(response(ResponseClass.THROTTLED, retry_after=3600.0), "T1")
    breaker.resume()
    assert breaker.wait_seconds == 0
    assert breaker.rejection("T1") is None


def test_an_operator_who_mended_the_token_has_it_tried_at_once(breaker: CircuitBreaker) -> None:
    breaker.record(UNAUTHORIZED, "T1")
    assert breaker.rejection("T1") is not None
    breaker.resume()
    assert breaker.rejection("T1") is None
    breaker.record(OK, "T1")
    assert not breaker.is_stopped
