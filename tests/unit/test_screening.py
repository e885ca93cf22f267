"""Screening: which mail a machine wrote, and which nobody wrote to us."""

import pytest

from ingest import screening
from ingest.model.local_addresses import LocalAddresses
from ingest.model.message import DeliveryReport, ParsedMessage, ReportedRecipient
from ingest.model.outcome import RuleName
from ingest.model.verdict import Action, Verdict
from tests.support.factories import ALICE, DOMAIN, address, envelope, parsed

LOCAL = LocalAddresses(domains=frozenset({DOMAIN}), recipients=frozenset({"*"}), max_received=50)


def screen(message: ParsedMessage, *rcpt: str, mail_from: str = ALICE, local: LocalAddresses = LOCAL) -> Verdict | None:
    return screening.screen(message, envelope(*rcpt, mail_from=mail_from), local)


def test_what_a_person_wrote_passes() -> None:
    assert screen(parsed()) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("auto-submitted", "auto-replied"),
        ("auto-submitted", "auto-generated; owner-email=x"),
        ("precedence", "auto_reply"),
        ("x-autoreply", "yes"),
        ("x-autorespond", ""),
        ("x-post-messageclass", "9; Autoresponder"),
    ],
)
def test_a_field_that_only_machines_write_discards(name: str, value: str) -> None:
    verdict = screen(parsed(headers=((name, value),)))
    assert verdict is not None
    assert (verdict.rule, verdict.action) == (RuleName.AUTOMATIC_REPLY, Action.DISCARD)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("auto-submitted", "no"),
        ("auto-submitted", "No ; reason"),
        ("precedence", "bulk"),
        ("precedence", "list"),
        ("x-autoreply", "no"),
        ("x-auto-response-suppress", "OOF"),
    ],
)
def test_a_field_that_people_s_mail_has_too_does_not_discard(name: str, value: str) -> None:
    assert screen(parsed(headers=((name, value),))) is None


@pytest.mark.parametrize("subject", ["Automatic reply: Lost Password", "Abwesenheitsnotiz: Urlaub", "Out of Office"])
def test_a_vacation_subject_with_a_null_reverse_path_is_an_automatic_reply(subject: str) -> None:
    verdict = screen(parsed(subject=subject), mail_from="")
    assert verdict is not None
    assert verdict.rule == RuleName.AUTOMATIC_REPLY


def test_a_vacation_subject_alone_is_somebody_s_ticket() -> None:
    assert screen(parsed(subject="Out of office: the printer on the third floor")) is None


def test_a_vacation_subject_is_a_person_s_where_a_return_path_says_who_sent_it() -> None:
    """A mailbox that is read over IMAP has no envelope: what its delivery wrote into Return-Path counts."""
    message = parsed(subject="Out of office: the printer", return_path=ALICE)
    assert screen(message, mail_from="") is None


def test_a_reply_to_an_automatic_reply_is_a_person_s() -> None:
    assert screen(parsed(subject="Re: Automatic reply: Lost Password"), mail_from="") is None


def test_a_report_of_a_failure_becomes_a_private_note() -> None:
    report = DeliveryReport(
        recipients=(ReportedRecipient(recipient="b@x.example", action="failed", status="5.1.1"),),
        original_message_id="out@x.example",
    )
    verdict = screen(parsed(delivery_report=report), mail_from="")
    assert verdict is not None
    assert (verdict.rule, verdict.action, verdict.outcome) == (RuleName.DELIVERY_REPORT, Action.NOTE, None)


def test_a_report_of_one_failure_among_deliveries_becomes_a_private_note() -> None:
    recipients = tuple(
        ReportedRecipient(recipient=f"{action}@x.example", action=action, status="")
        for action in ("delivered", "failed")
    )
    report = DeliveryReport(recipients=recipients, original_message_id="out@x.example")
    verdict = screen(parsed(delivery_report=report), mail_from="")
    assert verdict is not None
    assert verdict.action is Action.NOTE


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed"])
def test_a_report_without_a_failure_is_discarded(action: str) -> None:
    recipient = ReportedRecipient(recipient="b@x.example", action=action, status="4.0.0")
    report = DeliveryReport(recipients=(recipient,), original_message_id=None)
    verdict = screen(parsed(delivery_report=report), mail_from="")
    assert verdict is not None
    assert verdict.action is Action.DISCARD


def test_more_received_fields_than_the_limit_are_a_loop() -> None:
    verdict = screen(parsed(received_count=51))
    assert verdict is not None
    assert (verdict.rule, verdict.action) == (RuleName.LOOP, Action.DISCARD)


def test_as_many_received_fields_as_the_limit_are_none() -> None:
    assert screen(parsed(received_count=50)) is None


def test_our_own_mail_coming_back_is_a_loop() -> None:
    verdict = screen(parsed(from_=(address(f"help+TAI-42@{DOMAIN}"),)))
    assert verdict is not None
    assert verdict.rule == RuleName.LOOP


def test_a_colleague_in_our_domain_is_no_loop_where_only_some_local_parts_are_the_help_desk_s() -> None:
    local = LocalAddresses(domains=frozenset({DOMAIN}), recipients=frozenset({"help"}), max_received=50)
    assert screen(parsed(from_=(address(f"bob@{DOMAIN}"),)), local=local) is None


def test_two_authors_are_malformed() -> None:
    verdict = screen(parsed(from_=(address(ALICE), address("mallory@evil.example"))))
    assert verdict is not None
    assert (verdict.rule, verdict.action) == (RuleName.MALFORMED, Action.QUARANTINE)


def test_the_same_author_twice_is_one() -> None:
    assert screen(parsed(from_=(address(ALICE), address(ALICE.upper())))) is None


def test_no_author_is_malformed() -> None:
    verdict = screen(parsed(from_=()))
    assert verdict is not None
    assert verdict.rule == RuleName.MALFORMED


def test_mail_for_somebody_else_is_quarantined() -> None:
    verdict = screen(parsed(), "bob@elsewhere.example")
    assert verdict is not None
    assert (verdict.rule, verdict.action) == (RuleName.RECIPIENT, Action.QUARANTINE)
