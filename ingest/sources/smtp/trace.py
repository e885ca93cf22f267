"""Builds the ``Received`` field that we put before a message (RFC 5321 section 4.4), so that no client can forge it."""

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

_UNSAFE_NAME = re.compile(r"[^A-Za-z0-9.:_\[\]-]")
_SAFE_MAILBOX = re.compile(r"[!#-\'*+\-./0-9=?A-Z^_`a-z{|}~]+@[A-Za-z0-9.\[\]:_-]+")
MAX_NAME_CHARACTERS = 255
"""Longest host name or address that is copied into the field; DNS names are no longer (RFC 1035 section 2.3.4)."""


def protocol(*, lmtp: bool, extended: bool, tls: bool, utf8: bool) -> str:
    """Return the protocol's name in IANA's registry of mail transmission types (RFC 3848, RFC 6531)."""
    if utf8:
        return ("UTF8LMTP" if lmtp else "UTF8SMTP") + "S" * tls
    if lmtp:
        return "LMTP" + "S" * tls
    return "ESMTP" + "S" * tls if extended or tls else "SMTP"


def received_field(
    *, helo: str, client: str, hostname: str, with_protocol: str, recipient: str | None, received_at: float
) -> bytes:
    """Return a whole ``Received:`` field with its line ends, in ASCII.

    Pass ``recipient`` only if there is exactly one, or a blind copy would not be blind. What the client said is reduced
    to the characters of names and addresses, so it can add neither a field nor a comment.
    """
    name = _UNSAFE_NAME.sub("?", helo[:MAX_NAME_CHARACTERS]) or "unknown"
    literal = f"IPv6:{client}" if ":" in client else client
    shown = recipient is not None and len(recipient) <= MAX_NAME_CHARACTERS and _SAFE_MAILBOX.fullmatch(recipient)
    lines = (
        f"Received: from {name} ([{literal}])",
        f"\tby {hostname} with {with_protocol}" + (f"\r\n\tfor <{recipient}>" if shown else "") + ";",
        f"\t{_date(int(received_at))}\r\n",
    )
    return "\r\n".join(lines).encode("ascii", "replace")


@lru_cache(maxsize=4)
def _date(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC))
