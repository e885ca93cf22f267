"""Folder names on the wire: modified UTF-7 (RFC 3501 section 5.1.3) in quotes."""

import re
from base64 import b64decode, b64encode

_NOT_PRINTABLE_ASCII = re.compile(r"[^\x20-\x7e]+")
_SHIFTED = re.compile(r"&([A-Za-z0-9+,]*)-")


def quoted(text: str) -> bytes:
    """``text``, which must be ASCII without line ends, as a quoted string."""
    return b'"' + re.sub(rb'(["\\])', rb"\\\1", text.encode("ascii")) + b'"'


def mailbox(name: str) -> bytes:
    """A folder's name as it goes to the server."""
    escaped = name.replace("&", "&-")
    return quoted(_NOT_PRINTABLE_ASCII.sub(lambda run: _shift(run[0]), escaped))


def readable(name: bytes) -> str:
    """A folder's name as people write it; what is no modified UTF-7 stays as it is."""
    text = name.decode("utf-8", "replace")
    return _SHIFTED.sub(_unshift, text)


def _shift(text: str) -> str:
    encoded = b64encode(text.encode("utf-16-be")).decode("ascii")
    return f"&{encoded.rstrip('=').replace('/', ',')}-"


def _unshift(match: re.Match[str]) -> str:
    encoded = match[1].replace(",", "/")
    if not encoded:
        return "&"
    try:
        return b64decode(encoded + "=" * (-len(encoded) % 4)).decode("utf-16-be")
    except ValueError:
        return match[0]
