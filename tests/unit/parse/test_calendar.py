"""Calendar invitations."""

import pytest

from ingest.model.message import Calendar
from ingest.parse import parse
from tests.support.mime import entity, mail, multipart, only, plain

INVITATION = """BEGIN:VCALENDAR
METHOD:REQUEST
BEGIN:VTIMEZONE
TZID:Europe/Berlin
BEGIN:STANDARD
DTSTART:19701025T030000
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
SUMMARY;LANGUAGE=de:Drucker\\, zweiter Stock\\nund Gr
 öße
DTSTART;TZID="Europe/Berlin":20261103T100000
DTEND:20261103T100000Z
LOCATION:Raum 2\\;14
ORGANIZER;CN="Sam: Okafor":mailto:sam@support.example
BEGIN:VALARM
SUMMARY:alarm
END:VALARM
END:VEVENT
BEGIN:VEVENT
SUMMARY:All day
DTSTART;VALUE=DATE:20261104
END:VEVENT
END:VCALENDAR
"""
EVENTS = (
    Calendar(
        method="REQUEST",
        summary="Drucker, zweiter Stock und Größe",
        start="2026-11-03 10:00 (Europe/Berlin)",
        end="2026-11-03 10:00 (UTC)",
        location="Raum 2;14",
        organizer="Sam: Okafor <sam@support.example>",
    ),
    Calendar(method="REQUEST", summary="All day", start="2026-11-04", end="", location="", organizer=""),
)


def test_an_invitation_alone_is_read_and_kept_as_a_file() -> None:
    message = parse(mail(entity("text/calendar; charset=utf-8; method=REQUEST", INVITATION)))
    assert (message.calendar, message.text) == (EVENTS, None)
    assert only(message).filename == "attachment-0.ics"


def test_an_invitation_sent_twice_in_one_mail_is_told_once() -> None:
    calendar = entity("text/calendar; charset=utf-8", INVITATION)
    file = entity('application/ics; name="invite.ics"', INVITATION, "Content-Disposition: attachment")
    message = parse(mail(multipart("mixed", multipart("alternative", plain("Come"), calendar), file)))
    assert (message.calendar, message.text) == (EVENTS, "Come")


@pytest.mark.parametrize(
    "damage", ["", "no calendar", "BEGIN:VEVENT\nEND:VEVENT", "BEGIN:VEVENT\nDTSTART:2026-99\nEND:VEVENT"]
)
def test_a_calendar_that_says_nothing_breaks_nothing(damage: str) -> None:
    assert len(parse(mail(entity("text/calendar", damage))).calendar) <= 1
