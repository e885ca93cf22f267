"""Tells a restored or copied database from the one that worked last, so that nothing in it is posted twice.

A backup that was taken while mail was queued holds messages as queued that were delivered since. So the database counts
the POSTs that began, and the same count is written to a small file beside it, before each POST. A database that is
behind that file, or that lies in another file than the one it noted, was restored or copied: whatever is unfinished in
it may have been posted, and is looked for at the API before it is posted again.
"""

import os
from pathlib import Path

from ingest.store import Database, Transaction

SUFFIX = ".posts"
"""The file of the count is named like the database, with this after it. It must not be restored with a backup."""
_DIGITS = 20

_SELECT_COUNT = "SELECT value FROM counters WHERE name = 'posts'"
_COUNT_POST = "UPDATE counters SET value = value + 1 WHERE name = 'posts' RETURNING value"
_RAISE_COUNT = "UPDATE counters SET value = max(value, :value) WHERE name = 'posts' RETURNING value"
_SELECT_FILE = "SELECT value FROM upkeep WHERE name = 'file'"
_SET_FILE = """
INSERT INTO upkeep (name, value) VALUES ('file', :file) ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""
_DOUBT_ALL = """
UPDATE messages SET post_began_at = received_at, post_was_answered = 0, absent_at = NULL
WHERE state IN ('queued', 'waiting', 'quarantined', 'failed') AND ticket_message_id IS NULL
RETURNING seq
"""


def count_post(tx: Transaction) -> int:
    """Count a POST that begins, and return the count."""
    return int(tx.execute(_COUNT_POST)[0][0])


class PostCountFile:
    """The file beside the database that holds the count of POSTs. Used by the only worker of the database."""

    def __init__(self, database_file: Path) -> None:
        self._database_file = database_file
        self.path = database_file.with_name(f"{database_file.name}{SUFFIX}")
        self._descriptor: int | None = None
        self._count = 0

    async def compare(self, database: Database) -> int:
        """Compare file and database, and make them agree. Where the database was restored or copied, every unfinished
        message in it is marked as perhaps posted; return their number.

        Raises:
            OSError: the file cannot be written.
            StoreUnavailable: the database cannot.
        """
        found, identity = self._read(), str(os.stat(self._database_file).st_ino)
        doubted, self._count = await database.write(lambda tx: _compare(tx, found, identity))
        self.close()
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._write()
        os.fsync(self._descriptor)
        return doubted

    def note(self, count: int) -> None:
        """Write the count, before the POST is sent. Not synced: if the power fails, the file is behind the database,
        which means nothing.

        Raises:
            OSError: the disk fails.
        """
        if count > self._count and self._descriptor is not None:
            self._count = count
            self._write()

    def close(self) -> None:
        """Close the file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _read(self) -> int | None:
        try:
            return int(self.path.read_text("ascii", "replace"))
        except (FileNotFoundError, ValueError):
            return None

    def _write(self) -> None:
        assert self._descriptor is not None
        os.pwrite(self._descriptor, b"%0*d\n" % (_DIGITS, self._count), 0)


def _compare(tx: Transaction, in_file: int | None, identity: str) -> tuple[int, int]:
    """Return how many messages were marked, and the count that holds from now on."""
    known = tx.execute(_SELECT_FILE)
    in_database = int(tx.execute(_SELECT_COUNT)[0][0])
    is_new = not known and in_file is None
    is_same = bool(known) and known[0][0] == identity and in_file is not None and in_file <= in_database
    doubted = 0 if is_new or is_same else len(tx.execute(_DOUBT_ALL))
    tx.execute(_SET_FILE, {"file": identity})
    return doubted, int(tx.execute(_RAISE_COUNT, {"value": in_file or 0})[0][0])
