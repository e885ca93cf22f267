"""`ingest imap login`: the first refresh token of an account, from a person who logs in with a browser.

By device code (RFC 8628) where the provider has it for mail, as Microsoft does. Google has none for mail, so there
the person opens an address, and brings back the address that the browser ends up at (RFC 8252, with PKCE, RFC 7636).
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
    Granted,
    TokenRefused,
    failure,
    granted,
    post_form,
    read_json,
    renewed,
    request_token,
    seconds,
)
from ingest.sources.imap.state import TokenMemory

USUAL_INTERVAL = 5.0
USUAL_LIFE = 900.0
STILL_WAITING = MappingProxyType({"authorization_pending": 0.0, "slow_down": 5.0})
"""Errors that mean: ask again, so many seconds later than before (RFC 8628 section 3.5)."""
REDIRECT = "http://127.0.0.1:1/"
"""Nobody listens there: the browser shows an error, and the address with the code in it."""
GOOGLE_AUTHORIZE = "https://accounts.google.com/o/oauth2/v2/auth"

Show = Callable[[str], None]
Ask = Callable[[str], Awaitable[str]]
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCode:
    """What the device authorization endpoint gives (RFC 8628 section 3.2); times in seconds."""

    device_code: str
    user_code: str
    address: str
    interval: float
    life: float


class LoginImpossible(Exception):
    """The account cannot be logged in this way. The text is one line that says what to do."""


async def login(
    account: ImapAccount,
    memory: TokenMemory,
    *,
    show: Show,
    ask: Ask,
    clock: Callable[[], float] = time.time,
    sleep: Sleep = asyncio.sleep,
) -> None:
    """Get a refresh token for ``account`` and save it. ``show`` tells the person what to do; ``ask`` wants an answer.

    Raises:
        LoginImpossible: the account needs no log-in, or its provider has no way for this.
        TokenRefused, TokenThrottled, TokenUnavailable, CredentialUnreadable: as their names say.
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
            grant = await _by_device(http, client, code, sleep)
        elif client.provider == "google":
            grant = await _by_browser(http, client, account.user, show, ask)
        else:
            raise LoginImpossible(f"account {account.name}: set device_url, or give a token by refresh_token_file")
    if not grant.refresh_token:
        raise LoginImpossible("the provider gave no refresh token: the scope must ask for one (offline_access)")
    await memory.save_token(account.name, renewed(grant, None, client, clock()))


async def _device_code(http: httpx.AsyncClient, client: OAuthClient, url: str) -> DeviceCode:
    form = urlencode({"client_id": client.client_id, "scope": client.scopes})
    status, headers, text = await post_form(http, url, form)
    told = read_json(text)
    if "device_code" not in told or "user_code" not in told:
        raise failure(status, headers, _error_in(told))
    return DeviceCode(
        device_code=str(told["device_code"]),
        user_code=str(told["user_code"]),
        address=str(told.get("verification_uri") or told.get("verification_url")),
        interval=seconds(told.get("interval")) or USUAL_INTERVAL,
        life=seconds(told.get("expires_in")) or USUAL_LIFE,
    )


async def _by_device(http: httpx.AsyncClient, client: OAuthClient, code: DeviceCode, sleep: Sleep) -> Granted:
    """Ask until the person has entered the code."""
    interval, waited = code.interval, 0.0
    while waited < code.life:
        await sleep(interval)
        waited += interval
        status, headers, text = await post_form(http, client.token_endpoint, _device_grant(client, code.device_code))
        try:
            return granted(client, text)
        except (OAuth2Error, ValueError) as error:
            name = getattr(error, "error", "")
            if name not in STILL_WAITING:
                raise failure(status, headers, error) from error
            interval += STILL_WAITING[name]
    raise TokenRefused("the code was not entered in time; run the command again")


def _device_grant(client: OAuthClient, device_code: str) -> str:
    secret = client.secret()
    extra = {"client_secret": secret} if secret else {}
    body: str = DeviceClient(client.client_id).prepare_request_body(
        device_code, scope=client.scopes, include_client_id=True, **extra
    )
    return body


async def _by_browser(http: httpx.AsyncClient, client: OAuthClient, user: str, show: Show, ask: Ask) -> Granted:
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
    answer = await ask("The browser ends at a page that it cannot show. Paste the address of that page")
    try:
        code = flow.parse_request_uri_response(answer.strip().replace("http://", "https://", 1), state=state)["code"]
    except (OAuth2Error, ValueError) as error:
        raise LoginImpossible(f"that address does not carry what was asked for ({error}); run it again") from error
    body = flow.prepare_request_body(
        code=code, redirect_uri=REDIRECT, code_verifier=verifier, client_secret=client.secret() or ""
    )
    return await request_token(http, client, body)


def _error_in(told: dict[str, object]) -> OAuth2Error:
    error = OAuth2Error(str(told.get("error_description", "")))
    error.error = str(told.get("error", ""))
    return error
