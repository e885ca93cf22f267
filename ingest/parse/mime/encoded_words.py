"""Decodes header text: folded lines, encoded words (RFC 2047), raw 8-bit octets, control characters.

Encoded words are accepted in every form in which they are sent: with spaces in them, without space between them, inside
quoted strings, a character split over two of them, broken base64. Everything is linear in the length of the field.
"""

import binascii
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ingest.parse.charsets.decode import decode_text

_PREFIX = re.compile(r"=\?([^?]*)\?([bBqQ])\?")
"""It accepts all that the standard library accepts, which would fail on an encoded word that was left to it."""
_FOLD = re.compile(r"(?:\r\n|\r|\n)[ \t]*")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_SPACES = re.compile(r"[ \t\r\n]*")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]+")
_CUT_OFF = re.compile(r"[^\s<>@\"]+\Z")
"""The text of an encoded word whose end is missing, because a program cut the field to some length."""


class _EncodedRun(NamedTuple):
    """Encoded words that belong together, or (if ``charset`` is empty) the text between them."""

    text: str
    charset: str = ""
    octets: bytes = b""


def raw_text(octets: bytes, hints: Iterable[str] = ()) -> str:
    """Decode a field's value, but not its encoded words. 8-bit octets are UTF-8 (RFC 6532) or of one of ``hints``."""
    if octets.isascii() and b"\x1b" not in octets:
        return octets.decode("ascii")
    return decode_text(octets, "", hints).text


def unfold(text: str) -> str:
    """Put folded text on one line: each fold becomes a space (RFC 5322 section 2.2.3), control characters go."""
    if text.isprintable():
        return text.strip()
    return _CONTROLS.sub(_visible, _FOLD.sub(" ", text)).strip()


def _visible(controls: re.Match[str]) -> str:
    return " " if "\t" in controls[0] else ""


def decode_header_text(text: str) -> str:
    """Decode the encoded words of header text. The result is on one line and has no control characters."""
    if "=?" not in text:
        return unfold(text)
    return unfold("".join(_decode_run(run) if run.charset else run.text for run in _runs(text)))


def normalise_encoded_words(text: str) -> str:
    """Write each encoded word of header text anew as base64 of UTF-8, so that any program can decode it."""
    if "=?" not in text:
        return text
    return "".join(_encode(unfold(_decode_run(run))) if run.charset else run.text for run in _runs(text))


def _encode(text: str) -> str:
    return f"=?utf-8?b?{b64encode(text.encode()).decode()}?=" if text else ""


def _decode_run(run: _EncodedRun) -> str:
    return decode_text(run.octets, run.charset).text


def _runs(text: str) -> Iterator[_EncodedRun]:
    """Split header text into plain text and encoded words. Neighbours of one charset are joined before decoding,
    because senders split characters between them. White space between neighbours is dropped (RFC 2047 section 6.2)."""
    pending: _EncodedRun | None = None
    for run in _words(text):
        if pending is None or (pending.charset and not run.charset and run.text.isspace()):
            if pending is None:
                pending = run
            continue
        if pending.charset and run.charset == pending.charset:
            pending = _EncodedRun("", pending.charset, pending.octets + run.octets)
            continue
        yield pending
        pending = run
    if pending is not None:
        yield pending


def _words(text: str) -> Iterator[_EncodedRun]:
    start = 0
    while True:
        prefix = _PREFIX.search(text, start)
        end = _end_of_word(text, prefix.end()) if prefix else -1
        if prefix is None or end < 0:
            break
        if prefix.start() > start:
            yield _EncodedRun(text[start : prefix.start()])
        charset = prefix[1].partition("*")[0].strip().lower() or "none"
        yield _EncodedRun("", charset, _octets(prefix[2], text[prefix.end() : end]))
        start = end + 2
    if start < len(text):
        yield _EncodedRun(text[start:])


def _end_of_word(text: str, start: int) -> int:
    """Return where an encoded word's text ends: at ``?=``, or with a field that was cut; -1 if it is no such word."""
    end = text.find("?=", start)
    return len(text) if end < 0 and _CUT_OFF.match(text, start) else end


def _octets(encoding: str, encoded: str) -> bytes:
    octets = encoded.encode("utf-8", "replace")
    if encoding in "qQ":
        return binascii.a2b_qp(_FOLD_IN_WORD.sub(b" ", octets), header=True)
    return b"".join(_from_base64(block) for block in _NOT_BASE64.sub(b"", octets).split(b"="))


def _from_base64(data: bytes) -> bytes:
    """Decode one block of base64 without its padding; some programs write several blocks into one word."""
    data = data[:-1] if len(data) % 4 == 1 else data
    return binascii.a2b_base64(data + b"=" * (-len(data) % 4))


_FOLD_IN_WORD = re.compile(rb"[\r\n]+[ \t]*")
