"""``ImapStore``: the folders, leases and refresh tokens of mailboxes, and which of their messages are stored.

Methods raise ``StoreUnavailable`` if the database cannot do it now; nothing has happened then.
"""

from dataclasses import asdict

from ingest.model.imap_folder import Folder, SavedToken, StoredUids
from ingest.store import Database, Transaction

_SELECT_STORED_UIDS = """
SELECT CAST(substr(position, :start) AS BIGINT), is_whole FROM messages
WHERE source = :source AND position LIKE :prefix
UNION ALL
SELECT CAST(substr(position, :start) AS BIGINT), is_whole FROM pruned
WHERE source = :source AND position LIKE :prefix
"""
_COLUMNS = (
    "source, uid_validity, start_uid, first_read_at, ignored_before, marked_uid, on_server, taken_in, gap_since, "
    "counted_at"
)
_SELECT_FOLDER = f"SELECT {_COLUMNS} FROM imap_folders WHERE source = :source"  # noqa: S608 - joins fixed texts
_SELECT_FOLDERS = f"SELECT {_COLUMNS} FROM imap_folders ORDER BY source"  # noqa: S608 - joins fixed texts
_SAVE_FOLDER = f"""
INSERT INTO imap_folders ({_COLUMNS})
VALUES (:source, :uid_validity, :start_uid, :first_read_at, :ignored_before, :marked_uid, :on_server, :taken_in,
    :gap_since, :counted_at)
ON CONFLICT (source) DO UPDATE SET uid_validity = excluded.uid_validity, start_uid = excluded.start_uid,
    first_read_at = excluded.first_read_at, ignored_before = excluded.ignored_before,
    marked_uid = excluded.marked_uid, on_server = excluded.on_server,
    taken_in = excluded.taken_in, gap_since = excluded.gap_since, counted_at = excluded.counted_at
"""  # noqa: S608 - joins fixed texts
_TAKE_LEASE = """
INSERT INTO imap_leases (source, holder, held_until) VALUES (:source, :holder, :until)
ON CONFLICT (source) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
    WHERE imap_leases.holder = excluded.holder OR imap_leases.held_until <= :now
RETURNING source
"""
_RENEW_LEASES = """
UPDATE imap_leases SET held_until = :until WHERE holder = :holder AND held_until > :now RETURNING source
"""
_RELEASE_LEASE = "DELETE FROM imap_leases WHERE source = :source AND holder = :holder"
_RELEASE_ALL_LEASES = "DELETE FROM imap_leases"
_SELECT_REFRESH = "SELECT refresh_token, saved_at, ends_at, origin FROM imap_tokens WHERE account = :account"
_SAVE_REFRESH = """
INSERT INTO imap_tokens (account, refresh_token, saved_at, ends_at, origin)
VALUES (:account, :refresh_token, :saved_at, :ends_at, :origin)
ON CONFLICT (account) DO UPDATE SET refresh_token = excluded.refresh_token, saved_at = excluded.saved_at,
    ends_at = excluded.ends_at, origin = excluded.origin
"""


class ImapStore:
    """The state of mailboxes in ``database``. The caller migrates the database before, and closes it afterwards."""

    def __init__(self, database: Database) -> None:
        self._write, self._read = database.write, database.read

    async def stored_uids(self, source: str, uid_validity: int) -> StoredUids:
        """Return the UIDs of the messages stored from a folder under this UIDVALIDITY (RFC 9051 section 2.3.1.1)."""
        return await self._read(lambda tx: _stored_uids(tx, source, uid_validity))

    async def folder(self, source: str) -> Folder | None:
        """Return the record of a folder; ``None``: it was never read."""
        return await self._read(lambda tx: _folder(tx, source))

    async def folders(self) -> tuple[Folder, ...]:
        """Return the record of every folder that was ever read."""
        return await self._read(lambda tx: tuple(_record(row) for row in tx.execute(_SELECT_FOLDERS)))

    async def save_folder(self, folder: Folder) -> None:
        """Store the record of a folder in place of the earlier one."""
        await self._write(lambda tx: tx.execute(_SAVE_FOLDER, asdict(folder)))

    async def take_lease(self, source: str, holder: str, *, now: float, until: float) -> bool:
        """Give ``holder`` the only right to read a folder until ``until``. False: another holder has it."""
        values = {"source": source, "holder": holder, "now": now, "until": until}
        return bool(await self._write(lambda tx: tx.execute(_TAKE_LEASE, values)))

    async def renew_leases(self, holder: str, *, now: float, until: float) -> frozenset[str]:
        """Extend all leases that ``holder`` still has until ``until``, and return their sources."""
        values = {"holder": holder, "now": now, "until": until}
        return frozenset(source for (source,) in await self._write(lambda tx: tx.execute(_RENEW_LEASES, values)))

    async def release_lease(self, source: str, holder: str) -> None:
        """End a lease of ``holder``, so that another need not wait for its time to pass."""
        await self._write(lambda tx: tx.execute(_RELEASE_LEASE, {"source": source, "holder": holder}))

    async def release_all_leases(self) -> None:
        """End all leases. For the start of the only worker process: what a dead one held is free at once."""
        await self._write(lambda tx: tx.execute(_RELEASE_ALL_LEASES))

    async def token(self, account: str) -> SavedToken | None:
        """Return the latest refresh token of an account; ``None``: none was saved."""
        found = await self._read(lambda tx: tx.execute(_SELECT_REFRESH, {"account": account}))
        if not found:
            return None
        refresh_token, saved_at, ends_at, origin = found[0]
        return SavedToken(refresh_token=refresh_token, saved_at=saved_at, ends_at=ends_at, origin=origin)

    async def save_token(self, account: str, token: SavedToken) -> None:
        """Store the latest refresh token of an account in place of the earlier one."""
        await self._write(lambda tx: tx.execute(_SAVE_REFRESH, {"account": account, **asdict(token)}))


def _stored_uids(tx: Transaction, source: str, uid_validity: int) -> StoredUids:
    prefix = f"{uid_validity}/"
    rows = tx.execute(_SELECT_STORED_UIDS, {"source": source, "prefix": f"{prefix}%", "start": len(prefix) + 1})
    return StoredUids(
        whole=frozenset(uid for uid, is_whole in rows if is_whole),
        partial=frozenset(uid for uid, is_whole in rows if not is_whole),
    )


def _folder(tx: Transaction, source: str) -> Folder | None:
    found = tx.execute(_SELECT_FOLDER, {"source": source})
    return _record(found[0]) if found else None


def _record(row: tuple[object, ...]) -> Folder:
    return Folder(**dict(zip(_COLUMNS.split(", "), row, strict=True)))  # type: ignore[arg-type] # a row has any types
