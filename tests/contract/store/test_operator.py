"""What an operator sees and does; every act leaves an audit entry with who did it."""

import pytest

from ingest.model.outcome import (
    DeferCause,
    Deferred,
    Delivered,
    Discarded,
    Failed,
    Outcome,
    Quarantined,
    RuleName,
    State,
    Waiting,
)
from ingest.model.trust import Authentication, AuthenticationResult, EvidenceLevel, Treatment, Trust, Who
from ingest.store import Findings, MessageRecord
from ingest.store.controls import Control
from ingest.store.messages import Store
from ingest.store.operator import NotPossible
from tests.support.store import LEASE_SECONDS, START, claim, claim_one, identify, receive, receive_all, received

NOW = START + 1000
DELIVERED = Delivered(ticket_id="T1", ticket_message_id="M1")
STUCK: tuple[Outcome, ...] = (
    Quarantined(rule=RuleName.WEAK_EVIDENCE, reason="not on the ticket"),
    Failed(reason="refused"),
    Waiting(missing=("parent@x",)),
    Discarded(rule=RuleName.LOOP, reason="51 Received fields"),
)


async def end(store: Store, outcome: Outcome) -> None:
    await receive(store)
    queued = await claim_one(store)
    assert await store.settle(queued.queue_id, queued.lease_token, outcome, now=NOW, next_attempt_at=NOW + 500)


async def record(store: Store, queue_id: str = "Q1") -> MessageRecord:
    found = await store.message(queue_id)
    assert found is not None
    return found


def name(outcome: Outcome) -> str:
    return type(outcome).__name__


@pytest.mark.parametrize("outcome", STUCK, ids=name)
async def test_a_stuck_message_can_be_retried(store: Store, outcome: Outcome) -> None:
    await end(store, outcome)
    await store.retry("Q1", by="olga", now=NOW + 1)
    queued = await claim_one(store, now=NOW + 1)
    assert (queued.released_by, queued.lone_crashes, queued.attempts) == (None, 0, 2)
    lines = [(line.number, line.outcome, line.detail) for line in (await record(store)).history]
    assert lines[1] == (2, "retry", "by olga")
    assert [number for number, _, _ in lines] == [1, 2, 3]


@pytest.mark.parametrize("outcome", STUCK, ids=name)
async def test_a_stuck_message_can_be_released_to_a_ticket(store: Store, outcome: Outcome) -> None:
    await end(store, outcome)
    await store.release("Q1", by="olga", now=NOW + 1, ticket="T9")
    queued = await claim_one(store, now=NOW + 1)
    assert (queued.released_by, queued.released_ticket) == ("olga", "T9")
    line = (await record(store)).history[1]
    assert (line.outcome, line.detail) == ("release", "by olga to ticket T9")


@pytest.mark.parametrize("outcome", [*STUCK[:3], Deferred(reason="503")], ids=name)
async def test_a_message_that_nobody_needs_can_be_discarded(store: Store, outcome: Outcome) -> None:
    await end(store, outcome)
    await store.discard("Q1", by="olga", reason="spam", now=NOW + 1)
    row = await record(store)
    assert (row.state, row.rule, row.reason) == (State.DISCARDED, "operator", "spam")
    assert (row.history[1].outcome, row.history[1].detail) == ("discard", "by olga: spam")
    assert not await claim(store, now=NOW + 10**6)


@pytest.mark.parametrize(
    ("outcome", "act", "text"),
    [
        (DELIVERED, "retry", "Q1 is delivered; there is nothing to retry"),
        (DELIVERED, "release", "Q1 is delivered; there is nothing to release"),
        (DELIVERED, "discard", "Q1 is delivered; there is nothing to discard"),
        (STUCK[3], "discard", "Q1 is discarded; there is nothing to discard"),
        (
            Deferred(reason="503"),
            "retry",
            "Q1 is queued; there is nothing to retry; `ingest messages retry --now` makes it due",
        ),
    ],
)
async def test_what_makes_no_sense_is_refused_in_one_line(store: Store, outcome: Outcome, act: str, text: str) -> None:
    await end(store, outcome)
    before = await record(store)
    more = {"reason": "spam"} if act == "discard" else {}
    with pytest.raises(NotPossible) as refusal:
        await getattr(store, act)("Q1", by="olga", now=NOW + 1, **more)
    assert str(refusal.value) == text
    assert await record(store) == before


async def test_a_message_that_is_not_there_is_refused_in_one_line(store: Store) -> None:
    with pytest.raises(NotPossible, match="there is no message nobody; `ingest messages list` shows them"):
        await store.retry("nobody", by="olga", now=NOW)


async def test_a_message_without_its_content_cannot_be_retried(store: Store) -> None:
    await end(store, STUCK[3])
    await store.purge(now=NOW + 1, older_than=0)
    with pytest.raises(NotPossible, match="its content was deleted after the retention time"):
        await store.retry("Q1", by="olga", now=NOW)


async def test_a_message_is_not_discarded_while_it_is_worked_on(store: Store) -> None:
    await receive(store)
    queued = await claim_one(store)
    with pytest.raises(NotPossible, match="being worked on"):
        await store.discard("Q1", by="olga", reason="spam", now=NOW + 1)
    await store.discard("Q1", by="olga", reason="spam", now=NOW + LEASE_SECONDS)
    assert not await store.settle(queued.queue_id, queued.lease_token, DELIVERED, now=NOW + LEASE_SECONDS)


async def test_discarding_a_message_lets_those_behind_it_go_on(store: Store) -> None:
    await receive_all(store, 1, 2)
    first, second = await claim(store)
    await identify(store, first, ticket_id="T1")
    await identify(store, second, ticket_id="T1")
    later = Deferred(reason="503")
    await store.settle(first.queue_id, first.lease_token, later, now=NOW, next_attempt_at=NOW + 10**6)
    await store.settle(second.queue_id, second.lease_token, Deferred(reason="order", blocked_by="Q1"), now=NOW)
    await store.discard("Q1", by="olga", reason="spam", now=NOW + 1)
    assert (await claim_one(store, now=NOW + 1)).queue_id == "Q2"


async def test_a_retry_after_crashes_starts_afresh_but_looks_before_it_posts(store: Store) -> None:
    await receive(store)
    for number in range(3):
        queued = await claim_one(store, now=NOW + number * LEASE_SECONDS)
        await store.begin_post(queued.queue_id, queued.lease_token, now=NOW + number * LEASE_SECONDS)
    died = Quarantined(rule=RuleName.POISON, reason="died")
    await store.settle(queued.queue_id, queued.lease_token, died, now=NOW + 200)
    await store.retry("Q1", by="olga", now=NOW + 201)
    again = await claim_one(store, now=NOW + 201)
    assert (again.attempts, again.lone_crashes, again.post_began_at) == (4, 0, NOW + 2 * LEASE_SECONDS)


async def test_messages_are_listed_from_the_latest_a_page_at_a_time(store: Store) -> None:
    await receive_all(store, 1, 2, 3)
    assert [row.queue_id for row in await store.list_messages(limit=2)] == ["Q3", "Q2"]
    assert [row.queue_id for row in await store.list_messages(limit=2, before="Q2")] == ["Q1"]
    assert await store.list_messages(before="nobody") == ()


async def test_messages_are_listed_by_state(store: Store) -> None:
    await end(store, STUCK[0])
    await receive(store, 2)
    assert [row.queue_id for row in await store.list_messages(state=State.QUARANTINED)] == ["Q1"]
    assert [row.queue_id for row in await store.list_messages(state=State.QUEUED)] == ["Q2"]


async def test_a_listed_message_shows_its_facts(store: Store) -> None:
    await receive(store, content=b"Hello")
    await claim(store)
    row = await record(store)
    assert (row.source, row.mail_from, row.size) == ("smtp:25", "alice@customer.example", 5)
    assert (row.leased_until, row.next_attempt_at, row.has_content) == (NOW + LEASE_SECONDS, None, True)
    assert await store.message("nobody") is None


async def test_a_message_that_is_retried_takes_its_place_on_its_ticket_again(store: Store) -> None:
    await receive(store, 1, order_names=["ticket:t1"])
    stopped = await claim_one(store)
    await identify(store, stopped, ticket_id="T1", message_id="m1@x")
    unknown = Quarantined(rule=RuleName.UNKNOWN_AUTHOR, reason="unknown")
    await store.settle(stopped.queue_id, stopped.lease_token, unknown, now=NOW)
    await receive(store, 2, order_names=["ticket:t1"])
    await store.retry("Q1", by="olga", now=NOW)
    assert [queued.queue_id for queued in await claim(store)] == ["Q1"]


async def test_a_message_that_is_discarded_blocks_nobody_any_more(store: Store) -> None:
    await receive(store, 1, order_names=["ticket:t1"])
    await receive(store, 2, order_names=["ticket:t1"])
    await store.discard("Q1", by="olga", reason="spam", now=NOW)
    assert [queued.queue_id for queued in await claim(store)] == ["Q2"]


# Retry at once


async def test_a_queued_message_can_be_made_due_now_as_if_it_had_never_failed(store: Store) -> None:
    await end(store, Deferred(reason="500", cause=DeferCause.FAULT))
    assert (await record(store)).failing_since == NOW
    assert not await claim(store, now=NOW + 1)
    await store.retry("Q1", by="olga", now=NOW + 1, at_once=True)
    assert (await record(store)).failing_since is None
    queued = await claim_one(store, now=NOW + 1)
    assert (queued.failures, queued.retry_window_start) == (0, NOW + 1)
    assert [(line.outcome, line.detail) for line in (await record(store)).history][1] == ("retry", "by olga, at once")


@pytest.mark.parametrize("outcome", STUCK, ids=name)
async def test_retry_at_once_queues_a_stuck_message_too(store: Store, outcome: Outcome) -> None:
    await end(store, outcome)
    await store.retry("Q1", by="olga", now=NOW + 1, at_once=True)
    assert (await claim_one(store, now=NOW + 1)).queue_id == "Q1"


async def test_a_message_is_not_made_due_while_a_worker_has_it(store: Store) -> None:
    await receive(store)
    await claim(store)
    with pytest.raises(NotPossible, match="Q1 is being worked on; try again in a moment"):
        await store.retry("Q1", by="olga", now=NOW + 1, at_once=True)


async def test_a_message_is_not_made_due_before_an_older_one_of_its_ticket(store: Store) -> None:
    for number in (1, 2):
        await store.receive(
            received(number), queue_id=f"Q{number}", dedupe_key=f"key-{number}", order_names=("ticket:t1",)
        )
    (first,) = await claim(store)
    await store.settle(first.queue_id, first.lease_token, Deferred(reason="503"), now=NOW, next_attempt_at=NOW + 500)
    with pytest.raises(NotPossible, match="Q2 comes after Q1, an older message of its ticket: retry or discard that"):
        await store.retry("Q2", by="olga", now=NOW + 1, at_once=True)
    assert not await claim(store, now=NOW + 1)
    assert (await record(store, "Q2")).blocked_by == "Q1"
    await store.retry("Q1", by="olga", now=NOW + 1, at_once=True)
    assert (await claim_one(store, now=NOW + 1)).queue_id == "Q1"


# Posted, or perhaps


async def test_a_posted_message_cannot_be_discarded(store: Store) -> None:
    await end(store, Deferred(reason="the attachment service is down", posted=DELIVERED))
    with pytest.raises(NotPossible, match="Q1 was posted to ticket T1 as M1; it cannot be discarded"):
        await store.discard("Q1", by="olga", reason="spam", now=NOW + 1)
    assert (await record(store)).state is State.QUEUED


async def test_it_is_shown_since_when_a_post_is_in_doubt_and_when_it_was_looked_for(store: Store) -> None:
    await receive(store)
    queued = await claim_one(store)
    assert await store.begin_post(queued.queue_id, queued.lease_token, now=NOW + 1)
    absent = Deferred(reason="does not show", cause=DeferCause.WAIT, found_absent=True)
    await store.settle(queued.queue_id, queued.lease_token, absent, now=NOW + 2, next_attempt_at=NOW + 32)
    row = await record(store)
    assert (row.post_in_doubt_since, row.post_not_found_at, row.next_attempt_at) == (NOW + 1, NOW + 2, NOW + 32)


# The order of what an operator queues again


async def test_a_message_that_is_queued_again_holds_back_the_later_ones_of_its_ticket(store: Store) -> None:
    await receive_all(store, 1, 2)
    first, second = await claim(store)
    for queued in (first, second):
        await identify(store, queued, ticket_id="T1")
    await store.settle(first.queue_id, first.lease_token, STUCK[3], now=NOW)
    await store.settle(second.queue_id, second.lease_token, Deferred(reason="503"), now=NOW, next_attempt_at=NOW + 5)
    await store.retry("Q1", by="olga", now=NOW + 1)
    assert [queued.queue_id for queued in await claim(store, now=NOW + 10)] == ["Q1"]


# What the running worker is asked for


async def test_what_a_command_asks_for_is_taken_once(store: Store) -> None:
    assert await store.take_controls() == {}
    await store.ask(Control.RESUME, by="olga", now=NOW)
    await store.ask(Control.RESUME, by="otto", now=NOW + 1)
    assert await store.take_controls() == {Control.RESUME: "otto"}
    assert await store.take_controls() == {}


async def test_all_that_waits_for_its_time_can_be_made_due(store: Store) -> None:
    await receive_all(store, 1, 2, 3)
    first, second, _third = await claim(store)
    for queued in (first, second):
        await store.settle(
            queued.queue_id, queued.lease_token, Deferred(reason="429"), now=NOW, next_attempt_at=NOW + 500
        )
    assert await store.make_due(now=NOW + 1) == 2
    assert [queued.queue_id for queued in await claim(store, now=NOW + 1)] == ["Q1", "Q2"]


# What was decided


async def test_the_cell_of_the_latest_decision_is_kept_where_none_is_made_again(store: Store) -> None:
    """A released message is decided without the table; what the table said stays to be seen."""
    await receive_all(store, 1, 2)
    decided = Trust(
        who=Who.STAFF,
        authentication=Authentication(result=AuthenticationResult.FAILED, domain="x.example", reason="SPF says no"),
        level=EvidenceLevel.GUESSABLE,
        treatment=Treatment.QUARANTINE,
    )
    for queued in await claim(store):
        trusts = (decided, None) if queued.queue_id == "Q1" else (None,)
        for trust in trusts:
            findings = Findings(message_id=None, content_digest="d", ticket_id=None, subject="", sender="", trust=trust)
            await store.identify(queued.queue_id, queued.lease_token, findings, now=NOW)
    assert (await record(store)).trust == decided
    assert (await record(store, "Q2")).trust is None
    assert await store.cells() == {decided.cell: 1, "": 1}


async def test_a_release_may_name_an_author_and_a_later_one_takes_that_back(store: Store) -> None:
    await end(store, STUCK[0])
    await store.release("Q1", by="olga", now=NOW + 1, author="U7")
    queued = await claim_one(store, now=NOW + 1)
    assert queued.released_author == "U7"
    await store.settle(queued.queue_id, queued.lease_token, STUCK[0], now=NOW + 2)
    await store.release("Q1", by="olga", now=NOW + 3)
    assert (await claim_one(store, now=NOW + 3)).released_author is None
