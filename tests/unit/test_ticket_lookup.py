"""How many tickets one sender can make us ask the API for."""

import pytest

from ingest.api import Unavailable
from ingest.model.outcome import DeferCause
from ingest.ticket_lookup import MAX_REMEMBERED_SENDERS, LookupBudget


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


STRANGER, OTHER = "stranger@a.example", "other@a.example"


def test_a_sender_who_counts_up_is_deferred_to_the_next_minute_and_others_are_not() -> None:
    clock = Clock(1000.0)
    budget = LookupBudget(3, clock)
    budget.take(STRANGER, ["TAI-1", "TAI-2", "TAI-3"])
    clock.now += 20
    with pytest.raises(Unavailable) as deferred:
        budget.take(STRANGER, ["TAI-4"])
    assert (deferred.value.outcome.cause, deferred.value.outcome.retry_after) == (DeferCause.WAIT, 40.0)
    budget.take(OTHER, ["TAI-4"])
    clock.now += 40
    budget.take(STRANGER, ["TAI-4"])


def test_a_ticket_that_was_asked_for_costs_nothing_again() -> None:
    budget = LookupBudget(2, Clock(1000.0))
    for _ in range(10):
        budget.take(STRANGER, ["TAI-1", "TAI-2"])


def test_one_mail_that_names_more_than_the_budget_is_looked_up_nevertheless() -> None:
    LookupBudget(1, Clock(1000.0)).take(STRANGER, ["TAI-1", "TAI-2"])


def test_no_limit_is_no_limit() -> None:
    budget = LookupBudget(0, Clock(1000.0))
    for number in range(1000):
        budget.take(STRANGER, [f"TAI-{number}"])


def test_no_more_senders_are_remembered_than_memory_allows() -> None:
    budget = LookupBudget(1, Clock(1000.0))
    budget.take(STRANGER, ["TAI-1"])
    for number in range(MAX_REMEMBERED_SENDERS):
        budget.take(f"{number}@a.example", ["TAI-1"])
    budget.take(STRANGER, ["TAI-2"])
