"""`ingest imap login`: gets the first refresh token of an account, with a person who logs in by browser.

The device flow (RFC 8628) is used if the provider has it for mail, as Microsoft does. Google does not, so there the
person opens an address, and pastes the address that the browser ends up at (RFC 8252, with PKCE, RFC 7636).
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlencode

import httpx
from oauthlib.oauth2 import DeviceClient, OAuth2Error, WebApplicationClient

from ingest.config.imap_accounts import ImapAccount, OAuthClient
from ingest.sources.imap.auth.oauth import (
    TokenGrant,
    parse_grant,
    parse_json_object,
    post_form,
    request_token,
    token_to_save,
)
from ingest.sources.imap.auth.token_errors import TokenRefused, parse_seconds, token_error
from ingest.store.imap import ImapStore

DEFAULT_INTERVAL_SECONDS = 5.0
"""Interval of polling if the provider states none, as RFC 8628 section 3.2 requires."""
DEFAULT_LIFE_SECONDS = 900.0
"""How long we wait for the person if the provider does not say how long its code lives; Microsoft's live as long."""
PENDING_ERRORS = MappingProxyType({"authorization_pending": 0.0, "slow_down": 5.0})
"""Errors that mean that the person has not entered the code yet, and by how many seconds each of them lengthens the
interval of polling (RFC 8628 section 3.5)."""
REDIRECT = "http://127.0.0.1:1/"
"""Nothing listens there, so the browser shows an error page; its address contains the authorization code."""
GOOGLE_AUTHORIZE = "https://accounts.google.com/o/oauth2/v2/auth"

Show = Callable[[str], None]
Ask = Callable[[str], Awaitable[str]]
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCode:
    """A response of the device authorization endpoint (RFC 8628 section 3.2); times in seconds."""

    device_code: str
    user_code: str
    address: str
    interval: float
    life: float


class LoginImpossible(Exception):
    """The account cannot be logged in by browser. The text is one line that says what to do."""


async def login(
    account: ImapAccount,
    store: ImapStore,
    *,
    show: Show,
    ask: Ask,
    clock: Callable[[], float] = time.time,
    sleep: Sleep = asyncio.sleep,
) -> None:
    """Get a refresh token for ``account`` and save it. ``show`` tells the person what to do; ``ask`` prompts for text.

    Raises:
        LoginImpossible: the account needs no log-in, its provider has no flow for it, or the pasted text is wrong.
        TokenRefused: the person or the provider refused, or the code was not entered in time.
        TokenThrottled: the provider wants to be asked later.
        TokenUnavailable: the provider does not answer, or its response proves nothing.
        CredentialUnreadable: a file that holds a secret cannot be read.
    """
    client = account.oauth
    if client is None or account.auth == "password":
        raise LoginImpossible(f"account {account.name} logs in with a password; there is no token to get")
    if client.flow == "client_credentials":
        raise LoginImpossible(f"account {account.name} uses the application's own secret; nobody has to log in")
    async with httpx.AsyncClient(trust_env=False) as http:
        if client.device_endpoint:
            code = await _device_code(http, client, client.device_endpoint)
            show(f"Open {code.address} in a browser, log in as {account.user}, and enter the code {code.user_code}")
            grant = await _device_flow(http, client, code, sleep)
        elif client.provider == "google":
            grant = await _browser_flow(http, client, account.user, show, ask)
        else:
            raise LoginImpossible(f"account {account.name}: set device_url, or give a token by refresh_token_file")
    if not grant.refresh_token:
        raise LoginImpossible("the provider gave no refresh token: the scope must ask for one (offline_access)")
    await store.save_token(account.name, token_to_save(grant, None, client, clock()))


async def _device_code(http: httpx.AsyncClient, client: OAuthClient, url: str) -> DeviceCode:
    form = urlencode({"client_id": client.client_id, "scope": client.scopes})
    status, headers, text = await post_form(http, url, form)
    fields = parse_json_object(text)
    if "device_code" not in fields or "user_code" not in fields:
        raise token_error(status, headers, _error_in(fields))
    return DeviceCode(
        device_code=str(fields["device_code"]),
        user_code=str(fields["user_code"]),
        address=str(fields.get("verification_uri") or fields.get("verification_url")),
        interval=parse_seconds(fields.get("interval")) or DEFAULT_INTERVAL_SECONDS,
        life=parse_seconds(fields.get("expires_in")) or DEFAULT_LIFE_SECONDS,
    )


async def _device_flow(http: httpx.AsyncClient, client: OAuthClient, code: DeviceCode, sleep: Sleep) -> TokenGrant:
    """Poll the token endpoint until the person has entered the code (RFC 8628 section 3.4)."""
    interval, waited = code.interval, 0.0
    while waited < code.life:
        await sleep(interval)
        waited += interval
        status, headers, text = await post_form(
            http, client.token_endpoint, _device_token_body(client, code.device_code)
        )
        try:
            return parse_grant(client, text)
        except (OAuth2Error, ValueError) as error:
            name = getattr(error, "error", "")
            if name not in PENDING_ERRORS:
                raise token_error(status, headers, error) from error
            interval += PENDING_ERRORS[name]
    raise TokenRefused("the code was not entered in time; run the command again")


def _device_token_body(client: OAuthClient, device_code: str) -> str:
    secret = client.secret()
    extra = {"client_secret": secret} if secret else {}
    body: str = DeviceClient(client.client_id).prepare_request_body(
        device_code, scope=client.scopes, include_client_id=True, **extra
    )
    return body


async def _browser_flow(http: httpx.AsyncClient, client: OAuthClient, user: str, show: Show, ask: Ask) -> TokenGrant:
    flow = WebApplicationClient(client.client_id)
    verifier = flow.create_code_verifier(64)
    state = secrets.token_urlsafe(24)
    address = flow.prepare_request_uri(
        GOOGLE_AUTHORIZE,
        redirect_uri=REDIRECT,
        scope=client.scopes,
        state=state,
        code_challenge=flow.create_code_challenge(verifier, "S256"),
        code_challenge_method="S256",
        access_type="offline",
        prompt="consent",
        login_hint=user,
    )
    show(f"Open this address in a browser and log in as {user}:\n{address}")
    pasted = await ask("The browser ends at a page that it cannot show. Paste the address of that page")
    try:
        code = flow.parse_request_uri_response(pasted.strip().replace("http://", "https://", 1), state=state)["code"]
    except (OAuth2Error, ValueError) as error:
        raise LoginImpossible(
            f"that address does not contain the authorization code ({error}); run the command again"
        ) from error
    body = flow.prepare_request_body(
        code=code, redirect_uri=REDIRECT, code_verifier=verifier, client_secret=client.secret() or ""
    )
    return await request_token(http, client, body)


def _error_in(fields: dict[str, object]) -> OAuth2Error:
    error = OAuth2Error(str(fields.get("error_description", "")))
    error.error = str(fields.get("error", ""))
    return error
