"""The tree of MIME parts: boundaries, and multiparts that are broken."""

import pytest

from ingest.model.defects import DefectKind
from ingest.parse import parse
from tests.support.mime import defect_kinds, entity, html, in_base64, mail, multipart, only, plain

PDF = in_base64('application/pdf; name="a.pdf"', b"%PDF", "Content-Disposition: attachment")


def test_the_parts_of_a_digest_are_mails() -> None:
    digest = multipart("digest", b"\r\nSubject: one\r\n\r\nfirst", b"\r\nSubject: two\r\n\r\nsecond")
    message = parse(mail(digest))
    assert message.text is None
    assert [each.filename for each in message.attachments] == ["one.eml", "two.eml"]


@pytest.mark.parametrize(
    "kind", ["multipart/mixed", 'multipart/mixed; boundary="never seen"', "multipart/mixed; boundary="]
)
def test_a_multipart_whose_boundary_is_missing_is_cut_at_the_one_it_has(kind: str) -> None:
    first = "--real\r\nContent-Type: text/plain\r\n\r\nHello\r\n"
    lines = first + "--real\r\nContent-Type: application/pdf\r\n\r\n%PDF\r\n--real--\r\n"
    message = parse(mail(entity(kind, lines)))
    assert message.text == "Hello"
    assert only(message).content_type == "application/pdf"
    assert DefectKind.STRUCTURE in defect_kinds(message)


def test_a_multipart_that_is_none_is_read_as_text() -> None:
    assert parse(mail(entity("multipart/mixed", "just words\r\n"))).text == "just words\n"


def test_a_multipart_without_any_type_is_still_seen() -> None:
    content = mail(
        b"--x\r\nContent-Type: text/plain\r\n\r\nHello\r\n--x\r\nContent-Type: text/html\r\n\r\n<p>x</p>\r\n--x--\r\n"
    )
    assert "Content-Type" not in (parse(content).html or parse(content).text or "")


def test_a_mail_copied_below_a_text_does_not_make_the_text_a_multipart() -> None:
    copy = multipart("alternative", plain("the old mail"), html("<p>the old mail</p>"))
    message = parse(mail(b"Sorry, we could not deliver this:\r\n\r\nSubject: old\r\n" + copy))
    assert (message.text or "").startswith("Sorry, we could not deliver this:")
    assert "the old mail" in (message.text or "")


def test_a_mail_cut_off_in_a_part_is_read_as_far_as_it_goes() -> None:
    content = mail(multipart("mixed", plain("Hello"), plain("and more")))
    message = parse(content[: content.index(b"and more") + 5])
    assert message.text == "Hello\nand m"
    assert DefectKind.STRUCTURE in defect_kinds(message)


def test_a_part_of_its_own_boundary_prefix_does_not_end_the_outer_one() -> None:
    inner = multipart("alternative", plain("Hello"), html("<p>Hello</p>"), boundary="abc-1")
    message = parse(mail(multipart("mixed", inner, PDF, boundary="abc")))
    assert (message.text, message.html, only(message).filename) == ("Hello", "<p>Hello</p>", "a.pdf")


def test_parts_after_the_closing_boundary_are_read() -> None:
    content = mail(multipart("mixed", plain("Hello"), boundary="x")) + b"--x\r\n" + PDF + b"\r\n--x--\r\n"
    assert only(parse(content)).filename == "a.pdf"


def test_a_multipart_in_base64_is_opened() -> None:
    inner = multipart("mixed", plain("Hello"), PDF, boundary="x").partition(b"\r\n\r\n")[2]
    message = parse(mail(in_base64('multipart/mixed; boundary="x"', inner)))
    assert (message.text, only(message).filename) == ("Hello", "a.pdf")


@pytest.mark.parametrize(
    "declared", ["", "text", "text/", "plain", "garbage", "text/plain charset=utf-8", ";charset=utf-8", "///"]
)
def test_a_broken_type_is_text(declared: str) -> None:
    assert parse(mail(f"Content-Type: {declared}\r\n\r\nGrüße")).text == "Grüße"
