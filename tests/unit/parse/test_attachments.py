"""Attachments: octets, names, types."""

from base64 import encodebytes
from hashlib import sha256
from quopri import encodestring

import pytest

from ingest.model.defects import DefectKind
from ingest.parse import parse
from ingest.parse.limits import MAX_FILENAME_CHARACTERS
from ingest.parse.mime.filename import safe_filename
from tests.support.mime import attachment, defect_kinds, entity, in_base64, mail, multipart, only, plain

ALL_OCTETS = bytes(range(256)) * 3


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        ("base64", encodebytes(ALL_OCTETS)),
        ("base64", encodebytes(ALL_OCTETS).replace(b"\n", b"\r\n")),
        ("quoted-printable", encodestring(ALL_OCTETS, quotetabs=True).replace(b"\r", b"=0D").replace(b"=\n", b"=\r\n")),
        ("binary", ALL_OCTETS),
        ("8bit", ALL_OCTETS),
        ("", ALL_OCTETS),
    ],
    ids=["base64", "base64 with CRLF", "quoted-printable", "binary", "8bit", "none"],
)
def test_an_attachment_is_exact_to_the_octet(encoding: str, sent: bytes) -> None:
    fields = (f"Content-Transfer-Encoding: {encoding}",) if encoding else ()
    content = mail(multipart("mixed", plain("hi"), entity("application/octet-stream", sent, *fields)))
    found = only(parse(content))
    assert attachment(content, found.part_number) == ALL_OCTETS
    assert (found.size, found.sha256) == (len(ALL_OCTETS), sha256(ALL_OCTETS).hexdigest())


@pytest.mark.parametrize(
    "content_type", ["image/png", "application/pdf", "application/x-foo", "audio/mpeg", "text/csv", "text/vcard"]
)
def test_a_part_without_name_or_disposition_is_an_attachment_all_the_same(content_type: str) -> None:
    found = only(parse(mail(multipart("mixed", plain("hi"), in_base64(content_type, ALL_OCTETS)))))
    assert (found.content_type, found.size) == (content_type, len(ALL_OCTETS))
    assert found.filename.startswith("attachment-2.")


def test_a_made_up_name_is_the_same_each_time() -> None:
    content = mail(multipart("mixed", plain("hi"), in_base64("image/png", b"x")))
    assert parse(content).attachments == parse(content).attachments


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ('attachment; filename="scan.pdf"', "scan.pdf"),
        ("attachment; filename=scan.pdf", "scan.pdf"),
        ("attachment; filename=my scan 1.pdf", "my scan 1.pdf"),
        ("attachment; filename=report (1).pdf; size=3", "report (1).pdf"),
        ("attachment; filename='scan.pdf'", "scan.pdf"),
        ('attachment; filename="a\\"b.pdf"', 'a"b.pdf'),
        ('attachment; filename="semi;colon.pdf"', "semi;colon.pdf"),
        ('attachment; filename="not closed.pdf', "not closed.pdf"),
        ("attachment; filename*=utf-8''Gr%C3%B6%C3%9Fe.pdf", "Größe.pdf"),
        ("attachment; filename*=UTF-8'de'Gr%C3%B6%C3%9Fe.pdf", "Größe.pdf"),
        ("attachment; filename*=us-ascii''f%F6.pdf", "fö.pdf"),
        ("attachment; filename*=gb2312''%EA%90%E6g%BB%F9.pdf", "陳鎔基.pdf"),
        ("attachment; filename*0*=utf-8''Gr%C3; filename*1*=%B6%C3%9Fe; filename*2=.pdf", "Größe.pdf"),
        ('attachment; filename*1="two.pdf"; filename*0="one-"', "one-two.pdf"),
        ("attachment; filename*=utf-8''a; filename*0=b", "ab"),
        ("attachment; filename=plain.pdf; filename*=utf-8''better.pdf", "better.pdf"),
        ('attachment; filename="=?utf-8?B?R3LDtsOfZS5wZGY=?="', "Größe.pdf"),
        ("attachment; filename==?utf-8?Q?Gr=C3=B6=C3=9Fe;_neu.pdf?=", "Größe; neu.pdf"),
        ('attachment; filename="=?utf-8?q?Gr=C3=B6?= =?utf-8?q?=C3=9Fe.pdf?="', "Größe.pdf"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="C:\\\\Users\\\\alice\\\\scan.pdf"', "scan.pdf"),
        (r'attachment; filename="C:\Documents\new\scan.pdf"', "scan.pdf"),
        (r'attachment; filename="a \"quoted\" word.pdf"', 'a "quoted" word.pdf'),
        ('attachment filename="no semicolon.pdf"', "no semicolon.pdf"),
        ("attachment; filename*=utf-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
        ('attachment; filename="..."', "attachment-2.pdf"),
        ('attachment; filename=""', "attachment-2.pdf"),
        ("attachment; filename*=utf-8''a%00b%0D%0AX-Evil%3A%201%1B%5B2J.pdf", "ab X-Evil: 1[2J.pdf"),
        ("attachment; filename*=utf-8''invoice%E2%80%AEfdp.exe", "invoicefdp.exe"),
        ("attachment; filename*=utf-8''invisible%E2%80%8B%EF%BB%BF.pdf", "invisible.pdf"),
        ('attachment; filename="invoice.pdf.exe"', "invoice.pdf.exe"),
        ('attachment ; filename = "spaced.pdf"', "spaced.pdf"),
        ('filename="no-disposition.pdf"', "no-disposition.pdf"),
        ('attachment; foo=bar filename="after-junk.pdf"', "attachment-2.pdf"),
    ],
)
def test_a_name_is_read_in_every_form_and_made_safe(field: str, name: str) -> None:
    part = in_base64("application/pdf", b"%PDF", f"Content-Disposition: {field}")
    assert only(parse(mail(multipart("mixed", plain("hi"), part)))).filename == name


@pytest.mark.parametrize("file", [b"%PDF-1.7", b"%PDF-1.7\n"], ids=["with padding", "without padding"])
def test_a_footer_below_the_base64_of_a_file_is_no_part_of_it_and_is_told(file: bytes) -> None:
    part = in_base64('application/pdf; name="a.pdf"', file) + b"\r\n-- \r\nChecked by a gateway!\r\n"
    content = mail(multipart("mixed", plain("hi"), part))
    message = parse(content)
    assert attachment(content, only(message).part_number) == file
    assert DefectKind.ENCODING in defect_kinds(message)


@pytest.mark.parametrize("raw", ["Größe.pdf".encode(), "Größe.pdf".encode("cp1252")], ids=["utf-8", "cp1252"])
def test_a_name_in_raw_octets_is_read(raw: bytes) -> None:
    part = b'Content-Type: application/pdf\r\nContent-Disposition: attachment; filename="' + raw + b'"\r\n\r\n%PDF'
    assert only(parse(mail(multipart("mixed", plain("hi"), part)))).filename == "Größe.pdf"


def test_the_name_parameter_of_the_type_counts_where_there_is_no_filename() -> None:
    part = in_base64("application/pdf; name*=utf-8''Gr%C3%B6%C3%9Fe.pdf", b"%PDF")
    assert only(parse(mail(multipart("mixed", plain("hi"), part)))).filename == "Größe.pdf"


def test_a_long_name_is_shortened_and_keeps_its_extension() -> None:
    name = safe_filename("x" * 5000 + ".tar.gz", "application/gzip", 1)
    assert len(name) == MAX_FILENAME_CHARACTERS
    assert name.endswith(".gz")
    assert len(safe_filename("x" * 5000, "application/gzip", 1)) == MAX_FILENAME_CHARACTERS


def test_an_attached_multipart_is_looked_into_so_that_no_text_hides_in_it() -> None:
    inner = multipart("mixed", in_base64('application/pdf; name="a.pdf"', b"%PDF"), in_base64("image/png", b"x"))
    content = mail(
        multipart("mixed", plain("hi"), inner.replace(b"\r\n\r\n", b"\r\nContent-Disposition: attachment\r\n\r\n", 1))
    )
    message = parse(content)
    assert [each.filename for each in message.attachments] == ["a.pdf", "attachment-4.png"]
    assert [attachment(content, each.part_number) for each in message.attachments] == [b"%PDF", b"x"]


def test_a_part_that_is_not_there_is_a_lookup_error() -> None:
    content = mail(plain("hi"))
    for part in (1, 99, -1):
        with pytest.raises(LookupError):
            attachment(content, part)


def test_an_archive_is_not_opened() -> None:
    bomb = b"PK\x03\x04" + bytes(1000)
    content = mail(multipart("mixed", plain("hi"), in_base64('application/zip; name="bomb.zip"', bomb)))
    assert attachment(content, only(parse(content)).part_number) == bomb


FORK = b"\x00\x05\x16\x07\x00\x02\x00\x00" + bytes(16) + b"\x00\x01"
BINHEX = b'(This file must be converted with BinHex 4.0)\r\n\r\n:$f*TEQKPH#dJ!!!!!\r\n#3"!*!%:\r\n'


def test_both_halves_of_a_macintosh_file_are_exact_and_told_apart() -> None:
    fork = in_base64('application/applefile; name="photo.jpg"', FORK)
    photo = in_base64('image/jpeg; name="photo.jpg"', b"\xff\xd8\xff")
    content = mail(multipart("mixed", plain("See"), multipart("appledouble", fork, photo)))
    files = {each.filename: attachment(content, each.part_number) for each in parse(content).attachments}
    assert files == {"photo.jpg.applefile": FORK, "photo.jpg": b"\xff\xd8\xff"}


def test_an_applesingle_file_is_exact() -> None:
    content = mail(in_base64('application/applefile; name="Report"', FORK))
    assert (only(parse(content)).filename, attachment(content, 0)) == ("Report.applefile", FORK)


@pytest.mark.parametrize("encoding", ["", "7bit", "x-binhex", "binhex"])
def test_a_binhex_file_is_kept_as_it_was_sent(encoding: str) -> None:
    fields = (f"Content-Transfer-Encoding: {encoding}",) if encoding else ()
    content = mail(multipart("mixed", plain("See"), entity('application/mac-binhex40; name="a.hqx"', BINHEX, *fields)))
    file = only(parse(content))
    assert (file.filename, file.size) == ("a.hqx", len(BINHEX))
    assert attachment(content, file.part_number) == BINHEX
