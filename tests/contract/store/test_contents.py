"""The bytes of messages: stored exactly, compressed where it saves enough, purged after the retention time."""

import random

import pytest

from ingest.model.outcome import Outcome, State
from ingest.store import Database
from ingest.store.messages import Store
from tests.support.store import DELIVERED, OUTCOMES, START, claim, receive, receive_all

NOW = START + 1000
SIZES = (0, 1, 8 * 1024, 20 * 1024, 128 * 1024, 1024 * 1024)
HTML = b"<p class=MsoNormal>Hello</p>\r\n" * 1000
RANDOM = random.Random(20261129).randbytes(len(HTML))


async def settle(store: Store, queue_id: str, lease_token: str, outcome: Outcome) -> None:
    assert await store.settle(queue_id, lease_token, outcome, now=NOW)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pattern", [b"<p class=MsoNormal>Hello</p>\r\n", bytes(range(256))])
async def test_content_comes_back_exact_to_the_byte(store: Store, size: int, pattern: bytes) -> None:
    content = (pattern * (size // len(pattern) + 1))[:size]
    await receive(store, content=content)
    assert await store.content("Q1") == content


@pytest.mark.parametrize(("content", "is_smaller"), [(HTML, True), (RANDOM, False)], ids=["HTML", "random"])
async def test_content_is_compressed_only_where_it_saves_enough(
    store: Store, database: Database, content: bytes, is_smaller: bool
) -> None:
    await receive(store, content=content)
    [(stored,)] = await database.read(lambda tx: tx.execute("SELECT length(content) FROM contents"))
    assert (stored < len(content)) is is_smaller
    assert stored <= len(content)


async def test_content_of_an_unknown_message_is_a_key_error(store: Store) -> None:
    with pytest.raises(KeyError, match="nobody"):
        await store.content("nobody")


async def test_content_goes_after_the_retention_time_and_the_facts_stay(store: Store) -> None:
    await receive_all(store, *range(len(OUTCOMES) + 1))
    for queued, outcome in zip(await claim(store), OUTCOMES, strict=False):
        await settle(store, queued.queue_id, queued.lease_token, outcome)
    assert await store.purge(now=NOW + 100, older_than=101) == 0
    assert await store.purge(now=NOW + 100, older_than=99) == 2
    kept = {row.state for row in await store.list_messages() if row.has_content}
    assert kept == set(State) - {State.DELIVERED, State.DISCARDED}
    with pytest.raises(KeyError):
        await store.content("Q0")
    assert (await store.ledger(now=NOW)).holds


async def test_purging_goes_on_until_all_is_done(store: Store) -> None:
    await receive_all(store, *range(120))
    while claimed := await claim(store):
        for queued in claimed:
            await settle(store, queued.queue_id, queued.lease_token, DELIVERED)
    assert await store.purge(now=NOW + 1, older_than=0) == 120


async def test_content_of_a_discarded_message_that_is_retried_is_kept(store: Store) -> None:
    queue_id = await receive(store)
    await store.discard(queue_id, by="olga", reason="spam", now=NOW)
    await store.retry(queue_id, by="olga", now=NOW + 1)
    assert await store.purge(now=NOW + 10**6, older_than=0) == 0
    assert await store.content(queue_id)


async def test_content_of_a_message_that_an_operator_discarded_goes_after_the_retention_time(store: Store) -> None:
    queue_id = await receive(store)
    await store.discard(queue_id, by="olga", reason="spam", now=NOW)
    assert await store.purge(now=NOW + 100, older_than=101) == 0
    assert await store.purge(now=NOW + 100, older_than=99) == 1
