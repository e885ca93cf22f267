"""The credential of an account, a password or OAuth access tokens, and when it ends."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, time
from typing import Protocol

import httpx

from ingest.config.imap_accounts import CredentialUnreadable, ImapAccount, OAuthClient
from ingest.sources.imap.auth.oauth import AccessTokens
from ingest.store.imap import ImapStore


class Credential(Protocol):
    """A source of credentials for one account (password or OAuth token)."""

    async def get(self) -> str:
        """Return the password or a valid access token.

        Raises:
            CredentialUnreadable: a file that holds a secret cannot be read.
            TokenRefused: the provider says that the refresh token or the application's secret is not valid.
            TokenThrottled: the provider wants to be asked later.
            TokenUnavailable: the provider does not answer, or its response proves nothing.
        """
        ...

    def reject(self, secret: str) -> None:
        """Record that the mail server did not accept ``secret``, so that ``get`` returns another one if it can."""
        ...

    async def fingerprint(self) -> str:
        """Return a digest that changes when the operator supplies another credential."""
        ...

    async def ends_at(self) -> float | None:
        """Return the Unix time at which the credential ends, or ``None`` if that is not known."""
        ...

    async def finish(self, seconds: float) -> None:
        """Finish what has begun within ``seconds``, such as the saving of a new refresh token. It is called last."""
        ...


class PasswordCredential:
    """A password from the settings. A password file is read each time, so a new one counts at once."""

    def __init__(self, account: ImapAccount) -> None:
        self._account = account

    async def get(self) -> str:
        """Return the password. Raises ``CredentialUnreadable`` if its file cannot be read."""
        return self._account.read_password()

    def reject(self, secret: str) -> None:
        """Do nothing: there is no other password to return."""

    async def fingerprint(self) -> str:
        """Return a digest of the password; ``""`` if its file cannot be read."""
        try:
            return _digest(self._account.read_password())
        except CredentialUnreadable:
            return ""

    async def ends_at(self) -> float | None:
        """Return ``None``: a password has no known end."""
        return None

    async def finish(self, seconds: float) -> None:
        """Do nothing: nothing is ever on its way."""


class TokenCredential:
    """OAuth access tokens, which a refresh token or the application's secret gives."""

    def __init__(
        self, account: ImapAccount, store: ImapStore, http: httpx.AsyncClient, clock: Callable[[], float]
    ) -> None:
        assert account.oauth is not None  # the settings were checked
        self._client: OAuthClient = account.oauth
        self._tokens = AccessTokens(account.name, self._client, store, http, clock)

    async def get(self) -> str:
        """Return an access token that is still valid, a new one if need be. It raises as ``Credential.get`` does."""
        return await self._tokens.get()

    def reject(self, secret: str) -> None:
        """Forget this access token, so that ``get`` asks the provider for a new one."""
        self._tokens.reject(secret)

    async def fingerprint(self) -> str:
        """Return a digest of the refresh token and the application's secret; ``""`` if a file cannot be read."""
        try:
            saved = await self._tokens.saved()
            return _digest(f"{saved.refresh_token if saved else ''} {self._client.secret()}")
        except CredentialUnreadable:
            return ""

    async def ends_at(self) -> float | None:
        """Return the earlier end of the application's secret and, in that flow, of the refresh token."""
        ends = []
        if self._client.client_secret_ends is not None:
            ends.append(datetime.combine(self._client.client_secret_ends, time(), UTC).timestamp())
        if self._client.flow == "refresh_token":
            saved = await self._tokens.saved()
            ends += [saved.ends_at] if saved and saved.ends_at else []
        return min(ends, default=None)

    async def finish(self, seconds: float) -> None:
        """Wait for a request for a token and the saving of what it gives, at most ``seconds``."""
        await self._tokens.finish(seconds)


def credential_for(
    account: ImapAccount, store: ImapStore, http: httpx.AsyncClient, clock: Callable[[], float]
) -> Credential:
    """Return the credential configured for ``account``."""
    return PasswordCredential(account) if account.auth == "password" else TokenCredential(account, store, http, clock)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
