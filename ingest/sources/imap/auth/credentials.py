"""What opens an account: a password, or access tokens; and when it ends."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, time
from typing import Protocol

import httpx

from ingest.config.imap_accounts import CredentialUnreadable, ImapAccount, OAuthClient
from ingest.sources.imap.auth.oauth import AccessTokens
from ingest.sources.imap.state import TokenMemory


class Credential(Protocol):
    """One account's way in."""

    async def get(self) -> str:
        """The password or an access token, now.

        Raises:
            CredentialUnreadable, TokenRefused, TokenThrottled, TokenUnavailable: as their names say.
        """
        ...

    def reject(self, secret: str) -> None:
        """The server did not accept ``secret``."""
        ...

    async def fingerprint(self) -> str:
        """Something that changes when the operator supplies another credential."""
        ...

    async def ends_at(self) -> float | None:
        """When it ends, as a Unix time; ``None`` where nobody says."""
        ...


class Password:
    """A password of the settings, read anew each time."""

    def __init__(self, account: ImapAccount) -> None:
        self._account = account

    async def get(self) -> str:
        return self._account.read_password()

    def reject(self, secret: str) -> None:
        """There is no other to be had."""

    async def fingerprint(self) -> str:
        try:
            return _digest(self._account.read_password())
        except CredentialUnreadable:
            return ""

    async def ends_at(self) -> float | None:
        return None


class Tokens:
    """Access tokens, by a refresh token or by the application's secret."""

    def __init__(
        self, account: ImapAccount, memory: TokenMemory, http: httpx.AsyncClient, clock: Callable[[], float]
    ) -> None:
        assert account.oauth is not None  # the settings were checked
        self._client: OAuthClient = account.oauth
        self._tokens = AccessTokens(account.name, self._client, memory, http, clock)

    async def get(self) -> str:
        return await self._tokens.get()

    def reject(self, secret: str) -> None:
        self._tokens.reject(secret)

    async def fingerprint(self) -> str:
        try:
            saved = await self._tokens.saved()
            return _digest(f"{saved.refresh_token if saved else ''} {self._client.secret()}")
        except CredentialUnreadable:
            return ""

    async def ends_at(self) -> float | None:
        ends = []
        if self._client.client_secret_ends is not None:
            ends.append(datetime.combine(self._client.client_secret_ends, time(), UTC).timestamp())
        if self._client.flow == "refresh_token":
            saved = await self._tokens.saved()
            ends += [saved.ends_at] if saved and saved.ends_at else []
        return min(ends, default=None)


def credential(
    account: ImapAccount, memory: TokenMemory, http: httpx.AsyncClient, clock: Callable[[], float]
) -> Credential:
    """What opens ``account``."""
    return Password(account) if account.auth == "password" else Tokens(account, memory, http, clock)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
