"""TNEF containers: their bodies, their files, their damage."""

import struct

import pytest

from ingest.model.defects import DefectKind
from ingest.parse import parse
from tests.support.mime import attachment, defect_kinds, html, in_base64, mail, multipart, only, plain
from tests.support.tnef import attribute, prop, props, tnef, winmail


def file(name: str, data: bytes) -> tuple[bytes, ...]:
    named = prop(0x1F, 0x3707, (name + "\0").encode("utf-16-le"))
    typed = prop(0x1E, 0x370E, b"application/pdf\0")
    return (
        attribute(2, 0x9002, bytes(14)),
        attribute(2, 0x8010, b"SHORT~1.PDF\0"),
        attribute(2, 0x800F, data),
        attribute(2, 0x9005, props(prop(3, 0x3705, b"\1\0\0\0"), named, typed)),
    )


def test_the_files_in_a_winmail_dat_are_files_of_the_mail() -> None:
    content = mail(
        multipart("mixed", plain("Hello"), winmail(tnef(*file("Größe.pdf", b"%PDF-1"), *file("b.pdf", b"%PDF-2"))))
    )
    message = parse(content)
    assert message.text == "Hello"
    assert [(each.filename, each.content_type) for each in message.attachments] == [
        ("Größe.pdf", "application/pdf"),
        ("b.pdf", "application/pdf"),
    ]
    assert [attachment(content, each.part_number) for each in message.attachments] == [b"%PDF-1", b"%PDF-2"]


@pytest.mark.parametrize(
    ("attributes", "text", "markup"),
    [
        (
            (attribute(1, 0x9007, struct.pack("<II", 1251, 0)), attribute(1, 0x800C, "Привет\0".encode("cp1251"))),
            "Привет",
            None,
        ),
        ((attribute(1, 0x9003, props(prop(0x1F, 0x1000, "Größe\0".encode("utf-16-le")))),), "Größe", None),
        (
            (
                attribute(
                    1,
                    0x9003,
                    props(
                        struct.pack("<HH16sII", 3, 0x8001, bytes(16), 0, 1) + b"\1\0\0\0",
                        prop(3, 0x3FDE, struct.pack("<I", 1252)),
                        prop(0x102, 0x1013, "<p>Größe</p>".encode("cp1252")),
                    ),
                ),
            ),
            None,
            "<p>Größe</p>",
        ),
    ],
    ids=["text in a codepage", "text in Unicode", "HTML in a codepage"],
)
def test_the_body_in_a_winmail_dat_is_read_where_there_is_no_other(
    attributes: tuple[bytes, ...], text: str | None, markup: str | None
) -> None:
    alone = parse(mail(winmail(tnef(*attributes))))
    assert (alone.text, alone.html, alone.attachments) == (text, markup, ())
    beside = parse(mail(multipart("mixed", plain("Größe, Привет"), winmail(tnef(*attributes)))))
    assert (beside.text, beside.html) == ("Größe, Привет", None)


def test_a_file_without_a_name_in_a_winmail_dat_gets_one() -> None:
    attributes = (attribute(2, 0x9002, bytes(14)), attribute(2, 0x800F, b"data"))
    message = parse(mail(multipart("mixed", plain("Hello"), winmail(tnef(*attributes)))))
    assert (only(message).filename, only(message).size) == ("attachment-3.bin", 4)


def test_a_winmail_dat_with_nothing_but_formatting_is_not_shown() -> None:
    message = parse(mail(multipart("mixed", plain("Hello"), winmail(tnef(attribute(1, 0x9006, b"\0\0\1\0"))))))
    assert (message.text, message.attachments) == ("Hello", ())


def test_one_bad_property_does_not_cost_the_files() -> None:
    bad = attribute(1, 0x9003, struct.pack("<IHH", 9, 0x7777, 0x1000) + b"\xff" * 40)
    message = parse(mail(multipart("mixed", plain("Hello"), winmail(tnef(bad, *file("a.pdf", b"%PDF"))))))
    assert only(message).filename == "a.pdf"


@pytest.mark.parametrize("damage", [b"", b"text", b"\x78\x9f\x3e"])
def test_a_winmail_dat_that_is_none_stays_a_file(damage: bytes) -> None:
    message = parse(mail(multipart("mixed", plain("Hello"), winmail(damage))))
    assert only(message).filename == "winmail.dat"
    assert DefectKind.ATTACHMENT in defect_kinds(message)


@pytest.mark.parametrize("beside", [plain("Hello"), plain("")], ids=["a text", "no text"])
def test_a_mail_inside_a_winmail_dat_gives_its_text_and_its_files_as_files(beside: bytes) -> None:
    inner_mail = tnef(attribute(1, 0x800C, b"What I was told\0"), *file("inner.pdf", b"%PDF"))
    inner = bytes.fromhex("0703020000000000c000000000000046") + inner_mail
    embedded = attribute(2, 0x9005, props(prop(0x0D, 0x3701, inner)))
    content = mail(multipart("mixed", beside, winmail(tnef(attribute(2, 0x9002, bytes(14)), embedded))))
    *_, text, pdf = parse(content).attachments
    assert "told" not in (parse(content).text or "")
    assert (attachment(content, text.part_number), text.content_type) == (b"What I was told", "text/plain")
    assert pdf.filename == "inner.pdf"


def test_a_body_in_a_winmail_dat_is_read_beside_a_text_that_says_something_else() -> None:
    container = winmail(tnef(attribute(1, 0x800C, b"Still broken\0")))
    message = parse(mail(multipart("mixed", plain("This mail is confidential."), container)))
    assert message.text == "This mail is confidential.\nStill broken"


@pytest.mark.parametrize("text", ["Still broken", "👍"])
def test_a_body_in_a_winmail_dat_that_repeats_the_text_is_there_once(text: str) -> None:
    body = attribute(1, 0x9003, props(prop(0x1F, 0x1000, f"{text}\0".encode("utf-16-le"))))
    assert parse(mail(multipart("mixed", plain(text), winmail(tnef(body))))).text == text
    assert parse(mail(multipart("mixed", plain(" "), winmail(tnef(body))))).text == text


def test_an_html_body_counts_more_than_a_winmail_dat_beside_it() -> None:
    body = tnef(attribute(1, 0x800C, b"Hello\0"))
    message = parse(mail(multipart("mixed", html("<p>Hello</p>"), winmail(body))))
    assert (message.text, message.html) == (None, "<p>Hello</p>")


def test_a_winmail_dat_is_known_by_its_name_too() -> None:
    part = in_base64('application/octet-stream; name="WinMail.dat"', tnef(*file("a.pdf", b"%PDF")))
    assert only(parse(mail(multipart("mixed", plain("Hello"), part)))).filename == "a.pdf"


@pytest.mark.parametrize(
    "octets",
    [tnef() + b"garbage", tnef(*file("a.pdf", b"%PDF"))[:-8], tnef(*file("a.pdf", b"%PDF")) + b"\2\x0f\x80"],
    ids=["nothing but damage", "cut off", "damage at the end"],
)
def test_a_damaged_tnef_container_stays_beside_what_is_read_from_it(octets: bytes) -> None:
    message = parse(mail(multipart("mixed", plain("Hello"), winmail(octets))))
    assert "winmail.dat" in [each.filename for each in message.attachments]
    assert DefectKind.ATTACHMENT in defect_kinds(message)


def test_a_tnef_container_with_filling_at_its_end_is_whole() -> None:
    message = parse(mail(multipart("mixed", plain("Hello"), winmail(tnef(*file("a.pdf", b"%PDF")) + bytes(9)))))
    assert (only(message).filename, message.defects) == ("a.pdf", ())
