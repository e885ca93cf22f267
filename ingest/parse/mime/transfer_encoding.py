"""Undoes Content-Transfer-Encoding (RFC 2045 section 6), with the misspelt names and the faults that mail has."""

import binascii
import re
from typing import Literal, NamedTuple

from ingest.parse.limits import MAX_BASE64_BLOCKS
from ingest.parse.mime.uuencode import decode_lines

Encoding = Literal["identity", "base64", "quoted-printable", "uuencode"]

_NAMES: dict[str, Encoding] = {
    "base64": "base64",
    "base-64": "base64",
    "b64": "base64",
    "b": "base64",
    "quoted-printable": "quoted-printable",
    "quotedprintable": "quoted-printable",
    "quoted": "quoted-printable",
    "qp": "quoted-printable",
    "q": "quoted-printable",
    "uuencode": "uuencode",
    "x-uuencode": "uuencode",
    "uue": "uuencode",
    "x-uue": "uuencode",
}
_IDENTITY = re.compile(r"|(?:7|8)-?bits?|binary|none|plain|ascii|us-ascii|utf-?8|text/.*|iso-8859-\d+|(?:7|8)")
_BASE64_DATA = re.compile(rb"[A-Za-z0-9+/]*")
_WHITE_SPACE_AND_PADDING = b" \t\r\n="
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]+")
_BASE64_LINES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n"
_SIGN = re.compile(rb"[^A-Za-z0-9+/=\s]")
_GAP = re.compile(rb"(?<=\S)[ \t]+\S")
_NO_DATA = re.compile(_SIGN.pattern + b"|" + _GAP.pattern)
"""What no line of base64 has: a character outside its alphabet, or a space in its middle."""
_TEXT_AFTER = "text after the end of the base64 data"
_AFTER_PADDING = re.compile(rb"=[=\s]*")
_SOFT_SPACE = re.compile(rb"=[ \t]+(?=\r?\n)")
_AROUND = " \t\r\n\"';,:."
_SAMPLE_BYTES = 4096
"""How much is looked at to tell words from base64; some dozens of lines are enough."""


class DecodedBytes(NamedTuple):
    """Decoded bytes, what was wrong with their encoding (``""`` if nothing), and text that a server added below."""

    octets: bytes
    repair: str = ""
    footer: bytes = b""

    @property
    def text(self) -> bytes:
        """The bytes with the footer, as a text has it; a file is without it."""
        return self.octets + b"\n" + self.footer if self.footer else self.octets


def decode_transfer_encoding(octets: bytes, name: str) -> DecodedBytes:
    """Undo the encoding ``name``. Never fails: what cannot be decoded is returned unchanged or in part."""
    label = _label(name)
    encoding = _NAMES.get(label)
    if encoding == "base64":
        return _decode_base64(octets)
    if encoding == "quoted-printable":
        return DecodedBytes(binascii.a2b_qp(_SOFT_SPACE.sub(b"=", octets)))
    if encoding == "uuencode":
        return DecodedBytes(decode_lines(octets))
    known = _IDENTITY.fullmatch(label) is not None
    return DecodedBytes(octets, "" if known else f"{label[:40]!r} is no known transfer encoding; read as it stands")


def _label(name: str) -> str:
    """Normalise the name, and drop what senders put around it: quotes, punctuation, a comment, a parameter."""
    bare = name.strip(_AROUND).partition(";")[0].partition("(")[0]
    return bare.strip(_AROUND).lower().replace(" ", "-").replace("_", "-")


def transforms(name: str) -> bool:
    """Whether the encoding of that name has to be undone."""
    return _label(name) in _NAMES


def _decode_base64(octets: bytes) -> DecodedBytes:
    start = _start_of_words(octets)
    data = _decode_block(octets[:start]).octets
    if _is_prose(octets[:_SAMPLE_BYTES]) and not _is_text(data):
        return DecodedBytes(octets, "declared base64 and is not; read as it stands")
    if start:
        return DecodedBytes(data, _TEXT_AFTER, octets[start:])
    padding = _AFTER_PADDING.search(octets)
    if padding is not None and padding.end() < len(octets):
        return _decode_blocks(octets, padding)
    return _decode_block(octets)


def _is_prose(sample: bytes) -> bool:
    """Whether a sample is words and not base64: it has spaces in lines, or many characters that base64 lacks."""
    data = b"".join(sample.split())
    return sample.count(b" ") * 12 > len(sample) or len(_NOT_BASE64.sub(b"", data)) < 0.8 * len(data)


def _is_text(data: bytes) -> bool:
    """Whether decoded bytes are text, which words that were mistaken for base64 never give."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return False
    return bool(text) and all(character.isprintable() or character.isspace() for character in text)


def _start_of_words(octets: bytes) -> int:
    """Return where a footer begins that a mailing list appended below whole lines of base64; 0 if there is none."""
    if not octets.translate(None, _BASE64_LINES):
        return 0
    found = _NO_DATA.search(octets)
    start = octets.rfind(b"\n", 0, found.start()) + 1 if found else 0
    is_whole = len(octets[:start].translate(None, b" \t\r\n")) % 4 == 0
    return start if is_whole and _has_words(octets[start : start + _SAMPLE_BYTES]) else 0


def _has_words(sample: bytes) -> bool:
    """Whether a sample is words and not damaged base64: it has spaces between words, and punctuation."""
    return _is_prose(sample) or (_SIGN.search(sample) is not None and _GAP.search(sample) is not None)


def _decode_blocks(octets: bytes, padding: re.Match[bytes]) -> DecodedBytes:
    """Decode base64 that goes on after its padding: with further blocks, or with a footer without a space."""
    rest = octets[padding.end() :]
    first = _decode_block(octets[: padding.end()]).octets
    data = rest.translate(None, _WHITE_SPACE_AND_PADDING)
    if _BASE64_DATA.fullmatch(data) and len(data) % 4 != 1:
        pieces = _AFTER_PADDING.split(rest, MAX_BASE64_BLOCKS)
        blocks = [_decode_block(block).octets for block in pieces if block.strip()]
        return DecodedBytes(b"".join((first, *blocks)), "base64 in several blocks")
    return DecodedBytes(first, _TEXT_AFTER, rest)


def _decode_block(octets: bytes) -> DecodedBytes:
    try:
        return DecodedBytes(binascii.a2b_base64(octets))
    except binascii.Error:
        data = _NOT_BASE64.sub(b"", octets).replace(b"=", b"")
        data = data[:-1] if len(data) % 4 == 1 else data
        return DecodedBytes(binascii.a2b_base64(data + b"=" * (-len(data) % 4)), "damaged base64")
