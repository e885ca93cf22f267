"""The facts of finished messages go after their own time; what others still need of them stays."""

from ingest.model.outcome import Delivered, Discarded, Failed, Outcome, RuleName
from ingest.store import Database
from ingest.store.imap import ImapStore
from ingest.store.messages import Store
from tests.support.store import START, claim_one, identify, receive, receive_all, received

NOW = START + 1000
DISCARDED = Discarded(rule=RuleName.LOOP, reason="51 Received fields")


async def finish(store: Store, outcome: Outcome, *, message_id: str | None = None) -> None:
    queued = await claim_one(store)
    await identify(store, queued, message_id=message_id, ticket_id="T1")
    await store.settle(queued.queue_id, queued.lease_token, outcome, now=NOW)


def delivered(number: int) -> Delivered:
    return Delivered(ticket_id="T1", ticket_message_id=f"M{number}")


async def test_facts_of_finished_messages_go_and_the_ledger_still_holds(store: Store) -> None:
    await receive_all(store, 1, 2, 3, 4)
    await finish(store, delivered(1))
    await finish(store, DISCARDED)
    await finish(store, Failed(reason="refused"))
    assert await store.prune(now=NOW + 100, older_than=10) == 0  # the content is still there
    await store.purge(now=NOW + 100, older_than=10)
    assert await store.prune(now=NOW + 5, older_than=10) == 0  # too young
    assert await store.prune(now=NOW + 100, older_than=10) == 2
    assert [row.queue_id for row in await store.list_messages()] == ["Q4", "Q3"]
    ledger = await store.ledger(now=NOW + 100)
    assert (ledger.accepted, ledger.pruned, ledger.holds) == (4, 2, True)


async def test_a_row_that_vanished_shows_beside_those_that_were_pruned(store: Store, database: Database) -> None:
    await receive_all(store, 1, 2)
    await finish(store, delivered(1))
    await store.purge(now=NOW + 100, older_than=10)
    await store.prune(now=NOW + 100, older_than=10)

    await database.write(lambda tx: [tx.execute(f"DELETE FROM {table}") for table in ("contents", "messages")])
    assert not (await store.ledger(now=NOW)).holds


async def test_more_than_one_batch_is_pruned(store: Store) -> None:
    numbers = range(1, 451)
    await receive_all(store, *numbers)
    for number in numbers:
        await finish(store, delivered(number))
    await store.purge(now=NOW + 100, older_than=10)
    assert await store.prune(now=NOW + 100, older_than=10) == len(numbers)


async def test_the_ticket_of_a_pruned_message_is_still_known(store: Store) -> None:
    await receive(store)
    await finish(store, delivered(1), message_id="m@x")
    await store.purge(now=NOW + 100, older_than=10)
    await store.prune(now=NOW + 100, older_than=10)
    assert await store.tickets_of(["m@x"]) == {"m@x": "T1"}


async def test_a_delivery_of_a_pruned_message_is_known_again(store: Store) -> None:
    await receive(store)
    await finish(store, delivered(1))
    await store.purge(now=NOW + 100, older_than=10)
    await store.prune(now=NOW + 100, older_than=10)
    assert await store.receive(received(2), queue_id="Q2", dedupe_key="key-1") == "Q1"
    assert (await store.ledger(now=NOW)).accepted == 1


async def test_a_mailbox_is_not_read_again_for_messages_that_were_pruned(store: Store, database: Database) -> None:
    source = "imap:support:INBOX"
    await store.receive(received(1, source=source, position="7:42"), queue_id="Q1", dedupe_key="key-1")
    await finish(store, delivered(1))
    before = await ImapStore(database).stored_uids(source, 7)
    await store.purge(now=NOW + 100, older_than=10)
    await store.prune(now=NOW + 100, older_than=10)
    assert await ImapStore(database).stored_uids(source, 7) == before
