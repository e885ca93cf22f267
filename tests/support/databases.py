"""The databases that the store contract is tested on. To add one, write a class here and a line in ``DRIVERS``."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import apsw

from ingest.store import Database, Transaction
from ingest.store.sqlite import SqliteDatabase


class Driver(Protocol):
    """What the contract tests need of a database beyond its protocol."""

    def open(self, *, busy_seconds: float = 5.0) -> Database:
        """Open the data of this test as one process would; call it again to stand for another process."""
        ...

    def locked(self) -> AbstractContextManager[None]:
        """Hold a lock that keeps every writer out, for the length of the block."""
        ...

    def fill(self, transaction: Transaction) -> None:
        """Make the database refuse more data, as on a full disk."""
        ...

    def make_room(self, transaction: Transaction) -> None:
        """Undo ``fill``."""
        ...


class SqliteDriver:
    """SQLite in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "var" / "ingest.db"

    def open(self, *, busy_seconds: float = 5.0) -> Database:
        return SqliteDatabase(self.path, busy_seconds=busy_seconds)

    @contextmanager
    def locked(self) -> Iterator[None]:
        other = apsw.Connection(str(self.path))
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")
        other.close()

    def fill(self, transaction: Transaction) -> None:
        """Set SQLite's own limit of pages, which raises the same SQLITE_FULL as a full disk."""
        transaction.execute("PRAGMA max_page_count = 1")  # no less than there are

    def make_room(self, transaction: Transaction) -> None:
        transaction.execute("PRAGMA max_page_count = 4294967294")


DRIVERS = {"sqlite": SqliteDriver}
