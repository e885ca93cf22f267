"""One SQLite connection, used by one thread, and what its errors mean for an operator."""

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
"""Errors that only the operator, or time, can mend, each with what to do. They become ``StoreUnavailable``; every
other error is a mistake of ours and is raised as it is."""

BROKEN = (
    apsw.ReadOnlyError,
    apsw.PermissionsError,
    apsw.CantOpenError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.ProtocolError,
)
"""Errors after which the connection is closed, because a new one may succeed where the old one cannot. A failed write
or sync is not among them: the open connection writes the same pages again, while a new one would find them in the log
and trust them though they never reached the disk."""


RESCUE_SUFFIX = ".rescued"
"""What was in a database file that was deleted under the running service is saved to a file named so."""


class BeginFailed(StoreUnavailable):
    """BEGIN failed. The whole batch is refused, because every other item would fail the same way."""


class SqliteTransaction:
    """Runs statements on one connection (``Transaction``)."""

    __slots__ = ("_connection",)

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """Run one statement and return all its rows. Lone surrogates in text are written as escapes."""
        try:
            return self._execute(sql, parameters)
        except UnicodeEncodeError:
            return self._execute(sql, _encodable(parameters or {}))

    def execute_many(self, sql: str, parameters: Sequence[Mapping[str, object]]) -> None:
        """Run one statement for each set of parameters."""
        for each in parameters:
            self.execute(sql, each)

    def _execute(self, sql: str, parameters: Mapping[str, object] | None) -> list[Row]:
        rows: list[Row] = self._connection.execute(sql, parameters).fetchall()
        return rows


def _encodable(parameters: Mapping[str, object]) -> dict[str, object]:
    """Replace lone surrogates by backslash escapes: text from mail can hold them, UTF-8 cannot."""
    return {
        name: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for name, value in parameters.items()
    }


class DatabaseFile:
    """The file that all connections share, its write-ahead log beside it, and whether they are still the same ones.

    If the file was deleted or replaced while the service runs, mail went with it; to go on with an empty file would
    hide that. If the log was, the latest commits are only in a file without a name, which ends with the process. No
    connection may make a new log then while others of the process use the old one, so that loss is for good."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: os.stat_result | None = None
        self._known_log: dict[Path, os.stat_result] = {}
        self._lost_log = ""

    def make(self) -> None:
        """Create the file, unless a connection has been open on it before."""
        if self._known is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=0o600)  # mail is private; the log beside the file takes over its mode

    def remember(self) -> None:
        """Take the file that is at the path now as ours; ``check`` compares with it. Only the first call counts."""
        if self._known is None:
            self._known = os.stat(self.path)

    def remember_log(self) -> None:
        """Take the log and its index that are beside the file now as those of the writing connection."""
        self._known_log = {path: os.stat(path) for path in self._log_paths()}

    def forget_log(self) -> None:
        """Expect no log any more: the writing connection was closed, and the log may end with it."""
        self._known_log = {}

    def check(self) -> None:
        """Compare the file at the path, and its log, with those remembered.

        Raises:
            OSError: they are other files, or they cannot be reached.
        """
        found = os.stat(self.path)
        if self._known is not None and not os.path.samestat(found, self._known):
            raise FileNotFoundError(ENOENT, "another file has taken its place: put it back, or restart the service")
        for path, known in self._known_log.items():
            if not self._lost_log and not _is_still(path, known):
                self._lost_log = f"{path.name} was removed or replaced under the running service; restart the service"
        if self._lost_log:
            raise FileNotFoundError(ENOENT, self._lost_log)

    def rescue_path(self) -> Path | None:
        """Return where to save what is in the file, if it was deleted (and not moved) while we have it open."""
        if self._known is None or not self._is_deleted():
            return None
        return self.path.with_name(f"{self.path.name}{RESCUE_SUFFIX}")

    def _is_deleted(self) -> bool:
        """Whether the file that was open first has no name any more. Asked of the system, since a descriptor of our own
        would end SQLite's locks when it is closed."""
        for descriptor in Path("/proc/self/fd").glob("*"):
            with suppress(OSError):
                found = descriptor.stat()
                if self._known is not None and os.path.samestat(found, self._known):
                    return found.st_nlink == 0
        return False

    def _log_paths(self) -> Iterator[Path]:
        for suffix in ("-wal", "-shm"):
            yield self.path.with_name(f"{self.path.name}{suffix}")


def _is_still(path: Path, known: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), known)
    except FileNotFoundError:
        return False


class SqliteConnection:
    """A connection that is opened at its first use, and again after it broke. One thread uses it."""

    def __init__(
        self,
        file: DatabaseFile,
        pragmas: Sequence[Pragma],
        *,
        writes: bool,
        busy_seconds: float,
        read_only: bool = False,
    ) -> None:
        """A connection that ``writes`` creates a missing file, and checkpoints the write-ahead log before anything
        else: what an earlier process left there unsynced is synced before it is read as committed."""
        self._file = file
        self._pragmas = pragmas
        self._writes = writes
        self._flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
        self._busy_seconds = busy_seconds
        self._connection: apsw.Connection | None = None

    @contextmanager
    def transaction(self, begin: str) -> Iterator[SqliteTransaction]:
        """Run the block in a transaction: committed at its end, rolled back after an exception.

        Raises:
            BeginFailed: the transaction could not be begun.
            StoreUnavailable: an error of ``CAUSES``, which the operator or time must mend.
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
        """Close the connection if it is open. Errors are ignored: what is committed stays committed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            if self._writes:
                self._file.forget_log()
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
            saved = self._rescue()
            self.close()
            reason = saved or f"{error.strerror}; check INGEST_DATABASE_URL and who may write to its folder"
            raise BeginFailed(f"{self._file.path}: {reason}") from error
        except BaseException:
            self.close()  # nobody knows what state it is in
            raise
        return connection

    def _rescue(self) -> str:
        """Copy what is committed from the log into the database file, through the files that are open.

        Where one of them was moved or its name removed, it is whole only until it is closed. The database file has all
        mail then, wherever it lies now. If it was deleted, all that is in it is written to a new file; returns what to
        say about that."""
        if not self._writes or self._connection is None:
            return ""
        self._checkpoint_what_is_open(self._connection)
        path = self._file.rescue_path()
        if path is None:
            return ""
        try:
            path.touch(mode=0o600)
            self._connection.execute("VACUUM INTO ?", (str(path),))
        except (apsw.Error, OSError) as error:
            return f"the file was deleted, and what was in it could not be saved: {error}"
        return f"the file was deleted; what was in it is in {path.name}: stop the service and give it the old name"

    def _checkpoint_what_is_open(self, connection: apsw.Connection) -> None:
        for mode in (apsw.SQLITE_CHECKPOINT_FULL, apsw.SQLITE_CHECKPOINT_PASSIVE):
            try:
                connection.wal_checkpoint(mode=mode)
            except apsw.Error:
                continue  # a reader is in the way of a full one; the passive one copies what it can
            return

    def _open(self) -> apsw.Connection:
        if self._writes:
            self._file.make()
        self._file.check()
        connection = apsw.Connection(str(self._file.path), flags=self._flags)
        # Without it, SQLite plans the claims anew each time, because a plan might be better for the values at hand.
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        self._set_up(connection)
        connection.set_busy_timeout(int(self._busy_seconds * 1000))
        self._file.remember()
        if self._writes:
            self._file.remember_log()
        return connection

    def _set_up(self, connection: apsw.Connection) -> None:
        """Set the pragmas; on a writing connection, checkpoint the log.

        Several processes may do this at the same time. SQLite's busy time-out would let each wait for a lock while it
        holds another, and two that do so wait for each other. So the time-out is still off here: a step that finds a
        lock taken fails at once, gives up its own locks, and is repeated after a random pause."""
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
        """Roll back, unless SQLite has done so by itself, as it does after some errors."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except apsw.Error:
            self.close()
        if isinstance(error, BROKEN):
            self.close()

    def _explain(self, error: BaseException) -> str:
        """Return the operator's line for an error of ``CAUSES``."""
        cause = next(text for kind, text in CAUSES.items() if isinstance(error, kind))
        return f"{self._file.path}: {cause} ({error})"
