"""How many messages are worked on while the API is well, in trouble, down, and back."""

from ingest.concurrency import (
    FIRST_PROBE_SECONDS,
    OUTAGE_FAILURES,
    RECOVERY_LIMIT,
    SLOWEST_PROBE_SECONDS,
    ConcurrencyLimit,
)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def pace_and_clock(capacity: int = 100) -> tuple[ConcurrencyLimit, Clock]:
    clock = Clock()
    return ConcurrencyLimit(capacity, clock), clock


def fail(pace: ConcurrencyLimit, *queue_ids: str) -> None:
    for queue_id in queue_ids:
        pace.failed(queue_id)


def down(capacity: int = 100) -> tuple[ConcurrencyLimit, Clock]:
    pace, clock = pace_and_clock(capacity)
    fail(pace, *(f"Q{number}" for number in range(OUTAGE_FAILURES)))
    return pace, clock


def test_while_all_is_well_the_whole_capacity_is_used() -> None:
    pace, _clock = pace_and_clock()
    assert (pace.free(0), pace.free(60), pace.free(100)) == (100, 40, 0)


def test_several_messages_that_fail_in_a_row_are_an_outage_and_nothing_is_claimed() -> None:
    pace, _clock = down()
    assert pace.is_outage
    assert pace.free(0) == 0
    assert pace.wait_seconds == FIRST_PROBE_SECONDS


def test_one_message_that_fails_again_and_again_is_no_outage() -> None:
    pace, _clock = pace_and_clock()
    fail(pace, *["Q1"] * 50)
    assert not pace.is_outage


def test_a_success_between_failures_shows_that_the_api_is_there() -> None:
    pace, _clock = pace_and_clock()
    for number in range(20):
        fail(pace, f"Q{number}", "sick")
        pace.succeeded()
    assert not pace.is_outage


def test_in_an_outage_one_message_at_a_time_probes_with_growing_pauses() -> None:
    pace, clock = down()
    clock.now += FIRST_PROBE_SECONDS
    assert (pace.free(0), pace.free(1)) == (1, 0)
    pace.failed("Q9")
    assert pace.wait_seconds == 2 * FIRST_PROBE_SECONDS
    for _ in range(10):
        clock.now += pace.wait_seconds
        pace.failed("Q9")
    assert pace.wait_seconds == SLOWEST_PROBE_SECONDS


def test_what_was_on_its_way_when_the_outage_began_does_not_lengthen_the_pause() -> None:
    pace, _clock = down()
    fail(pace, *(f"late{number}" for number in range(50)))
    assert pace.wait_seconds == FIRST_PROBE_SECONDS


def test_after_an_outage_the_limit_starts_low_and_grows_with_each_success() -> None:
    pace, clock = down()
    clock.now += FIRST_PROBE_SECONDS
    pace.succeeded()
    assert pace.free(0) == RECOVERY_LIMIT + 1
    pace.succeeded()
    assert pace.free(0) == RECOVERY_LIMIT + 2


def test_failures_halve_the_limit_once_a_second() -> None:
    pace, clock = pace_and_clock()
    fail(pace, "Q1", "Q1", "Q1")
    assert pace.free(0) == 50
    clock.now += 1
    fail(pace, "Q1")
    assert pace.free(0) == 25


def test_the_limit_never_exceeds_the_capacity_nor_falls_below_one() -> None:
    pace, clock = pace_and_clock(3)
    for _ in range(10):
        clock.now += 1
        fail(pace, "Q1")
    assert pace.free(0) == 1
    for _ in range(10):
        pace.succeeded()
    assert pace.free(0) == 3
