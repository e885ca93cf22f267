"""Encodes and decodes folder names: quoted modified UTF-7 (RFC 3501 section 5.1.3)."""

import re
from base64 import b64decode, b64encode

_NOT_PRINTABLE_ASCII = re.compile(r"[^\x20-\x7e]+")
_SHIFTED = re.compile(r"&([A-Za-z0-9+,]*)-")


def quoted_string(text: str) -> bytes:
    """Return ``text``, which must be ASCII without line ends, as a quoted string."""
    return b'"' + re.sub(rb'(["\\])', rb"\\\1", text.encode("ascii")) + b'"'


def encode_folder(name: str) -> bytes:
    """Return a folder's name as it is sent to the server."""
    escaped = name.replace("&", "&-")
    return quoted_string(_NOT_PRINTABLE_ASCII.sub(lambda run: _shift(run[0]), escaped))


def decode_folder(name: bytes) -> str:
    """Return a folder's name in Unicode. Invalid modified UTF-7 is left as it is."""
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
