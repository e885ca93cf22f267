"""Header text: encoded words, folds and raw octets."""

import pytest

from ingest.parse import parse
from tests.support.mime import mail


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"Gr\xc3\xb6\xc3\x9fe", "Größe"),
        (b"Gr\xf6\xdfe", "Größe"),
        (b"=?utf-8?q?Gr=C3=B6=C3=9Fe?=", "Größe"),
        (b"=?utf-8?b?R3I=?= =?utf-8?b?w7bDn2U=?=", "Größe"),
        (b"=?utf-8?q?Gr=C3?=\r\n =?utf-8?q?=B6=C3=9Fe?=", "Größe"),
        (b"=?gb2312?b?6pDmZ7v5?=", "陳鎔基"),
        (b"=?iso-2022-jp?B?GyRCLSEtIhsoQg==?=", "①②"),
        (b"=?iso-8859-1?q?=93quoted=94?=", "“quoted”"),
        (b"=?utf-8?q?with space?=", "with space"),
        (b"before=?utf-8?q?=C3=A4?=after", "beforeäafter"),
        (b"=?utf-8?b?R3LDtsOfZQ?=", "Größe"),
        (b"=?utf-8?b?R?=", ""),
        (b"=?x-nobody-knows?q?abc?=", "abc"),
        (b"=?utf-8*de?q?Gr=C3=B6=C3=9Fe?=", "Größe"),
        (b"=?utf-8?q?a=0D=0ABcc:_x@y.example?=", "a Bcc: x@y.example"),
        (b"a\x1b[31mb\x07\x00c", "a[31mbc"),
        (b"one\r\n two\r\n\tthree", "one two three"),
        (b"\x1b$BF|K\\8l\x1b(B", "日本語"),
        (b"=?broken?q?", "=?broken?q?"),
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe\r\n aus Rom?=", "Grüße aus Rom"),
        (b"=?utf-8?b?R3LDvA==w59l?=", "Grüße"),
        (b"Re: =?utf-8?b?R3LDvMOfZQ", "Re: Grüße"),
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe_aus_R", "Grüße aus R"),
        (b"=??q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        (b"=? utf-8 ?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        (b"=?utf-8?q?is how a word begins", "=?utf-8?q?is how a word begins"),
    ],
)
def test_a_subject_is_read_on_one_line_whatever_was_done_to_it(raw: bytes, text: str) -> None:
    assert parse(mail("hi", b"Subject: " + raw)).subject == text


def test_a_raw_subject_is_read_in_the_charset_of_the_body() -> None:
    content = mail(
        b"Content-Type: text/plain; charset=koi8-r\r\n\r\n" + "Привет".encode("koi8-r"),
        b"Subject: " + "Да".encode("koi8-r"),
    )
    assert parse(content).subject == "Да"
