"""A tree of parts to a ``ParsedMessage``.

Each step is guarded: a fault of ours in one costs what that step would have read, and leaves the rest.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ingest.model.defects import DefectKind
from ingest.model.message import Attachment, Calendar, DeliveryReport, ParsedMessage
from ingest.parse import attachments, body, calendar
from ingest.parse.body import Body
from ingest.parse.charsets.decode import decode as decode_charset
from ingest.parse.defect_log import DefectLog
from ingest.parse.mime import addresses, encoded_words, message_ids
from ingest.parse.mime.header import TRACE, WRITTEN, Header
from ingest.parse.mime.part import Part
from ingest.parse.reports import bounce, dsn
from ingest.parse.text_forms import visible

Texts = tuple[tuple[str, str], ...]
Values = dict[str, list[str]]

_SINGLE = "from sender reply-to to cc subject date message-id in-reply-to references content-type"
_ONCE = frozenset(_SINGLE.split())
"""Fields that RFC 5322 section 3.6 allows once."""
_DELIVERED = ("delivered-to", "x-original-to", "envelope-to", "x-delivered-to")
_WHITE_SPACE = b" \t\r\n\v\f"
_CALENDAR_TYPES = frozenset({"text/calendar", "application/ics"})


def assemble(header: Header, parts: list[Part], defects: DefectLog) -> ParsedMessage:
    """Read the header and the parts, the root first, of one message."""
    hints = tuple(dict.fromkeys(part.charset for part in parts if part.main_type == "text" and part.charset))
    message = _read_header(header, hints, defects)
    values = _by_name(message.headers)
    _note_faults(values, parts[0], defects)
    content = defects.guard(lambda: body.read(parts[0], hints, defects), Body(None, None, ()))
    no_files: tuple[Attachment, ...] = ()
    files = defects.guard(lambda: attachments.describe(content.attachments, content.html, defects), no_files)
    no_events: tuple[Calendar, ...] = ()
    return replace(
        message,
        text=content.text,
        html=content.html,
        attachments=files,
        delivery_report=defects.guard(lambda: _read_report(values, content, parts), None),
        calendar=defects.guard(lambda: _read_calendars(parts), no_events),
        content_digest=_digest(message, content, files),
        defects=defects.found(),
    )


def _read_header(header: Header, hints: tuple[str, ...], defects: DefectLog) -> ParsedMessage:
    """A message with the facts of its header alone."""
    raw = tuple((field.name, encoded_words.raw_text(field.value, hints)) for field in header.fields)
    texts = tuple((name, encoded_words.decode(text)) for name, text in raw)
    values = _by_name(texts)
    people = defects.guard(lambda: addresses.read(_by_name(raw), defects), addresses.Originators({}, None))
    own_ids = message_ids.read(" ".join(values.get("message-id", ())))
    return ParsedMessage(
        message_id=own_ids[0] if own_ids else None,
        message_ids=own_ids,
        in_reply_to=message_ids.read(" ".join(values.get("in-reply-to", ()))),
        references=message_ids.read(" ".join(values.get("references", ()))),
        date=people.date,
        from_=people.addresses.get("from", ()),
        sender=next(iter(addresses.read_leniently(values.get("sender", [""])[0])), None),
        reply_to=people.addresses.get("reply-to", ()),
        to=people.addresses.get("to", ()),
        cc=people.addresses.get("cc", ()),
        delivered_to=tuple(dict.fromkeys(_delivered(texts))),
        return_path=_return_path(values),
        subject=values.get("subject", [""])[0],
        headers=texts,
        received_count=len(values.get("received", ())),
    )


def _by_name(fields: Iterable[tuple[str, str]]) -> Values:
    values: Values = {}
    for name, text in fields:
        values.setdefault(name, []).append(text)
    return values


def _note_faults(values: Mapping[str, list[str]], root: Part, defects: DefectLog) -> None:
    for name in sorted(_ONCE & values.keys()):
        if len(values[name]) > 1:
            defects.note(DefectKind.DUPLICATE, f"{len(values[name])} fields {name}; one is allowed")
    if not values.keys() & WRITTEN:
        blank = not root.raw.strip()
        if blank and values.keys() <= TRACE:
            defects.note(DefectKind.EMPTY, "there is nothing below the trace fields")
        else:
            defects.note(DefectKind.NOT_MAIL, "no field that a mail program writes is there")


def _delivered(texts: Texts) -> Iterable[str]:
    for name, text in texts:
        if name in _DELIVERED:
            yield from (address.addr_spec for address in addresses.read_leniently(text))


def _return_path(values: Mapping[str, list[str]]) -> str | None:
    if "return-path" not in values:
        return None
    return next((address.addr_spec for address in addresses.read_leniently(values["return-path"][0])), "")


def _read_report(values: Values, content: Body, parts: list[Part]) -> DeliveryReport | None:
    found = dsn.read(parts)
    if found is not None or not bounce.is_from_system(values):
        return found
    return bounce.read(values, content.text or visible(content.html or ""), parts)


def _read_calendars(parts: list[Part]) -> tuple[Calendar, ...]:
    found = (part for part in parts if part.content_type in _CALENDAR_TYPES)
    texts = (decode_charset(part.decoded().octets, part.charset or "utf-8").text for part in found)
    return tuple(dict.fromkeys(event for text in texts for event in calendar.read(text)))


def _digest(message: ParsedMessage, content: Body, files: tuple[Attachment, ...]) -> str:
    """What makes a mail the same mail, whichever way it came: white space and encodings do not count."""
    facts = [
        *(address.addr_spec for address in message.from_),
        message.subject,
        content.text or "",
        content.html or "",
        *(file.sha256 for file in files),
    ]
    return hashlib.sha256("\0".join(facts).encode().translate(None, _WHITE_SPACE)).hexdigest()
