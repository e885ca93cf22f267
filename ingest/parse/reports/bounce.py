"""Delivery reports that are written for people alone: qmail, Exim, old sendmail, and the many who never read RFC 3464.

Such a report is known by its sender (a mail system), by what it says, and by the copy of the mail that it returns. All
three are needed, since the words alone are also those of a customer who complains that a mail came back. Where nothing
is returned, more is asked of the first two: see ``_is_stock``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from textwrap import dedent

from ingest.languages import all_words, any_of
from ingest.model.message import DeliveryReport, ReportedRecipient
from ingest.parse.mime.part import MimePart
from ingest.parse.reports import dsn

_SYSTEM = re.compile(
    r"mailer-?d(?:a|e)emon|mail[. ]?delivery|delivery[. ](?:sub)?system|postmaster|mail[. ]administrator|^<?>?$",
    re.IGNORECASE,
)
_FIELD_OR_FOLD = re.compile(r"[> \t]*(?:[!-9;-~]{1,76}:|[ \t]\S)")
_REPORTED = re.compile(r"^(?:final|original)-recipient:", re.IGNORECASE | re.MULTILINE)
_MESSAGE_ID_LINE = re.compile(r"^[> \t]{0,8}Message-ID:[ \t]*<[^<>\s]{1,900}>", re.IGNORECASE | re.MULTILINE)
_ANGLED = re.compile(r"<([^<>\s@:]{1,64}@[^<>\s@]{1,255})>")
_ADDRESS = re.compile(r"[\w.+=-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,9}")
_STATUS = re.compile(r"(?<![\d.])([45]\.\d{1,3}\.\d{1,3})(?![\d.])")
_REPLY_CODE = re.compile(r"(?<![\d.-])([45])[0-5]\d(?![\d.])")
_MAX_NOTICE_CHARACTERS = 8000
_MAX_DIAGNOSTIC_CHARACTERS = 300
_MAX_RECIPIENTS = 50
_MAX_STATUS_CHARACTERS = 256 * 1024


@cache
def _failure() -> re.Pattern[str]:
    """What says that a mail was not delivered, or not yet."""
    return re.compile(any_of(all_words(lambda language: language.bounce_failures)), re.IGNORECASE)


@cache
def _delay() -> re.Pattern[str]:
    """What says that delivery is still being tried."""
    return re.compile(any_of(all_words(lambda language: language.bounce_delays)), re.IGNORECASE)


@cache
def _stock_subject() -> re.Pattern[str]:
    """What a mail system puts first into a subject; an answer or a forward to it begins with other words."""
    return re.compile(any_of(all_words(lambda language: language.bounce_subjects)), re.IGNORECASE)


@cache
def _stock_phrase() -> re.Pattern[str]:
    """What no person writes who has the address postmaster."""
    return re.compile(any_of(all_words(lambda language: language.bounce_phrases)), re.IGNORECASE)


@cache
def _copy_below() -> re.Pattern[str]:
    """The line that announces a copy of the mail, with the blank lines below it."""
    phrases = any_of(all_words(lambda language: language.bounce_copies))
    return re.compile(rf"^[^\w\n]{{0,80}}{phrases}[^\n]{{0,80}}\n\s*", re.IGNORECASE | re.MULTILINE)


def is_from_system(fields: Mapping[str, Sequence[str]]) -> bool:
    """Whether the header says that a mail system wrote the message."""
    return _has_null_path(fields) or _SYSTEM.search(fields.get("from", [""])[0]) is not None


def parse_bounce(fields: Mapping[str, Sequence[str]], text: str, parts: Sequence[MimePart]) -> DeliveryReport | None:
    """The report in a message that ``is_from_system``, or ``None`` where it is none.

    Args:
        fields: the values of the header's fields by name in lower case.
        text: the body as text.
        parts: all parts of the message.
    """
    subject = fields.get("subject", [""])[0]
    notice, original = _split(text)
    original = original or _returned(parts)
    if not (_failure().search(subject) or _failure().search(notice)):
        return None
    named = _named(fields, notice) or _addresses(_copied(text).get("to", ""))
    recipients = tuple(_reported(text) or _recipients(named, subject, notice))
    if not (original or "x-failed-recipients" in fields or (recipients and _is_stock(fields, subject, notice))):
        return None
    return dsn.build_report(recipients, original)


def _is_stock(fields: Mapping[str, Sequence[str]], subject: str, notice: str) -> bool:
    """Whether a notice that returns nothing is a report all the same: it begins a conversation, its subject is one of a
    mail system, and its sender is a program, or writes like one."""
    if "in-reply-to" in fields or "references" in fields or not _stock_subject().match(subject):
        return False
    sender = " ".join((*fields.get("from", ()), *fields.get("return-path", ())))
    is_program = "mailer-daemon" in sender.lower() or _has_null_path(fields)
    return is_program or _stock_phrase().search(notice) is not None


def _has_null_path(fields: Mapping[str, Sequence[str]]) -> bool:
    return "".join(fields.get("return-path", ["?"])) in ("<>", "")


def _reported(text: str) -> list[ReportedRecipient]:
    """The recipients of a status part that a broken multipart left in the text."""
    if not _REPORTED.search(text):
        return []
    return list(islice(dsn.parse_recipients(text[:_MAX_STATUS_CHARACTERS].encode()), _MAX_RECIPIENTS))


def _named(fields: Mapping[str, Sequence[str]], notice: str) -> list[str]:
    """The recipients that a field names (Exim, Google), or that the notice does, our own addresses aside."""
    own = " ".join((*fields.get("from", ())[:1], *fields.get("to", ()), *fields.get("message-id", ()))).lower()
    return list(_known_recipients(fields)) or _addresses(notice, own)


def _copied(text: str) -> Mapping[str, str]:
    """The header of a copy that has no Message-ID, below the line that announces it."""
    line = _copy_below().search(text)
    return dsn.parse_fields(text[line.end() :][:_MAX_NOTICE_CHARACTERS].encode()) if line else {}


def _split(text: str) -> tuple[str, Mapping[str, str]]:
    """What the mail system says, and the header of the mail that it copied below, or into its own words."""
    line = _MESSAGE_ID_LINE.search(text)
    if line is None:
        copy = _copy_below().search(text)
        return text[: copy.start() if copy else _MAX_NOTICE_CHARACTERS][:_MAX_NOTICE_CHARACTERS], {}
    start = _block_start(text, line.start())
    end = text.find("\n\n", line.end())
    block = text[start : end if end >= 0 else len(text)].strip("\n")
    unquoted = "\n".join(each.removeprefix("> ").removeprefix(">") for each in block.split("\n"))
    notice = text[:start] if "@" in text[:start] or end < 0 else text[:start] + text[end:]
    return notice[:_MAX_NOTICE_CHARACTERS], dsn.parse_fields(dedent(unquoted).encode())


def _block_start(text: str, position: int) -> int:
    """Where the header fields begin that stand above ``position`` without a line between them that is none."""
    blank = text.rfind("\n\n", 0, position) + 1
    start = position
    for line in reversed(text[blank:position].splitlines(keepends=True)):
        if not _FIELD_OR_FOLD.match(line):
            break
        start -= len(line)
    return start


def _returned(parts: Sequence[MimePart]) -> Mapping[str, str]:
    """The header of the mail that came back as a part."""
    returned = (part for part in parts if part.content_type in dsn.RETURNED_TYPES)
    headers = (part for part in parts if part.content_type == "text/plain" and "header" in part.filename.lower())
    part = next(returned, None) or next(headers, None)
    if part is not None:
        return dsn.parse_fields(part.decoded().octets)
    bare = next((part for part in parts[1:] if part.header.get("message-id")), None)  # its fields became the part's
    return dsn.first_by_name(bare.header) if bare is not None else {}


def _addresses(notice: str, own: str = "") -> list[str]:
    """Those in angle brackets; where there are none, the words that look like addresses; never our ``own``."""
    words = (word.strip(".,;:()[]'\"") for word in notice.split())
    angled = [each for each in _ANGLED.findall(notice) if each.lower() not in own]
    return angled or [word for word in words if _ADDRESS.fullmatch(word) and word.lower() not in own]


def _known_recipients(fields: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Exim and Google say it in a field."""
    for value in fields.get("x-failed-recipients", ()):
        yield from (each.strip(" <>") for each in value.split(",") if "@" in each)


def _recipients(addresses: Sequence[str], subject: str, notice: str) -> Iterator[ReportedRecipient]:
    delayed = _delay().search(subject) or _delay().search(notice[:1000])
    status = _STATUS.search(notice)
    code = status or _REPLY_CODE.search(notice)
    for address in list(dict.fromkeys(addresses))[:_MAX_RECIPIENTS]:
        yield ReportedRecipient(
            recipient=address,
            action="delayed" if delayed else "failed",
            status=status[1] if status else (f"{code[1]}.0.0" if code else ""),
            diagnostic=_line_at(notice, code.start()) if code else "",
        )


def _line_at(text: str, position: int) -> str:
    """The line that ``position`` is in."""
    start = text.rfind("\n", 0, position) + 1
    return text[start:].split("\n", 1)[0].strip()[:_MAX_DIAGNOSTIC_CHARACTERS]
