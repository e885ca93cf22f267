"""SQLite as a ``Database``: one file, one thread that writes, a few that read.

SQLite is the one that apsw brings along: versions before 3.51.3 could corrupt a write-ahead log that two connections
wrote and checkpointed at once, and Debian 12 ships such a version.
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
from ingest.store.work_queue import WorkItem, WorkQueue, answer

T = TypeVar("T")

BATCH_UNITS = 256
BATCH_SECONDS = 0.05
"""A batch ends after this many units or this much work, so that nobody waits long for the sync of the others' mail."""
READERS = 2
BUSY_SECONDS = 5.0
"""How long a lock of another process (the command line) is waited for."""
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


class SqliteDatabase:
    """The file at ``path``, made when it is not there. Used from one event loop; ``close`` ends its threads."""

    claim_lock = ""

    def __init__(self, path: Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self._path = path
        self._writes, self._reads = WorkQueue(), WorkQueue()
        file = DatabaseFile(path)
        writer = SqliteConnection(file, WRITER_PRAGMAS, writes=True, busy_seconds=busy_seconds)
        readers = [
            SqliteConnection(file, READER_PRAGMAS, writes=False, busy_seconds=busy_seconds) for _ in range(READERS)
        ]
        self._threads = [Thread(target=_write_all, args=(self._writes, writer), name="store-writer", daemon=True)]
        self._threads += [
            Thread(target=_read_all, args=(self._reads, reader), name="store-reader", daemon=True) for reader in readers
        ]
        for thread in self._threads:
            thread.start()

    async def write(self, work: Callable[[Transaction], T]) -> T:
        return await self._writes.run(work)

    async def read(self, work: Callable[[Transaction], T]) -> T:
        return await self._reads.run(work)

    async def migrate(self) -> tuple[str, ...]:
        scripts = _scripts()
        return await self.write(lambda tx: _migrate(tx, scripts))

    async def close(self) -> None:
        self._writes.close()
        self._reads.close()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def free_bytes(self) -> int | None:
        try:
            disk = os.statvfs(self._path.parent)
        except OSError:
            return None
        return disk.f_bavail * disk.f_frsize


def _write_all(inbox: WorkQueue, connection: SqliteConnection) -> None:
    while (first := inbox.take()) is not None:
        units: list[WorkItem] = []
        try:
            _write_together(inbox, connection, first, units)
        except BeginFailed as error:
            units = list(_with_waiting(inbox, first))
            _refuse(units, error)
        except BaseException:
            _write_each(connection, units)
        answer(units)
    connection.close()


def _write_together(inbox: WorkQueue, connection: SqliteConnection, first: WorkItem, units: list[WorkItem]) -> None:
    with connection.transaction("BEGIN IMMEDIATE") as transaction:
        for unit in _with_waiting(inbox, first):
            units.append(unit)
            unit.run(transaction)


def _with_waiting(inbox: WorkQueue, first: WorkItem) -> Iterator[WorkItem]:
    """``first`` and whoever waits, or comes while the batch runs."""
    end = monotonic() + BATCH_SECONDS
    yield first
    for _ in range(BATCH_UNITS - 1):
        unit = inbox.take_waiting() if monotonic() < end else None
        if unit is None:
            return
        yield unit


def _write_each(connection: SqliteConnection, units: list[WorkItem]) -> None:
    """One of the batch has failed: let each succeed or fail by itself."""
    for number, unit in enumerate(units):
        try:
            with connection.transaction("BEGIN IMMEDIATE") as transaction:
                unit.run(transaction)
        except BeginFailed as error:
            _refuse(units[number:], error)
            return
        except BaseException as error:
            unit.error = error


def _refuse(units: list[WorkItem], error: BeginFailed) -> None:
    for unit in units:
        unit.error = StoreUnavailable(str(error))


def _read_all(inbox: WorkQueue, connection: SqliteConnection) -> None:
    while (unit := inbox.take()) is not None:
        try:
            with connection.transaction("BEGIN") as transaction:
                unit.run(transaction)
        except BaseException as error:
            unit.error = error
        answer([unit])
    connection.close()


def _scripts() -> dict[str, str]:
    folder = resources.files("ingest.store").joinpath("migrations")
    files = [item for item in folder.iterdir() if item.name.endswith(".sql")]
    return {file.name.removesuffix(".sql"): file.read_text("utf-8") for file in files}


def _migrate(transaction: Transaction, scripts: Mapping[str, str]) -> tuple[str, ...]:
    transaction.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY)")
    known = {name for (name,) in transaction.execute("SELECT name FROM migrations")}
    if newer := known - scripts.keys():
        raise StoreUnavailable(f"a newer version has changed the database ({max(newer)}); run that version, or a later")
    missing = tuple(sorted(scripts.keys() - known))
    for name in missing:
        transaction.execute(scripts[name])
        transaction.execute("INSERT INTO migrations (name) VALUES (:name)", {"name": name})
    return missing
