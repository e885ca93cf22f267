"""Names of attachments, made safe."""

import pytest

from ingest.parse import parse
from ingest.parse.limits import MAX_FILENAME_CHARACTERS
from ingest.parse.mime.filename import safe_filename
from tests.support.mime import in_base64, mail, multipart, only, plain


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


def test_a_long_name_is_shortened_and_keeps_its_extension() -> None:
    name = safe_filename("x" * 5000 + ".tar.gz", "application/gzip", 1)
    assert len(name) == MAX_FILENAME_CHARACTERS
    assert name.endswith(".gz")
    assert len(safe_filename("x" * 5000, "application/gzip", 1)) == MAX_FILENAME_CHARACTERS
