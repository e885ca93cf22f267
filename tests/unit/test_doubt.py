"""When a POST in doubt is waited for, looked for, and repeated."""

import pytest

from ingest.doubt import Doubt, DoubtStep, SettleWindow, next_step

WINDOW = SettleWindow(post_timeout_seconds=30, settle_seconds=15, second_look_seconds=30)
STARTED = 10_000.0


def step(now: float, *, began: float | None, absent: float | None = None) -> tuple[DoubtStep, float]:
    doubt = Doubt(post_began_at=began, absent_at=absent) if began is not None else None
    return next_step(doubt, WINDOW, process_began_at=STARTED, now=now)


def test_a_message_that_was_never_posted_is_posted_at_once() -> None:
    assert step(STARTED, began=None) == (DoubtStep.POST, 0.0)


def test_a_post_of_this_process_is_waited_for_from_its_beginning() -> None:
    assert step(STARTED + 110, began=STARTED + 100) == (DoubtStep.WAIT, 35.0)
    assert step(STARTED + 145, began=STARTED + 100) == (DoubtStep.LOOK, 0.0)


@pytest.mark.parametrize("began", [STARTED - 1, STARTED - 86_400, STARTED + 3_600])
def test_a_post_of_an_earlier_process_is_waited_for_from_our_start_whatever_its_clock_said(began: float) -> None:
    assert step(STARTED + 5, began=began) == (DoubtStep.WAIT, 40.0)
    assert step(STARTED + 45, began=began) == (DoubtStep.LOOK, 0.0)


def test_what_was_not_found_is_looked_for_a_second_time_later() -> None:
    assert step(STARTED + 150, began=STARTED + 100, absent=STARTED + 145) == (DoubtStep.WAIT, 25.0)
    assert step(STARTED + 175, began=STARTED + 100, absent=STARTED + 145) == (DoubtStep.LOOK, 0.0)


def test_a_look_of_an_earlier_process_does_not_count_as_the_first_before_the_window_has_passed() -> None:
    assert step(STARTED + 44, began=STARTED - 100, absent=STARTED - 50)[0] is DoubtStep.WAIT
    assert step(STARTED + 45, began=STARTED - 100, absent=STARTED - 50)[0] is DoubtStep.LOOK


@pytest.mark.parametrize("began", [STARTED + 100, STARTED - 100])
def test_a_post_that_was_answered_is_waited_for_only_as_long_as_a_list_may_be_late(began: float) -> None:
    doubt = Doubt(post_began_at=began, absent_at=None, was_answered=True)
    since = max(began, STARTED)
    at = [next_step(doubt, WINDOW, process_began_at=STARTED, now=since + seconds) for seconds in (1, 15)]
    assert at == [(DoubtStep.WAIT, 14.0), (DoubtStep.LOOK, 0.0)]
