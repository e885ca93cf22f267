"""What happens in the mailbox to mail that is safely stored: a mark, a move, or nothing.

A courtesy, not a part of taking mail in: it comes after COMMIT, what it could not do is done at the next count of the
folder, and no mail is lost or doubled where it never succeeds. Messages are named by UID only, and nothing is
expunged but what we name: a sequence number, or a bare EXPUNGE, would hit mail of others (hard case 9).
"""

from collections.abc import Iterable, Sequence

from ingest import log
from ingest.config.imap_accounts import ImapAccount
from ingest.sources.imap.protocol.client import UIDS_A_COMMAND, Connection, Refused
from ingest.sources.imap.protocol.uids import ranges

SEEN, DELETED = r"\Seen", r"\Deleted"

_log = log.get("imap")


class AfterActions:
    """Does what ``account.after`` says, over one connection."""

    def __init__(self, connection: Connection, account: ImapAccount) -> None:
        self._connection, self._account = connection, account
        self._told = False

    async def do(self, uids: Iterable[int]) -> bool:
        """See to ``uids``, which are stored. False: the server refused; it has been logged once.

        Raises:
            ConnectionLost: the session has to end.
        """
        every = sorted(uids)
        try:
            for start in range(0, len(every), UIDS_A_COMMAND):
                await self._do(every[start : start + UIDS_A_COMMAND])
        except Refused as refusal:
            self._tell(refusal)
            return False
        return True

    async def _do(self, uids: Sequence[int]) -> None:
        match self._account.after:
            case "seen":
                await self._connection.store(uids, SEEN)
            case "move":
                await self._move(uids, self._account.move_to or "")
            case "delete":
                await self._remove(uids)

    async def _move(self, uids: Sequence[int], folder: str) -> None:
        """Where the server has no MOVE, a copy and a removal; what is marked as deleted has been copied before."""
        if "MOVE" in self._connection.capabilities:
            return await self._connection.move(uids, folder)
        marked = set(await self._connection.search(f"UID {ranges(uids)} DELETED"))
        left = [uid for uid in uids if uid not in marked]
        if left:
            await self._connection.copy(left, folder)
        return await self._remove(uids)

    async def _remove(self, uids: Sequence[int]) -> None:
        """Without UIDPLUS the mail stays, marked as deleted, until somebody expunges it."""
        await self._connection.store(uids, DELETED)
        if "UIDPLUS" in self._connection.capabilities:
            await self._connection.expunge(uids)

    def _tell(self, refusal: Refused) -> None:
        if self._told:
            return
        self._told = True
        folder = f"; does the folder {self._account.move_to!r} exist?" if self._account.move_to else ""
        _log.warning(
            "stored mail stays in the mailbox as it is",
            account=self._account.name,
            reason=f"{refusal}{folder} Tried again at each count of the folder",
        )
