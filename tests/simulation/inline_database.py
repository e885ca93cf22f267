"""A database for the simulation: SQLite in memory, run inside the event loop, so that a crash can fall beside a COMMIT.

The data is in a ``SimulatedDisk``, which outlives the process that is killed; an ``InlineDatabase`` is what one process
has open. Work that is written waits in a queue, as in the real driver. One step of the loop commits the queue and
further steps tell the callers, so a crash before the first has no effect, and a crash between them an effect of which
the caller never learns.
"""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import apsw

from ingest.store import Row, StoreUnavailable, Transaction
from ingest.store.sqlite import SqliteDatabase
from ingest.store.sqlite_connection import SqliteTransaction
from ingest.store.work_queue import WorkItem
from tests.simulation.virtual_loop import Crashed

T = TypeVar("T")

SLOW_SECONDS = 0.05
"""The longest time that a slow commit takes."""


class SimulatedDisk:
    """The data of one simulated machine. ``clear`` makes it new for the next run: to prepare the statements again on a
    new connection would take longer than the run."""

    def __init__(self) -> None:
        self.connection = _migrated_copy()
        self._tables = [
            name
            for (name,) in self.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")
            if name not in ("migrations", "counters") and not name.startswith("sqlite_")
        ]

    def rows(self, sql: str) -> list[Row]:
        """Return the rows of a query, for the checks after a run."""
        return self.connection.execute(sql).fetchall()

    def clear(self) -> None:
        """Delete all data."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        self.connection.pragma("foreign_keys", "OFF")
        for table in self._tables:
            self.connection.execute(f"DELETE FROM {table}")
        self.connection.execute("UPDATE counters SET value = 0")
        self.connection.pragma("foreign_keys", "ON")


def _migrated_copy() -> apsw.Connection:
    """Return a database in memory with the schema that the real driver makes."""

    async def migrate(path: Path) -> None:
        database = SqliteDatabase(path)
        await database.migrate()
        await database.close()

    connection = apsw.Connection(":memory:", statementcachesize=1000)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.db"
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(migrate(path))
        finally:
            loop.close()
        template = apsw.Connection(str(path))
        with connection.backup("main", template, "main") as backup:
            backup.step()
        template.close()
    connection.pragma("journal_mode", "MEMORY")
    connection.pragma("synchronous", "OFF")
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    return connection


class InlineDatabase:
    """What one simulated process has open of a ``SimulatedDisk``.

    Args:
        random: draws delays and failures.
        failure_rate: the share of commits that fail as on a full disk, without an effect.
    """

    claim_lock = ""

    def __init__(self, disk: SimulatedDisk, random: Random, *, failure_rate: float = 0.0) -> None:
        self._connection = disk.connection
        self._transaction = SqliteTransaction(disk.connection)
        self._random = random
        self.failure_rate = failure_rate
        self._queue: list[WorkItem] = []
        self._killed = False

    def kill(self) -> None:
        """Make the object unusable: its process is dead."""
        self._killed = True

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Implement ``Database.write``."""
        return await self._run(work, self._queue_write)

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Implement ``Database.read``: the snapshot is taken in a step of its own, so others may write before it and
        between it and the caller."""
        return await self._run(work, lambda item: asyncio.get_running_loop().call_soon(self._read, item))

    async def migrate(self) -> tuple[str, ...]:
        """Implement ``Database.migrate``: the disk has the schema already."""
        return ()

    async def close(self) -> None:
        """Implement ``Database.close``."""
        self._killed = True

    def loss(self) -> str | None:
        """Implement ``Database.loss``."""
        return None

    def free_bytes(self) -> int | None:
        """Implement ``Database.free_bytes``."""
        return None

    async def _run(self, work: Callable[[Transaction], T], start: Callable[[WorkItem], Any]) -> T:
        if self._killed:
            raise Crashed
        item = WorkItem(work, asyncio.get_running_loop().create_future())
        start(item)
        await item.done
        if item.error is not None:
            raise item.error
        value: T = item.value
        return value

    def _queue_write(self, item: WorkItem) -> None:
        self._queue.append(item)
        if len(self._queue) > 1:
            return
        loop = asyncio.get_running_loop()
        if self._random.random() < 0.1:
            loop.call_later(self._random.random() * SLOW_SECONDS, self._commit)
        else:
            loop.call_soon(self._commit)

    def _commit(self) -> None:
        """Commit everything that is queued: one step of the loop, so no crash falls between two items of a batch."""
        batch, self._queue = self._queue, []
        if self._random.random() < self.failure_rate:
            for item in batch:
                item.error = StoreUnavailable("the simulated disk is full")
        else:
            for item in batch:
                self._run_in_transaction(item, "BEGIN IMMEDIATE")
        self._wake(batch)

    def _read(self, item: WorkItem) -> None:
        self._run_in_transaction(item, "BEGIN")
        self._wake([item])

    def _run_in_transaction(self, item: WorkItem, begin: str) -> None:
        if self._killed:
            return
        self._connection.execute(begin)
        try:
            item.run(self._transaction)
        except Exception as error:
            item.error = error
            self._connection.execute("ROLLBACK")
        else:
            self._connection.execute("COMMIT")

    def _wake(self, items: Sequence[WorkItem]) -> None:
        loop = asyncio.get_running_loop()
        for item in items:
            loop.call_soon(_set_done, item)


def _set_done(item: WorkItem) -> None:
    if not item.done.done():
        item.done.set_result(None)
