"""Applies the account's ``after`` action (nothing, seen, move, delete) to messages that are stored.

It runs after COMMIT, so no mail is lost or doubled if it fails; it is tried again at the next count of the folder.
Messages are named by UID only, and EXPUNGE only ever names the UIDs that we marked: a sequence number, or an EXPUNGE
without UIDs, would hit other people's mail (hard case 9).
"""

from collections.abc import Iterable, Sequence

from ingest import log
from ingest.config.imap_accounts import ImapAccount
from ingest.sources.imap.folder_names import missing_folder
from ingest.sources.imap.protocol.client import MAX_UIDS_PER_COMMAND, CommandRefused, ImapConnection
from ingest.sources.imap.protocol.uids import sequence_set

SEEN, DELETED = r"\Seen", r"\Deleted"

_log = log.get("imap")


class AfterActions:
    """Applies ``account.after`` over one connection, on which the account's folder is selected."""

    def __init__(self, connection: ImapConnection, account: ImapAccount) -> None:
        self._connection, self._account = connection, account
        self._logged = False

    async def apply(self, uids: Iterable[int]) -> bool:
        """Apply the action to ``uids``, which are stored. Returns False if the server refused; only the first refusal
        on a connection is logged.

        Raises:
            ConnectionLost: the session has to end.
        """
        ordered = sorted(uids)
        try:
            for start in range(0, len(ordered), MAX_UIDS_PER_COMMAND):
                await self._apply(ordered[start : start + MAX_UIDS_PER_COMMAND])
        except CommandRefused as refusal:
            await self._log_once(refusal)
            return False
        return True

    async def _apply(self, uids: Sequence[int]) -> None:
        match self._account.after:
            case "seen":
                await self._connection.store(uids, SEEN)
            case "move":
                await self._move(uids, self._account.move_to or "")
            case "delete":
                await self._delete(uids)

    async def _move(self, uids: Sequence[int], folder: str) -> None:
        """Move messages; without the MOVE extension, copy and delete them. Messages that are marked as deleted were
        copied in an earlier attempt, and are not copied again."""
        if "MOVE" in self._connection.capabilities:
            return await self._connection.move(uids, folder)
        marked = set(await self._connection.search(f"UID {sequence_set(uids)} DELETED"))
        uncopied = [uid for uid in uids if uid not in marked]
        if uncopied:
            await self._connection.copy(uncopied, folder)
        return await self._delete(uids)

    async def _delete(self, uids: Sequence[int]) -> None:
        """Mark messages as deleted and expunge them. Without UIDPLUS they stay, marked, until somebody expunges."""
        await self._connection.store(uids, DELETED)
        if "UIDPLUS" in self._connection.capabilities:
            await self._connection.expunge(uids)

    async def _missing_folder(self) -> str:
        """Return what to say of ``move_to`` if the server does not list it, else ``""``."""
        name = self._account.move_to
        if name is None:
            return ""
        try:
            existing = await self._connection.folders()
        except CommandRefused:
            return f"does the folder {name!r} exist?"
        return "" if name in existing else missing_folder(name, existing)

    async def _log_once(self, refusal: CommandRefused) -> None:
        if self._logged:
            return
        self._logged = True
        folder = f"; {missing}" if (missing := await self._missing_folder()) else ""
        _log.warning(
            "stored mail stays in the mailbox as it is",
            account=self._account.name,
            reason=f"{refusal}{folder}. Tried again at each count of the folder",
        )
