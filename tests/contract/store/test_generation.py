"""A database that was restored or copied is told from the one that worked last."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import pytest

from ingest.store.generation import PostCountFile
from ingest.store.messages import Store
from ingest.store.sqlite import SqliteDatabase
from tests.support.store import DELIVERED, START, claim, claim_one, receive, receive_all

NOW = START + 1000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ingest.db"


@asynccontextmanager
async def started(path: Path) -> AsyncIterator[tuple[Store, int]]:
    """A store as a worker opens it, and how many messages it marked as perhaps posted."""
    database, file = SqliteDatabase(path), PostCountFile(path)
    await database.migrate()
    doubted = await file.compare(database)
    yield Store(database, on_post=file.note), doubted
    file.close()
    await database.close()


async def deliver_one(store: Store) -> None:
    queued = await claim_one(store)
    assert await store.begin_post(queued.queue_id, queued.lease_token, now=NOW)
    await store.settle(queued.queue_id, queued.lease_token, DELIVERED, now=NOW)


def back_up(path: Path) -> Path:
    copy = path.with_name("backup.db")
    connection = apsw.Connection(str(path))
    connection.execute("VACUUM INTO ?", (str(copy),))
    connection.close()
    return copy


async def test_a_database_that_is_started_again_is_itself(path: Path) -> None:
    for number in range(1, 4):
        async with started(path) as (store, doubted):
            assert doubted == 0
            await receive_all(store, number, 10 + number)
            await deliver_one(store)


async def test_a_backup_that_replaces_the_file_is_told(path: Path) -> None:
    async with started(path) as (store, _):
        await receive_all(store, 1, 2)
        backup = back_up(path)
        await deliver_one(store)
    shutil.move(backup, path)
    async with started(path) as (store, doubted):
        assert doubted == 2
        first = await claim_one(store)
        assert (first.post_began_at, first.post_was_answered) == (first.received_at, False)
    async with started(path) as (_, doubted):
        assert doubted == 0


async def test_a_backup_that_is_written_into_the_same_file_is_told_by_the_posts_since(path: Path) -> None:
    async with started(path) as (store, _):
        await receive_all(store, 1, 2)
        backup = back_up(path)
        await deliver_one(store)
    path.write_bytes(backup.read_bytes())
    async with started(path) as (_, doubted):
        assert doubted == 2


async def test_a_copy_without_the_file_beside_it_is_told(path: Path) -> None:
    async with started(path) as (store, _):
        await receive(store)
    elsewhere = path.with_name("elsewhere.db")
    shutil.copy(path, elsewhere)
    async with started(elsewhere) as (_, doubted):
        assert doubted == 1


async def test_a_copy_with_the_file_beside_it_is_told_by_the_file_that_it_lies_in(path: Path) -> None:
    async with started(path) as (store, _):
        await receive(store)
    elsewhere = path.with_name("elsewhere.db")
    shutil.copy(path, elsewhere)
    shutil.copy(PostCountFile(path).path, PostCountFile(elsewhere).path)
    async with started(elsewhere) as (_, doubted):
        assert doubted == 1


async def test_a_file_that_is_behind_after_a_power_cut_means_nothing(path: Path) -> None:
    async with started(path) as (store, _):
        await receive_all(store, 1, 2)
        await deliver_one(store)
    PostCountFile(path).path.write_text("0")
    async with started(path) as (_, doubted):
        assert doubted == 0


async def test_what_is_posted_already_is_not_looked_for(path: Path) -> None:
    async with started(path) as (store, _):
        await receive_all(store, 1, 2)
        await deliver_one(store)
    elsewhere = path.with_name("elsewhere.db")
    shutil.copy(path, elsewhere)
    async with started(elsewhere) as (store, doubted):
        assert doubted == 1
        assert [queued.queue_id for queued in await claim(store)] == ["Q2"]
