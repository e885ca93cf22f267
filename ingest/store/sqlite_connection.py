"""A SQLite connection that belongs to one thread, and the words for what can go wrong with it."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from errno import ENOENT
from pathlib import Path

import apsw
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random

from ingest.store import Row, StoreUnavailable

Pragma = tuple[str, str | int]

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
"""What only the operator, or time, can mend. Every other error is a mistake of ours, and shows as itself."""

BROKEN = (
    apsw.ReadOnlyError,
    apsw.PermissionsError,
    apsw.CantOpenError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.ProtocolError,
)
"""Causes after which a new connection may do what the old one could not. A disk that failed to write or sync is none of
them: the open connection writes the same pages again, while a new one would find them in the log and trust them."""


class BeginFailed(StoreUnavailable):
    """Not even a transaction could be begun: whoever else waits would fare no better."""


class SqliteTransaction:
    """Statements on one connection."""

    __slots__ = ("_connection",)

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        try:
            return self._execute(sql, parameters)
        except UnicodeEncodeError:
            return self._execute(sql, _encodable(parameters or {}))

    def execute_many(self, sql: str, parameters: Sequence[Mapping[str, object]]) -> None:
        for each in parameters:
            self.execute(sql, each)

    def _execute(self, sql: str, parameters: Mapping[str, object] | None) -> list[Row]:
        rows: list[Row] = self._connection.execute(sql, parameters).fetchall()
        return rows


def _encodable(parameters: Mapping[str, object]) -> dict[str, object]:
    """Text from mail can hold lone surrogates, which UTF-8 cannot; they are written as escapes."""
    return {
        name: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for name, value in parameters.items()
    }


class DatabaseFile:
    """The file that all connections share. One that is gone, or that another has taken the place of, took mail with it;
    to go on with an empty one would hide that."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: os.stat_result | None = None

    def make(self) -> None:
        """Make the file, unless it was there before."""
        if self._known is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=0o600)  # mail is private; the log beside the file takes over its mode

    def remember(self) -> None:
        """From now on the file is the one that is there now."""
        if self._known is None:
            self._known = os.stat(self.path)

    def check(self) -> None:
        """See that the file is the one that it was.

        Raises:
            OSError: it is not, or it cannot be reached.
        """
        found = os.stat(self.path)
        if self._known is not None and not os.path.samestat(found, self._known):
            raise FileNotFoundError(ENOENT, "another file has taken its place: put it back, or restart the service")


class SqliteConnection:
    """Opened when it is needed first, and anew when it broke. Belongs to the thread that uses it."""

    def __init__(self, file: DatabaseFile, pragmas: Sequence[Pragma], *, writes: bool, busy_seconds: float) -> None:
        """A connection that ``writes`` makes the file where it is missing, and empties the log before anything else:
        what an earlier process left there unsynced is synced before it is answered from."""
        self._file = file
        self._pragmas = pragmas
        self._writes = writes
        self._busy_seconds = busy_seconds
        self._connection: apsw.Connection | None = None

    @contextmanager
    def transaction(self, begin: str) -> Iterator[SqliteTransaction]:
        """A transaction, committed at the end of the block and rolled back after an exception.

        Raises:
            NotBegun: it could not be begun.
            StoreUnavailable: the operator or time must mend something.
        """
        connection = self._begin(begin)
        try:
            yield SqliteTransaction(connection)
            connection.execute("COMMIT")
        except BaseException as error:
            self._roll_back(connection, error)
            if isinstance(error, tuple(CAUSES)):
                raise StoreUnavailable(self._explain(error)) from error
            raise

    def close(self) -> None:
        """Close the connection, if it is open. What is committed stays, whatever closing says."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(apsw.Error):
                connection.close()

    def _begin(self, begin: str) -> apsw.Connection:
        try:
            connection = self._connection = self._connection or self._open()
            self._file.check()
            connection.execute(begin)
        except tuple(CAUSES) as error:
            if not isinstance(error, apsw.BusyError):
                self.close()
            raise BeginFailed(self._explain(error)) from error
        except OSError as error:
            self.close()
            reason = f"{error.strerror}; check INGEST_DATABASE_URL and who may write to its folder"
            raise BeginFailed(f"{self._file.path}: {reason}") from error
        return connection

    def _open(self) -> apsw.Connection:
        if self._writes:
            self._file.make()
        self._file.check()
        connection = apsw.Connection(str(self._file.path), flags=apsw.SQLITE_OPEN_READWRITE)
        self._set_up(connection)
        connection.set_busy_timeout(int(self._busy_seconds * 1000))
        self._file.remember()
        return connection

    def _set_up(self, connection: apsw.Connection) -> None:
        """Several processes may begin at once. SQLite waits for a lock while it holds another, for as long as its
        time-out allows; two that do so wait for each other. So nobody waits inside a step here: who finds a lock
        taken lets go of all, and begins the step again."""
        again = Retrying(
            retry=retry_if_exception_type(apsw.BusyError),
            stop=stop_after_delay(self._busy_seconds),
            wait=wait_random(0.001, 0.02),
            reraise=True,
        )
        for pragma in self._pragmas:
            again(connection.pragma, *pragma)
        if self._writes:
            again(connection.wal_checkpoint, mode=apsw.SQLITE_CHECKPOINT_FULL)

    def _roll_back(self, connection: apsw.Connection, error: BaseException) -> None:
        """SQLite has rolled back by itself after some errors."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except apsw.Error:
            self.close()
        if isinstance(error, BROKEN):
            self.close()

    def _explain(self, error: BaseException) -> str:
        cause = next(text for kind, text in CAUSES.items() if isinstance(error, kind))
        return f"{self._file.path}: {cause} ({error})"
