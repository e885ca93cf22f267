"""Parses the paths of MAIL and RCPT (RFC 5321 section 4.1.2, RFC 6531), and decides which recipients are ours."""

import re
from collections.abc import Collection

_ATOM = r"[^\s<>()\[\]\\,;:\"@\x00-\x20\x7f]"
_QUOTED = r'"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*"'
_DOMAIN = r"(?:\w[\w.-]*|\[[0-9A-Za-z.:-]+\])"
_PATH = re.compile(
    rf"<(?:@[\w.,@-]+:)?(?P<mailbox>(?P<local>{_ATOM}+|{_QUOTED})@(?P<domain>{_DOMAIN})|(?i:postmaster)|)>"
    r"(?P<parameters>(?:[ ]+[\x21-\x7e]+)*)[ ]*"
)
_ESCAPE = re.compile(r"\\(.)")
MAX_PATH_CHARACTERS = 1000
"""Longest path. RFC 5321 section 4.5.3.1.3 asks for 256 at least, and addresses of mailing lists exceed it."""
NULL_PATH = "<>"
"""The null reverse-path as aiosmtpd's envelope keeps it, which uses the empty string for
"no MAIL yet"."""


class PathError(ValueError):
    """The text after ``MAIL FROM:`` or ``RCPT TO:`` is no path."""


def parse_path(argument: str) -> tuple[str, str]:
    """Return the mailbox of a path (``NULL_PATH`` if it is empty) and the parameters after it.

    A source route is accepted and ignored, as RFC 5321 appendix C asks; ``<postmaster>`` needs no domain.

    Raises:
        PathError: the argument is no path, is not printable, or exceeds ``MAX_PATH_CHARACTERS``.
    """
    match = _PATH.fullmatch(argument)
    if not match or len(match["mailbox"]) > MAX_PATH_CHARACTERS or not argument.isprintable():
        raise PathError
    return match["mailbox"] or NULL_PATH, match["parameters"]


def refuse_recipient(mailbox: str, domains: Collection[str], local_parts: Collection[str]) -> str | None:
    """Return the reply that refuses a recipient, or ``None`` for one of ours.

    ``local_parts`` are without ``+detail`` (RFC 5233), and ``*`` stands for all. Case is ignored.
    Postmaster always exists (RFC 5321 section 4.5.1).
    """
    local, at, domain = mailbox.lower().rpartition("@")
    if at and domain.rstrip(".") not in domains:
        return "550 5.7.1 Relaying denied"
    name = _unquoted(local if at else domain).partition("+")[0]
    if name == "postmaster" or "*" in local_parts or name in local_parts:
        return None
    return "550 5.1.1 No such recipient here"


def _unquoted(local: str) -> str:
    return _ESCAPE.sub(r"\1", local[1:-1]) if local.startswith('"') else local
