"""Decodes uuencoded data, the way to send files before MIME; some programs still put it into the text."""

import binascii
import re
from typing import NamedTuple

from ingest.parse.limits import MAX_UUENCODED_FILES

_BEGIN = re.compile(rb"^begin [0-7]{3,4} ([^\r\n]{1,200})\r?\n(?=[!-`][ -`]*\r?\n)", re.MULTILINE)
_END = re.compile(rb"^end[ \t]*\r?$", re.MULTILINE)


class UuencodedFile(NamedTuple):
    """A file that was found in a text."""

    name: bytes
    octets: bytes


class SplitText(NamedTuple):
    """A text without the files that were in it, and the files."""

    text: bytes
    files: tuple[UuencodedFile, ...]


def extract_files(text: bytes) -> SplitText:
    """Take complete ``begin`` to ``end`` blocks out of a text, at most ``MAX_UUENCODED_FILES``."""
    if b"begin " not in text:
        return SplitText(text, ())
    kept: list[bytes] = []
    files: list[UuencodedFile] = []
    start = 0
    while len(files) < MAX_UUENCODED_FILES and (begin := _BEGIN.search(text, start)):
        end = _END.search(text, begin.end())
        if end is None:
            break
        kept.append(text[start : begin.start()])
        files.append(UuencodedFile(begin[1], decode_lines(text[begin.end() : end.start()])))
        start = end.end()
    return SplitText(b"".join((*kept, text[start:])), tuple(files))


def decode_lines(octets: bytes) -> bytes:
    """Decode uuencoded lines, with or without ``begin`` and ``end`` around them. Lines that are no data are skipped."""
    lines = (line for line in octets.splitlines() if line and not line.startswith((b"begin ", b"end")))
    return b"".join(_decode_line(line) for line in lines)


def _decode_line(line: bytes) -> bytes:
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:
        return _decode_loosely(line)


def _decode_loosely(line: bytes) -> bytes:
    """Decode a line of an encoder that pads the last line with the wrong number of characters."""
    length = (((line[0] - 32) & 63) * 4 + 5) // 3
    try:
        return binascii.a2b_uu(line[:length])
    except binascii.Error:
        return b""
