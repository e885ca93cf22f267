"""Parses delivery reports that are written for people alone: by qmail, Exim, old sendmail and the many other programs
that do not follow RFC 3464.

Such a report is recognised by its sender (a mail system), by what it says, and by the copy of the mail that it returns.
All three are needed, because a customer who complains that a mail came back uses the same words. If nothing is
returned, the first two must meet stricter conditions: see ``_is_stock``.
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
"""How much of a mail system's own words is searched; notices are short, and the copied mail follows."""
_MAX_DIAGNOSTIC_CHARACTERS = 300
"""Length of a diagnostic that is kept: a few lines of a server's answer."""
_MAX_RECIPIENTS = 50
"""Recipients taken from free text, where more are probably no recipients."""
_MAX_STATUS_CHARACTERS = 256 * 1024
"""How much of a text is parsed as a status part that a broken multipart left in it."""


@cache
def _failure() -> re.Pattern[str]:
    """Return a pattern of words that say that a mail was not delivered, or not yet."""
    return re.compile(any_of(all_words(lambda language: language.bounce_failures)), re.IGNORECASE)


@cache
def _delay() -> re.Pattern[str]:
    """Return a pattern of words that say that delivery is still being tried."""
    return re.compile(any_of(all_words(lambda language: language.bounce_delays)), re.IGNORECASE)


@cache
def _stock_subject() -> re.Pattern[str]:
    """Return a pattern of the words with which a mail system begins a subject. An answer or a forward to such a report
    begins with other words."""
    return re.compile(any_of(all_words(lambda language: language.bounce_subjects)), re.IGNORECASE)


@cache
def _passed_on() -> re.Pattern[str]:
    """Return a pattern of a subject that begins as an answer or a forward does: a prefix of up to three letters, as
    mail programs write it in every language (``Re:``, ``AW:``, ``Ynt:``), or a longer one of the table."""
    prefixes = any_of(all_words(lambda language: language.forward_prefixes))
    return re.compile(rf"\s*(?:[^\W\d_]{{1,3}}|{prefixes})(?:\[\d+\])?\s*[:：]", re.IGNORECASE)


@cache
def _stock_phrase() -> re.Pattern[str]:
    """Return a pattern of phrases that no person writes who has the address postmaster."""
    return re.compile(any_of(all_words(lambda language: language.bounce_phrases)), re.IGNORECASE)


@cache
def _copy_below() -> re.Pattern[str]:
    """Return a pattern of the line that announces a copy of the mail, with the blank lines below it."""
    phrases = any_of(all_words(lambda language: language.bounce_copies))
    return re.compile(rf"^[^\w\n]{{0,80}}{phrases}[^\n]{{0,80}}\n\s*", re.IGNORECASE | re.MULTILINE)


def is_from_system(fields: Mapping[str, Sequence[str]]) -> bool:
    """Whether the header says that a mail system wrote the message."""
    return has_null_path(fields) or _SYSTEM.search(fields.get("from", [""])[0]) is not None


def parse_bounce(fields: Mapping[str, Sequence[str]], text: str, parts: Sequence[MimePart]) -> DeliveryReport | None:
    """Return the report in a message for which ``is_from_system`` is true; ``None`` if it is no report.

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
    """Whether a notice that returns no mail is a report all the same: it begins a conversation, has a subject of a mail
    system, and its sender is a program or writes like one."""
    if "in-reply-to" in fields or "references" in fields or not _stock_subject().match(subject):
        return False
    sender = " ".join((*fields.get("from", ()), *fields.get("return-path", ())))
    is_program = "mailer-daemon" in sender.lower() or has_null_path(fields)
    return is_program or _stock_phrase().search(notice) is not None


def has_null_path(fields: Mapping[str, Sequence[str]]) -> bool:
    """Whether a mail server noted a null reverse-path (RFC 5321 section 4.5.5) in Return-Path."""
    return "".join(fields.get("return-path", ["?"])) in ("<>", "")


def is_written_by_system(fields: Mapping[str, Sequence[str]]) -> bool:
    """Whether sender and subject are those of a mail system, and the subject begins no answer and no forward. A person
    may have the address postmaster, so that address needs a subject that no person begins with as well."""
    subject = fields.get("subject", [""])[0]
    if _passed_on().match(subject):
        return False
    sender = fields.get("from", [""])[0].lower()
    is_program = "mailer-daemon@" in sender or not sender.strip(" <>")
    return is_program or ("in-reply-to" not in fields and _stock_subject().match(subject) is not None)


def _reported(text: str) -> list[ReportedRecipient]:
    """Return the recipients in a status part that a broken multipart left in the text."""
    if not _REPORTED.search(text):
        return []
    return list(islice(dsn.parse_recipients(text[:_MAX_STATUS_CHARACTERS].encode()), _MAX_RECIPIENTS))


def _named(fields: Mapping[str, Sequence[str]], notice: str) -> list[str]:
    """Return the recipients that a field names (Exim, Google), or else those that the notice names, without ours."""
    own = " ".join((*fields.get("from", ())[:1], *fields.get("to", ()), *fields.get("message-id", ()))).lower()
    return list(_known_recipients(fields)) or _addresses(notice, own)


def _copied(text: str) -> Mapping[str, str]:
    """Return the header of a copied mail without Message-ID, below the line that announces it."""
    line = _copy_below().search(text)
    return dsn.parse_fields(text[line.end() :][:_MAX_NOTICE_CHARACTERS].encode()) if line else {}


def _split(text: str) -> tuple[str, Mapping[str, str]]:
    """Split a text into the words of the mail system and the header of the mail that it copied into them."""
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
    """Return where the unbroken block of header fields begins that reaches down to ``position``."""
    blank = text.rfind("\n\n", 0, position) + 1
    start = position
    for line in reversed(text[blank:position].splitlines(keepends=True)):
        if not _FIELD_OR_FOLD.match(line):
            break
        start -= len(line)
    return start


def _returned(parts: Sequence[MimePart]) -> Mapping[str, str]:
    """Return the header of the mail that came back as a part."""
    returned = (part for part in parts if part.content_type in dsn.RETURNED_TYPES)
    headers = (part for part in parts if part.content_type == "text/plain" and "header" in part.filename.lower())
    part = next(returned, None) or next(headers, None)
    if part is not None:
        return dsn.parse_fields(part.decoded().octets)
    bare = next((part for part in parts[1:] if part.header.get("message-id")), None)  # its fields became the part's
    return dsn.first_by_name(bare.header) if bare is not None else {}


def _addresses(notice: str, own: str = "") -> list[str]:
    """Return the addresses in angle brackets, or else the words that look like addresses, without those in ``own``."""
    words = (word.strip(".,;:()[]'\"") for word in notice.split())
    angled = [each for each in _ANGLED.findall(notice) if each.lower() not in own]
    return angled or [word for word in words if _ADDRESS.fullmatch(word) and word.lower() not in own]


def _known_recipients(fields: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield the recipients in X-Failed-Recipients, a field of Exim and Google."""
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
    """Return the line at ``position``."""
    start = text.rfind("\n", 0, position) + 1
    return text[start:].split("\n", 1)[0].strip()[:_MAX_DIAGNOSTIC_CHARACTERS]
