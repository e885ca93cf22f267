"""Assembles a ``ParsedMessage`` from the header and the tree of MIME parts.

Each step is guarded: if a step fails by a fault of ours, only what that step would have parsed is missing.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from ingest.model.defects import DefectKind
from ingest.model.keywords import keyword
from ingest.model.message import Address, Attachment, Calendar, ParsedMessage
from ingest.parse import body, calendar
from ingest.parse.attached_files import describe_attachments
from ingest.parse.body import MessageBody
from ingest.parse.charsets.decode import decode_text
from ingest.parse.defect_log import DefectLog
from ingest.parse.mime import addresses, encoded_words, message_ids
from ingest.parse.mime.from_field import UNREADABLE, parse_from
from ingest.parse.mime.header import TRACE, WRITTEN, HeaderBlock
from ingest.parse.mime.part import MimePart
from ingest.parse.reports import report_of
from ingest.parse.text_forms import visible_text

DecodedFields = tuple[tuple[str, str], ...]
ValuesByName = dict[str, list[str]]

_SINGLE = "from sender reply-to to cc subject date message-id in-reply-to references content-type"
_ONCE = frozenset(_SINGLE.split())
"""Fields that may occur only once (RFC 5322 section 3.6)."""
_DELIVERED = ("delivered-to", "x-original-to", "envelope-to", "x-delivered-to")
_BETWEEN_RESULTS = frozenset({"dkim-filter", "received-spf"})
_WHITE_SPACE = b" \t\r\n\v\f"
_CALENDAR_TYPES = frozenset({"text/calendar", "application/ics"})


def assemble(header: HeaderBlock, parts: list[MimePart], defects: DefectLog) -> ParsedMessage:
    """Build the message from its header and its parts, the root first. What was wrong goes to ``defects``."""
    hints = tuple(dict.fromkeys(part.charset for part in parts if part.main_type == "text" and part.charset))
    message = _parse_header(header, hints, defects)
    values = _by_name(message.headers)
    _note_faults(values, parts[0], defects)
    content = defects.guard(lambda: body.parse_body(parts[0], hints, defects), MessageBody(None, None, ()))
    no_files: tuple[Attachment, ...] = ()
    files = defects.guard(lambda: describe_attachments(content.attachments, content.html, defects), no_files)
    no_events: tuple[Calendar, ...] = ()
    return replace(
        message,
        text=content.text,
        html=content.html,
        attachments=files,
        delivery_report=defects.guard(lambda: report_of(values, _shown(content), parts), None),
        calendar=defects.guard(lambda: _parse_calendars(parts), no_events),
        content_digest=_digest(message, content, files),
        defects=defects.found(),
    )


def _parse_header(header: HeaderBlock, hints: tuple[str, ...], defects: DefectLog) -> ParsedMessage:
    """Return a message that has only what its header says."""
    raw = tuple((field.name, encoded_words.raw_text(field.value, hints)) for field in header.fields)
    texts = tuple((name, encoded_words.decode_header_text(text)) for name, text in raw)
    values = _by_name(texts)
    raw_values = _by_name(raw)
    people = defects.guard(lambda: addresses.parse_originators(raw_values, defects), addresses.Originators({}, None))
    author, fault = defects.guard(lambda: parse_from(raw_values.get("from", ())), UNREADABLE)
    own_ids = message_ids.parse_message_ids(" ".join(values.get("message-id", ())))
    return ParsedMessage(
        message_id=own_ids[0] if own_ids else None,
        message_ids=own_ids,
        in_reply_to=message_ids.parse_message_ids(" ".join(values.get("in-reply-to", ()))),
        references=message_ids.parse_message_ids(" ".join(values.get("references", ()))),
        date=people.date,
        from_=(author,) if author is not None else people.addresses.get("from", ()),
        author_fault=fault,
        original_from=_original_from(raw_values.get("x-original-from", ())),
        sender=next(iter(addresses.find_addresses(values.get("sender", [""])[0])), None),
        reply_to=people.addresses.get("reply-to", ()),
        to=people.addresses.get("to", ()),
        cc=people.addresses.get("cc", ()),
        delivered_to=tuple(dict.fromkeys(_delivered(texts))),
        return_path=_return_path(values),
        subject=values.get("subject", [""])[0],
        headers=texts,
        authentication_results=tuple(_topmost_results(raw)),
        auto_submitted=tuple(keyword(value) for value in values.get("auto-submitted", ())),
        received_count=len(values.get("received", ())),
    )


def _original_from(values: Sequence[str]) -> tuple[Address, ...]:
    """Return the one author whom a list names; several fields are more than one list writes, and name nobody."""
    author = parse_from(values).author if len(values) == 1 else None
    return (author,) if author is not None else ()


def _topmost_results(fields: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield the first Authentication-Results field and those right below it. Any other field ends them, but for those
    that servers write in between: what is below a Received field or a signature was there before the server came."""
    is_run = False
    for name, text in fields:
        if name == "authentication-results":
            is_run = True
            yield text
        elif is_run and name not in _BETWEEN_RESULTS:
            return


def _by_name(fields: Iterable[tuple[str, str]]) -> ValuesByName:
    values: ValuesByName = {}
    for name, text in fields:
        values.setdefault(name, []).append(text)
    return values


def _note_faults(values: Mapping[str, list[str]], root: MimePart, defects: DefectLog) -> None:
    for name in sorted(_ONCE & values.keys()):
        if len(values[name]) > 1:
            defects.note(DefectKind.DUPLICATE, f"{len(values[name])} fields {name}; one is allowed")
    if not values.keys() & WRITTEN:
        blank = not root.raw.strip()
        if blank and values.keys() <= TRACE:
            defects.note(DefectKind.EMPTY, "there is nothing below the trace fields")
        else:
            defects.note(DefectKind.NOT_MAIL, "no field that a mail program writes is there")


def _delivered(texts: DecodedFields) -> Iterable[str]:
    for name, text in texts:
        if name in _DELIVERED:
            yield from (address.addr_spec for address in addresses.find_addresses(text))


def _return_path(values: Mapping[str, list[str]]) -> str | None:
    if "return-path" not in values:
        return None
    return next((address.addr_spec for address in addresses.find_addresses(values["return-path"][0])), "")


def _shown(content: MessageBody) -> str:
    return content.text or visible_text(content.html or "")


def _parse_calendars(parts: list[MimePart]) -> tuple[Calendar, ...]:
    found = (part for part in parts if part.content_type in _CALENDAR_TYPES)
    texts = (decode_text(part.decoded().octets, part.charset or "utf-8").text for part in found)
    return tuple(dict.fromkeys(event for text in texts for event in calendar.parse_calendar(text)))


def _digest(message: ParsedMessage, content: MessageBody, files: tuple[Attachment, ...]) -> str:
    """Return a SHA-256 that two copies of a mail share, whichever way they came. White space does not count, because
    servers change it; nor do charsets and transfer encodings."""
    facts = [
        *(address.addr_spec for address in message.from_),
        message.subject,
        content.text or "",
        content.html or "",
        *(file.sha256 for file in files),
    ]
    return hashlib.sha256("\0".join(facts).encode().translate(None, _WHITE_SPACE)).hexdigest()
