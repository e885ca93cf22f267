"""A fetched message as the worker takes it in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.config.imap_accounts import ImapAccount
from ingest.sources.imap.mail import parse_internal_date, placeholder_content, received_message, reverse_path

ACCOUNT = ImapAccount.model_validate(
    {"name": "support", "host": "imap.example", "user": "help@ours.example", "password": "secret"}
)


@pytest.mark.parametrize(
    ("content", "mail_from"),
    [
        (b"Return-Path: <a@x.example>\r\nFrom: b@y.example\r\n\r\n", "a@x.example"),
        (b"Received: x\r\nReturn-Path:<>\r\nFrom: b@y.example\r\n\r\n", ""),
        (b'From: "B, dear" <b@y.example>\r\n\r\nReturn-Path: <of-the-body@x.example>\r\n', "b@y.example"),
        (b"Subject: nobody\r\n\r\n", ""),
        (b"", ""),
    ],
)
def test_the_envelopes_sender_is_what_the_delivery_noted_else_the_author(content: bytes, mail_from: str) -> None:
    message = received_message(ACCOUNT, "INBOX", 5, 7, content, now=1.0)
    assert message.envelope.mail_from == mail_from
    assert message.envelope.rcpt_tos == ("help@ours.example",)
    assert message.source_ref.position == "5/7"
    assert message.content == content


@given(st.binary())
def test_any_octets_have_a_reverse_path(content: bytes) -> None:
    assert isinstance(reverse_path(b"from: " + content), str)


def test_internal_dates_are_read_and_unreadable_ones_are_none() -> None:
    assert parse_internal_date(b"17-Jul-1996 02:44:25 -0700") == 837596665.0
    assert parse_internal_date(b" 1-Jan-2026 00:00:00 +0000") == 1767225600.0
    assert parse_internal_date(b"yesterday") is None
    assert parse_internal_date(b"\xff") is None


def test_a_mail_that_nobody_can_read_is_kept_by_its_headers_or_its_place() -> None:
    assert placeholder_content("imap:a/INBOX 1/2", 9, b"Subject: x\r\n\r\n") == b"Subject: x\r\n\r\n"
    known = placeholder_content("imap:a/INBOX 1/2", 9, None)
    assert b"X-Ingest-Place: imap:a/INBOX 1/2\r\nX-Ingest-Size: 9\r\n\r\n" in known
