"""Parses Content-Type and Content-Disposition: a value and its parameters (RFC 2045, RFC 2231). Encoded words, which
RFC 2047 does not allow there, are decoded as well.

The standard library's parser takes time with the square of the length; this one goes through the text once.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from ingest.parse.charsets.decode import decode_text
from ingest.parse.mime import encoded_words

_MAX_PARAMETERS = 100
"""Parameters of one field, or sections of parameters, into which RFC 2231 splits long names."""
_PARAMETER = re.compile(
    r"""[;\s]*                                  # separators, also doubled or missing
        ([^\s=;"]+)\s*=\s*                      # name =
        (?:"((?:[^"\\]|\\.)*)(?:"|$)            # "quoted", also without its end
          |((?:=\?[^?;\s]+\?[bBqQ]\?[^?"]*\?=(?:\s+(?==\?))?)+ # encoded words, with the spaces and semicolons in them
          |[^;]*))                              # or anything up to the semicolon
        |;|[^;]+""",
    re.VERBOSE | re.DOTALL,
)
_QUOTED_PAIR = re.compile(r"\\([\"\\])")
"""Only a quote or a backslash can be quoted: programs on Windows write paths with single backslashes."""
_SECTION = re.compile(r"(.+?)(?:\*(\d{1,3}))?(\*)?", re.DOTALL)
_COMMENT = re.compile(r"\([^()]*\)")


class StructuredField(NamedTuple):
    """The value of a structured field in lower case, and its parameters by name in lower case."""

    value: str
    parameters: Mapping[str, str]


class _ParameterSection(NamedTuple):
    number: int
    encoded: bool
    text: str


def parse_structured_field(octets: bytes, hints: Iterable[str] = ()) -> StructuredField:
    """Parse a field such as ``text/plain; charset=utf-8``. Never fails; what cannot be parsed is left out."""
    text = encoded_words.unfold(encoded_words.raw_text(octets, hints))
    value, semicolon, rest = text.partition(";")
    if "(" in value:
        value = _COMMENT.sub("", value)
    first = value.split(" ")[0] if value else ""
    if "=" in first and "/" not in first:
        value, rest = "", text
    elif " " in value and (not semicolon or "=" in value):
        value, _, rest = text.partition(" ")
    return StructuredField(value.strip(" \t\"'").lower(), _parameters(rest) if rest else {})


def _parameters(text: str) -> dict[str, str]:
    simple: dict[str, str] = {}
    sections: dict[str, list[_ParameterSection]] = {}
    for count, match in enumerate(_PARAMETER.finditer(text)):
        if count >= _MAX_PARAMETERS:
            break
        if match[1]:
            _collect(match[1].lower(), _unquoted(match), simple, sections)
    return simple | {name: _joined(parts) for name, parts in sections.items()}


def _unquoted(match: re.Match[str]) -> str:
    if match[2] is not None:
        return _QUOTED_PAIR.sub(r"\1", match[2]) if "\\" in match[2] else match[2]
    return (match[3] or "").strip(' \t"' if match[1].endswith("*") else " \t\"'")


def _collect(name: str, text: str, simple: dict[str, str], sections: dict[str, list[_ParameterSection]]) -> None:
    section = _SECTION.fullmatch(name) if "*" in name else None
    if section is None:
        simple.setdefault(name, encoded_words.decode_header_text(text))
        return
    number = int(section[2] or 0)
    sections.setdefault(section[1], []).append(_ParameterSection(number, section[3] is not None, text))


def _joined(sections: list[_ParameterSection]) -> str:
    """Join the sections of a parameter by number (RFC 2231); the first encoded one names the charset."""
    charset, octets = "", []
    for section in sorted(sections, key=lambda section: section.number):
        text = section.text
        if section.encoded and not charset and text.count("'") >= 2:
            charset, _, text = text.split("'", 2)
            charset = charset or "utf-8"
        raw = text.encode("utf-8", "replace")
        octets.append(unquote_to_bytes(raw) if section.encoded else raw)
    return encoded_words.decode_header_text(decode_text(b"".join(octets), charset).text)
