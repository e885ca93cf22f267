"""Logs in by LOGIN or by the SASL mechanisms PLAIN (RFC 4616), XOAUTH2 and OAUTHBEARER (RFC 7628)."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable

from ingest.config.imap_accounts import ImapAccount
from ingest.sources.imap.protocol import utf7
from ingest.sources.imap.protocol.client import CommandRefused, ImapConnection

SEPARATOR = "\x01"
"""Separates the fields of an XOAUTH2 or OAUTHBEARER message (RFC 7628 section 3.1), and alone ends a refused one."""

MAX_LINE_BYTES = 8_000
"""Longest command line that every server takes (RFC 7162 section 4). A longer initial response is sent as the answer to
a continuation request, which servers take longer."""


class LoginRefused(CommandRefused):
    """The server refused the log-in. ``detail`` is its explanation of why an access token was refused, or ``""``."""

    def __init__(self, refusal: CommandRefused, detail: str) -> None:
        super().__init__(refusal.command, refusal.status)
        self.detail = detail


class NoCommonMechanism(Exception):
    """The server does not offer the log-in mechanism that the account needs."""


async def log_in(connection: ImapConnection, account: ImapAccount, secret: str) -> None:
    """Log in with ``secret``: the password, or an access token.

    Raises:
        LoginRefused: wrong credentials, or the server refuses for another reason.
        NoCommonMechanism: the server offers no mechanism that the account can use.
        ConnectionLost: the connection cannot be used any more.
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


async def _with_password(connection: ImapConnection, user: str, password: str) -> None:
    """Prefer AUTHENTICATE PLAIN, which takes any password; fall back to LOGIN, which old servers know and which takes
    ASCII only."""
    if "AUTH=PLAIN" in connection.capabilities:
        return await _authenticate(connection, "PLAIN", f"\0{user}\0{password}")
    if "LOGINDISABLED" in connection.capabilities:
        raise NoCommonMechanism("the server takes no password on this connection")
    if not (user + password).isascii():
        raise NoCommonMechanism("the server takes only ASCII in user name and password")
    try:
        await connection.command("LOGIN", utf7.quoted_string(user), utf7.quoted_string(password))
    except CommandRefused as refusal:
        raise LoginRefused(refusal, "") from None
    return None


async def _authenticate(connection: ImapConnection, mechanism: str, response: str) -> None:
    """Send one SASL message. If the server then sends a challenge, it has refused: the challenge explains why
    (RFC 7628 section 3.2.3)."""
    if f"AUTH={mechanism}" not in connection.capabilities:
        raise NoCommonMechanism(f"the server does not offer {mechanism}")
    encoded = b64encode(response.encode("utf-8"))
    explanations: list[bytes] = []
    fits = len(encoded) + len(mechanism) + len("i999 AUTHENTICATE  \r\n") <= MAX_LINE_BYTES
    initial = [encoded] if fits and "SASL-IR" in connection.capabilities else []
    try:
        await connection.command(
            f"AUTHENTICATE {mechanism}",
            *initial,
            on_challenge=_challenge_handler(encoded, bool(initial), explanations),
            shown=f"AUTHENTICATE {mechanism}",
        )
    except CommandRefused as refusal:
        raise LoginRefused(refusal, _explanation(explanations)) from None


def _challenge_handler(encoded: bytes, sent: bool, explanations: list[bytes]) -> Callable[[bytes], bytes]:
    """Return a function that responds to challenges: to the first one with ``encoded`` unless that was ``sent``
    already; to all others, which are collected in ``explanations``, with the empty response that ends the exchange."""
    pending = [] if sent else [encoded]

    def respond(challenge: bytes) -> bytes:
        if pending:
            return pending.pop()
        explanations.append(challenge)
        return b64encode(SEPARATOR.encode())

    return respond


def _bearer(account: ImapAccount, token: str) -> str:
    if account.auth == "xoauth2":
        return SEPARATOR.join([f"user={account.user}", f"auth=Bearer {token}", "", ""])
    escaped = account.user.replace("=", "=3D").replace(",", "=2C")
    fields = [
        f"n,a={escaped},",
        f"host={account.host}",
        f"port={account.tcp_port}",
        f"auth=Bearer {token}",
        "",
        "",
    ]
    return SEPARATOR.join(fields)


def _explanation(challenges: list[bytes]) -> str:
    try:
        details = json.loads(b64decode(b"".join(challenges)))
        return ", ".join(f"{key}: {value}" for key, value in details.items() if key != "schemes")
    except (ValueError, AttributeError):
        return ""
