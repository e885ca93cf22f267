"""Delivery status notifications (RFC 3464)."""

import pytest

from ingest.model.message import ReportedRecipient
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
