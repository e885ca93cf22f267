"""Calendar invitations (RFC 5545), as far as a person needs them: what, when, where, from whom."""

import re
from collections.abc import Iterator
from datetime import datetime

from ingest.model.message import Calendar
from ingest.parse.limits import MAX_EVENTS
from ingest.parse.mime import parameters

_FOLD = re.compile(r"\r?\n[ \t]")
_PROPERTY = re.compile(r'([A-Za-z0-9-]{1,60})((?:;[^;:"]*(?:"[^"]*"[^;:"]*)*)*):')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_COMPONENTS = frozenset({"VEVENT", "VTODO", "VJOURNAL"})
_FORMS = {15: ("%Y%m%dT%H%M%S", "%Y-%m-%d %H:%M"), 13: ("%Y%m%dT%H%M", "%Y-%m-%d %H:%M"), 8: ("%Y%m%d", "%Y-%m-%d")}
_MAX_CHARACTERS = 1024 * 1024
_MAX_VALUE = 500


def parse_calendar(text: str) -> tuple[Calendar, ...]:
    """Every event, task or journal entry; recurrences and alarms aside."""
    method, events = "", list[dict[str, str]]()
    for fields in _components(_FOLD.sub("", text[:_MAX_CHARACTERS])):
        if "method" in fields:
            method = fields["method"]
        elif len(events) < MAX_EVENTS and fields:
            events.append(fields)
    return tuple(_calendar(method.upper(), fields) for fields in events)


def _components(text: str) -> Iterator[dict[str, str]]:
    """The properties of each component that matters, and those of the calendar itself (the method) before them."""
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
    """A property's value for people: dates in ISO order, the organizer by name."""
    named = (
        parameters.parse_structured_field(b"x" + raw_parameters.encode("utf-8", "replace")).parameters
        if raw_parameters
        else {}
    )
    if name in ("dtstart", "dtend", "due"):
        return _moment(value.strip(), named.get("tzid", ""))
    if name == "organizer":
        address = value.strip().partition(":")[2] or value.strip()
        common_name = named.get("cn", "")
        return f"{common_name} <{address}>" if common_name and common_name != address else address
    return " ".join(_ESCAPED.sub(_unescape, value).split())[:_MAX_VALUE]


def _unescape(match: re.Match[str]) -> str:
    return " " if match[1] in "nN" else match[1]


def _moment(value: str, zone: str) -> str:
    """``20261103T100000`` as ``2026-11-03 10:00``, with the zone as the sender names it."""
    bare = value.removesuffix("Z")
    try:
        source, shown = _FORMS[len(bare)]
        moment = datetime.strptime(bare, source).strftime(shown)  # noqa: DTZ007 the zone is a name that only the sender's calendar defines
    except (KeyError, ValueError):
        return value[:_MAX_VALUE]
    zone = "UTC" if value.endswith("Z") else zone[:_MAX_VALUE]
    return f"{moment} ({zone})" if zone and len(bare) > len("20261103") else moment


def _calendar(method: str, fields: dict[str, str]) -> Calendar:
    return Calendar(
        method=method[:40],
        summary=fields.get("summary", ""),
        start=fields.get("dtstart", ""),
        end=fields.get("dtend", "") or fields.get("due", ""),
        location=fields.get("location", ""),
        organizer=fields.get("organizer", ""),
    )
