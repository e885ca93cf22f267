"""Delivery reports that are written for people, and mail that only looks like them."""

import pytest

from ingest.parse import parse
from tests.support.mime import entity, mail, multipart, plain

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
