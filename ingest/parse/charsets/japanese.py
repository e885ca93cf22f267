"""Decodes Japanese mail: ISO-2022-JP as it is really sent, and the vendors' characters in EUC-JP.

Python's own codecs decode the standard characters. Mail has more of them under the same names: NEC's row 13 and IBM's
kanji (cp50220), half-width katakana (``ESC ( I``, SO/SI, or plain 8-bit octets), JIS X 0212, the emoji of KDDI's
telephones, and lines that end without the escape back to ASCII, which RFC 1468 asks for.

KDDI's emoji take rows 0x75 to 0x7B. Nobody else uses the first four; in the others NEC has kanji that occur in names.
So these are decoded as kanji, unless the same text has an emoji of the first four rows, which only KDDI writes.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from ingest.parse.charsets import emoji

_ESCAPE = re.compile(rb"(\x1b(?:\$[@AB]|\$\([@A-Z]|\([A-Z]|&@)|[\x0e\x0f]|[\r\n]+)")
_ASCII = b"\x1b(B"
_ASCII_STATES = frozenset({_ASCII, b"\x1b(J", b"\x1b(H"})
_KATAKANA = b"\x1b(I"
_JIS_X_0208 = frozenset({b"\x1b$@", b"\x1b$B", b"\x1b$(@", b"\x1b$(B"})
_SHIFT_OUT, _SHIFT_IN = b"\x0e", b"\x0f"
_OTHER_CODECS = ("iso2022_jp_2004", "iso2022_jp_2", "iso2022_jp_ext")
_MISSING = "\ufffd"
_KDDI_ROWS, _NEC_ROWS = range(0x75, 0x79), range(0x79, 0x7C)
"""Rows in which only KDDI has characters, and rows in which KDDI has emoji and NEC has kanji."""


def decode_iso2022_jp(octets: bytes) -> str:
    """Decode ISO-2022-JP. Never fails: what no table has becomes U+FFFD."""
    plain = None if _SHIFT_OUT in octets else _try(octets, "iso2022_jp")
    return plain if plain is not None else _decode_segments(octets)


def _decode_segments(octets: bytes) -> str:
    segments = list(_segments(octets))
    of_kddi = any(_has_kddi_row(piece) for state, piece in segments if state in _JIS_X_0208)
    return "".join(_decode_segment(piece, state, of_kddi) for state, piece in segments)


def _segments(octets: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (character set, octets). The last escape chooses the set, until the line ends."""
    state, shifted = _ASCII, False
    for index, piece in enumerate(_ESCAPE.split(octets)):
        if index % 2 == 0:
            yield (_KATAKANA if shifted else state), piece
        elif piece in (_SHIFT_OUT, _SHIFT_IN):
            shifted = piece == _SHIFT_OUT
        elif piece.startswith(b"\x1b"):
            state = piece
        else:
            state, shifted = _ASCII, False
            yield state, piece


def _has_kddi_row(octets: bytes) -> bool:
    return any(row in _KDDI_ROWS for row in octets[0:-1:2])


def _decode_segment(octets: bytes, state: bytes, of_kddi: bool) -> str:
    if not octets:
        return ""
    if state in _ASCII_STATES:
        return octets.decode("ascii") if octets.isascii() else octets.decode("cp932", "replace")
    if state == _KATAKANA:
        return bytes(octet | 0x80 for octet in octets).decode("cp932", "replace")
    if state in _JIS_X_0208:
        pairs = (octets[i : i + 2] for i in range(0, len(octets), 2))
        return "".join((_kddi_emoji(pair) if of_kddi else None) or jis_character(pair) for pair in pairs)
    return _decode_standard(state + octets + b"\x1b(B")


def _decode_standard(octets: bytes) -> str:
    texts = (_try(octets, codec) for codec in _OTHER_CODECS)
    return next((text for text in texts if text is not None), _MISSING)


@lru_cache(maxsize=1 << 14)
def jis_character(pair: bytes) -> str:
    """Return the character of a two-octet JIS X 0208 code (0x21 to 0x7E each), vendors' rows included."""
    if len(pair) < 2:
        return pair.decode("ascii", "replace")
    first, second = pair[0] & 0x7F, pair[1] & 0x7F
    if not (0x21 <= first <= 0x7E and 0x21 <= second <= 0x7E):
        return "".join(chr(octet) for octet in (first, second) if 0x20 <= octet < 0x7F)
    standard = _try(b"\x1b$B%c%c\x1b(B" % (first, second), "iso2022_jp")
    return standard or _try(_shift_jis(first, second), "cp932") or _MISSING


@lru_cache(maxsize=1 << 10)
def _kddi_emoji(pair: bytes) -> str | None:
    """Return KDDI's emoji, whose code in Shift_JIS is not the one that the standard's arithmetic gives."""
    if len(pair) < 2 or pair[0] not in (*_KDDI_ROWS, *_NEC_ROWS) or not 0x21 <= pair[1] <= 0x7E:
        return None
    lead, trail = _shift_jis(*pair)
    return emoji.kddi_emoji(lead + (0x0B if pair[0] in _KDDI_ROWS else 0x06), trail)


def _shift_jis(first: int, second: int) -> bytes:
    """Convert a JIS X 0208 code to Shift_JIS, in which two rows share one lead octet."""
    lead = (first + 1) // 2 + (0x70 if first < 0x5F else 0xB0)
    if first % 2:
        return bytes((lead, second + (0x1F if second < 0x60 else 0x20)))
    return bytes((lead, second + 0x7E))


def _try(octets: bytes, codec: str) -> str | None:
    try:
        return octets.decode(codec)
    except UnicodeDecodeError:
        return None
