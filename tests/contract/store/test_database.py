"""The ``Database`` protocol: shared transactions, failing and cancelled callers, full and locked disks, migrations."""

import asyncio
import gc
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from ingest.model.outcome import Deferred
from ingest.store import Database, StoreUnavailable, Transaction
from ingest.store.messages import Store
from tests.support.databases import Driver
from tests.support.store import START, claim, receive

TIMEOUT_SECONDS = 20.0
LATER = Deferred(reason="503 from the API")


class BusyWriter:
    """A write that keeps the writer thread busy until the end of the block, so that other writes have to wait."""

    def __init__(self, database: Database) -> None:
        self._open = threading.Event()
        self._reached = threading.Event()
        self.held = asyncio.ensure_future(database.write(self._hold))

    def _hold(self, _transaction: Transaction) -> None:
        self._reached.set()
        assert self._open.wait(TIMEOUT_SECONDS)

    async def __aenter__(self) -> "BusyWriter":
        assert await asyncio.to_thread(self._reached.wait, TIMEOUT_SECONDS)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._open.set()
        await self.held


def add_row(name: str) -> Callable[[Transaction], str]:
    """Return a function that adds a row of this name."""

    def work(transaction: Transaction) -> str:
        transaction.execute("INSERT INTO source_positions (source, position) VALUES (:name, :name)", {"name": name})
        return name

    return work


def add_row_and_fail(transaction: Transaction) -> None:
    """Add a row, and then fail."""
    add_row("spoilt")(transaction)
    raise ValueError("spoilt")


async def rows_added(database: Database) -> list[str]:
    """Return the names of the rows that ``add_row`` added, in the order of the names."""
    rows = await database.read(lambda tx: tx.execute("SELECT source FROM source_positions ORDER BY position"))
    return [name for (name,) in rows]


def start_writing(database: Database, work: Callable[[Transaction], Any]) -> "asyncio.Task[Any]":
    async def write() -> Any:
        return await database.write(work)

    return asyncio.ensure_future(write())


# Sharing a transaction


async def test_callers_that_wait_at_the_same_time_share_a_transaction(database: Database) -> None:
    async with BusyWriter(database):
        waiting = [start_writing(database, lambda tx: tx) for _ in range(10)]
        await asyncio.sleep(0)
    assert len(set(await asyncio.gather(*waiting))) == 1


async def test_more_callers_than_one_transaction_takes_are_all_served(database: Database) -> None:
    names = [f"{n:04}" for n in range(600)]
    async with BusyWriter(database):
        waiting = [start_writing(database, add_row(name)) for name in names]
        await asyncio.sleep(0)
    assert await asyncio.gather(*waiting) == names
    assert await rows_added(database) == names


async def test_writes_run_in_the_order_in_which_they_came(database: Database) -> None:
    order: list[int] = []

    def append(number: int, _transaction: Transaction) -> None:
        order.append(number)

    async with BusyWriter(database):
        waiting = [start_writing(database, partial(append, n)) for n in range(50)]
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    assert order == list(range(50))


async def test_a_write_that_fails_fails_alone(database: Database) -> None:
    async with BusyWriter(database):
        works = (add_row("before"), add_row_and_fail, add_row("after"))
        before, bad, after = (start_writing(database, work) for work in works)
        await asyncio.sleep(0)
    assert (await before, await after) == ("before", "after")
    with pytest.raises(ValueError, match="spoilt"):
        await bad
    assert await rows_added(database) == ["after", "before"]


async def test_a_mistake_in_a_statement_shows_as_itself(database: Database) -> None:
    with pytest.raises(Exception, match="no such table") as mistake:
        await database.write(lambda tx: tx.execute("SELECT * FROM nowhere"))
    assert not isinstance(mistake.value, StoreUnavailable)


async def test_a_reader_sees_all_that_was_committed_before(database: Database) -> None:
    for number in range(20):
        await database.write(add_row(f"{number:02}"))
        assert len(await rows_added(database)) == number + 1


async def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises(StoreUnavailable):
        await database.read(add_row("reader"))
    assert await rows_added(database) == []


async def test_a_reader_sees_one_moment_however_long_it_looks(database: Database) -> None:
    started, go_on = threading.Event(), threading.Event()

    def count(transaction: Transaction) -> int:
        return int(transaction.execute("SELECT count(*) FROM source_positions")[0][0])

    def count_twice(transaction: Transaction) -> tuple[int, int]:
        first = count(transaction)
        started.set()
        assert go_on.wait(TIMEOUT_SECONDS)
        return first, count(transaction)

    reading = asyncio.ensure_future(database.read(count_twice))
    await asyncio.to_thread(started.wait, TIMEOUT_SECONDS)
    await database.write(add_row("meanwhile"))
    go_on.set()
    assert await reading == (0, 0)
    assert await database.read(count) == 1


# Callers that are cancelled


async def test_a_caller_that_is_cancelled_before_its_turn_changes_nothing(database: Database) -> None:
    async with BusyWriter(database):
        gone, stays = start_writing(database, add_row("gone")), start_writing(database, add_row("stays"))
        await asyncio.sleep(0)
        gone.cancel()
    await stays
    assert gone.cancelled()
    assert await rows_added(database) == ["stays"]


async def test_a_caller_that_is_cancelled_in_the_middle_leaves_the_whole_change(database: Database) -> None:
    half_way, go_on = threading.Event(), threading.Event()

    def work(transaction: Transaction) -> None:
        add_row("first half")(transaction)
        half_way.set()
        assert go_on.wait(TIMEOUT_SECONDS)
        add_row("second half")(transaction)

    caller = start_writing(database, work)
    await asyncio.to_thread(half_way.wait, TIMEOUT_SECONDS)
    caller.cancel()
    go_on.set()
    await database.write(add_row("third"))
    assert caller.cancelled()
    assert await rows_added(database) == ["first half", "second half", "third"]


async def test_nobody_complains_of_a_failure_whose_caller_is_gone(database: Database) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    async with BusyWriter(database):
        callers = [start_writing(database, add_row_and_fail) for _ in range(5)]
        await asyncio.sleep(0)
        callers[0].cancel()
    while not callers[-1].done():
        callers[1].cancel()
        await asyncio.sleep(0)
    await asyncio.gather(*callers, return_exceptions=True)
    del callers
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []


# Full and locked disks


async def test_a_locked_database_is_unavailable_and_works_again_when_it_is_free(driver: Driver) -> None:
    database = driver.open(busy_seconds=0.05)
    await database.migrate()
    with driver.locked():
        refused = await asyncio.gather(*(database.write(add_row(f"{n}")) for n in range(20)), return_exceptions=True)
    assert {type(error) for error in refused} == {StoreUnavailable}
    assert "another process holds the database locked" in str(refused[0])
    assert await database.write(add_row("free")) == "free"
    assert await rows_added(database) == ["free"]
    await database.close()


async def test_a_short_lock_is_waited_for(driver: Driver) -> None:
    database = driver.open()
    await database.migrate()
    with driver.locked():
        writing = start_writing(database, add_row("patient"))
        await asyncio.sleep(0)
        assert not writing.done()
    assert await writing == "patient"
    await database.close()


async def test_a_full_disk_is_unavailable_and_works_again_when_there_is_room(
    database: Database, store: Store, driver: Driver
) -> None:
    await receive(store, 1)
    await database.write(driver.fill)
    with pytest.raises(StoreUnavailable, match="the disk is full; make room on it"):
        await receive(store, 2, content=bytes(1024 * 1024))
    assert await store.content("Q1")
    assert (await store.ledger(now=START)).holds
    await database.write(driver.make_room)
    assert await receive(store, 2, content=bytes(1024 * 1024)) == "Q2"
    assert (await store.ledger(now=START)).accepted == 2


async def test_what_still_fits_on_a_full_disk_is_not_lost_with_what_does_not(
    database: Database, store: Store, driver: Driver
) -> None:
    await receive(store, 1)
    (queued,) = await claim(store)
    await database.write(driver.fill)
    async with BusyWriter(database):
        too_large = asyncio.ensure_future(receive(store, 2, content=bytes(1024 * 1024)))
        small = asyncio.ensure_future(store.settle(queued.queue_id, queued.lease_token, LATER, now=START + 1000))
        await asyncio.sleep(0)
    assert await small
    with pytest.raises(StoreUnavailable):
        await too_large


# The beginning and the end


async def test_migrations_are_applied_once(driver: Driver) -> None:
    database = driver.open()
    applied = await database.migrate()
    assert applied[0] == "0001_messages"
    assert list(applied) == sorted(applied)
    assert await database.migrate() == ()
    await database.close()
    again = driver.open()
    assert await again.migrate() == ()
    await again.close()


@pytest.mark.parametrize("_round", range(20))  # a race, and a rare one
async def test_processes_that_start_at_the_same_time_migrate_once(driver: Driver, _round: int) -> None:
    databases = [driver.open() for _ in range(8)]
    applied = await asyncio.gather(*(database.migrate() for database in databases))
    assert sorted(len(names) for names in applied)[:7] == [0] * 7
    for database in databases:
        await database.close()


async def test_a_database_of_a_newer_version_is_refused(database: Database) -> None:
    await database.write(lambda tx: tx.execute("INSERT INTO migrations (name) VALUES ('9999_future')"))
    with pytest.raises(StoreUnavailable, match="a newer version has changed the database"):
        await database.migrate()


async def test_closing_finishes_what_was_begun_and_refuses_more(driver: Driver) -> None:
    database = driver.open()
    await database.migrate()
    async with BusyWriter(database):
        waiting = [start_writing(database, add_row(f"{n}")) for n in range(3)]
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(database.close())
        await asyncio.sleep(0)
    assert await asyncio.gather(*waiting) == ["0", "1", "2"]
    await closing
    await database.close()
    for call in (database.write, database.read):
        with pytest.raises(StoreUnavailable, match="closed"):
            await call(add_row("late"))
    again = driver.open()
    assert await rows_added(again) == ["0", "1", "2"]
    await again.close()
