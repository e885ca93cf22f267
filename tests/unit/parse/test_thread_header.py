"""The fast look at the fields that tell the thread sees what the whole parser sees."""

from pathlib import Path

import pytest

from ingest.parse import parse
from ingest.parse.thread_header import MAX_HEAD_BYTES, parse_thread_header

MAILS = sorted((Path(__file__).parents[3] / "fixtures" / "mails").glob("*.eml"))


@pytest.mark.parametrize("path", MAILS, ids=lambda path: path.stem)
def test_the_thread_fields_are_those_that_the_parser_finds(path: Path) -> None:
    content = path.read_bytes()
    head, whole = parse_thread_header(content).fields, parse(content)
    for field in ("message_id", "in_reply_to", "references", "delivered_to"):
        assert getattr(head, field) == getattr(whole, field)


def test_a_subject_in_encoded_words_is_decoded() -> None:
    assert parse_thread_header(b"Subject: =?utf-8?q?Re=3A_=5BTAI-42=5D?=\r\n\r\n").fields.subject == "Re: [TAI-42]"


def test_a_header_of_a_gigantic_length_is_read_no_further_than_the_limit() -> None:
    content = b"X-Filler: " + b"x" * MAX_HEAD_BYTES + b"\r\nMessage-ID: <late@customer.example>\r\n\r\n"
    assert parse_thread_header(content).fields.message_id is None


@pytest.mark.parametrize("content", [b"", b"\0" * 500, b"Message-ID: <\xff\xfe>\r\n", b"(" * 60_000])
def test_bytes_that_are_no_header_give_a_message_without_the_fields(content: bytes) -> None:
    assert parse_thread_header(content).fields.references == ()
