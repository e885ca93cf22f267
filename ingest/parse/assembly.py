"""A tree of parts to a ``ParsedMessage``.

Each step is guarded: a fault of ours in one costs what that step would have read, is recorded as a defect, and leaves
the rest.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from ingest.message import Address, Attachment, Calendar, ParsedMessage
from ingest.parse import addresses, attachments, body, bounce, calendar, ids, report, words
from ingest.parse.body import Body
from ingest.parse.charset import decode as decode_charset
from ingest.parse.defects import DUPLICATE, EMPTY, INTERNAL, NOT_MAIL, Defects
from ingest.parse.header import TRACE, WRITTEN, Header
from ingest.parse.part import Part
from ingest.parse.texts import visible

T = TypeVar("T")
Texts = tuple[tuple[str, str], ...]

_SINGLE = "from sender reply-to to cc subject date message-id in-reply-to references content-type"
_ONCE = frozenset(_SINGLE.split())
"""Fields that RFC 5322 section 3.6 allows once."""
_DELIVERED = ("delivered-to", "x-original-to", "envelope-to", "x-delivered-to")
_CALENDAR_TYPES = frozenset({"text/calendar", "application/ics"})


def assemble(header: Header, parts: list[Part], defects: Defects) -> ParsedMessage:
    """Read the header and the parts, the root first, of one message."""
    hints = tuple(dict.fromkeys(part.charset for part in parts if part.main_type == "text" and part.charset))
    raw = tuple((field.name, words.raw_text(field.value, hints)) for field in header.fields)
    texts = tuple((name, words.decode(text)) for name, text in raw)
    values = _by_name(texts)
    _note_faults(values, parts[0], defects)

    def step(read: Callable[[], T], default: T) -> T:
        return _guarded(read, default, defects)

    people = step(lambda: addresses.read(_by_name(raw), defects), addresses.Originators({}, None))
    content = step(lambda: body.read(parts[0], hints, defects), Body(None, None, ()))
    files = step(lambda: attachments.describe(content.attachments, content.html, defects), tuple[Attachment, ...]())
    subject = values.get("subject", [""])[0]
    from_ = people.addresses.get("from", ())
    message_ids = ids.read(" ".join(values.get("message-id", ())))
    return ParsedMessage(
        message_id=message_ids[0] if message_ids else None,
        message_ids=message_ids,
        in_reply_to=ids.read(" ".join(values.get("in-reply-to", ()))),
        references=ids.read(" ".join(values.get("references", ()))),
        date=people.date,
        from_=from_,
        sender=next(iter(addresses.read_leniently(values.get("sender", [""])[0])), None),
        reply_to=people.addresses.get("reply-to", ()),
        to=people.addresses.get("to", ()),
        cc=people.addresses.get("cc", ()),
        delivered_to=tuple(dict.fromkeys(_delivered(texts))),
        return_path=_return_path(values),
        subject=subject,
        headers=texts,
        received_count=len(values.get("received", ())),
        text=content.text,
        html=content.html,
        attachments=files,
        delivery_report=step(lambda: report.read(parts) or bounce.read(values, _any_text(content), parts), None),
        calendar=step(lambda: _calendars(parts), tuple[Calendar, ...]()),
        content_digest=_digest(from_, subject, content, files),
        defects=defects.found(),
    )


def _guarded(read: Callable[[], T], default: T, defects: Defects) -> T:
    try:
        return read()
    except MemoryError:
        raise
    except Exception as error:
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        place = where.tb_frame.f_code.co_name if where is not None else ""
        defects.note(INTERNAL, f"{type(error).__name__} in {place}")
        return default


def _by_name(fields: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, text in fields:
        values.setdefault(name, []).append(text)
    return values


def _note_faults(values: Mapping[str, list[str]], root: Part, defects: Defects) -> None:
    for name in sorted(_ONCE & values.keys()):
        if len(values[name]) > 1:
            defects.note(DUPLICATE, f"{len(values[name])} fields {name}; one is allowed")
    if not values.keys() & WRITTEN:
        blank = not root.raw.strip()
        if blank and values.keys() <= TRACE:
            defects.note(EMPTY, "there is nothing below the trace fields")
        else:
            defects.note(NOT_MAIL, "no field that a mail program writes is there")


def _delivered(texts: Texts) -> Iterable[str]:
    for name, text in texts:
        if name in _DELIVERED:
            yield from (address.addr_spec for address in addresses.read_leniently(text))


def _return_path(values: Mapping[str, list[str]]) -> str | None:
    if "return-path" not in values:
        return None
    return next((address.addr_spec for address in addresses.read_leniently(values["return-path"][0])), "")


def _any_text(content: Body) -> str:
    """The words of the body, for looking into."""
    return content.text or (visible(content.html) if content.html else "")


def _calendars(parts: list[Part]) -> tuple[Calendar, ...]:
    found = (part for part in parts if part.content_type in _CALENDAR_TYPES)
    texts = (decode_charset(part.decoded().octets, part.charset or "utf-8").text for part in found)
    return tuple(dict.fromkeys(event for text in texts for event in calendar.read(text)))


def _digest(from_: tuple[Address, ...], subject: str, content: Body, files: tuple[Attachment, ...]) -> str:
    """What makes a mail the same mail, whichever way it came: white space and encodings do not count."""
    facts = [
        *(address.addr_spec for address in from_),
        subject,
        _settled(content.text),
        _settled(content.html),
        *(file.sha256 for file in files),
    ]
    return hashlib.sha256("\0".join(facts).encode("utf-8", "surrogatepass")).hexdigest()


def _settled(text: str | None) -> str:
    return " ".join((text or "").split())
