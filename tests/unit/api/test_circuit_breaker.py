"""When requests may be sent: pauses, the stop after a refused token, and the probes that end it."""

import pytest
from prometheus_client import REGISTRY

from ingest.api.circuit_breaker import FIRST_PROBE, PAUSE, SLOWEST_PROBE, CircuitBreaker
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
def gate(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(clock)


def answer(meaning: ResponseClass, retry_after: float | None = None) -> ApiResponse:
    return ApiResponse(meaning=meaning, reason="the API answered", retry_after=retry_after)


OK = answer(ResponseClass.ACCEPTED)
UNAUTHORIZED = answer(ResponseClass.UNAUTHORIZED)
FORBIDDEN = answer(ResponseClass.FORBIDDEN)


def wait_of(held: ApiResponse | None) -> float | None:
    return held.retry_after if held is not None else None


def test_nothing_is_held_at_first(gate: CircuitBreaker) -> None:
    assert gate.hold("T1") is None
    assert not gate.stopped
    assert gate.held_for == 0


def test_a_429_pauses_everything_for_as_long_as_it_says(gate: CircuitBreaker, clock: Clock) -> None:
    gate.learn(answer(ResponseClass.THROTTLED, retry_after=7.0), "T1")
    clock.now += 3
    assert wait_of(gate.hold("T2")) == wait_of(gate.hold(None)) == gate.held_for == 4.0
    clock.now += 4
    assert gate.hold("T2") is None


def test_a_429_without_a_time_pauses_for_some_seconds(gate: CircuitBreaker) -> None:
    gate.learn(answer(ResponseClass.THROTTLED), "T1")
    assert gate.held_for == PAUSE


def test_a_shorter_429_does_not_shorten_the_pause(gate: CircuitBreaker) -> None:
    gate.learn(answer(ResponseClass.THROTTLED, retry_after=9.0), "T1")
    gate.learn(answer(ResponseClass.THROTTLED, retry_after=1.0), "T2")
    assert gate.held_for == 9.0


def test_a_pause_is_no_stop(gate: CircuitBreaker) -> None:
    gate.learn(answer(ResponseClass.THROTTLED, retry_after=9.0), "T1")
    assert not gate.stopped


def test_a_401_stops_messages_and_look_ups_and_shows_in_the_metrics(gate: CircuitBreaker) -> None:
    gate.learn(UNAUTHORIZED, "T1")
    assert gate.stopped
    assert REGISTRY.get_sample_value("ingest_sending_stopped") == 1
    assert wait_of(gate.hold("T2")) == wait_of(gate.hold(None)) == gate.held_for == FIRST_PROBE


def test_one_probe_at_a_time_goes_at_a_growing_pace(gate: CircuitBreaker, clock: Clock) -> None:
    gate.learn(UNAUTHORIZED, "T1")
    paces = []
    for _probe in range(6):
        clock.now += gate.held_for
        assert gate.hold("T2") is None
        assert gate.hold("T3") is not None
        gate.learn(UNAUTHORIZED, "T2")
        paces.append(gate.held_for)
    assert paces == [30.0, 60.0, 120.0, 240.0, SLOWEST_PROBE, SLOWEST_PROBE]


@pytest.mark.parametrize("ticket_id", ["T2", None])
def test_any_success_opens_the_gate_that_a_401_closed(gate: CircuitBreaker, ticket_id: str | None) -> None:
    gate.learn(UNAUTHORIZED, "T1")
    gate.learn(OK, ticket_id)
    assert not gate.stopped
    assert gate.hold("T1") is None
    assert REGISTRY.get_sample_value("ingest_sending_stopped") == 0


def test_a_refusal_proves_the_token_as_well_as_a_success(gate: CircuitBreaker) -> None:
    gate.learn(UNAUTHORIZED, "T1")
    gate.learn(answer(ResponseClass.REFUSED), "T2")
    assert not gate.stopped


@pytest.mark.parametrize("meaning", [ResponseClass.IN_DOUBT, ResponseClass.UNREACHED])
def test_no_answer_says_nothing_about_the_token(gate: CircuitBreaker, meaning: ResponseClass) -> None:
    gate.learn(UNAUTHORIZED, "T1")
    gate.learn(answer(meaning), "T2")
    assert gate.stopped


def test_after_a_403_only_a_message_of_another_ticket_goes_at_once(gate: CircuitBreaker) -> None:
    gate.learn(FORBIDDEN, "T1")
    assert gate.held_for == 0
    assert wait_of(gate.hold("T1")) == FIRST_PROBE
    assert gate.hold("T2") is None
    assert wait_of(gate.hold("T3")) == FIRST_PROBE


def test_a_second_403_of_another_ticket_leaves_sending_stopped(gate: CircuitBreaker) -> None:
    gate.learn(FORBIDDEN, "T1")
    gate.hold("T2")
    gate.learn(FORBIDDEN, "T2")
    assert gate.stopped
    assert gate.held_for == FIRST_PROBE


def test_a_ticket_that_alone_is_forbidden_stops_nobody_twice(gate: CircuitBreaker) -> None:
    gate.learn(FORBIDDEN, "T1")
    gate.learn(OK, "T2")
    assert not gate.stopped
    gate.learn(FORBIDDEN, "T1")
    assert not gate.stopped


def test_a_forbidden_ticket_that_is_allowed_again_is_forgotten(gate: CircuitBreaker) -> None:
    gate.learn(FORBIDDEN, "T1")
    gate.learn(OK, "T2")
    gate.learn(OK, "T1")
    gate.learn(FORBIDDEN, "T1")
    assert gate.stopped


def test_a_look_up_neither_causes_nor_ends_nor_suffers_a_stop_for_403(gate: CircuitBreaker) -> None:
    gate.learn(FORBIDDEN, None)
    assert not gate.stopped
    gate.learn(FORBIDDEN, "T1")
    assert gate.hold(None) is None
    gate.learn(OK, None)
    assert gate.stopped
