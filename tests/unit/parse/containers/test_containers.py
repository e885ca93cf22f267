"""Bodies and files inside TNEF and opaque S/MIME."""

import struct
import zlib

import pytest

from ingest.model.defects import DefectKind
from ingest.parse import parse
from tests.support.mime import attachment, defect_kinds, entity, html, in_base64, mail, multipart, only, plain

SIGNED, ENVELOPED = "2a864886f70d010702", "2a864886f70d010703"
COMPRESSED, DATA = "2a864886f70d0109100109", "2a864886f70d010701"
TEXT = b"Content-Type: text/plain; charset=utf-8\r\n\r\nSigned and readable.\r\n"


def der(tag: int, *contents: bytes) -> bytes:
    """An element of ASN.1 with a definite length."""
    body = b"".join(contents)
    if len(body) < 128:
        return bytes((tag, len(body))) + body
    length = len(body).to_bytes(4, "big").lstrip(b"\0")
    return bytes((tag, 0x80 | len(length))) + length + body


def ber(tag: int, *contents: bytes) -> bytes:
    """An element with an indefinite length, as streaming writers make it."""
    return bytes((tag, 0x80)) + b"".join(contents) + b"\0\0"


def oid(identifier: str) -> bytes:
    return der(6, bytes.fromhex(identifier))


def signed_data(content: bytes) -> bytes:
    info = der(0x30, oid(DATA), der(0xA0, der(4, content)))
    return der(0x30, oid(SIGNED), der(0xA0, der(0x30, der(2, b"\1"), der(0x31), info, der(0x31))))


def signed_data_in_chunks(content: bytes) -> bytes:
    chunks = (der(4, content[i : i + 10]) for i in range(0, len(content), 10))
    info = ber(0x30, oid(DATA), ber(0xA0, ber(0x24, *chunks)))
    return ber(0x30, oid(SIGNED), ber(0xA0, ber(0x30, der(2, b"\1"), der(0x31), info, der(0x31))))


def compressed_data(content: bytes) -> bytes:
    info = der(0x30, oid(DATA), der(0xA0, der(4, zlib.compress(content))))
    return der(0x30, oid(COMPRESSED), der(0xA0, der(0x30, der(2, b"\0"), der(0x30, oid(COMPRESSED)), info)))


def smime(octets: bytes, content_type: str = "application/pkcs7-mime; smime-type=signed-data") -> bytes:
    return mail(in_base64(content_type, octets, 'Content-Disposition: attachment; filename="smime.p7m"'))


@pytest.mark.parametrize(
    "wrap", [signed_data, signed_data_in_chunks, compressed_data], ids=["DER", "BER", "compressed"]
)
@pytest.mark.parametrize(
    "content_type", ["application/pkcs7-mime", "application/x-pkcs7-mime", "application/octet-stream"]
)
def test_opaque_smime_is_opened_without_checking_it(wrap: object, content_type: str) -> None:
    assert callable(wrap)
    message = parse(smime(wrap(TEXT), content_type))
    assert (message.text, message.attachments, message.defects) == ("Signed and readable.\n", (), ())


def test_files_inside_opaque_smime_have_numbers_of_their_own() -> None:
    inner = multipart("mixed", plain("Hello"), in_base64('application/pdf; name="a.pdf"', b"%PDF"))
    content = smime(signed_data(inner))
    message = parse(content)
    assert message.text == "Hello"
    assert attachment(content, only(message).part_number) == b"%PDF"


def test_smime_inside_smime_is_opened() -> None:
    inner = in_base64("application/pkcs7-mime", signed_data(TEXT))
    assert parse(smime(signed_data(inner))).text == "Signed and readable.\n"


def test_encrypted_smime_is_called_so_and_stays_a_file() -> None:
    message = parse(smime(der(0x30, oid(ENVELOPED), der(0xA0, der(0x30, b"secret")))))
    assert (message.text, only(message).filename) == (None, "smime.p7m")
    assert DefectKind.ENCRYPTED in defect_kinds(message)


def test_smime_that_says_it_is_encrypted_is_believed() -> None:
    message = parse(smime(b"not even ASN.1", "application/pkcs7-mime; smime-type=enveloped-data"))
    assert DefectKind.ENCRYPTED in defect_kinds(message)


@pytest.mark.parametrize(
    "damage", [b"", b"\x30", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", b"text", b"\x30\x80" * 5000]
)
def test_smime_that_cannot_be_followed_stays_a_file(damage: bytes) -> None:
    message = parse(smime(damage))
    assert only(message).size == len(damage)
    assert DefectKind.ATTACHMENT in defect_kinds(message)


@pytest.mark.parametrize("cut", range(0, 160, 7))
def test_smime_that_was_cut_off_is_read_or_kept(cut: int) -> None:
    octets = signed_data(TEXT)
    message = parse(smime(octets[:-cut] if cut else octets))
    assert message.text or only(message)


def attribute(level: int, identifier: int, data: bytes) -> bytes:
    return struct.pack("<BHHI", level, identifier, 6, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)


def prop(kind: int, identifier: int, value: bytes) -> bytes:
    if kind in (0x1E, 0x1F, 0x102, 0x0D):
        return struct.pack("<HHII", kind, identifier, 1, len(value)) + value + b"\0" * (-len(value) % 4)
    return struct.pack("<HH", kind, identifier) + value


def props(*properties: bytes) -> bytes:
    return struct.pack("<I", len(properties)) + b"".join(properties)


def tnef(*attributes: bytes) -> bytes:
    return struct.pack("<IH", 0x223E9F78, 1) + b"".join(attributes)


def file(name: str, data: bytes) -> tuple[bytes, ...]:
    named = prop(0x1F, 0x3707, (name + "\0").encode("utf-16-le"))
    typed = prop(0x1E, 0x370E, b"application/pdf\0")
    return (
        attribute(2, 0x9002, bytes(14)),
        attribute(2, 0x8010, b"SHORT~1.PDF\0"),
        attribute(2, 0x800F, data),
        attribute(2, 0x9005, props(prop(3, 0x3705, b"\1\0\0\0"), named, typed)),
    )


def winmail(octets: bytes) -> bytes:
    return in_base64("application/ms-tnef", octets, 'Content-Disposition: attachment; filename="winmail.dat"')


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


RTF_FROM_HTML = (
    rb"{\rtf1\ansi\ansicpg1252\fromhtml1 \deff0{\fonttbl{\f0 Arial;}}"
    rb"{\*\htmltag19 <html>}{\*\htmltag64 <p>}\htmlrtf {\htmlrtf0 Gr\'f6\'dfe \u8364? & more"
    rb"\htmlrtf\par}\htmlrtf0 {\*\htmltag72 </p>}}"
)
RTF = rb"{\rtf1\ansi\ansicpg1251{\fonttbl{\f0 Arial;}}\f0 \'cf\'f0\'e8\'e2\'e5\'f2\par \{one\}\tab two\~three\par}"


@pytest.mark.parametrize(
    ("rich", "text", "markup"),
    [(RTF_FROM_HTML, None, "<html><p>Größe € & more</p>\n"), (RTF, "Привет\n{one}\ttwo\xa0three\n", None)],
    ids=["made from HTML", "plain"],
)
def test_a_body_that_exists_only_as_rich_text_is_read(rich: bytes, text: str | None, markup: str | None) -> None:
    stored = struct.pack("<IIII", len(rich) + 12, len(rich), 0x414C454D, 0) + rich
    message = parse(mail(winmail(tnef(attribute(1, 0x9003, props(prop(0x102, 0x1009, stored)))))))
    assert (message.text, message.html) == (text, markup)


def test_compressed_rich_text_is_read() -> None:
    """The example of MS-OXRTFCP section 4.1.1."""
    stored = bytes.fromhex(
        "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
    )
    message = parse(mail(winmail(tnef(attribute(1, 0x9003, props(prop(0x102, 0x1009, stored)))))))
    assert message.text == "hello world\n"


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


def test_text_that_mentions_a_container_is_no_container() -> None:
    assert parse(mail(entity("text/plain", "see winmail.dat"))).text == "see winmail.dat"


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
