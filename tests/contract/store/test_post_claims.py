"""Which messages have a claim to a ticket message that one in doubt has found."""

import pytest

from ingest.model.envelope import QueuedMessage
from ingest.model.outcome import Deferred, Delivered, Outcome, PostEffect, Quarantined, RuleName
from ingest.store import PostClaims
from ingest.store.messages import Store
from tests.support.store import START, claim, identify, receive_all

NOW = START + 1000
IN_DOUBT = Deferred(reason="time-out")
HELD = Quarantined(rule=RuleName.PERHAPS_POSTED, reason="edited", perhaps_posted_as="M1")


async def post(store: Store, queued: QueuedMessage, outcome: Outcome, *, digest: str = "aa", now: float = NOW) -> None:
    await identify(store, queued, ticket_id="T1", post_fingerprint=f"U1 {digest} T1", post_digest=digest)
    assert await store.begin_post(queued.queue_id, queued.lease_token, now=now)
    assert await store.settle(queued.queue_id, queued.lease_token, outcome, now=now)


async def claims(store: Store) -> PostClaims:
    return await store.post_claims("Q1", ["M1", "M2"], ["aa"])


async def test_a_post_in_doubt_with_the_same_words_is_a_rival(store: Store) -> None:
    await receive_all(store, 1, 2, 3)
    first, second, third = await claim(store)
    await post(store, first, IN_DOUBT)
    await post(store, second, IN_DOUBT)
    await post(store, third, IN_DOUBT, digest="bb")
    (rival,) = (await claims(store)).rivals
    assert (rival.began_at, rival.post_fingerprints) == (NOW, ("U1 aa T1",))


@pytest.mark.parametrize(
    "outcome",
    [Delivered(ticket_id="T1", ticket_message_id="M1"), Deferred(reason="refused", post_effect=PostEffect.NONE)],
)
async def test_a_post_whose_end_is_known_is_no_rival(store: Store, outcome: Outcome) -> None:
    await receive_all(store, 1, 2)
    _first, second = await claim(store)
    await post(store, second, outcome)
    assert (await claims(store)).rivals == ()


async def test_what_became_of_another_message_is_taken(store: Store) -> None:
    await receive_all(store, 1, 2)
    _first, second = await claim(store)
    await post(store, second, Delivered(ticket_id="T1", ticket_message_id="M1"))
    assert (await claims(store)).taken == {"M1"}


async def test_what_another_message_was_held_for_before_a_post_is_taken_whatever_the_clocks_say(store: Store) -> None:
    await receive_all(store, 1, 2)
    first, second = await claim(store)
    await post(store, second, HELD)
    assert (await claims(store)).taken == frozenset()
    await post(store, first, IN_DOUBT, now=NOW - 500)
    assert (await claims(store)).taken == {"M1"}


async def test_what_another_message_was_held_for_after_the_first_post_in_doubt_is_not_taken(store: Store) -> None:
    await receive_all(store, 1, 2)
    first, second = await claim(store)
    await post(store, first, IN_DOUBT)
    await post(store, second, HELD)
    assert (await claims(store)).taken == frozenset()
    (again,) = await claim(store)
    await post(store, again, IN_DOUBT)
    assert (await claims(store)).taken == frozenset()


async def test_after_a_post_that_certainly_had_no_effect_the_next_one_is_the_first(store: Store) -> None:
    await receive_all(store, 1, 2)
    first, second = await claim(store)
    await post(store, first, Deferred(reason="refused", post_effect=PostEffect.NONE))
    await post(store, second, HELD)
    (again,) = await claim(store)
    await post(store, again, IN_DOUBT)
    assert (await claims(store)).taken == {"M1"}


async def test_a_message_is_not_kept_from_what_it_was_held_for_itself(store: Store) -> None:
    await receive_all(store, 1)
    (first,) = await claim(store)
    await post(store, first, HELD)
    await store.retry("Q1", by="olga", now=NOW)
    found = await claims(store)
    assert (found.taken, found.rivals) == (frozenset(), ())
