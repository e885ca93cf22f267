"""The counts: what the ledger, the backlog and the free space say."""

from ingest.model.outcome import State
from ingest.store import Database
from ingest.store.messages import Store
from tests.support.store import START, claim, receive


async def test_a_row_that_vanished_shows_in_the_ledger(store: Store, database: Database) -> None:
    await receive(store, 1)
    await receive(store, 2)
    await database.write(lambda tx: tx.execute("DELETE FROM contents WHERE seq = 1"))
    assert (await store.ledger(now=START)).missing_content == 1
    await database.write(lambda tx: tx.execute("DELETE FROM messages WHERE seq = 1"))
    ledger = await store.ledger(now=START)
    assert (ledger.accepted, ledger.by_state[State.QUEUED], ledger.holds) == (2, 1, False)


async def test_the_ledger_tells_of_leases_that_ran_out(store: Store) -> None:
    await receive(store)
    await claim(store, now=START + 10)
    assert (await store.ledger(now=START + 11)).expired_leases == 0
    assert (await store.ledger(now=START + 100)).expired_leases == 1
    assert (await store.ledger(now=START + 100)).holds


async def test_the_oldest_queued_message_is_known(store: Store) -> None:
    assert await store.oldest_queued() is None
    await receive(store, 5)
    await receive(store, 6)
    assert await store.oldest_queued() == START + 5


async def test_free_space_is_known_where_the_data_lies_here(store: Store) -> None:
    free = store.free_bytes()
    assert free is None or free > 0
