"""Copies of outbound mail: by what they are known."""

import pytest

from ingest import signing
from ingest.model.message import ParsedMessage
from ingest.model.teachers import Teacher
from ingest.sent_copies import CopyMark, find_copy_mark
from ingest.signing_keys import SigningKeys
from tests.support.factories import DOMAIN, envelope, parsed

KEY = b"0123456789abcdef0123456789abcdef"
TICKET = "cm7y0q4kt000q5gneqf0tbspg"
SECRET = f"copies-5d41402abc4b2a76@{DOMAIN}"
FIELD = signing.sign_sent(TICKET, "out.1@mail.example.com", KEY)
NOW = 1_790_000_000.0


def mark_of(message: ParsedMessage | None = None, *rcpt: str, keys: bytes | None = KEY) -> CopyMark | None:
    return find_copy_mark(
        message or parsed(),
        envelope(*rcpt),
        domains=frozenset({DOMAIN}),
        keys=SigningKeys(keys=(keys,)) if keys else None,
        secret_address=SECRET,
        now=NOW,
    )


def outbound(message_id: str, value: str = FIELD) -> ParsedMessage:
    return parsed(message_id=message_id, headers=(("subject", "Hello"), ("x-ingest-sent", value)))


def test_a_copy_is_known_by_a_field_that_is_signed_for_its_message_id() -> None:
    mark = mark_of(outbound("out.1@mail.example.com"))
    assert mark == CopyMark(teacher=Teacher.SIGNED, ticket_id=TICKET, found_in="X-Ingest-Sent")


@pytest.mark.parametrize(
    "value", ["", "yes", FIELD[:-1], FIELD.replace(TICKET, "cm7y0q4kt000q5gneqf0other"), "x" * 9999]
)
def test_a_field_that_nobody_signed_marks_nothing(value: str) -> None:
    assert mark_of(outbound("out.1@mail.example.com", value)) is None


def test_who_received_outbound_mail_cannot_teach_another_message_id_with_its_field() -> None:
    assert mark_of(outbound("victim@customer.example")) is None


def test_without_a_key_or_with_another_one_the_field_marks_nothing() -> None:
    assert mark_of(outbound("out.1@mail.example.com"), keys=None) is None
    assert mark_of(outbound("out.1@mail.example.com"), keys=b"fedcba9876543210fedcba9876543210") is None


def test_a_copy_is_known_by_a_signed_recipient_in_the_envelope_or_in_delivered_to() -> None:
    recipient = signing.sign_sent_address(TICKET, DOMAIN, KEY)
    expected = CopyMark(teacher=Teacher.SENT, ticket_id=TICKET, found_in="signed recipient")
    assert mark_of(None, recipient.upper()) == expected
    assert mark_of(parsed(delivered_to=(recipient,)), f"help@{DOMAIN}") == expected


def test_a_reply_address_marks_no_copy() -> None:
    assert mark_of(None, signing.sign_address(TICKET, DOMAIN, KEY)) is None


def test_a_signed_recipient_elsewhere_marks_no_copy() -> None:
    assert mark_of(None, signing.sign_sent_address(TICKET, "elsewhere.example", KEY)) is None


def test_a_copy_is_known_by_the_secret_address_and_the_mark_does_not_tell_it() -> None:
    mark = mark_of(None, SECRET.upper())
    assert mark == CopyMark(teacher=Teacher.SENT, ticket_id=None, found_in="INGEST_SENT_ADDRESS")
    assert SECRET not in repr(mark)


def test_other_mail_is_no_copy() -> None:
    assert mark_of(None, f"help@{DOMAIN}", f"sent@{DOMAIN}", "") is None
