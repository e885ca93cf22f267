"""The SQLite driver: ``Database`` on one file, with one thread that writes and a few that read; the migrations.

The SQLite library is the one bundled with apsw: versions before 3.51.3 can corrupt a write-ahead log when two
connections write and checkpoint at once, and Debian 12 ships such a version.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import TypeVar

from ingest.store import StoreUnavailable, Transaction
from ingest.store.sqlite_connection import BeginFailed, DatabaseFile, SqliteConnection
from ingest.store.work_queue import WorkItem, WorkQueue, wake_callers

T = TypeVar("T")

MAX_BATCH_ITEMS = 256
MAX_BATCH_SECONDS = 0.05
"""A batch is committed after this many items or this much time, whichever comes first: a larger batch shares one sync
among more callers, and makes the first of them wait longer."""
READER_THREADS = 2
"""Threads that read: one long query (a listing of an operator) must not hold up the reads of the worker."""
BUSY_TIMEOUT_SECONDS = 5.0
"""How long to wait for a lock of another process (the command line), which holds one for milliseconds. Longer, and an
SMTP client would wait in vain; shorter, and a slow disk would refuse mail."""
MiB = 1024 * 1024

WRITER_PRAGMAS = (
    ("page_size", 8192),  # of 4, 8 and 16 KiB the fastest for the mix of mails
    ("journal_mode", "WAL"),
    ("synchronous", "FULL"),  # COMMIT returns after the sync
    ("wal_autocheckpoint", 1024),  # every 8 MiB
    ("journal_size_limit", 64 * MiB),
    ("cache_size", -16 * 1024),
    ("foreign_keys", "ON"),
)
READER_PRAGMAS = (("query_only", "ON"), ("wal_autocheckpoint", 0), ("cache_size", -4 * 1024))
READ_ONLY_PRAGMAS = (("cache_size", -4 * 1024),)


class SqliteDatabase:
    """The database in the file at ``path``, which is created if missing. Used from one event loop; ``close`` ends its
    threads.

    With ``read_only`` nothing is created, changed or waited for: a reader sees the last commit while a worker writes.
    ``write`` raises ``StoreUnavailable`` then."""

    claim_lock = ""

    def __init__(self, path: Path, *, busy_seconds: float = BUSY_TIMEOUT_SECONDS, read_only: bool = False) -> None:
        self._path = path
        self._writes, self._reads = WorkQueue(), WorkQueue()
        self._file = file = DatabaseFile(path)
        pragmas = READ_ONLY_PRAGMAS if read_only else READER_PRAGMAS
        readers = [
            SqliteConnection(file, pragmas, writes=False, busy_seconds=busy_seconds, read_only=read_only)
            for _ in range(READER_THREADS)
        ]
        self._threads = []
        if read_only:
            self._writes.close("the database was opened to be read only")
        else:
            writer = SqliteConnection(file, WRITER_PRAGMAS, writes=True, busy_seconds=busy_seconds)
            self._threads = [Thread(target=_write_all, args=(self._writes, writer), name="store-writer", daemon=True)]
        self._threads += [
            Thread(target=_read_all, args=(self._reads, reader), name="store-reader", daemon=True) for reader in readers
        ]
        for thread in self._threads:
            thread.start()

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Implement ``Database.write``: the writer thread runs ``work`` in its next batch."""
        return await self._writes.run(work)

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Implement ``Database.read``: a reader thread runs ``work``."""
        return await self._reads.run(work)

    async def migrate(self) -> tuple[str, ...]:
        """Implement ``Database.migrate``, all in one transaction: a failing migration leaves the schema as it was."""
        scripts = _scripts()
        return await self.write(lambda tx: _migrate(tx, scripts))

    async def check_schema(self) -> None:
        """Look whether the database has the schema of this version, without changing it.

        Raises:
            StoreUnavailable: it is of an older or a newer version; the text says what to do.
        """
        scripts = _scripts()
        await self.read(lambda tx: _check_schema(tx, scripts))

    def loss(self) -> str | None:
        """Implement ``Database.loss``: compare the file and its log at the path with those that are open."""
        try:
            self._file.check()
        except OSError as error:
            return f"{self._path}: {error.strerror}"
        return None

    async def close(self) -> None:
        """Implement ``Database.close``; returns when the threads have ended."""
        self._writes.close()
        self._reads.close()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def free_bytes(self) -> int | None:
        """Implement ``Database.free_bytes``; ``None`` if the folder does not exist."""
        try:
            disk = os.statvfs(self._path.parent)
        except OSError:
            return None
        return disk.f_bavail * disk.f_frsize


def _write_all(queue: WorkQueue, connection: SqliteConnection) -> None:
    """Run batches of items until the queue is closed and empty. This is the writer thread."""
    while (first := queue.take()) is not None:
        batch: list[WorkItem] = []
        try:
            _write_batch(queue, connection, first, batch)
        except BeginFailed as error:
            batch = list(_first_and_queued(queue, first))
            _refuse(batch, error)
        except BaseException:
            batch = batch or [first]  # empty if BEGIN raised what nobody foresaw; its caller must not wait for ever
            _write_one_by_one(connection, batch)
        wake_callers(batch)
    connection.close()


def _write_batch(queue: WorkQueue, connection: SqliteConnection, first: WorkItem, batch: list[WorkItem]) -> None:
    """Run a batch in one transaction. Items are added to ``batch`` as they run, so the caller has them if one fails."""
    with connection.transaction("BEGIN IMMEDIATE") as transaction:
        for item in _first_and_queued(queue, first):
            batch.append(item)
            item.run(transaction)


def _first_and_queued(queue: WorkQueue, first: WorkItem) -> Iterator[WorkItem]:
    """Yield ``first`` and the items that are queued or come while the batch runs, up to the limits of a batch."""
    end = monotonic() + MAX_BATCH_SECONDS
    yield first
    for _ in range(MAX_BATCH_ITEMS - 1):
        item = queue.take_waiting() if monotonic() < end else None
        if item is None:
            return
        yield item


def _write_one_by_one(connection: SqliteConnection, batch: list[WorkItem]) -> None:
    """Run each item in a transaction of its own, after one of the batch has failed: only that one fails then."""
    for number, item in enumerate(batch):
        try:
            with connection.transaction("BEGIN IMMEDIATE") as transaction:
                item.run(transaction)
        except BeginFailed as error:
            _refuse(batch[number:], error)
            return
        except BaseException as error:
            item.error = error


def _refuse(batch: list[WorkItem], error: BeginFailed) -> None:
    for item in batch:
        item.error = StoreUnavailable(str(error))


def _read_all(queue: WorkQueue, connection: SqliteConnection) -> None:
    """Run each item on a snapshot of its own until the queue is closed and empty. This is a reader thread."""
    while (item := queue.take()) is not None:
        try:
            with connection.transaction("BEGIN") as transaction:
                item.run(transaction)
        except BaseException as error:
            item.error = error
        wake_callers([item])
    connection.close()


def _scripts() -> dict[str, str]:
    """Read the migrations of this version: name -> SQL."""
    folder = resources.files("ingest.store").joinpath("migrations")
    files = [item for item in folder.iterdir() if item.name.endswith(".sql")]
    return {file.name.removesuffix(".sql"): file.read_text("utf-8") for file in files}


def _migrate(transaction: Transaction, scripts: Mapping[str, str]) -> tuple[str, ...]:
    """Apply the migrations that the database lacks, in order of their names, and return these names.

    Raises:
        StoreUnavailable: the database has a migration of a newer version.
    """
    transaction.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY)")
    missing = _missing(transaction, scripts)
    for name in missing:
        transaction.execute(scripts[name])
        transaction.execute("INSERT INTO migrations (name) VALUES (:name)", {"name": name})
    return missing


def _missing(transaction: Transaction, scripts: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the migrations that the database lacks, in order.

    Raises:
        StoreUnavailable: the database has a migration of a newer version.
    """
    known = {name for (name,) in transaction.execute("SELECT name FROM migrations")}
    if newer := known - scripts.keys():
        raise StoreUnavailable(f"a newer version has changed the database ({max(newer)}); run that version, or a later")
    return tuple(sorted(scripts.keys() - known))


def _check_schema(transaction: Transaction, scripts: Mapping[str, str]) -> None:
    has_table = transaction.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'migrations'")
    missing = _missing(transaction, scripts) if has_table else tuple(sorted(scripts))
    if missing:
        raise StoreUnavailable(
            f"the database is of an older version (it lacks {missing[0]}); bring it up to date with"
            " `ingest migrate`, or start the worker of this version"
        )
