"""Claiming, identifying and settling: leases, the order of a ticket, doubt about a POST, the audit trail."""

import asyncio
from dataclasses import replace

import pytest

from ingest.model.outcome import (
    FINAL_STATES,
    DeferCause,
    Deferred,
    Evidence,
    Failed,
    Outcome,
    PostEffect,
    Signal,
    State,
    Strength,
)
from ingest.model.teachers import Teacher
from ingest.model.trust import Authentication, AuthenticationResult
from ingest.store import Database, Findings, MessageRecord
from ingest.store.messages import Store
from tests.support.store import (
    DELIVERED,
    LATER,
    LEASE_SECONDS,
    OUTCOMES,
    START,
    claim,
    claim_one,
    identify,
    receive,
    receive_all,
)

NOW = START + 1000


async def record(store: Store, queue_id: str) -> MessageRecord:
    found = await store.message(queue_id)
    assert found is not None
    return found


async def settle(store: Store, queue_id: str, lease_token: str, outcome: Outcome, *, now: float = NOW) -> bool:
    return await store.settle(queue_id, lease_token, outcome, now=now)


# Claiming


async def test_messages_are_claimed_in_the_order_in_which_they_came(store: Store) -> None:
    await receive_all(store, 3, 1, 2)
    assert [queued.queue_id for queued in await claim(store)] == ["Q3", "Q1", "Q2"]


async def test_a_claim_takes_no_more_than_its_limit(store: Store) -> None:
    await receive_all(store, 1, 2, 3)
    assert [queued.queue_id for queued in await claim(store, limit=2)] == ["Q1", "Q2"]
    assert [queued.queue_id for queued in await claim(store, limit=2)] == ["Q3"]


async def test_a_leased_message_is_not_claimed_again(store: Store) -> None:
    await receive(store)
    assert await claim(store)
    assert not await claim(store, now=NOW + LEASE_SECONDS - 1)


async def test_claims_at_the_same_time_never_share_a_message(store: Store) -> None:
    await receive_all(store, *range(50))
    claims = await asyncio.gather(*(claim(store, limit=7) for _ in range(10)))
    ids = [queued.queue_id for claimed in claims for queued in claimed]
    assert len(ids) == len(set(ids)) == 50


async def test_a_message_whose_lease_ran_out_is_claimed_again(store: Store) -> None:
    await receive(store)
    first = await claim_one(store, now=NOW)
    second = await claim_one(store, now=NOW + LEASE_SECONDS)
    assert second.queue_id == first.queue_id
    assert second.lease_token != first.lease_token
    assert (second.attempts, second.lone_crashes, second.first_attempt_at) == (2, 0, NOW)


async def test_leases_of_a_dead_worker_can_be_released_at_once(store: Store) -> None:
    await receive_all(store, 1, 2)
    dead = await claim_one(store)
    assert await store.release_leases(now=5_000.0) == 1
    assert [queued.queue_id for queued in await claim(store, now=NOW + 1)] == ["Q1", "Q2"]
    assert not await settle(store, dead.queue_id, dead.lease_token, DELIVERED)


async def test_a_deferred_message_comes_back_at_its_time(store: Store) -> None:
    await receive(store)
    queued = await claim_one(store)
    assert await store.settle(queued.queue_id, queued.lease_token, LATER, now=NOW, next_attempt_at=NOW + 30)
    assert not await claim(store, now=NOW + 29)
    again = await claim_one(store, now=NOW + 30)
    assert (again.attempts, again.failures, again.lone_crashes) == (2, 1, 0)


async def test_the_store_tells_when_the_next_message_is_due(store: Store) -> None:
    assert await store.next_due(now=NOW) is None
    await receive(store)
    assert await store.next_due(now=NOW) == NOW
    queued = await claim_one(store)
    assert await store.next_due(now=NOW) == NOW + LEASE_SECONDS
    await store.settle(queued.queue_id, queued.lease_token, LATER, now=NOW, next_attempt_at=NOW + 30)
    assert await store.next_due(now=NOW) == NOW + 30


# Settling


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: type(outcome).__name__)
async def test_every_outcome_leads_to_its_state_and_ends_the_lease(store: Store, outcome: Outcome) -> None:
    await receive(store)
    queued = await claim_one(store)
    assert await settle(store, queued.queue_id, queued.lease_token, outcome)
    row = await record(store, "Q1")
    assert (row.state, row.leased_until, row.updated_at) == (outcome.state, None, NOW)
    assert (row.next_attempt_at is None) == (outcome.state is not State.QUEUED)
    assert (row.rule, bool(row.history[0].finished_at)) == (getattr(outcome, "rule", ""), True)
    assert row.history[0].outcome == type(outcome).__name__
    assert (await store.ledger(now=NOW)).holds


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: type(outcome).__name__)
async def test_a_result_that_comes_after_the_lease_was_lost_writes_nothing(store: Store, outcome: Outcome) -> None:
    await receive(store)
    late = await claim_one(store)
    await claim_one(store, now=NOW + LEASE_SECONDS)
    before = await record(store, "Q1")
    assert not await settle(store, late.queue_id, late.lease_token, outcome, now=NOW + LEASE_SECONDS + 1)
    assert await record(store, "Q1") == before
    assert not await store.list_threads()


async def test_a_message_is_settled_once(store: Store) -> None:
    await receive(store)
    queued = await claim_one(store)
    assert await settle(store, queued.queue_id, queued.lease_token, DELIVERED)
    assert not await settle(store, queued.queue_id, queued.lease_token, Failed(reason="no"))


async def test_a_lease_that_ran_out_but_was_not_taken_can_still_be_settled(store: Store) -> None:
    await receive(store)
    queued = await claim_one(store)
    assert await settle(store, queued.queue_id, queued.lease_token, DELIVERED, now=NOW + LEASE_SECONDS + 1)


async def test_delivery_records_the_ids_that_the_api_gave(store: Store) -> None:
    await receive(store)
    queued = await claim_one(store)
    await settle(store, queued.queue_id, queued.lease_token, replace(DELIVERED, email_message_id="api@x", note="found"))
    row = await record(store, "Q1")
    assert (row.ticket_id, row.ticket_message_id, row.email_message_id) == ("T1", "M1", "api@x")
    assert row.history[0].detail == "found"
    assert await store.owners(["M1", "M2"]) == {"M1": "Q1"}


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
async def test_what_is_settled_for_good_is_never_claimed(store: Store, state: State) -> None:
    await receive(store)
    queued = await claim_one(store)
    outcome = next(outcome for outcome in OUTCOMES if outcome.state is state)
    await settle(store, queued.queue_id, queued.lease_token, outcome)
    assert not await claim(store, now=NOW + 10**9)
    assert await store.next_due(now=NOW) is None


# Identifying: duplicates, and the order of a ticket


async def test_what_was_found_out_is_kept_with_the_message(store: Store) -> None:
    await receive(store)
    queued = await claim_one(store)
    seen = Evidence(signal=Signal.SUBJECT_TAG, value="TAI-42\ud800", ticket_id="T1", strength=Strength.WEAK)
    identified = await store.identify(
        queued.queue_id,
        queued.lease_token,
        Findings(
            message_id="m@x",
            content_digest="digest",
            ticket_id="T1",
            subject="Re: [TAI-42] Printer",
            sender="alice@customer.example",
            evidence=(seen,),
        ),
        now=NOW,
    )
    assert (identified.lease_held, identified.duplicate_of, identified.blocked_by) == (True, None, None)
    row = await record(store, "Q1")
    assert (row.message_id, row.ticket_id, row.subject) == ("m@x", "T1", "Re: [TAI-42] Printer")
    assert (row.sender, '"subject-tag"' in row.evidence) == ("alice@customer.example", True)


async def test_what_a_message_was_to_be_posted_as_is_remembered_once_for_each_difference(store: Store) -> None:
    await receive(store)
    assert (await identify(store, await claim_one(store))).post_fingerprints == ()
    for attempt, post_fingerprint in enumerate(["U1 aa", "U1 aa", "U 2 bb", "U1 aa"], start=1):
        queued = await claim_one(store, now=START + 1000 + attempt * LEASE_SECONDS)
        identified = await identify(store, queued, post_fingerprint=post_fingerprint)
    assert sorted(identified.post_fingerprints) == ["U 2 bb", "U1 aa"]


async def test_identifying_without_the_lease_writes_nothing(store: Store) -> None:
    await receive(store)
    queued = await claim_one(store)
    await claim_one(store, now=NOW + LEASE_SECONDS)
    assert not (await identify(store, queued, ticket_id="T1")).lease_held
    assert (await record(store, "Q1")).ticket_id is None


@pytest.mark.parametrize("ticket_id", ["T1", None])
async def test_an_older_message_with_the_same_id_and_content_makes_a_duplicate(
    store: Store, ticket_id: str | None
) -> None:
    await receive_all(store, 1, 2)
    first, second = await claim(store)
    older = await identify(store, first, message_id="m@x", ticket_id=ticket_id)
    younger = await identify(store, second, message_id="m@x", ticket_id=ticket_id)
    assert (older.duplicate_of, younger.duplicate_of) == (None, "Q1")


@pytest.mark.parametrize(
    ("message_id", "content_digest", "ticket_id"),
    [("m@x", "other", "T1"), ("other@x", "digest", "T1"), ("m@x", "digest", "T2"), ("m@x", "digest", None)],
)
async def test_a_message_that_differs_in_anything_is_no_duplicate(
    store: Store, message_id: str, content_digest: str, ticket_id: str | None
) -> None:
    await receive_all(store, 1, 2)
    first, second = await claim(store)
    await identify(store, first, message_id="m@x", ticket_id="T1")
    identified = await identify(
        store, second, message_id=message_id, content_digest=content_digest, ticket_id=ticket_id
    )
    assert identified.duplicate_of is None


@pytest.mark.parametrize(("window", "duplicate_of"), [(2.0, "Q1"), (0.5, None)])
async def test_equal_messages_without_an_id_are_duplicates_within_the_window(
    database: Database, window: float, duplicate_of: str | None
) -> None:
    store = Store(database, duplicate_window=window)
    await receive_all(store, 1, 2)
    first, second = await claim(store)
    await identify(store, first)
    assert (await identify(store, second)).duplicate_of == duplicate_of


# The order of posting


async def test_messages_that_share_a_name_are_claimed_one_after_the_other(store: Store) -> None:
    await receive(store, 1, order_names=["ticket:tai-42"])
    await receive(store, 2, order_names=["ticket:tai-42", "id:a@x"])
    await receive(store, 3, order_names=["id:a@x"])
    await receive(store, 4, order_names=["id:b@x"])
    order = []
    while claimed := await claim(store):
        order.append([queued.queue_id for queued in claimed])
        for queued in claimed:
            await settle(store, queued.queue_id, queued.lease_token, DELIVERED)
    assert order == [["Q1", "Q4"], ["Q2"], ["Q3"]]


async def test_a_message_whose_look_up_failed_keeps_its_ticket_and_its_order(store: Store) -> None:
    await receive(store, 1)
    first = await claim_one(store)
    await identify(store, first, ticket_id="T1")
    await settle(store, first.queue_id, first.lease_token, LATER)
    await receive(store, 2, order_names=["ticket:t1"])
    again = await claim_one(store)
    await identify(store, again, ticket_id=None)
    await store.settle(again.queue_id, again.lease_token, LATER, now=NOW, next_attempt_at=NOW + 100)
    assert (await record(store, "Q1")).ticket_id == "T1"
    assert not await claim(store, now=NOW + 1)


async def test_a_message_id_that_is_learned_puts_later_messages_of_its_ticket_behind(store: Store) -> None:
    await receive(store, 1, order_names=["id:n1@desk"])
    await store.learn("n1@desk", "T1", learned_from=Teacher.API, now=NOW)
    await receive(store, 2, order_names=["ticket:t1"])
    assert [queued.queue_id for queued in await claim(store)] == ["Q1"]


async def test_a_known_message_id_gives_a_message_its_ticket_when_it_is_received(store: Store) -> None:
    await store.learn("n1@desk", "T1", learned_from=Teacher.API, now=NOW)
    await receive(store, 1, order_names=["ticket:t1"])
    await receive(store, 2, order_names=["id:n1@desk"])
    assert [queued.queue_id for queued in await claim(store)] == ["Q1"]


async def test_what_a_code_means_is_remembered_for_the_order(store: Store) -> None:
    await receive(store, 1, order_names=["ticket:tai-42"])
    await receive(store, 2, order_names=["ticket:t1"])
    first, second = await claim(store)
    await identify(store, first, ticket_id="T1", ticket_names={"TAI-42": "T1"})
    await settle(store, first.queue_id, first.lease_token, LATER)
    assert (await identify(store, second, ticket_id="T1")).blocked_by == "Q1"
    await receive(store, 3, order_names=["ticket:tai-42"])
    assert "Q3" not in {queued.queue_id for queued in await claim(store)}


async def test_a_posted_message_that_only_ties_attachments_blocks_nobody(store: Store) -> None:
    await receive(store, 1, order_names=["ticket:t1"])
    await receive(store, 2, order_names=["ticket:t1"])
    first = await claim_one(store)
    tying = replace(LATER, posted=DELIVERED)
    await store.settle(first.queue_id, first.lease_token, tying, now=NOW, next_attempt_at=NOW + 100)
    assert (await claim_one(store, now=NOW)).queue_id == "Q2"


async def test_a_message_that_has_been_failing_for_the_order_hold_lets_its_followers_pass(database: Database) -> None:
    store = Store(database, order_hold=3600)
    await receive(store, 1, order_names=["ticket:t1"])
    await receive(store, 2, order_names=["ticket:t1"])
    for passed in (0.0, 3599.0):
        (stuck,) = await claim(store, now=NOW + passed)
        assert stuck.queue_id == "Q1"
        await settle(store, stuck.queue_id, stuck.lease_token, LATER, now=NOW + passed)
        assert await store.pass_stuck(now=NOW + passed) == ()
    assert await store.pass_stuck(now=NOW + 3600) == ("Q1",)
    assert {queued.queue_id for queued in await claim(store, now=NOW + 3600)} == {"Q1", "Q2"}


async def test_an_outage_does_not_make_a_message_stuck(database: Database) -> None:
    store = Store(database, order_hold=3600)
    await receive(store, 1)
    queued = await claim_one(store)
    await settle(store, queued.queue_id, queued.lease_token, replace(LATER, cause=DeferCause.OUTAGE))
    assert await store.pass_stuck(now=NOW + 10**6) == ()


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: type(outcome).__name__)
async def test_a_discarded_message_does_not_make_others_duplicates_but_any_other_does(
    store: Store, outcome: Outcome
) -> None:
    await receive_all(store, 1, 2)
    first, second = await claim(store)
    await identify(store, first, message_id="m@x", ticket_id="T1")
    await settle(store, first.queue_id, first.lease_token, outcome)
    identified = await identify(store, second, message_id="m@x", ticket_id="T1")
    assert identified.duplicate_of == (None if outcome.state is State.DISCARDED else "Q1")


async def test_a_younger_message_of_a_ticket_is_behind_the_older_one(store: Store) -> None:
    await receive_all(store, 1, 2, 3)
    first, second, third = await claim(store)
    assert (await identify(store, first, ticket_id="T1")).blocked_by is None
    assert (await identify(store, second, ticket_id="T2")).blocked_by is None
    assert (await identify(store, third, ticket_id="T1")).blocked_by == "Q1"


async def test_a_message_is_blocked_by_the_nearest_older_one_of_its_ticket(store: Store) -> None:
    await receive_all(store, 1, 2, 3)
    blocked_by = [(await identify(store, queued, ticket_id="T1")).blocked_by for queued in await claim(store)]
    assert blocked_by == [None, "Q1", "Q2"]


async def test_messages_without_a_ticket_are_behind_nobody(store: Store) -> None:
    await receive_all(store, 1, 2)
    first, second = await claim(store)
    await identify(store, first)
    assert (await identify(store, second)).blocked_by is None


async def test_a_message_behind_another_resumes_as_soon_as_that_one_is_done(store: Store) -> None:
    await receive_all(store, 1, 2)
    first, second = await claim(store)
    await identify(store, first, ticket_id="T1")
    await identify(store, second, ticket_id="T1")
    await settle(store, second.queue_id, second.lease_token, Deferred(reason="order", blocked_by="Q1"))
    assert not await claim(store, now=NOW + 1)
    await settle(store, first.queue_id, first.lease_token, DELIVERED, now=NOW + 2)
    assert await store.next_due(now=NOW + 2) == NOW + 2
    assert (await claim_one(store, now=NOW + 2)).queue_id == "Q2"


async def test_a_message_is_not_put_behind_one_that_is_done_by_now(store: Store) -> None:
    await receive_all(store, 1, 2)
    first, second = await claim(store)
    await identify(store, first, ticket_id="T1")
    await identify(store, second, ticket_id="T1")
    await settle(store, first.queue_id, first.lease_token, DELIVERED)
    await settle(store, second.queue_id, second.lease_token, Deferred(reason="order", blocked_by="Q1"))
    assert (await claim_one(store, now=NOW)).queue_id == "Q2"


async def test_a_ticket_goes_on_in_order_though_its_first_message_is_retried_later(store: Store) -> None:
    await receive_all(store, 1, 2, 3)
    for queued in await claim(store):
        await identify(store, queued, ticket_id="T1")
        due = NOW + 1000 if queued.queue_id == "Q1" else NOW + 1
        await store.settle(queued.queue_id, queued.lease_token, LATER, now=NOW, next_attempt_at=due)
    assert not await claim(store, now=NOW + 2)
    order = []
    for _ in range(3):
        queued = await claim_one(store, now=NOW + 2000)
        await settle(store, queued.queue_id, queued.lease_token, DELIVERED, now=NOW + 2000)
        order.append(queued.queue_id)
    assert order == ["Q1", "Q2", "Q3"]


async def test_a_stuck_ticket_does_not_hold_back_others_however_many_wait_behind_it(store: Store) -> None:
    await receive_all(store, *range(1, 40))
    for queued in await claim(store):
        await identify(store, queued, ticket_id="stuck")
        due = NOW + 10**6 if queued.queue_id == "Q1" else NOW
        await store.settle(queued.queue_id, queued.lease_token, LATER, now=NOW, next_attempt_at=due)
    await receive(store, 100)
    assert [queued.queue_id for queued in await claim(store, limit=5)] == ["Q100"]


async def test_a_message_goes_on_when_the_one_before_it_turns_out_to_be_of_another_ticket(store: Store) -> None:
    """That one keeps the ticket that it was thought to be of, as long as it is not finished: order is never given
    up."""
    await receive_all(store, 1, 2)
    first, second = await claim(store)
    await identify(store, first, ticket_id="T1")
    await identify(store, second, ticket_id="T1")
    await settle(store, second.queue_id, second.lease_token, Deferred(reason="order", blocked_by="Q1"))
    await identify(store, first, ticket_id="T2")
    assert not await claim(store, now=NOW + 1)
    await settle(store, first.queue_id, first.lease_token, replace(DELIVERED, ticket_id="T2"), now=NOW + 2)
    assert (await claim_one(store, now=NOW + 2)).queue_id == "Q2"


async def test_messages_of_a_ticket_are_not_claimed_side_by_side(store: Store) -> None:
    await receive_all(store, 1, 2)
    for queued in await claim(store):
        await identify(store, queued, ticket_id="T1")
        await settle(store, queued.queue_id, queued.lease_token, LATER)
    assert [queued.queue_id for queued in await claim(store)] == ["Q1"]


# Doubt about a POST


KNOWN, UNKNOWN = replace(LATER, post_effect=PostEffect.NONE), replace(LATER, post_effect=PostEffect.UNKNOWN)
EARLY, CRASH = LATER, None
"""How an attempt ends: a POST without effect, a POST in doubt, an end before the POST, a crash in the POST."""


async def attempt(store: Store, outcome: Outcome | None, *, now: float) -> bool:
    """One attempt that ends in ``outcome`` (``None``: in a crash). Whether it began in doubt about an earlier POST."""
    queued = await claim_one(store, now=now)
    if outcome is not EARLY:
        assert await store.begin_post(queued.queue_id, queued.lease_token, now=now)
    if outcome is not None:
        await store.settle(queued.queue_id, queued.lease_token, outcome, now=now, next_attempt_at=now + LEASE_SECONDS)
    return queued.post_began_at is not None


@pytest.mark.parametrize(
    ("history", "in_doubt"),
    [
        ([], False),
        ([KNOWN], False),
        ([EARLY], False),
        ([CRASH], True),
        ([UNKNOWN], True),
        ([CRASH, EARLY], True),
        ([UNKNOWN, EARLY], True),
        ([UNKNOWN, KNOWN], False),
        ([KNOWN, KNOWN, UNKNOWN], True),
    ],
)
async def test_doubt_about_a_post_stays_until_a_later_post_has_a_known_end(
    store: Store, history: list[Outcome | None], in_doubt: bool
) -> None:
    await receive(store)
    for number, outcome in enumerate(history):
        await attempt(store, outcome, now=NOW + number * LEASE_SECONDS)
    assert await attempt(store, CRASH, now=NOW + len(history) * LEASE_SECONDS) is in_doubt


async def test_a_message_that_was_given_up_is_in_doubt_when_an_operator_retries_it(store: Store) -> None:
    await receive(store)
    queued = await claim_one(store)
    assert await store.begin_post(queued.queue_id, queued.lease_token, now=NOW)
    await settle(store, queued.queue_id, queued.lease_token, Failed(reason="timed out for five days"))
    await store.retry("Q1", by="olga", now=NOW)
    assert (await claim_one(store)).post_began_at == NOW


async def test_a_post_does_not_begin_under_a_lease_that_is_lost_or_over(store: Store) -> None:
    await receive(store)
    queued = await claim_one(store, now=NOW)
    assert not await store.begin_post(queued.queue_id, "another token", now=NOW)
    assert not await store.begin_post(queued.queue_id, queued.lease_token, now=NOW + LEASE_SECONDS)
    assert await store.begin_post(queued.queue_id, queued.lease_token, now=NOW + LEASE_SECONDS - 1)


async def test_identifying_does_not_begin_a_post_under_a_lease_that_is_lost_or_over(store: Store) -> None:
    await receive(store)
    queued = await claim_one(store, now=NOW)
    stranger = replace(queued, lease_token="another token")
    assert not (await identify(store, stranger, begins_post=True, now=NOW)).lease_held
    assert (await identify(store, queued, begins_post=True, now=NOW + LEASE_SECONDS)).post_count is None
    record = await store.message("Q1")
    assert record is not None
    assert record.post_in_doubt_since is None
    assert (await identify(store, queued, begins_post=True, now=NOW + LEASE_SECONDS - 1)).post_count == 1


async def test_the_first_look_in_vain_is_remembered_until_the_next_post_begins(store: Store) -> None:
    await receive(store)
    await attempt(store, UNKNOWN, now=NOW)
    absent = replace(LATER, found_absent=True, cause=DeferCause.WAIT)
    for seconds in (LEASE_SECONDS, 2 * LEASE_SECONDS):
        queued = await claim_one(store, now=NOW + seconds)
        await store.settle(queued.queue_id, queued.lease_token, absent, now=NOW + seconds, next_attempt_at=NOW)
    again = await claim_one(store, now=NOW + 3 * LEASE_SECONDS)
    assert again.absent_at == NOW + LEASE_SECONDS
    await store.begin_post(again.queue_id, again.lease_token, now=NOW + 3 * LEASE_SECONDS)
    await store.settle(again.queue_id, again.lease_token, UNKNOWN, now=NOW, next_attempt_at=NOW)
    assert (await claim_one(store)).absent_at is None


@pytest.mark.parametrize(("cause", "failures"), [(DeferCause.FAULT, 1), (DeferCause.OUTAGE, 0), (DeferCause.WAIT, 0)])
async def test_only_an_attempt_that_may_be_the_messages_fault_counts(
    store: Store, cause: DeferCause, failures: int
) -> None:
    await receive(store)
    queued = await claim_one(store)
    await settle(store, queued.queue_id, queued.lease_token, replace(LATER, cause=cause))
    assert (await claim_one(store)).failures == failures


# The audit trail


async def test_each_attempt_leaves_a_line(store: Store) -> None:
    await receive(store)
    await attempt(store, LATER, now=NOW)
    await attempt(store, CRASH, now=NOW + LEASE_SECONDS)
    await attempt(store, DELIVERED, now=NOW + 2 * LEASE_SECONDS)
    lines = [(line.number, line.finished_at, line.outcome) for line in (await record(store, "Q1")).history]
    assert lines == [(1, NOW, "Deferred"), (2, None, ""), (3, NOW + 2 * LEASE_SECONDS, "Delivered")]


# Authentication

PROVEN = Authentication(result=AuthenticationResult.PROVEN, domain="customer.example", reason="DKIM is good")


async def try_again(store: Store, authentication: Authentication | None) -> Authentication | None:
    """What the next attempt is told, after one that found ``authentication`` out."""
    queued = await claim_one(store, now=NOW)
    await identify(store, queued, authentication=authentication)
    await settle(store, queued.queue_id, queued.lease_token, Deferred(reason="the API is down"), now=NOW)
    return (await claim_one(store, now=NOW + 1)).authentication


async def test_what_was_found_out_about_the_author_is_told_to_the_next_attempt(store: Store) -> None:
    await receive(store)
    assert await try_again(store, PROVEN) == PROVEN


@pytest.mark.parametrize("found", [None, replace(PROVEN, is_lasting=False)])
async def test_what_another_attempt_may_find_otherwise_is_not(store: Store, found: Authentication | None) -> None:
    await receive(store)
    assert await try_again(store, found) is None


async def test_an_attempt_that_finds_nothing_out_leaves_what_is_known(store: Store) -> None:
    await receive(store)
    await try_again(store, PROVEN)
    queued = (await claim(store, now=NOW + LEASE_SECONDS + 2))[0]
    await identify(store, queued)
    await settle(store, queued.queue_id, queued.lease_token, Deferred(reason="the API is down"), now=NOW)
    assert (await claim_one(store, now=NOW + LEASE_SECONDS + 3)).authentication == PROVEN


async def test_what_an_operator_starts_again_is_authenticated_anew(store: Store) -> None:
    await receive(store)
    queued = await claim_one(store, now=NOW)
    await identify(store, queued, authentication=PROVEN)
    await settle(store, queued.queue_id, queued.lease_token, Failed(reason="refused"), now=NOW)
    await store.retry("Q1", by="olga", now=NOW)
    assert (await claim_one(store, now=NOW + 1)).authentication is None
