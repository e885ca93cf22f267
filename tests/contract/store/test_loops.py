"""Loops: when a thread is paused, what counts, how it is resumed; and that a report makes one note."""

import pytest

from ingest.model.loops import NO_LOOP_LIMITS, LoopCause, LoopLimits, Pause
from ingest.model.outcome import Delivered, Quarantined, RuleName
from ingest.store import Database
from ingest.store.messages import Store
from tests.support.store import START, claim_one, identify, receive

LIMITS = LoopLimits(equal_posts=3, equal_seconds=3600, sender_posts=5, ticket_posts=8, window_seconds=600)
HELD = Quarantined(rule=RuleName.PAUSED, reason="a loop is likely")


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database, loop_limits=LIMITS)


async def post(
    store: Store, number: int, words: str, *, sender: str = "alice@customer.example", at: float | None = None
) -> Pause | None:
    """Post a message to ticket T1, or hold it where it has to be; return the pause that holds it."""
    await receive(store, number)
    now = START + 2000 + number
    queued = await claim_one(store, now=now)
    written = START + number if at is None else at
    found = await identify(
        store, queued, ticket_id="T1", words_key=words, written_at=written, sender=sender, content_digest=str(number)
    )
    posted = Delivered(ticket_id="T1", ticket_message_id=f"M{number}")
    outcome = HELD if found.pause is not None else posted
    assert await store.settle(queued.queue_id, queued.lease_token, outcome, now=now)
    return found.pause


async def test_the_third_post_with_the_same_words_pauses_the_thread_of_its_sender(store: Store) -> None:
    assert [await post(store, number, "away") for number in (1, 2)] == [None, None]
    pause = await post(store, 3, "away")
    assert pause is not None
    assert (pause.cause, pause.sender, pause.is_new) == (LoopCause.EQUAL, "alice@customer.example", True)
    later = await post(store, 4, "something else")
    assert later is not None
    assert not later.is_new
    assert await post(store, 5, "from bob", sender="bob@customer.example") is None
    assert await store.count_paused_threads() == 1


async def test_equal_words_count_within_their_time_only(store: Store) -> None:
    assert [await post(store, number, "ok", at=START + number * 3000.0) for number in range(1, 6)] == [None] * 5


async def test_too_many_posts_of_one_sender_pause_the_thread_of_that_sender(store: Store) -> None:
    assert [await post(store, number, f"text {number}") for number in range(1, 6)] == [None] * 5
    pause = await post(store, 6, "text 6")
    assert pause is not None
    assert pause.cause is LoopCause.SENDER


async def test_too_many_posts_of_one_ticket_pause_it_for_all(store: Store) -> None:
    for number in range(1, 9):
        assert await post(store, number, f"text {number}", sender=f"{number}@customer.example") is None
    pause = await post(store, 9, "text 9", sender="9@customer.example")
    assert pause is not None
    assert (pause.cause, pause.sender) == (LoopCause.TICKET, "")
    assert await post(store, 10, "text 10", sender="new@customer.example") is not None


async def test_posts_that_were_written_long_apart_are_no_loop_although_they_are_posted_together(store: Store) -> None:
    """A mailbox that was not read for a week."""
    assert [await post(store, n, f"text {n}", at=START - 9000.0 * (20 - n)) for n in range(1, 12)] == [None] * 11


async def test_what_was_held_does_not_count_and_what_the_operator_has_seen_neither(store: Store) -> None:
    for number in range(1, 5):
        await post(store, number, "away")
    assert await store.held_by_pause("T1", sender=None) == ("Q3", "Q4")
    assert await store.resume_threads("T1", sender="Alice@customer.example", by="pat", now=START + 3000) == 1
    assert await store.paused_threads() == ()
    await receive(store, 5)
    queued = await claim_one(store, now=START + 3001)
    found = await identify(store, queued, ticket_id="T1", words_key="away", written_at=START + 5)
    assert found.pause is None


async def test_releasing_a_held_message_resumes_its_thread(store: Store) -> None:
    for number in (1, 2, 3):
        await post(store, number, "away")
    await store.release("Q3", by="pat", now=START + 3000)
    assert await store.count_paused_threads() == 0


async def test_an_attempt_that_is_repeated_does_not_count_itself(store: Store) -> None:
    for number in (1, 2):
        await post(store, number, "away")
    await receive(store, 3)
    queued = await claim_one(store, now=START + 3000)
    first = await identify(store, queued, ticket_id="T1", words_key="other", written_at=START + 3)
    again = await identify(store, queued, ticket_id="T1", words_key="other", written_at=START + 3)
    assert (first.pause, again.pause) == (None, None)


async def test_a_message_in_doubt_or_released_is_not_held(store: Store) -> None:
    for number in (1, 2, 3):
        await post(store, number, "away")
    await receive(store, 4)
    queued = await claim_one(store, now=START + 3000)
    found = await identify(
        store, queued, ticket_id="T1", words_key="away", written_at=START + 4, may_be_paused=False, begins_post=True
    )
    assert found.pause is None
    assert found.post_count is not None


async def test_a_held_message_does_not_begin_its_post(store: Store) -> None:
    for number in (1, 2):
        await post(store, number, "away")
    await receive(store, 3)
    queued = await claim_one(store, now=START + 3000)
    found = await identify(store, queued, ticket_id="T1", words_key="away", written_at=START + 3, begins_post=True)
    assert found.pause is not None
    assert found.post_count is None


async def test_without_limits_nothing_is_paused(database: Database) -> None:
    store = Store(database, loop_limits=NO_LOOP_LIMITS)
    assert [await post(store, number, "away") for number in range(1, 40)] == [None] * 39


async def test_a_second_report_on_the_same_recipients_makes_no_second_note(store: Store) -> None:
    await receive(store, 1)
    first = await claim_one(store)
    assert (await identify(store, first, ticket_id="T1", report_keys=["a", "b"])).reported_by is None
    posted = Delivered(ticket_id="T1", ticket_message_id="M1")
    await store.settle(first.queue_id, first.lease_token, posted, now=START + 1000)
    await receive(store, 2)
    second = await claim_one(store)
    same = await identify(store, second, ticket_id="T1", report_keys=["b"], content_digest="other", begins_post=True)
    assert (same.reported_by, same.post_count) == ("Q1", None)
    more = await identify(store, second, ticket_id="T1", report_keys=["b", "c"], content_digest="other")
    assert more.reported_by is None
