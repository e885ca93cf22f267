"""Delivery reports and calendar invitations."""

import pytest

from ingest.model.message import Calendar, ReportedRecipient
from ingest.parse import parse
from tests.support.mime import entity, mail, multipart, only, plain

ORIGINAL = (
    "Message-ID: <tai-42-1@Mail.example>\r\nReferences: <tai-42-0@mail.example>\r\nSubject: [TAI-42]\r\n\r\nHello\r\n"
)
STATUS = (
    "Reporting-MTA: dns; mx.example\r\n\r\n"
    "Original-Recipient: rfc822;alice@customer.example\r\nFinal-Recipient: rfc822; alice@customer.example\r\n"
    "Action: failed\r\nStatus: 5.1.1\r\n"
    "Diagnostic-Code: smtp; 550 5.1.1 <alice@customer.example>:\r\n no such user\r\n\r\n"
    "Final-Recipient: rfc822; bob@customer.example\r\nAction: Delayed (slow)\r\nStatus: 4.4.1 (no answer)\r\n"
)
ALICE = ReportedRecipient(
    recipient="alice@customer.example",
    action="failed",
    status="5.1.1",
    diagnostic="550 5.1.1 <alice@customer.example>: no such user",
)
BOB = ReportedRecipient(recipient="bob@customer.example", action="delayed", status="4.4.1")


def report(*returned: bytes, status: str = STATUS) -> bytes:
    parts = (plain("It did not work.\r\n"), entity("message/delivery-status", status), *returned)
    return mail(multipart("report; report-type=delivery-status", *parts))


@pytest.mark.parametrize("kind", ["message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "message/global"])
def test_a_report_tells_the_recipients_and_the_mail_it_is_about(kind: str) -> None:
    found = parse(report(entity(kind, ORIGINAL))).delivery_report
    assert found is not None
    assert found.recipients == (ALICE, BOB)
    assert (found.original_message_id, found.original_references) == (
        "tai-42-1@mail.example",
        ("tai-42-0@mail.example",),
    )


def test_a_report_without_the_mail_it_is_about_still_tells_the_recipients() -> None:
    message = parse(report())
    assert message.delivery_report is not None
    assert (message.delivery_report.recipients, message.delivery_report.original_message_id) == ((ALICE, BOB), None)
    assert message.text == "It did not work.\n"
    assert only(message).content_type == "message/delivery-status"


def test_a_status_that_is_only_in_the_diagnostic_is_found() -> None:
    found = parse(
        report(status="Final-Recipient: rfc822; a@b.example\r\nDiagnostic-Code: smtp; 550 5.2.2 full")
    ).delivery_report
    assert found is not None
    assert [each.status for each in found.recipients] == ["5.2.2"]


def test_a_report_of_many_recipients_is_bounded() -> None:
    found = parse(
        report(status="Final-Recipient: rfc822; a@b.example\r\nAction: failed\r\n\r\n" * 3000)
    ).delivery_report
    assert found is not None
    assert len(found.recipients) == 1000


QMAIL = """Hi. This is the qmail-send program at mx.example.
I'm afraid I wasn't able to deliver your message to the following addresses.

<alice@customer.example>:
Sorry, no mailbox here by that name. (#5.1.1)

--- Below this line is a copy of the message.

Received: by mx.example
Message-ID: <tai-42-1@mail.example>
References: <tai-42-0@mail.example>

Hello
"""
OLD_SENDMAIL = """   ----- Transcript of session follows -----
550 alice@customer.example... User unknown

   ----- Unsent message follows -----
> Message-Id: <tai-42-1@mail.example>
> References: <tai-42-0@mail.example>
>
> Hello
"""


@pytest.mark.parametrize(
    ("subject", "text", "status"),
    [
        ("failure notice", QMAIL, "5.1.1"),
        ("Returned mail: User unknown", OLD_SENDMAIL, "5.0.0"),
        ("Mail delivery failed: returning message to sender", QMAIL.replace("(#5.1.1)", ""), ""),
    ],
    ids=["qmail", "sendmail", "no code"],
)
def test_a_report_for_people_tells_as_much_as_it_says(subject: str, text: str, status: str) -> None:
    content = mail(plain(text), f"Subject: {subject}", "To: help@mail.example").replace(
        b"Alice Archer <alice@customer.example>", b"Mail Delivery System <MAILER-DAEMON@mx.example>"
    )
    found = parse(content).delivery_report
    assert found is not None
    assert (found.original_message_id, found.original_references) == (
        "tai-42-1@mail.example",
        ("tai-42-0@mail.example",),
    )
    assert [(each.recipient, each.action, each.status) for each in found.recipients] == [
        ("alice@customer.example", "failed", status)
    ]


def test_a_warning_of_a_delay_is_told_from_a_failure() -> None:
    text = QMAIL.replace(
        "Sorry, no mailbox here by that name. (#5.1.1)", "The message has been delayed. It will be retried. 4.4.1"
    )
    content = mail(plain(text), "Subject: Warning: message delayed 24 hours", "Return-Path: <>").replace(
        b"Alice Archer <alice@customer.example>", b"Mailer <mailer@mx.example>"
    )
    found = parse(content).delivery_report
    assert found is not None
    assert {each.action for each in found.recipients} == {"delayed"}


def test_exim_names_the_recipients_in_a_field() -> None:
    content = mail(plain("undeliverable"), "X-Failed-Recipients: a@b.example, c@d.example", "Return-Path: <>")
    found = parse(content).delivery_report
    assert found is not None
    assert [each.recipient for each in found.recipients] == ["a@b.example", "c@d.example"]


DAEMON = b"Mail Delivery System <MAILER-DAEMON@mx.example>"
DOMINO = (
    "Your message\n\n  Subject: Hi\n\nwas not delivered to:\n\n  bob@customer.example\n\nbecause:\n\n  no such user"
)
EXIM_DELAY = """This message was created automatically by mail delivery software.
A message that you sent has not yet been delivered to:

  bob@customer.example
    Delay reason: SMTP error after MAIL FROM:<help@mail.example>
    450 try again

Delivery attempts will continue for some time.
"""
UNSENT = """   ----- Transcript of session follows -----
554 <bob@customer.example>... 550 Host unknown

   ----- Unsent message follows -----
From: help@mail.example
To: bob@customer.example
Cc: carol@customer.example
"""
TO_A_TELEPHONE = """Message could not be delivered to mobile.

Original Message:
From: Help <help@mail.example>
To: bob@customer.example
"""


@pytest.mark.parametrize(
    ("subject", "text", "action", "status"),
    [
        ("DELIVERY FAILURE: User Bob not listed in Domino Directory", DOMINO, "failed", ""),
        ("Warning: message 1abc-2 delayed 24 hours", EXIM_DELAY, "delayed", "4.0.0"),
        ("Returned mail: Host unknown", UNSENT, "failed", "5.0.0"),
        ("Undeliverable Message", TO_A_TELEPHONE, "failed", ""),
        ("failure notice", QMAIL.replace("alice@", "bob@").partition("Received:")[0], "failed", "5.1.1"),
    ],
    ids=["Domino", "Exim warns", "old sendmail", "telephone", "qmail without the copy"],
)
def test_a_report_that_returns_nothing_is_known_by_what_mail_systems_write(
    subject: str, text: str, action: str, status: str
) -> None:
    content = mail(plain(text), f"Subject: {subject}", "To: help@mail.example", "Return-Path: <>")
    found = parse(content.replace(b"Alice Archer <alice@customer.example>", DAEMON)).delivery_report
    assert found is not None
    assert found.original_message_id is None
    assert [(each.recipient, each.action, each.status) for each in found.recipients] == [
        ("bob@customer.example", action, status)
    ]


def test_the_returned_header_is_found_below_a_line_that_is_no_blank_one() -> None:
    text = (
        "|---- Failed addresses follow: ----|\n bob@customer.example ... unknown host\n"
        "|---- Message text follows: ----|\nReceived: by mx.example\n\tfor bob\n"
        "Message-Id: <tai-42-1@mail.example>\n\nHello\n"
    )
    content = mail(plain(text), "Subject: mail failed, returning to sender")
    found = parse(content.replace(b"Alice Archer <alice@customer.example>", DAEMON)).delivery_report
    assert found is not None
    assert (found.recipients[0].recipient, found.original_message_id) == (
        "bob@customer.example",
        "tai-42-1@mail.example",
    )


def test_a_status_part_that_lost_its_boundary_is_read_from_the_text() -> None:
    text = (
        "This report relates to a message you sent with these fields:\n\n  Message-id: <tai-42-1@mail.example>\n"
        "  To: bob@customer.example\n\nYour message cannot be delivered.\n\nReporting-MTA: dns; mx.example\n\n"
        "Final-Recipient: rfc822;bob@customer.example\nAction: failed\nStatus: 5.7.1 (rejected)\n"
    )
    body = entity('multipart/report; report-type=delivery-status; boundary="never"', text)
    content = mail(body, "Subject: Delivery Notification: Delivery has failed")
    found = parse(content.replace(b"Alice Archer <alice@customer.example>", DAEMON)).delivery_report
    assert found is not None
    assert [(each.recipient, each.status) for each in found.recipients] == [("bob@customer.example", "5.7.1")]
    assert found.original_message_id == "tai-42-1@mail.example"


def test_a_returned_mail_whose_header_became_that_of_a_part_is_the_one_reported_on() -> None:
    returned = entity("text/plain", "Hello", "Message-Id: <tai-42-1@mail.example>", "From: help@mail.example")
    body = multipart("mixed", plain("Delivery errors: bob@customer.example [User unknown]"), returned)
    content = mail(body, "Subject: Returned Mail: User unknown")
    found = parse(content.replace(b"Alice Archer <alice@customer.example>", DAEMON)).delivery_report
    assert found is not None
    assert found.original_message_id == "tai-42-1@mail.example"


@pytest.mark.parametrize(
    ("sender", "fields"),
    [
        (b"Alice <alice@customer.example>", ("Subject: Undeliverable: Invoice",)),
        (b"Pat <postmaster@customer.example>", ("Subject: Delivery failure",)),
        (b"Pat <postmaster@customer.example>", ("Subject: Fwd: Undeliverable: Invoice",)),
        (DAEMON, ("Subject: Re: Undeliverable: Invoice",)),
        (DAEMON, ("Subject: Undeliverable: Invoice", "In-Reply-To: <tai-42-1@mail.example>")),
    ],
    ids=["a customer", "a person at postmaster", "a forward", "an answer", "in a conversation"],
)
def test_a_person_who_writes_of_mail_that_came_back_is_no_report(sender: bytes, fields: tuple[str, ...]) -> None:
    text = "Hello, our mail to bob@customer.example could not be delivered: 550 5.1.1. Can you help?"
    content = mail(plain(text), *fields).replace(b"Alice Archer <alice@customer.example>", sender)
    assert parse(content).delivery_report is None


def test_a_customer_who_complains_that_a_mail_came_back_is_no_report() -> None:
    assert (
        parse(mail(plain(QMAIL), "Subject: failure notice", "Return-Path: <alice@customer.example>")).delivery_report
        is None
    )


def test_an_automatic_reply_with_the_null_path_is_no_report() -> None:
    assert parse(mail(plain("I am away until Monday."), "Return-Path: <>", "Subject: Away")).delivery_report is None


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
