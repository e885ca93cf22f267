"""Parameters of Content-Type and Content-Disposition."""

import pytest

from ingest.parse import parse
from tests.support.mime import in_base64, mail, multipart, only, plain


@pytest.mark.parametrize("raw", ["Größe.pdf".encode(), "Größe.pdf".encode("cp1252")], ids=["utf-8", "cp1252"])
def test_a_name_in_raw_octets_is_read(raw: bytes) -> None:
    part = b'Content-Type: application/pdf\r\nContent-Disposition: attachment; filename="' + raw + b'"\r\n\r\n%PDF'
    assert only(parse(mail(multipart("mixed", plain("hi"), part)))).filename == "Größe.pdf"


def test_the_name_parameter_of_the_type_counts_where_there_is_no_filename() -> None:
    part = in_base64("application/pdf; name*=utf-8''Gr%C3%B6%C3%9Fe.pdf", b"%PDF")
    assert only(parse(mail(multipart("mixed", plain("hi"), part)))).filename == "Größe.pdf"
