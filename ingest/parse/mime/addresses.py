"""Parses the address fields and the date, with mail-parser, from a message made of just these fields.

mail-parser parses the structure of an address list with care, and it is safe on what it is given here: values that are
cut to the limits, decoded, and whose encoded words are well-formed. If it finds no address in a field that has text in
it, a lenient search of our own follows.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from email.message import Message
from email.utils import parsedate_to_datetime
from functools import cache
from typing import NamedTuple

from mailparser import MailParser

from ingest.model.defects import DefectKind
from ingest.model.message import Address
from ingest.parse.defect_log import DefectLog
from ingest.parse.mime import encoded_words

FIELDS = ("from", "reply-to", "to", "cc")
_MAX_DATE_CHARACTERS = 200
"""Length of a date that is parsed: several times what RFC 5322 needs, so that comments fit."""
_MAX_JOINED_CHARACTERS = 64 * 1024
"""Length of all fields of one name together, enough for over a thousand addresses."""
_QUOTED = re.compile(r'"(?:[^"\\]|\\.?)*(?:"|$)', re.DOTALL)
_QUOTED_OR_SEMICOLON = re.compile(f"({_QUOTED.pattern})|;", re.DOTALL)
_ANGLE = re.compile(r"<\s*(?:mailto:|<)?([^<>\s@:;,]+@[^<>\s@:;,]+)\s*(?:>|$)")
_SEPARATORS = re.compile(r"[\s<>()\[\]:;,\"']+")


class Originators(NamedTuple):
    """The addresses by field name in lower case, and the date in ISO 8601 (``None`` if there is none)."""

    addresses: Mapping[str, tuple[Address, ...]]
    date: str | None


def parse_originators(values: Mapping[str, Sequence[str]], defects: DefectLog) -> Originators:
    """Parse the address fields and the date.

    Args:
        values: the values of each field by name in lower case, unfolded, encoded words still in them.
        defects: takes what was wrong.
    """
    dates = values.get("date", ())
    joined = {name: _joined(values[name]) for name in FIELDS if values.get(name)}
    parser = _parse(joined, dates, defects)
    addresses = {name: _addresses(name, text, parser, defects) for name, text in joined.items()}
    return Originators(addresses, _date(parser, dates[0], defects) if dates else None)


def _joined(values: Sequence[str]) -> str:
    """Join all fields of one name to one list. Outlook's users and scripts separate addresses with semicolons."""
    text = encoded_words.normalise_encoded_words(", ".join(values)[:_MAX_JOINED_CHARACTERS])
    is_group = ":" in text  # there a semicolon has a meaning of its own
    return text if is_group or ";" not in text else _QUOTED_OR_SEMICOLON.sub(lambda found: found[1] or ",", text)


def _parse(fields: Mapping[str, str], dates: Sequence[str], defects: DefectLog) -> MailParser | None:
    _silence_mail_parser()
    message = Message()
    for name, text in fields.items():
        message[name] = text
    if dates:
        message["date"] = dates[0][:_MAX_DATE_CHARACTERS]
    return defects.guard(lambda: MailParser(message), None)


@cache
def _silence_mail_parser() -> None:
    """Switch off mail-parser's log, which would hold the text of header fields. Done once, before its first use."""
    logging.getLogger("mailparser").setLevel(logging.CRITICAL + 1)


def _addresses(name: str, text: str, parser: MailParser | None, defects: DefectLog) -> tuple[Address, ...]:
    pairs = getattr(parser, name.replace("-", "_")) if parser is not None else ()
    found = tuple(_address(display_name, addr_spec) for display_name, addr_spec in pairs)
    if found or not text.strip(" ,;"):
        return found
    lenient = find_addresses(text)
    if lenient:
        defects.note(
            DefectKind.ADDRESS, f"the field {name} does not follow RFC 5322; what looks like an address was taken"
        )
    elif ":" not in text:
        defects.note(DefectKind.ADDRESS, f"the field {name} has no address")
    return lenient


def find_addresses(text: str) -> tuple[Address, ...]:
    """Find what looks like an address in a text: what is in angle brackets, or else words with an ``@``. Those within
    quotes (which may lack an end) count only if there are no others."""
    bare = _QUOTED.sub(lambda quoted: " " * len(quoted[0]), text)
    return _by_looks(text, bare) or _by_looks(text, text.replace('"', " "))


def _by_looks(text: str, bare: str) -> tuple[Address, ...]:
    angled = list(_ANGLE.finditer(bare))
    if angled:
        names = [encoded_words.decode_header_text(text[: angled[0].start()]), *[""] * (len(angled) - 1)]
        return tuple(_address(name, match[1]) for name, match in zip(names, angled, strict=True))
    return tuple(_address("", word) for word in _SEPARATORS.split(bare) if word.strip("@").count("@") == 1)


def _address(display_name: str, addr_spec: str) -> Address:
    name = encoded_words.decode_header_text(display_name).strip(" \"',")
    local, _, domain = encoded_words.unfold(addr_spec).rpartition("@")
    return Address(display_name=name, addr_spec=f"{local}@{domain.lower().rstrip('.')}")


def _date(parser: MailParser | None, text: str, defects: DefectLog) -> str | None:
    try:
        if parser is not None and parser.date is not None:
            offset = timezone(timedelta(hours=float(parser.timezone)))
            return str(parser.date.astimezone(offset).isoformat())
    except (ValueError, OverflowError, TypeError):
        pass
    lenient = _date_leniently(text[:_MAX_DATE_CHARACTERS].strip())
    defects.note(DefectKind.DATE, "the date does not follow RFC 5322" if lenient else "the date cannot be read")
    return lenient


def _date_leniently(text: str) -> str | None:
    for reader in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            return reader(text).isoformat()
        except (ValueError, OverflowError, TypeError, IndexError):
            continue
    return None
