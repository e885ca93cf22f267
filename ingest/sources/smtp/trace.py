"""The trace field that we put before a mail (RFC 5321 section 4.4): what we know, in words that no client can bend."""

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

_UNSAFE_NAME = re.compile(r"[^A-Za-z0-9.:_\[\]-]")
_SAFE_MAILBOX = re.compile(r"[!#-\'*+\-./0-9=?A-Z^_`a-z{|}~]+@[A-Za-z0-9.\[\]:_-]+")
MAX_NAME_CHARACTERS = 255


def protocol(*, lmtp: bool, extended: bool, tls: bool, utf8: bool) -> str:
    """The protocol as IANA's register of mail transmission types names it (RFC 3848, RFC 6531)."""
    if utf8:
        return ("UTF8LMTP" if lmtp else "UTF8SMTP") + "S" * tls
    if lmtp:
        return "LMTP" + "S" * tls
    return "ESMTP" + "S" * tls if extended or tls else "SMTP"


def received_field(
    *, helo: str, client: str, hostname: str, with_protocol: str, recipient: str | None, received_at: float
) -> bytes:
    """A whole ``Received:`` field with its line ends, in ASCII.

    ``recipient`` is told only where there is exactly one, or a blind copy would not be blind. What the client said is
    reduced to the characters of names and addresses: it can add neither a field nor a comment.
    """
    name = _UNSAFE_NAME.sub("?", helo[:MAX_NAME_CHARACTERS]) or "unknown"
    literal = f"IPv6:{client}" if ":" in client else client
    told = recipient is not None and len(recipient) <= MAX_NAME_CHARACTERS and _SAFE_MAILBOX.fullmatch(recipient)
    lines = (
        f"Received: from {name} ([{literal}])",
        f"\tby {hostname} with {with_protocol}" + (f"\r\n\tfor <{recipient}>" if told else "") + ";",
        f"\t{_date(int(received_at))}\r\n",
    )
    return "\r\n".join(lines).encode("ascii", "replace")


@lru_cache(maxsize=4)
def _date(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC))
