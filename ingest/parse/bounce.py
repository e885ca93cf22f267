"""Delivery reports that are written for people alone: qmail, Exim, old sendmail, and the many who never read RFC 3464.

Such a report is known by its sender (a mail system), by what it says, and by the copy of the mail that it returns. All
three are needed, since the words alone are also those of a customer who complains that a mail came back.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from ingest.message import DeliveryReport, ReportedRecipient
from ingest.parse import ids, report
from ingest.parse.part import Part

_SYSTEM = re.compile(
    r"mailer-?d(?:a|e)emon|mail[. ]?delivery|delivery[. ](?:sub)?system|postmaster|mail[. ]administrator|^<?>?$",
    re.IGNORECASE,
)
_FAILURE = re.compile(
    r"""undeliver
    |deliver\w*\ (?:has\ |have\ |been\ |status|fail|notif|problem|report|error|temporar|delay)
    |fail\w*\ (?:notice|deliver)
    |not\ (?:be\ )?(?:deliver|sent|reach|send)
    |unable\ to\ (?:deliver|send)
    |trouble\ delivering
    |return(?:ed|ing)\ (?:mail|message|to)
    |mail\ (?:system\ )?(?:error|fail)
    |error\ (?:while\ )?sending
    |delayed|unzustellbar|nicht\ zugestellt|non\ remis|no\ entregad|non\ recapitat|не\ доставлен
    |配信|届き|送信でき|退信|반송""",
    re.IGNORECASE | re.VERBOSE,
)
_DELAY = re.compile(
    r"delayed|\bdelay\)|will be retried|still (?:being )?(?:trying|tried|retried)|will keep trying|warning: ",
    re.IGNORECASE,
)
_MESSAGE_ID_LINE = re.compile(r"^[> \t]{0,8}Message-ID:[ \t]*<[^<>\s]{1,900}>", re.IGNORECASE | re.MULTILINE)
_ANGLED = re.compile(r"<([^<>\s@:]{1,64}@[^<>\s@]{1,255})>")
_ADDRESS = re.compile(r"[\w.+=-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,9}")
_STATUS = re.compile(r"(?<![\d.])([45]\.\d{1,3}\.\d{1,3})(?![\d.])")
_REPLY_CODE = re.compile(r"(?<![\d.-])([45])[0-5]\d(?![\d.])")
_MAX_NOTICE_CHARACTERS = 8000
_MAX_DIAGNOSTIC_CHARACTERS = 300
_MAX_RECIPIENTS = 50


def is_from_system(fields: Mapping[str, Sequence[str]]) -> bool:
    """Whether the header says that a mail system wrote the message."""
    null_path = "".join(fields.get("return-path", ["?"])) in ("<>", "")
    return null_path or _SYSTEM.search(fields.get("from", [""])[0]) is not None


def read(fields: Mapping[str, Sequence[str]], text: str, parts: Sequence[Part]) -> DeliveryReport | None:
    """The report in a message that ``is_from_system``, or ``None`` where it is none.

    Args:
        fields: the values of the header's fields by name in lower case.
        text: the body as text.
        parts: all parts of the message.
    """
    sender = fields.get("from", [""])[0]
    subject = fields.get("subject", [""])[0]
    notice, original = _split(text)
    original = original or _returned(parts)
    complains = _FAILURE.search(subject) or _FAILURE.search(notice)
    known = list(_known_recipients(fields))
    if not (complains and (original or known)):
        return None
    own = " ".join((sender, *fields.get("to", ()), *fields.get("message-id", ()))).lower()
    found = known or [each for each in _addresses(notice) if each.lower() not in own]
    return DeliveryReport(
        recipients=tuple(_recipients(found, subject, notice)),
        original_message_id=next(iter(ids.read(original.get("message-id", ""))), None),
        original_references=ids.read(original.get("in-reply-to", "") + " " + original.get("references", "")),
    )


def _split(text: str) -> tuple[str, Mapping[str, str]]:
    """What the mail system says, and the header of the mail that it copied below."""
    line = _MESSAGE_ID_LINE.search(text)
    if line is None:
        return text[:_MAX_NOTICE_CHARACTERS], {}
    start = text.rfind("\n\n", 0, line.start()) + 1
    end = text.find("\n\n", line.end())
    block = text[start : end if end >= 0 else len(text)].strip("\n")
    unquoted = "\n".join(each.removeprefix("> ").removeprefix(">") for each in block.split("\n"))
    return text[:start][:_MAX_NOTICE_CHARACTERS], report.read_fields(unquoted.encode())


def _returned(parts: Sequence[Part]) -> Mapping[str, str]:
    """The header of the mail that came back as a part."""
    returned = (part for part in parts if part.content_type in report.RETURNED_TYPES)
    headers = (part for part in parts if part.content_type == "text/plain" and "header" in part.filename.lower())
    part = next(returned, None) or next(headers, None)
    return report.read_fields(part.decoded().octets) if part is not None else {}


def _addresses(notice: str) -> list[str]:
    """Those in angle brackets; where there are none, the words that look like addresses."""
    words = (word.strip(".,;:()[]'\"") for word in notice.split())
    return _ANGLED.findall(notice) or [word for word in words if _ADDRESS.fullmatch(word)]


def _known_recipients(fields: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Exim and Google say it in a field."""
    for value in fields.get("x-failed-recipients", ()):
        yield from (each.strip(" <>") for each in value.split(",") if "@" in each)


def _recipients(addresses: Sequence[str], subject: str, notice: str) -> Iterator[ReportedRecipient]:
    delayed = _DELAY.search(subject) or _DELAY.search(notice[:1000])
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
