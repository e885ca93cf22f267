"""Logging in: LOGIN, and the SASL mechanisms PLAIN (RFC 4616), XOAUTH2 and OAUTHBEARER (RFC 7628)."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable

from ingest.config.imap_accounts import ImapAccount
from ingest.sources.imap.protocol import utf7
from ingest.sources.imap.protocol.client import Connection, Refused

SEPARATOR = "\x01"


class LoginRefused(Refused):
    """The server does not let us in. ``detail`` is what it said of an access token, if it said anything."""

    def __init__(self, refusal: Refused, detail: str) -> None:
        super().__init__(refusal.command, refusal.status)
        self.detail = detail


class NoCommonMechanism(Exception):
    """The server does not offer the way in which the account is to log in."""


async def log_in(connection: Connection, account: ImapAccount, secret: str) -> None:
    """Log in with ``secret``: the password, or an access token.

    Raises:
        LoginRefused, NoCommonMechanism, ConnectionLost: as their names say.
    """
    if connection.is_authenticated:
        return
    before = connection.capabilities
    if account.auth == "password":
        await _with_password(connection, account.user, secret)
    else:
        await _authenticate(connection, account.auth.upper(), _bearer(account, secret))
    if connection.capabilities is before:
        await connection.command("CAPABILITY")


async def _with_password(connection: Connection, user: str, password: str) -> None:
    """AUTHENTICATE PLAIN takes any password; LOGIN takes ASCII and is what old servers know."""
    if "AUTH=PLAIN" in connection.capabilities:
        return await _authenticate(connection, "PLAIN", f"\0{user}\0{password}")
    if "LOGINDISABLED" in connection.capabilities:
        raise NoCommonMechanism("the server takes no password on this connection")
    if not (user + password).isascii():
        raise NoCommonMechanism("the server takes only ASCII in user name and password")
    try:
        await connection.command("LOGIN", utf7.quoted(user), utf7.quoted(password))
    except Refused as refusal:
        raise LoginRefused(refusal, "") from None
    return None


async def _authenticate(connection: Connection, mechanism: str, response: str) -> None:
    """One message from us; where the server asks back, it has refused and explains why (RFC 7628 section 3.2.3)."""
    if f"AUTH={mechanism}" not in connection.capabilities:
        raise NoCommonMechanism(f"the server does not offer {mechanism}")
    encoded = b64encode(response.encode("utf-8"))
    explained: list[bytes] = []
    at_once = [encoded] if "SASL-IR" in connection.capabilities else []
    try:
        await connection.command(
            f"AUTHENTICATE {mechanism}",
            *at_once,
            on_challenge=_answers(encoded, bool(at_once), explained),
            shown=f"AUTHENTICATE {mechanism}",
        )
    except Refused as refusal:
        raise LoginRefused(refusal, _explanation(explained)) from None


def _answers(encoded: bytes, sent: bool, explained: list[bytes]) -> Callable[[bytes], bytes]:
    pending = [] if sent else [encoded]

    def answer(challenge: bytes) -> bytes:
        if pending:
            return pending.pop()
        explained.append(challenge)
        return b64encode(SEPARATOR.encode())

    return answer


def _bearer(account: ImapAccount, token: str) -> str:
    if account.auth == "xoauth2":
        return SEPARATOR.join([f"user={account.user}", f"auth=Bearer {token}", "", ""])
    escaped = account.user.replace("=", "=3D").replace(",", "=2C")
    parts = [
        f"n,a={escaped},",
        f"host={account.host}",
        f"port={account.tcp_port}",
        f"auth=Bearer {token}",
        "",
        "",
    ]
    return SEPARATOR.join(parts)


def _explanation(challenges: list[bytes]) -> str:
    try:
        told = json.loads(b64decode(b"".join(challenges)))
        return ", ".join(f"{key}: {value}" for key, value in told.items() if key != "schemes")
    except (ValueError, AttributeError):
        return ""
