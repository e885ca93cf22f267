"""SQLite as a ``Database``: one file, one thread that writes, a few that read.

SQLite is the one that apsw bundles: versions before 3.51.3 could corrupt a write-ahead log that two connections wrote
and checkpointed at once, and Debian 12 ships such a version.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import TypeVar

import apsw

from ingest.store import Row, StoreUnavailable, Transaction
from ingest.store.units import Inbox, Unit, answer

T = TypeVar("T")

BATCH_UNITS = 256
BATCH_SECONDS = 0.05
READERS = 2
CHECKPOINT_PAGES = 4_000
MAX_WAL_PAGES = 32_000
MiB = 1024 * 1024

CAUSES: dict[type[apsw.Error], str] = {
    apsw.FullError: "the disk is full; make room on it",
    apsw.BusyError: "another process holds the database locked; end it or wait for it",
    apsw.LockedError: "another process holds the database locked; end it or wait for it",
    apsw.ReadOnlyError: "the database is read-only; make the file, its folder and its disk writable",
    apsw.PermissionsError: "the database may not be used; give this user the right to write the file and its folder",
    apsw.CantOpenError: "the database cannot be opened; its folder must exist and this user may write there",
    apsw.IOError: "the disk reports an error; look at the system's log",
    apsw.NoMemError: "there is no memory left; give the process more",
    apsw.CorruptError: "the database is damaged; stop the service and restore it from a backup",
    apsw.NotADBError: "the file is no SQLite database; check INGEST_DATABASE_URL",
    apsw.ProtocolError: "the database's locks do not work here; put it on a local disk",
}


@contextmanager
def _unavailable(path: Path) -> Iterator[None]:
    """Turn what only the operator or time can mend into ``StoreUnavailable``."""
    try:
        yield
    except tuple(CAUSES) as error:
        cause = next(text for kind, text in CAUSES.items() if isinstance(error, kind))
        raise StoreUnavailable(f"{path}: {cause} ({error})") from error
    except OSError as error:
        raise StoreUnavailable(f"{path}: {error.strerror}; check INGEST_DATABASE_URL and the folder") from error


class _SqliteTransaction:
    """Statements on one connection."""

    __slots__ = ("_connection",)

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except UnicodeEncodeError:
            return self._connection.execute(sql, _encodable(parameters or {})).fetchall()

    def execute_many(self, sql: str, parameters: Sequence[Mapping[str, object]]) -> None:
        for each in parameters:
            self.execute(sql, each)


def _encodable(parameters: Mapping[str, object]) -> dict[str, object]:
    """Text from mail can hold lone surrogates, which UTF-8 cannot; they are written as escapes."""
    return {
        name: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for name, value in parameters.items()
    }


class _Line:
    """A connection that belongs to one thread; opened when it is needed, and anew after the disk failed."""

    def __init__(self, path: Path, pragmas: Sequence[str]) -> None:
        self.path = path
        self._pragmas = pragmas
        self._connection: apsw.Connection | None = None

    def connection(self) -> apsw.Connection:
        if self._connection is None:
            self._connection = self._open()
        return self._connection

    def _open(self) -> apsw.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch(mode=0o600)  # mail is private; the log beside the file takes over its mode
        connection = apsw.Connection(str(self.path))
        for pragma in self._pragmas:
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @contextmanager
    def transaction(self, begin: str) -> Iterator[_SqliteTransaction]:
        with _unavailable(self.path):
            connection = self.connection()
            connection.execute(begin)
            try:
                yield _SqliteTransaction(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise


class SqliteDatabase:
    """The file at ``path``, made when it is not there. Used from one event loop; ``close`` ends its threads."""

    claim_lock = ""

    def __init__(self, path: Path, *, busy_timeout: float = 5.0, max_pages: int | None = None) -> None:
        self._path = path
        busy = f"busy_timeout = {int(busy_timeout * 1000)}"
        self._writing = [
            busy,
            "page_size = 4096",
            "journal_mode = WAL",
            "synchronous = FULL",
            "wal_autocheckpoint = 0",
            f"journal_size_limit = {64 * MiB}",
            "cache_size = -16384",
            "foreign_keys = ON",
        ]
        if max_pages is not None:
            self._writing.append(f"max_page_count = {max_pages}")
        reading = [busy, "wal_autocheckpoint = 0", "query_only = ON", "cache_size = -4096"]
        self._writes, self._reads = Inbox(), Inbox()
        self._threads = [Thread(target=self._write_all, name="store-writer", daemon=True)]
        for number in range(READERS):
            line = _Line(path, reading)
            self._threads.append(
                Thread(target=self._read_all, args=(line,), name=f"store-reader-{number}", daemon=True)
            )
        for thread in self._threads:
            thread.start()

    async def write(self, work: Callable[[Transaction], T]) -> T:
        return await self._writes.run(work)

    async def read(self, work: Callable[[Transaction], T]) -> T:
        return await self._reads.run(work)

    async def migrate(self) -> tuple[str, ...]:
        scripts = {
            item.name.removesuffix(".sql"): item.read_text("utf-8")
            for item in resources.files("ingest.store").joinpath("migrations").iterdir()
            if item.name.endswith(".sql")
        }
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

    def _write_all(self) -> None:
        line = _Line(self._path, self._writing)
        while (unit := self._writes.take()) is not None:
            units = [unit]
            try:
                self._write_together(line, units)
            except BaseException:
                for unit in units:
                    _run_alone(line, unit, "BEGIN IMMEDIATE")
            answer(units)
            _checkpoint(line)
        line.close()

    def _write_together(self, line: _Line, units: list[Unit]) -> None:
        deadline = monotonic() + BATCH_SECONDS
        with line.transaction("BEGIN IMMEDIATE") as transaction:
            unit: Unit | None = units[0]
            while unit is not None:
                unit.run(transaction)
                in_time = len(units) < BATCH_UNITS and monotonic() < deadline
                unit = self._writes.take_now() if in_time else None
                if unit is not None:
                    units.append(unit)

    def _read_all(self, line: _Line) -> None:
        while (unit := self._reads.take()) is not None:
            _run_alone(line, unit, "BEGIN")
            answer([unit])
        line.close()


def _run_alone(line: _Line, unit: Unit, begin: str) -> None:
    try:
        with line.transaction(begin) as transaction:
            unit.run(transaction)
    except BaseException as error:
        unit.error = error


def _checkpoint(line: _Line) -> None:
    [(_, pages, _)] = line.connection().execute("PRAGMA wal_checkpoint(NOOP)").fetchall()
    if pages > CHECKPOINT_PAGES:
        line.connection().wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)


def _migrate(transaction: Transaction, scripts: Mapping[str, str]) -> tuple[str, ...]:
    transaction.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY)")
    known = {name for (name,) in transaction.execute("SELECT name FROM migrations")}
    missing = tuple(sorted(scripts.keys() - known))
    for name in missing:
        transaction.execute(scripts[name])
        transaction.execute("INSERT INTO migrations (name) VALUES (:name)", {"name": name})
    return missing
