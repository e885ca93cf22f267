"""Requests access tokens (RFC 6749) with a refresh token or with the application's secret, and caches them.

oauthlib builds the requests and parses the responses; httpx sends them. A provider may return a new refresh token with
each response and make the old one invalid, so the new one is saved before anything else happens. If it cannot be saved,
memory has the only copy: it is used, and saved as soon as the store can.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

import httpx
from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error, WebApplicationClient

from ingest import log
from ingest.config.imap_accounts import OAuthClient
from ingest.model.imap_folder import SavedToken
from ingest.sources.imap.auth.token_errors import (
    TokenRefused,
    TokenThrottled,
    TokenUnavailable,
    parse_seconds,
    token_error,
)
from ingest.sources.imap.timing import DAY_SECONDS
from ingest.store.imap import ImapStore

RENEW_BEFORE_SECONDS = 300.0
"""An access token is replaced this long before it ends, so that it does not end while we log in, nor by a clock that
differs from the provider's."""
DEFAULT_LIFE_SECONDS = 3_600.0
"""Life of an access token if the provider does not state it; the common value, and RFC 6749's own example."""
MICROSOFT_REFRESH_LIFE_SECONDS = 90 * DAY_SECONDS
"""Microsoft's refresh tokens end when they have not been used for this long; its responses do not say so."""
REQUEST_TIMEOUT_SECONDS = 30.0
"""A token endpoint that has not answered within this time is treated as unavailable, and asked again later."""
MAX_RESPONSE_BYTES = 256 * 1024
"""Bounds the memory that a token endpoint can use; real responses have a few kilobytes."""
FIRST_SAVE_RETRY_SECONDS = 0.25
"""Wait before a refresh token that the store did not take is saved again. It doubles with each failure."""
MAX_SAVE_RETRY_SECONDS = 30.0
"""Longest such wait: a full disk is not asked more often, and memory holds the only copy no longer than needed."""

__all__ = ["AccessTokens", "TokenGrant", "TokenRefused", "TokenThrottled", "TokenUnavailable"]

_log = log.get("imap")


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """A successful response of a token endpoint; times in seconds."""

    access_token: str
    expires_in: float
    refresh_token: str | None
    refresh_expires_in: float | None


@dataclass(frozen=True, slots=True)
class _UnsavedToken:
    """A refresh token that the store has not taken yet."""

    token: SavedToken
    replaces: str
    """The refresh token that the store had when this one was requested; ``""``: none."""


class AccessTokens:
    """Caches the access token of one account. If several folders ask at once, the provider is asked once."""

    def __init__(
        self,
        account: str,
        client: OAuthClient,
        store: ImapStore,
        http: httpx.AsyncClient,
        clock: Callable[[], float],
    ) -> None:
        self._account, self._client = account, client
        self._store, self._http, self._clock = store, http, clock
        self._renewal: asyncio.Task[None] | None = None
        self._saving: asyncio.Task[None] | None = None
        self._unsaved: _UnsavedToken | None = None
        self._token = ""
        self._ends_at = 0.0

    async def get(self) -> str:
        """Return an access token that is valid for ``RENEW_BEFORE_SECONDS`` at least. A request that has begun is
        finished even if the caller is cancelled, because its response may have the only valid refresh token.

        Raises:
            TokenRefused: the refresh token or the application's secret is not valid.
            TokenThrottled: the provider wants to be asked later.
            TokenUnavailable: the provider does not answer, or its response proves nothing.
            CredentialUnreadable: a file that holds a secret cannot be read.
            StoreUnavailable: the saved refresh token cannot be read now.
        """
        if self._renewal is None and self._clock() < self._ends_at - RENEW_BEFORE_SECONDS:
            return self._token
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._renew())
            self._renewal.add_done_callback(self._renewal_ended)
        await asyncio.shield(self._renewal)
        return self._token

    async def _renew(self) -> None:
        grant = await self._grant()
        self._token, self._ends_at = grant.access_token, self._clock() + grant.expires_in

    def _renewal_ended(self, task: asyncio.Task[None]) -> None:
        self._renewal = None
        if not task.cancelled():
            task.exception()  # whoever waits for it is told; asyncio must not warn where nobody does any more

    def reject(self, token: str) -> None:
        """Record that the mail server did not accept ``token``, so that ``get`` requests another one."""
        if token == self._token:
            self._ends_at = 0.0

    async def saved(self) -> SavedToken | None:
        """Return the refresh token to use: the latest one, unless the operator has supplied another since."""
        saved = await self._latest()
        first = self._client.first_refresh_token()
        if first is None or (saved and saved.origin in ("", token_digest(first))):
            return saved
        return SavedToken(refresh_token=first, saved_at=self._clock(), origin=token_digest(first))

    async def finish(self, seconds: float) -> None:
        """Wait up to ``seconds`` for a request that is on its way and for the saving of its refresh token, then give
        up. Call it before the HTTP client and the store are closed."""
        waited = [task for task in (self._renewal,) if task]
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(*waited, return_exceptions=True)
                if self._saving:
                    self._saving.cancel()
                await self._save_until_done()
        except TimeoutError:
            _log.error(
                "the new refresh token could not be saved; log in again if the mailbox is refused after a restart",
                account=self._account,
            )
        if self._saving:
            self._saving.cancel()

    async def _latest(self) -> SavedToken | None:
        """Return the store's token, or the one that replaced it and is not saved yet. If the store has another one by
        now, somebody has logged in or another worker was faster, and ours is void."""
        unsaved = self._unsaved
        try:
            stored = await self._store.token(self._account)
        except Exception:
            if unsaved is None:
                raise
            return unsaved.token
        if unsaved is None or self._unsaved is not unsaved:
            return stored
        if _refresh_token_of(stored) == unsaved.replaces:
            return unsaved.token
        self._unsaved = None
        return stored

    async def _grant(self) -> TokenGrant:
        if self._client.flow == "client_credentials":
            return await request_token(self._http, self._client, _client_credentials_body(self._client))
        saved = await self.saved()
        if saved is None:
            raise TokenRefused("nobody has logged in yet")
        try:
            return await self._refresh(saved)
        except TokenRefused:
            newer = await self._latest()
            if newer is None or newer.refresh_token == saved.refresh_token:
                raise
            return await self._refresh(newer)  # another worker was faster, and the provider rotates

    async def _refresh(self, saved: SavedToken) -> TokenGrant:
        stored = self._unsaved.replaces if self._unsaved else _refresh_token_of(await self._store.token(self._account))
        grant = await request_token(self._http, self._client, _refresh_token_body(self._client, saved.refresh_token))
        token = token_to_save(grant, saved, self._client, self._clock())
        self._unsaved = _UnsavedToken(token, stored)
        try:
            await self._save()
        except Exception as error:
            _log.warning(
                "the new refresh token is kept in memory until the store can save it",
                account=self._account,
                reason=f"{type(error).__name__}: {error}",
            )
            if self._saving is None or self._saving.done():
                self._saving = asyncio.create_task(self._save_until_done())
        return grant

    async def _save(self) -> None:
        """Save the latest refresh token if the store has not got it. Raises what the store raises."""
        unsaved = self._unsaved
        if unsaved is None:
            return
        if _refresh_token_of(await self._store.token(self._account)) == unsaved.replaces:
            await self._store.save_token(self._account, unsaved.token)
        if self._unsaved is unsaved:
            self._unsaved = None

    async def _save_until_done(self) -> None:
        wait = FIRST_SAVE_RETRY_SECONDS
        while self._unsaved:
            try:
                await self._save()
            except Exception as error:
                _log.debug("refresh token not saved yet", account=self._account, reason=f"{type(error).__name__}")
                await asyncio.sleep(wait)
                wait = min(2 * wait, MAX_SAVE_RETRY_SECONDS)


def _refresh_token_of(token: SavedToken | None) -> str:
    return token.refresh_token if token else ""


def token_to_save(grant: TokenGrant, saved: SavedToken | None, client: OAuthClient, now: float) -> SavedToken:
    """Return what to save after a grant: the new refresh token, or else the old one, whose life this use extended."""
    life = grant.refresh_expires_in
    if life is None and client.provider == "microsoft":
        life = MICROSOFT_REFRESH_LIFE_SECONDS
    return SavedToken(
        refresh_token=grant.refresh_token or (saved.refresh_token if saved else ""),
        saved_at=now,
        ends_at=now + life if life else None,
        origin=saved.origin if saved else "",
    )


def token_digest(refresh_token: str) -> str:
    """Return a digest that tells whether a token that the operator supplies is one we know already."""
    return hashlib.sha256(refresh_token.encode()).hexdigest()


async def request_token(http: httpx.AsyncClient, client: OAuthClient, body: str) -> TokenGrant:
    """Send a request to the token endpoint.

    Raises:
        TokenRefused: the provider says that the credential in ``body`` is not valid.
        TokenThrottled: the provider wants to be asked later.
        TokenUnavailable: the provider does not answer, or its response proves nothing.
    """
    status, headers, text = await post_form(http, client.token_endpoint, body)
    try:
        return parse_grant(client, text)
    except (OAuth2Error, ValueError) as error:
        raise token_error(status, headers, error) from error


def parse_grant(client: OAuthClient, text: str) -> TokenGrant:
    """Parse the response of a token endpoint.

    Raises:
        OAuth2Error: the response is an error, or has no token.
        ValueError: the response is not JSON of the expected form.
    """
    token = WebApplicationClient(client.client_id).parse_request_body_response(text)
    return TokenGrant(
        str(token["access_token"]),
        parse_seconds(token.get("expires_in")) or DEFAULT_LIFE_SECONDS,
        token.get("refresh_token"),
        parse_seconds(token.get("refresh_token_expires_in")),
    )


async def post_form(http: httpx.AsyncClient, url: str, body: str) -> tuple[int, httpx.Headers, str]:
    """Send a form by POST and return status, headers and body of the response.

    Raises:
        TokenUnavailable: there is no response in time, or it exceeds ``MAX_RESPONSE_BYTES``.
    """
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    try:
        async with (
            asyncio.timeout(REQUEST_TIMEOUT_SECONDS),
            http.stream("POST", url, content=body, headers=headers) as response,
        ):
            content = b""
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > MAX_RESPONSE_BYTES:
                    raise TokenUnavailable(f"{url} sends a response above {MAX_RESPONSE_BYTES} bytes")
            return response.status_code, response.headers, content.decode("utf-8", "replace")
    except (httpx.HTTPError, TimeoutError) as error:
        raise TokenUnavailable(f"{url} does not answer ({type(error).__name__}: {error})") from error


def _client_credentials_body(client: OAuthClient) -> str:
    body: str = BackendApplicationClient(client.client_id).prepare_request_body(
        scope=client.scopes, include_client_id=True, client_secret=client.secret()
    )
    return body


def _refresh_token_body(client: OAuthClient, refresh_token: str) -> str:
    secret = client.secret()
    extra = {"client_secret": secret} if secret else {}
    body: str = WebApplicationClient(client.client_id).prepare_refresh_body(
        refresh_token=refresh_token, scope=client.scopes, client_id=client.client_id, **extra
    )
    return body


def parse_json_object(text: str) -> dict[str, object]:
    """Return the JSON object in ``text``, or ``{}`` if there is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
