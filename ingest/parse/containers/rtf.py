"""Decodes rich text as Outlook sends it in TNEF: decompresses it (MS-OXRTFCP) and extracts HTML or text (MS-OXRTFEX).

Used only for messages whose body exists in no other form. The result has the words and, if the RTF was made from HTML,
the HTML.
"""

import re
import struct
from typing import NamedTuple

from ingest.parse.limits import MAX_BODY_BYTES

_DICTIONARY = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript "
    b"\\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par "
    b"\\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
)
"""The text that every compressor and decompressor starts with (MS-OXRTFCP section 2.1.2.1)."""
_WINDOW_BYTES = 4096
"""Size of the window that references point into (MS-OXRTFCP section 2.1.3.1)."""
_HEADER = struct.Struct("<IIII")
_COMPRESSED, _PLAIN = 0x75465A4C, 0x414C454D
_TOKEN = re.compile(
    rb"\\'([0-9A-Fa-f]{2})|\\([A-Za-z]{1,32})(-?\d{1,10})? ?|\\([^A-Za-z])|([{}])|[\r\n]+|([^\\{}\r\n]+)", re.DOTALL
)
_DESTINATIONS = b"""
    fonttbl colortbl stylesheet info pict object themedata colorschememapping listtable listoverridetable rsidtbl
    generator datastore latentstyles xmlnstbl header footer filetbl revtbl mmathPr fldinst
"""
_SKIPPED = frozenset(_DESTINATIONS.split())
"""Groups whose text is not the author's."""
_BREAKS = {b"par": "\n", b"line": "\n", b"tab": "\t", b"cell": "\t", b"row": "\n", b"sect": "\n", b"page": "\n"}
_SIGNS = {
    b"emdash": "—",
    b"endash": "–",
    b"lquote": "‘",
    b"rquote": "’",
    b"ldblquote": "“",
    b"rdblquote": "”",
    b"bullet": "•",
}


class RtfText(NamedTuple):
    """The content of rich text; ``subtype`` is ``html`` or ``plain``."""

    subtype: str
    text: str


def decompress(octets: bytes) -> bytes:
    """Decompress PR_RTF_COMPRESSED to RTF; ``b""`` if the bytes are something else. Damaged data ends early."""
    if len(octets) < _HEADER.size:
        return b""
    _, raw_size, kind, _ = _HEADER.unpack_from(octets)
    if kind == _PLAIN:
        return octets[_HEADER.size : _HEADER.size + raw_size]
    return _expand(octets, min(raw_size, MAX_BODY_BYTES)) if kind == _COMPRESSED else b""


def _expand(octets: bytes, size: int) -> bytes:
    """Expand LZFu: a control byte says of each of the next eight items whether it is a byte or a reference."""
    output = bytearray(_DICTIONARY)
    position, end = _HEADER.size, len(_DICTIONARY) + size
    while position < len(octets) and len(output) < end:
        control = octets[position]
        position += 1
        for bit in range(8):
            if not control >> bit & 1:
                output += octets[position : position + 1]
                position += 1
            elif not _copy(output, octets[position : position + 2]):
                return bytes(output[len(_DICTIONARY) : end])
            else:
                position += 2
    return bytes(output[len(_DICTIONARY) : end])


def _copy(output: bytearray, reference: bytes) -> bool:
    """Append the bytes that a reference points to in the window; return ``False`` if the reference marks the end."""
    word = int.from_bytes(reference, "big")
    offset, length = word >> 4, (word & 0xF) + 2
    distance = (len(output) - offset) % _WINDOW_BYTES
    if distance == 0 or distance > len(output):
        return False
    for _ in range(length):
        output.append(output[-distance])
    return True


class _RtfGroup(NamedTuple):
    skipped: bool = False
    is_rtf_only: bool = False
    unicode_skip: int = 1


class _RtfDecoder:
    """Goes through the tokens of RTF once, with a stack of groups."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._is_html = b"\\fromhtml1" in octets[:1000]
        self._groups = [_RtfGroup()]
        self._codepage = "cp1252"
        self._pending = bytearray()
        self._text: list[str] = []
        self._to_skip = 0
        self._star = False

    def decode(self) -> RtfText:
        """Return the HTML or the text of the document. Call it once."""
        for token in _TOKEN.finditer(self._octets):
            self._handle(token)
        self._flush()
        return RtfText("html" if self._is_html else "plain", "".join(self._text).strip() + "\n")

    def _handle(self, token: re.Match[bytes]) -> None:
        hexadecimal, word, number, symbol, brace, plain = token.groups()
        if hexadecimal:
            self._add_bytes(bytes((int(hexadecimal, 16),)))
        elif word:
            self._handle_word(word, int(number) if number else None)
        elif symbol:
            self._handle_symbol(symbol)
        elif brace:
            self._handle_brace(brace)
        elif plain:
            self._add_bytes(plain)

    def _handle_brace(self, brace: bytes) -> None:
        self._star = False
        if brace == b"{":
            self._groups.append(self._groups[-1])
        elif len(self._groups) > 1:
            self._groups.pop()

    def _handle_symbol(self, symbol: bytes) -> None:
        if symbol == b"*":
            self._star = True
        elif symbol in b"\\{}":
            self._add_bytes(symbol)
        elif symbol == b"~":
            self._add_text("\xa0")
        elif symbol == b"_":
            self._add_text("‑")

    def _handle_word(self, word: bytes, number: int | None) -> None:
        star, self._star = self._star, False
        if word in _SKIPPED or (star and word not in (b"htmltag", b"mhtmltag")) or word == b"mhtmltag":
            self._groups[-1] = self._groups[-1]._replace(skipped=True)
        elif word == b"htmlrtf":
            self._groups[-1] = self._groups[-1]._replace(is_rtf_only=number != 0)
        elif word == b"uc":
            self._groups[-1] = self._groups[-1]._replace(unicode_skip=number or 0)
        elif word == b"ansicpg" and number:
            self._set_codepage(number)
        elif word == b"u" and number is not None:
            self._add_text(chr(number % 0x10000))
            self._to_skip = self._groups[-1].unicode_skip
        elif word in _BREAKS or word in _SIGNS:
            self._add_text(_BREAKS.get(word) or _SIGNS[word])

    def _set_codepage(self, number: int) -> None:
        try:
            b"".decode(f"cp{number}")
        except LookupError:
            return
        self._codepage = f"cp{number}"

    def _is_shown(self) -> bool:
        group = self._groups[-1]
        return not group.skipped and not group.is_rtf_only

    def _add_bytes(self, octets: bytes) -> None:
        if self._to_skip:
            skipped = min(self._to_skip, len(octets))
            self._to_skip -= skipped
            octets = octets[skipped:]
        if self._is_shown():
            self._pending += octets

    def _add_text(self, text: str) -> None:
        if self._is_shown():
            self._flush()
            self._text.append(text)

    def _flush(self) -> None:
        """Decode the bytes collected so far. A multi-byte character comes as several tokens, hence the collecting."""
        if self._pending:
            self._text.append(self._pending.decode(self._codepage, "replace"))
            self._pending.clear()


def decode_rtf(octets: bytes) -> RtfText:
    """Return the HTML that rich text was made from, or else its words."""
    text = _RtfDecoder(octets[:MAX_BODY_BYTES]).decode()
    joined = text.text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return RtfText(text.subtype, joined)
