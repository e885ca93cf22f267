"""What the reading of mailboxes needs to be remembered; ``store.imap.ImapStore`` does it."""

from typing import Protocol

from ingest.model.imap_folder import Folder, SavedToken, StoredUids


class TokenMemory(Protocol):
    """Where rotated refresh tokens are kept."""

    async def token(self, account: str) -> SavedToken | None: ...
    async def save_token(self, account: str, token: SavedToken) -> None: ...


class FolderMemory(Protocol):
    """Where it is kept what was read of a folder."""

    async def folder(self, source: str) -> Folder | None: ...
    async def save_folder(self, folder: Folder) -> None: ...
    async def stored_uids(self, source: str, uid_validity: int) -> StoredUids: ...


class LeaseMemory(Protocol):
    """Where it is kept which worker reads a folder."""

    async def take_lease(self, source: str, holder: str, *, now: float, until: float) -> bool: ...
    async def renew_leases(self, holder: str, *, now: float, until: float) -> frozenset[str]: ...
    async def release_lease(self, source: str, holder: str) -> None: ...
    async def release_all_leases(self) -> None: ...


class ImapState(TokenMemory, FolderMemory, LeaseMemory, Protocol):
    """All of it."""
