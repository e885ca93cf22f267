"""What a message is made of: its header as a whole, its digest, and whether it is a mail at all."""

import pytest

from ingest.model.defects import DefectKind
from ingest.parse import parse
from tests.support.mime import FROM_ALICE, defect_kinds, mail, plain

TRACE = b"Received: from a by b; Mon, 2 Nov 2026 10:00:00 +0100\r\n"
REST = FROM_ALICE + b"\r\nSubject: Toner\r\nTo: help@mail.example\r\n\r\nHello\r\n"


@pytest.mark.parametrize("content", [b"", b"\r\n\r\n", b"  \n", TRACE, TRACE + b"\r\n \r\n"])
def test_nothing_to_read_is_called_empty(content: bytes) -> None:
    assert defect_kinds(parse(content)) == {DefectKind.EMPTY}


@pytest.mark.parametrize(
    "junk", [b"\x00\x01\x02\xff" * 50, b"just a line of text", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"]
)
@pytest.mark.parametrize("trace", [b"", TRACE], ids=["alone", "below our trace field"])
def test_octets_that_are_no_mail_are_called_so(junk: bytes, trace: bytes) -> None:
    assert DefectKind.NOT_MAIL in defect_kinds(parse(trace + junk))


def test_delivery_fields_name_each_recipient_once_the_topmost_first() -> None:
    message = parse(
        mail("hi", "X-Original-To: help@m.example", "Delivered-To: <box@M.example>", "Delivered-To: help@m.example")
    )
    assert message.delivered_to == ("help@m.example", "box@m.example")


@pytest.mark.parametrize(("field", "path"), [("<>", ""), ("<bob@b.example>", "bob@b.example")])
def test_the_return_path_tells_the_null_path_from_an_address(field: str, path: str) -> None:
    assert parse(mail("hi", f"Return-Path: {field}")).return_path == path
    assert parse(mail("hi")).return_path is None


def test_headers_are_told_in_order_with_lower_case_names_and_received_fields_are_counted() -> None:
    message = parse(TRACE + TRACE + b"X-Two: 2\r\n" + REST)
    assert [name for name, _ in message.headers] == ["received", "received", "x-two", "from", "subject", "to"]
    assert message.received_count == 2


def test_the_same_mail_by_two_paths_has_one_digest_and_other_text_another() -> None:
    def digest(text: str, *, end: bytes = b"\r\n", trace: bytes = b"") -> str:
        return parse(trace + mail(plain(text)).replace(b"\r\n", end)).content_digest

    assert digest("Hello \nAlice\n") == digest("Hello\nAlice", end=b"\n", trace=b"Received: from x\n")
    assert digest("Hello") != digest("Hello you")
