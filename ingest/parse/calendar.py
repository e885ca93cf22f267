"""Parses calendar invitations (RFC 5545) as far as a person needs them: what, when, where, from whom."""

import re
from collections.abc import Iterator
from datetime import datetime

from ingest.model.message import Calendar
from ingest.parse.limits import MAX_CALENDAR_EVENTS
from ingest.parse.mime import parameters

_FOLD = re.compile(r"\r?\n[ \t]")
_PROPERTY = re.compile(r'([A-Za-z0-9-]{1,60})((?:;[^;:"]*(?:"[^"]*"[^;:"]*)*)*):')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_COMPONENTS = frozenset({"VEVENT", "VTODO", "VJOURNAL"})
_FORMS = {15: ("%Y%m%dT%H%M%S", "%Y-%m-%d %H:%M"), 13: ("%Y%m%dT%H%M", "%Y-%m-%d %H:%M"), 8: ("%Y%m%d", "%Y-%m-%d")}
_MAX_CHARACTERS = 1024 * 1024
"""How much of a calendar part is parsed; an invitation has a few thousand characters."""
_MAX_VALUE_CHARACTERS = 500
"""Length of one value that is shown; more than fits into a line for people."""
_MAX_METHOD_CHARACTERS = 40
"""Length of a method; the longest that RFC 5546 has is ``DECLINECOUNTER``."""


def parse_calendar(text: str) -> tuple[Calendar, ...]:
    """Return every event, task and journal entry of a calendar, up to a limit. Recurrences and alarms are ignored."""
    method, events = "", list[dict[str, str]]()
    for fields in _components(_FOLD.sub("", text[:_MAX_CHARACTERS])):
        if "method" in fields:
            method = fields["method"]
        elif len(events) < MAX_CALENDAR_EVENTS and fields:
            events.append(fields)
    return tuple(_calendar(method.upper(), fields) for fields in events)


def _components(text: str) -> Iterator[dict[str, str]]:
    """Yield the method of the calendar, and then the properties of each component that is shown."""
    fields: dict[str, str] = {}
    inside: list[str] = []
    for line in text.splitlines():
        match = _PROPERTY.match(line)
        if match is None:
            continue
        name, value = match[1].lower(), line[match.end() :]
        if name == "begin":
            inside.append(value.strip().upper())
        elif name == "end":
            if inside and inside.pop() in _COMPONENTS:
                yield fields
                fields = {}
        elif name == "method":
            yield {"method": value.strip()}
        elif inside and inside[-1] in _COMPONENTS:
            fields.setdefault(name, _shown(name, match[2], value))


def _shown(name: str, raw_parameters: str, value: str) -> str:
    """Return a property's value as people read it: dates in ISO order, the organizer with the name."""
    named = (
        parameters.parse_structured_field(b"x" + raw_parameters.encode("utf-8", "replace")).parameters
        if raw_parameters
        else {}
    )
    if name in ("dtstart", "dtend", "due"):
        return _moment(value.strip(), named.get("tzid", ""))
    if name == "attendee":
        return named.get("partstat", "").lower()[:_MAX_METHOD_CHARACTERS]
    if name == "organizer":
        address = value.strip().partition(":")[2] or value.strip()
        common_name = named.get("cn", "")
        return f"{common_name} <{address}>" if common_name and common_name != address else address
    return " ".join(_ESCAPED.sub(_unescape, value).split())[:_MAX_VALUE_CHARACTERS]


def _unescape(match: re.Match[str]) -> str:
    return " " if match[1] in "nN" else match[1]


def _moment(value: str, zone: str) -> str:
    """Turn ``20261103T100000`` into ``2026-11-03 10:00``, followed by the zone as the sender names it."""
    bare = value.removesuffix("Z")
    try:
        source, shown = _FORMS[len(bare)]
        moment = datetime.strptime(bare, source).strftime(shown)  # noqa: DTZ007 the zone is a name that only the sender's calendar defines
    except (KeyError, ValueError):
        return value[:_MAX_VALUE_CHARACTERS]
    zone = "UTC" if value.endswith("Z") else zone[:_MAX_VALUE_CHARACTERS]
    return f"{moment} ({zone})" if zone and len(bare) > len("20261103") else moment


def _calendar(method: str, fields: dict[str, str]) -> Calendar:
    return Calendar(
        method=method[:_MAX_METHOD_CHARACTERS],
        summary=fields.get("summary", ""),
        start=fields.get("dtstart", ""),
        end=fields.get("dtend", "") or fields.get("due", ""),
        location=fields.get("location", ""),
        organizer=fields.get("organizer", ""),
        answer=fields.get("attendee", "") if method == "REPLY" else "",
        comment=fields.get("comment", "") if method in ("REPLY", "COUNTER") else "",
    )
