"""Attachments: exact bytes, types, and what is one."""

from base64 import encodebytes
from hashlib import sha256
from quopri import encodestring

import pytest

from ingest.model.defects import DefectKind
from ingest.parse import parse
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


@pytest.mark.parametrize("file", [b"%PDF-1.7", b"%PDF-1.7\n"], ids=["with padding", "without padding"])
def test_a_footer_below_the_base64_of_a_file_is_no_part_of_it_and_is_told(file: bytes) -> None:
    part = in_base64('application/pdf; name="a.pdf"', file) + b"\r\n-- \r\nChecked by a gateway!\r\n"
    content = mail(multipart("mixed", plain("hi"), part))
    message = parse(content)
    assert attachment(content, only(message).part_number) == file
    assert DefectKind.ENCODING in defect_kinds(message)


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
