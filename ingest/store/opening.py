"""Opens the database that ``INGEST_DATABASE_URL`` names, and has the lock that keeps two workers from one file."""

import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ingest.store import Database, StoreUnavailable
from ingest.store.messages import Store
from ingest.store.sqlite import SqliteDatabase

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
async def open_store(url: str) -> AsyncIterator[Store]:
    """Open the messages in the database at ``url``, as ``open_database`` does."""
    async with open_database(url) as database:
        yield Store(database)


class WorkerLock:
    """The lock (``flock``) of the one worker process that may work on a database file.

    The system releases it when the process ends, however it ends. The lock file stays and means nothing by itself."""

    def __init__(self, url: str) -> None:
        database = file_of(url)
        self.path = database.with_name(f"{database.name}.lock")
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Try to take the lock, without waiting. False: another process has it.

        Raises:
            StoreUnavailable: the lock file cannot be created.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(
                f"{self.path}: {error.strerror}; check INGEST_DATABASE_URL and who may write to its folder"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor
        return True

    def holder(self) -> str:
        """Return the process id in the lock file, for messages; ``unknown`` if there is none."""
        try:
            return self.path.read_text("ascii", "replace").strip() or "unknown"
        except OSError:
            return "unknown"

    def release(self) -> None:
        """Release the lock if we have it."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
