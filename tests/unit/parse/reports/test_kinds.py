"""Complaints and read receipts, and how sure it is that a machine wrote a report."""

import pytest

from ingest.model.message import ReportedRecipient, ReportKind, ReportProof
from ingest.parse import parse
from tests.support.mime import entity, mail, multipart, plain

ORIGINAL = "Message-ID: <tai-42-1@mail.example>\r\nTo: alice@customer.example\r\n"
STATUS = "Reporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; bob@customer.example\r\nAction: failed\r\n"
FORWARDED = (plain("What is wrong?"), entity("message/delivery-status", STATUS), entity("message/rfc822", ORIGINAL))


def test_a_complaint_tells_the_mail_and_who_complains() -> None:
    feedback = "Feedback-Type: abuse\r\nVersion: 1\r\nOriginal-Rcpt-To: <alice@customer.example>\r\n"
    parts = (plain("Spam."), entity("message/feedback-report", feedback), entity("message/rfc822", ORIGINAL))
    report = parse(mail(multipart("report; report-type=feedback-report", *parts))).delivery_report
    assert report is not None
    assert (report.kind, report.proof) == (ReportKind.COMPLAINT, ReportProof.PROVEN)
    assert report.original_message_id == "tai-42-1@mail.example"
    assert report.recipients == (ReportedRecipient(recipient="alice@customer.example", action="abuse", status=""),)


def test_a_mail_that_hotmail_returns_is_a_complaint() -> None:
    returned = entity("message/rfc822", f"X-HmXmrOriginalRecipient: alice@customer.example\r\n{ORIGINAL}\r\nHello")
    report = parse(mail(multipart("mixed", returned))).delivery_report
    assert report is not None
    assert (report.kind, report.proof) == (ReportKind.COMPLAINT, ReportProof.LIKELY)


@pytest.mark.parametrize("disposition", ["displayed", "deleted"])
def test_a_read_receipt_tells_the_mail_and_what_became_of_it(disposition: str) -> None:
    notification = (
        "Final-Recipient: rfc822;alice@customer.example\r\nOriginal-Message-ID: <tai-42-1@mail.example>\r\n"
        f"Disposition: manual-action/MDN-sent-manually; {disposition}/error\r\n"
    )
    parts = (plain("It was read."), entity("message/disposition-notification", notification))
    report = parse(mail(multipart("report; report-type=disposition-notification", *parts))).delivery_report
    assert report is not None
    assert (report.kind, report.original_message_id) == (ReportKind.RECEIPT, "tai-42-1@mail.example")
    assert [item.action for item in report.recipients] == [disposition]


def test_a_report_that_a_person_forwards_as_parts_is_only_held_by_the_mail() -> None:
    report = parse(mail(multipart("mixed", *FORWARDED), "Return-Path: <alice@customer.example>")).delivery_report
    assert report is not None
    assert report.proof is ReportProof.QUOTED


def test_a_report_in_other_parts_is_proven_by_a_null_reverse_path() -> None:
    report = parse(mail(multipart("mixed", *FORWARDED), "Return-Path: <>")).delivery_report
    assert report is not None
    assert report.proof is ReportProof.PROVEN


@pytest.mark.parametrize(
    ("subject", "proof"),
    [
        ("Undelivered Mail Returned to Sender", ReportProof.LIKELY),
        ("Fwd: Undelivered Mail Returned to Sender", ReportProof.QUOTED),
        ("Ynt: Undelivered Mail Returned to Sender", ReportProof.QUOTED),
    ],
)
def test_a_mail_system_that_answers_or_forwards_is_a_person(subject: str, proof: ReportProof) -> None:
    content = mail(multipart("mixed", *FORWARDED), f"Subject: {subject}")
    daemon = content.replace(b"Alice Archer <alice@customer.example>", b"MAILER-DAEMON@mx.example")
    report = parse(daemon).delivery_report
    assert report is not None
    assert report.proof is proof


def test_a_root_that_is_a_report_is_one_although_its_parts_say_nothing() -> None:
    report = parse(mail(multipart("report", plain("?")), "In-Reply-To: <tai-42-1@mail.example>")).delivery_report
    assert report is not None
    assert (report.recipients, report.original_message_id) == ((), "tai-42-1@mail.example")
