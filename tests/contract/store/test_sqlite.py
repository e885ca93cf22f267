"""SQLite when the power fails, the disk fails, the file is gone, or the folder is wrong."""

import asyncio
import stat
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import apsw
import pytest

from ingest.store import StoreUnavailable
from ingest.store.integrity import find_damage
from ingest.store.messages import Store
from ingest.store.opening import check_rescued, open_to_read
from ingest.store.sqlite import SqliteDatabase
from ingest.store.sqlite_connection import SqliteConnection, SqliteTransaction
from tests.support.disks import Disk, mounted
from tests.support.store import START, receive

MiB = 1024 * 1024


@pytest.fixture
async def disk() -> AsyncIterator[Disk]:
    with mounted() as disk:
        yield disk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "ingest.db"


async def opened(path: Path) -> tuple[SqliteDatabase, Store]:
    database = SqliteDatabase(path)
    await database.migrate()
    return database, Store(database)


def content_of(number: int) -> bytes:
    return b"Subject: %d\r\n\r\n" % number + bytes([number % 251]) * 200_000


# The power


async def test_what_was_acknowledged_is_there_after_the_power_failed(path: Path, disk: Disk, tmp_path: Path) -> None:
    acknowledged: list[int] = []
    moments: list[tuple[dict[str, bytes], tuple[int, ...]]] = []

    async def receive_some(numbers: range) -> None:
        for number in numbers:
            await receive(store, number, content=content_of(number))
            acknowledged.append(number)
            if len(acknowledged) % 12 == 0:
                so_far = tuple(acknowledged)
                moments.append((disk.cut_power(seed=number), so_far))

    database, store = await opened(path)
    await asyncio.gather(*(receive_some(range(n, 120, 8)) for n in range(8)))
    await database.close()
    disk.unregister()
    assert sum(len(left["ingest.db"]) > MiB for left, _ in moments) > 2  # the log was written back in between
    for number, (left, numbers) in enumerate(moments):
        await check(tmp_path / f"{number}", left, numbers)


async def check(folder: Path, left: dict[str, bytes], numbers: tuple[int, ...]) -> None:
    folder.mkdir()
    for name, content in left.items():
        (folder / name).write_bytes(content)
    database, store = await opened(folder / "ingest.db")
    for number in numbers:
        assert await store.content(f"Q{number}") == content_of(number)
    assert (await store.ledger(now=START)).holds
    assert await database.read(lambda tx: tx.execute("PRAGMA integrity_check")) == [("ok",)]
    await database.close()


# The disk


@pytest.mark.parametrize("step", ["write_error", "sync_error"])
@pytest.mark.parametrize(
    ("error", "text"),
    [(apsw.IOError("bad sector"), "the disk reports an error"), (apsw.FullError("full"), "the disk is full")],
)
async def test_a_failing_disk_is_unavailable_and_works_again_by_itself(
    path: Path, disk: Disk, step: str, error: Exception, text: str
) -> None:
    database, store = await opened(path)
    await receive(store, 1)
    setattr(disk, step, error)
    with pytest.raises(StoreUnavailable, match=text):
        await receive(store, 2)
    setattr(disk, step, None)
    assert await receive(store, 2) == "Q2"
    ledger = await store.ledger(now=START)
    assert (ledger.accepted, ledger.holds) == (2, True)
    await database.close()


async def test_mail_that_a_process_left_unsynced_is_synced_before_it_is_acknowledged(
    path: Path, disk: Disk, tmp_path: Path
) -> None:
    """It was written to the log, and the process ended before the sync; the next one finds it there."""
    database, store = await opened(path)
    disk.sync_error = apsw.IOError("bad sector")
    with pytest.raises(StoreUnavailable):
        await receive(store, 1, content=content_of(1))
    await database.close()
    disk.sync_error = None
    database, store = await opened(path)
    assert await receive(store, 1, content=content_of(1)) == "Q1"
    left = disk.cut_power(seed=1)
    await database.close()
    disk.unregister()
    await check(tmp_path / "after", left, (1,))


# The file


async def test_mail_is_private_to_the_user_of_the_service(path: Path) -> None:
    database, store = await opened(path)
    await receive(store)
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert set(files.values()) == {0o600}
    assert {"ingest.db", "ingest.db-wal"} <= files.keys()
    await database.close()


async def test_commits_are_synced_and_the_log_is_one_that_readers_do_not_block(path: Path) -> None:
    database, _ = await opened(path)
    assert await database.write(lambda tx: tx.execute("PRAGMA synchronous")) == [(2,)]
    assert await database.write(lambda tx: tx.execute("PRAGMA journal_mode")) == [("wal",)]
    await database.close()


def test_sqlite_is_free_of_the_bug_that_damages_a_log_with_two_writers() -> None:
    assert tuple(map(int, apsw.sqlite_lib_version().split("."))) >= (3, 51, 3)


async def test_the_log_does_not_grow_with_the_mail_that_went_through_it(path: Path) -> None:
    database, store = await opened(path)
    for number in range(60):
        await receive(store, number, content=bytes(MiB))
        await store.content(f"Q{number}")
    assert path.with_name("ingest.db-wal").stat().st_size < 20 * MiB
    await database.close()


@pytest.mark.parametrize("loss", ["deleted", "replaced"])
async def test_a_file_that_is_gone_takes_no_more_mail(path: Path, loss: str) -> None:
    database, store = await opened(path)
    await receive(store, 1)
    kept = path.rename(path.with_name("kept.db"))
    if loss == "replaced":
        path.touch()
    with pytest.raises(StoreUnavailable, match=r"ingest\.db"):
        await receive(store, 2)
    with pytest.raises(StoreUnavailable):
        await store.content("Q1")
    kept.rename(path)
    assert await receive(store, 2) == "Q2"
    await database.close()


async def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    database = SqliteDatabase(tmp_path / "file" / "ingest.db")
    with pytest.raises(StoreUnavailable, match=r"ingest\.db: .*check INGEST_DATABASE_URL"):
        await database.migrate()
    await database.close()


async def test_a_file_that_is_no_database_is_told_in_one_line(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"Dear customer, " * 1000)
    database = SqliteDatabase(path)
    with pytest.raises(StoreUnavailable, match="the file is no SQLite database; check INGEST_DATABASE_URL"):
        await database.migrate()
    await database.close()


async def test_a_store_that_could_not_be_opened_can_be_opened_later(path: Path) -> None:
    path.parent.touch()
    database = SqliteDatabase(path)
    with pytest.raises(StoreUnavailable):
        await database.migrate()
    path.parent.unlink()
    await database.migrate()
    assert await receive(Store(database)) == "Q1"
    await database.close()


# What nobody foresaw


@pytest.mark.parametrize("calls", [1, 3])
async def test_an_unexpected_error_at_begin_reaches_its_caller_and_ends_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    database, store = await opened(path)
    begin, failing = SqliteConnection.transaction, [True]

    def fail(self: SqliteConnection, how: str) -> AbstractContextManager[SqliteTransaction]:
        if failing and how == "BEGIN IMMEDIATE":
            raise ZeroDivisionError
        return begin(self, how)

    monkeypatch.setattr(SqliteConnection, "transaction", fail)
    async with asyncio.timeout(10):
        found = await asyncio.gather(*(receive(store, number) for number in range(calls)), return_exceptions=True)
    assert all(isinstance(error, ZeroDivisionError) for error in found)
    failing.clear()
    assert await receive(store, 9) == "Q9"
    await database.close()


async def test_a_connection_that_raised_what_nobody_foresaw_is_opened_anew(path: Path) -> None:
    database, store = await opened(path)
    with pytest.raises(ZeroDivisionError):
        await database.write(lambda tx: (tx.execute("COMMIT"), 1 / 0))
    assert await receive(store, 1) == "Q1"
    await database.close()


# The log that is taken away


async def open_all_readers(store: Store) -> None:
    """Have the reading connections open, so that the writing one is not the last that is closed: the last one copies
    the log by itself."""
    await asyncio.gather(*(store.content(f"Q{number % 10}") for number in range(40)))


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
async def test_mail_in_a_log_that_was_removed_is_saved_and_no_more_is_taken(path: Path, suffix: str) -> None:
    database, store = await opened(path)
    await asyncio.gather(*(receive(store, number) for number in range(10)))
    await open_all_readers(store)
    assert database.loss() is None
    path.with_name(f"ingest.db{suffix}").unlink()
    loss = database.loss()
    assert loss is not None
    assert f"ingest.db{suffix} was removed or replaced" in loss
    for number in (11, 12):
        with pytest.raises(StoreUnavailable, match="was removed or replaced under the running service"):
            await receive(store, number)
    copy = path.with_name("after.db")
    copy.write_bytes(path.read_bytes())  # what a worker that is killed now leaves, without a log
    await database.close()
    again, store = await opened(copy)
    assert (await store.ledger(now=START)).accepted == 10
    await again.close()


async def test_mail_reaches_a_file_that_was_moved(path: Path) -> None:
    database, store = await opened(path)
    await asyncio.gather(*(receive(store, number) for number in range(10)))
    await open_all_readers(store)
    moved = path.rename(path.with_name("moved.db"))
    assert database.loss() is not None
    with pytest.raises(StoreUnavailable):
        await receive(store, 11)
    copy = path.with_name("after.db")
    copy.write_bytes(moved.read_bytes())
    await database.close()
    again, store = await opened(copy)
    assert (await store.ledger(now=START)).accepted == 10
    await again.close()


async def test_what_was_in_a_file_that_was_deleted_is_saved_for_the_same_user_only(path: Path) -> None:
    database, store = await opened(path)
    await asyncio.gather(*(receive(store, number) for number in range(10)))
    path.unlink()
    with pytest.raises(StoreUnavailable, match=r"what was in it is in ingest\.db\.rescued"):
        await receive(store, 11)
    await database.close()
    rescued = path.with_name("ingest.db.rescued")
    assert stat.S_IMODE(rescued.stat().st_mode) == 0o600
    with pytest.raises(StoreUnavailable, match="give it that name"):
        check_rescued(f"sqlite:///{path}")
    for left in ("-wal", "-shm"):
        path.with_name(f"ingest.db{left}").unlink(missing_ok=True)
    rescued.rename(path)
    check_rescued(f"sqlite:///{path}")
    again, store = await opened(path)
    assert (await store.ledger(now=START)).accepted == 10
    await again.close()


# Only to read


async def test_a_reader_needs_no_lock_and_sees_the_last_commit(path: Path) -> None:
    database, store = await opened(path)
    await receive(store, 1)
    writer = apsw.Connection(str(path))
    writer.execute("BEGIN IMMEDIATE; UPDATE messages SET subject = 'not yet'")
    started = time.monotonic()
    async with open_to_read(f"sqlite:///{path}") as readable:
        (row,) = await Store(readable).list_messages()
        with pytest.raises(StoreUnavailable, match="opened to be read only"):
            await receive(Store(readable), 2)
    assert row.subject == ""
    assert time.monotonic() - started < 2
    writer.close()
    await database.close()


async def test_a_reader_tells_of_an_older_database_and_changes_nothing(path: Path) -> None:
    database, _ = await opened(path)
    await database.write(lambda tx: tx.execute("DELETE FROM migrations WHERE name LIKE '0008%'"))
    await database.close()
    with pytest.raises(StoreUnavailable, match=r"older version \(it lacks 0008_.*`ingest migrate`"):
        async with open_to_read(f"sqlite:///{path}"):
            pass
    assert not [name for name in path.parent.iterdir() if name.name.endswith("-journal")]


# Damage


async def test_a_stretch_of_the_file_that_was_overwritten_is_found(path: Path) -> None:
    database, store = await opened(path)
    for number in range(200):
        await receive(store, number, content=content_of(number)[:3000])
    await database.close()
    async with open_to_read(f"sqlite:///{path}") as readable:
        assert await readable.read(lambda tx: find_damage(tx, deep=False)) == ()
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xa5" * 100_000)
    with suppress(StoreUnavailable):
        async with open_to_read(f"sqlite:///{path}") as readable:
            assert await readable.read(lambda tx: find_damage(tx, deep=False))
