"""Access tokens (RFC 6749): got with a refresh token or with the application's own secret, kept until they end.

oauthlib writes the requests and reads the answers; httpx carries them. A provider may give a new refresh token with
each answer, and the old one may be worth nothing from then on: the new one is saved before anything else happens.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

import httpx
from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error, WebApplicationClient

from ingest.config.imap_accounts import OAuthClient
from ingest.log import printable
from ingest.model.imap_folder import SavedToken
from ingest.sources.imap.state import TokenMemory

EARLY = 300.0
"""Seconds before its end from which an access token is not used any more."""
USUAL_LIFE = 3_600.0
DAY = 86_400.0
MICROSOFT_REFRESH_LIFE = 90 * DAY
"""Microsoft's refresh tokens end when they have not been used for so long; its answers do not say so."""
REQUEST_SECONDS = 30.0
MAX_ANSWER = 256 * 1024

REFUSALS = frozenset(
    {
        "invalid_grant",
        "invalid_client",
        "unauthorized_client",
        "access_denied",
        "invalid_scope",
        "interaction_required",
        "consent_required",
        "login_required",
    }
)
"""Errors (RFC 6749 section 5.2, OpenID Connect Core section 3.1.2.6) that only a person can mend."""
THROTTLING = frozenset({"slow_down", "temporarily_unavailable"})


class TokenRefused(Exception):
    """The provider says that the refresh token, or the application's secret, is not valid."""


class TokenThrottled(Exception):
    """The provider wants to be asked later. ``retry_after`` is in seconds, ``None`` where it does not say."""

    def __init__(self, text: str, retry_after: float | None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class TokenUnavailable(Exception):
    """The provider does not answer, or says nothing that proves anything."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What a token endpoint gave."""

    access_token: str
    expires_in: float
    refresh_token: str | None
    refresh_expires_in: float | None


class AccessTokens:
    """The access tokens of one account. Several folders may ask at once; the provider is asked once."""

    def __init__(
        self,
        account: str,
        client: OAuthClient,
        memory: TokenMemory,
        http: httpx.AsyncClient,
        clock: Callable[[], float],
    ) -> None:
        self._account, self._client = account, client
        self._memory, self._http, self._clock = memory, http, clock
        self._lock = asyncio.Lock()
        self._token = ""
        self._ends_at = 0.0

    async def get(self) -> str:
        """An access token that is good for some minutes more.

        Raises:
            TokenRefused, TokenThrottled, TokenUnavailable, CredentialUnreadable: as their names say.
        """
        async with self._lock:
            if self._clock() >= self._ends_at - EARLY:
                grant = await self._grant()
                self._token, self._ends_at = grant.access_token, self._clock() + grant.expires_in
            return self._token

    def reject(self, token: str) -> None:
        """The mail server did not accept ``token``: get another next time."""
        if token == self._token:
            self._ends_at = 0.0

    async def saved(self) -> SavedToken | None:
        """The refresh token to use: the saved one, unless the operator has supplied another since."""
        saved = await self._memory.token(self._account)
        first = self._client.first_refresh_token()
        if first is None or (saved and saved.origin in ("", origin_of(first))):
            return saved
        return SavedToken(refresh_token=first, saved_at=self._clock(), origin=origin_of(first))

    async def _grant(self) -> Granted:
        if self._client.flow == "client_credentials":
            return await request_token(self._http, self._client, _own_grant(self._client))
        saved = await self.saved()
        if saved is None:
            raise TokenRefused("nobody has logged in yet")
        try:
            return await self._refresh(saved)
        except TokenRefused:
            newer = await self._memory.token(self._account)
            if newer is None or newer.refresh_token == saved.refresh_token:
                raise
            return await self._refresh(newer)  # another worker was faster, and the provider rotates

    async def _refresh(self, saved: SavedToken) -> Granted:
        grant = await request_token(self._http, self._client, _refresh_grant(self._client, saved.refresh_token))
        await self._memory.save_token(self._account, renewed(grant, saved, self._client, self._clock()))
        return grant


def renewed(grant: Granted, saved: SavedToken | None, client: OAuthClient, now: float) -> SavedToken:
    """What to save after a grant: the new refresh token, or the old one, whose life use has prolonged."""
    life = grant.refresh_expires_in
    if life is None and client.provider == "microsoft":
        life = MICROSOFT_REFRESH_LIFE
    return SavedToken(
        refresh_token=grant.refresh_token or (saved.refresh_token if saved else ""),
        saved_at=now,
        ends_at=now + life if life else None,
        origin=saved.origin if saved else "",
    )


def origin_of(refresh_token: str) -> str:
    """The digest by which a supplied token is known again."""
    return hashlib.sha256(refresh_token.encode()).hexdigest()


async def request_token(http: httpx.AsyncClient, client: OAuthClient, body: str) -> Granted:
    """Ask the token endpoint.

    Raises:
        TokenRefused, TokenThrottled, TokenUnavailable: as their names say.
    """
    status, headers, text = await post_form(http, client.token_endpoint, body)
    try:
        return granted(client, text)
    except (OAuth2Error, ValueError) as error:
        raise failure(status, headers, error) from error


def granted(client: OAuthClient, text: str) -> Granted:
    """What a token endpoint's answer gives.

    Raises:
        OAuth2Error, ValueError: it is no token.
    """
    token = WebApplicationClient(client.client_id).parse_request_body_response(text)
    return Granted(
        str(token["access_token"]),
        seconds(token.get("expires_in")) or USUAL_LIFE,
        token.get("refresh_token"),
        seconds(token.get("refresh_token_expires_in")),
    )


async def post_form(http: httpx.AsyncClient, url: str, body: str) -> tuple[int, httpx.Headers, str]:
    """Post a form and read the answer, as far as it is worth reading.

    Raises:
        TokenUnavailable: there is no answer.
    """
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    try:
        async with (
            asyncio.timeout(REQUEST_SECONDS),
            http.stream("POST", url, content=body, headers=headers) as response,
        ):
            answer = b""
            async for chunk in response.aiter_bytes():
                answer += chunk
                if len(answer) > MAX_ANSWER:
                    raise TokenUnavailable(f"{url} sends an answer without an end")
            return response.status_code, response.headers, answer.decode("utf-8", "replace")
    except (httpx.HTTPError, TimeoutError) as error:
        raise TokenUnavailable(f"{url} does not answer ({type(error).__name__}: {error})") from error


def failure(status: int, headers: httpx.Headers, error: Exception) -> Exception:
    """What an answer without a token means."""
    name = (error.error or "") if isinstance(error, OAuth2Error) else ""
    said = printable(f"{name} {getattr(error, 'description', '')}".strip() or f"HTTP status {status}", 200)
    text = f"the provider gives no token ({said})"
    if status == httpx.codes.TOO_MANY_REQUESTS or name in THROTTLING:
        return TokenThrottled(text, seconds(headers.get("Retry-After")))
    if status < httpx.codes.INTERNAL_SERVER_ERROR and name in REFUSALS:
        return TokenRefused(text)
    return TokenUnavailable(text)


def _own_grant(client: OAuthClient) -> str:
    body: str = BackendApplicationClient(client.client_id).prepare_request_body(
        scope=client.scopes, include_client_id=True, client_secret=client.secret()
    )
    return body


def _refresh_grant(client: OAuthClient, refresh_token: str) -> str:
    secret = client.secret()
    extra = {"client_secret": secret} if secret else {}
    body: str = WebApplicationClient(client.client_id).prepare_refresh_body(
        refresh_token=refresh_token, scope=client.scopes, client_id=client.client_id, **extra
    )
    return body


def seconds(value: object) -> float | None:
    """A duration as a provider writes it; ``None`` where it is none."""
    try:
        return max(0.0, float(str(value)))
    except ValueError:
        return None


def read_json(text: str) -> dict[str, object]:
    """The object in an answer; ``{}`` where there is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
