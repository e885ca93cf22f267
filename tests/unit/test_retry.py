"""The durable schedule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.retry import DAY_SECONDS, Schedule

SCHEDULE = Schedule(first=5, cap=1800, max_age=5 * DAY_SECONDS)


def test_each_wait_is_twice_the_one_before() -> None:
    waits = [SCHEDULE.delay(attempts, None, jitter=0.0) for attempts in (1, 2, 3)]
    assert waits == [2.5, 5.0, 10.0]


def test_the_wait_stops_growing_at_the_cap() -> None:
    assert SCHEDULE.delay(100, None, jitter=1.0) == 1800


def test_the_other_side_s_word_is_never_undercut() -> None:
    assert SCHEDULE.delay(1, 600.0, jitter=0.0) == 600


def test_our_own_schedule_holds_where_the_other_side_asks_for_less() -> None:
    assert SCHEDULE.delay(5, 0.0, jitter=0.0) == 40


def test_a_silly_retry_after_is_cut_to_the_greatest_age() -> None:
    assert SCHEDULE.delay(1, 1e12, jitter=0.0) == 5 * DAY_SECONDS


@pytest.mark.parametrize(("age", "exhausted"), [(5 * DAY_SECONDS, False), (5 * DAY_SECONDS + 1, True)])
def test_a_message_is_given_up_after_its_greatest_age(age: float, exhausted: bool) -> None:
    assert SCHEDULE.is_exhausted(1000.0, 1000.0 + age) is exhausted


@given(st.integers(-5, 10_000), st.none() | st.floats(0, 1e9), st.floats(0, 1, exclude_max=True))
def test_every_wait_is_positive_and_bounded(attempts: int, retry_after: float | None, jitter: float) -> None:
    assert 0 < SCHEDULE.delay(attempts, retry_after, jitter) <= SCHEDULE.max_age
