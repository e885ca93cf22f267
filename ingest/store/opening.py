"""Opens the database that ``INGEST_DATABASE_URL`` names, and has the lock that keeps two workers from one file."""

import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ingest.store import Database, StoreUnavailable
from ingest.store.messages import Store
from ingest.store.sqlite import SqliteDatabase
from ingest.store.sqlite_connection import RESCUE_SUFFIX

SQLITE = "sqlite:///"


def file_of(url: str) -> Path:
    """Return the database file that ``sqlite:///PATH`` names; a fourth slash begins an absolute path."""
    return Path(url.removeprefix(SQLITE))


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    """Open the database at ``url``, bring its schema up to date, and close it at the end of the block.

    Raises:
        StoreUnavailable: the database cannot be opened.
    """
    database = SqliteDatabase(file_of(url))
    try:
        await database.migrate()
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def open_to_read(url: str) -> AsyncIterator[Database]:
    """Open the database at ``url`` to read it only, and close it at the end of the block. A worker that writes does not
    hold it up, and it is not brought up to date.

    Raises:
        StoreUnavailable: there is none, it cannot be opened, or it is of another version.
    """
    database = SqliteDatabase(file_of(url), read_only=True)
    try:
        await database.check_schema()
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[Store]:
    """Open the messages in the database at ``url``, as ``open_database`` does."""
    async with open_database(url) as database:
        yield Store(database)


def check_rescued(url: str) -> None:
    """Refuse to start beside what was saved of a database that was deleted: an empty one would take its place.

    Raises:
        StoreUnavailable: such a file is there.
    """
    database = file_of(url)
    rescued = database.with_name(f"{database.name}{RESCUE_SUFFIX}")
    if rescued.exists():
        raise StoreUnavailable(
            f"{rescued} was saved when {database.name} was deleted: give it that name, or move it away, then start"
        )


class WorkerLock:
    """The lock (``flock``) of the one worker process that may work on a database file.

    It is held on the lock file, where operators find the process id, and on the database file itself. Whoever removes
    the lock file takes nothing away: a second worker finds the database file locked. The system releases both when the
    process ends, however it ends. SQLite's own locks are of another kind (``fcntl``) and are not touched."""

    def __init__(self, url: str) -> None:
        self._database = file_of(url)
        self.path = self._database.with_name(f"{self._database.name}.lock")
        self._descriptors: list[int] = []

    def take(self) -> bool:
        """Try to take the lock, without waiting. False: another process has it. Creates both files if missing.

        Call it before the database is opened, and ``release`` after it was closed: to close any descriptor of a file
        ends all ``fcntl`` locks that the process has on it.

        Raises:
            StoreUnavailable: the lock file cannot be created.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            is_taken = all(self._lock(path) for path in (self.path, self._database))
        except OSError as error:
            self.release()
            raise StoreUnavailable(
                f"{error.filename}: {error.strerror}; check INGEST_DATABASE_URL and who may write to its folder"
            ) from error
        if not is_taken:
            self.release()
            return False
        os.ftruncate(self._descriptors[0], 0)
        os.write(self._descriptors[0], f"{os.getpid()}\n".encode())
        return True

    def _lock(self, path: Path) -> bool:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._descriptors.append(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def holder(self) -> str:
        """Return the process id in the lock file, for messages; ``unknown`` if there is none."""
        try:
            return self.path.read_text("ascii", "replace").strip() or "unknown"
        except OSError:
            return "unknown"

    def release(self) -> None:
        """Release the lock if we have it."""
        descriptors, self._descriptors = self._descriptors, []
        for descriptor in descriptors:
            os.close(descriptor)
