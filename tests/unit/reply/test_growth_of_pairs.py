"""No pair of signs, repeated, costs more than its size explains, wherever in a mail it stands."""

import pytest

from ingest.parse import parse
from ingest.reply.plain import plain
from tests.support.complexity import assert_none_stands_out, pumped
from tests.support.mime import entity, html, mail
from tests.support.replies import of_html, of_text

pytestmark = pytest.mark.no_cover  # the tracer would be measured

_SIGNS = (
    ">",
    " ",
    "\n",
    "-",
    "_",
    "*",
    ".",
    ":",
    "<",
    "[",
    "(",
    "|",
    "\\",
    "@",
    "1",
    "a",
    "On ",
    "wrote:",
    "From: x\n",
)
_MARKUP = (
    *(
        "<",
        "*",
        "_",
        "[",
        "](",
        "`",
        "~",
        "|",
        " ",
        "\u00a0",
        "a",
        "-",
        "<br>",
        "<b>",
        "<i>",
        "</b>",
        "<p>",
        "<ul><li>",
    ),
    *("<td>", "<a href=http://a.example>", "<blockquote>", "<code>", "<p style='white-space:pre'>", "\n"),
)
_MARKDOWN = (">", " ", "\n", "*", "_", "`", "[", "]", "(", ")", "<", "!", "\\", "#", "~", "a", "```", "](http:")
_FIELD_SIGNS = ('"', "\\", "(", "<", "@", ",", ";", ":", "=", "?", " ", "\r\n ", "a", "=?utf-8?q?", "?=", "*0*=", "[")
_FIELDS = ("To", "Subject", "References", "Content-Type", "Content-Disposition")
_CHARSETS = (
    *("us-ascii", "utf-8", "utf-7", "utf-16", "koi8-r", "gb2312", "hz-gb-2312", "big5", "euc-tw", "iso-2022-cn"),
    *("shift_jis", "euc-jp", "iso-2022-jp", "euc-kr", "iso-2022-kr", "tis-620", "x-foo"),
)
_OCTETS = ("~{", "~}", "\x1b$B", "\x1b(B", "\x0e", "+", "-", "a", "\xff", "\x81", "\xa4", "\xe4")


def test_of_text() -> None:
    assert_none_stands_out(of_text, pumped(_SIGNS, 16_000))


def test_of_html() -> None:
    assert_none_stands_out(of_html, pumped(_MARKUP, 8_000))


def test_of_markdown_that_becomes_plain() -> None:
    assert_none_stands_out(plain, pumped(_MARKDOWN, 16_000))


@pytest.mark.parametrize("name", _FIELDS)
def test_of_a_field(name: str) -> None:
    before = "text/plain; a=" if name == "Content-Type" else ""
    assert_none_stands_out(lambda text: parse(mail("hi", f"{name}: {before}{text}")), pumped(_FIELD_SIGNS, 8_000))


@pytest.mark.parametrize("charset", _CHARSETS)
def test_of_a_charset(charset: str) -> None:
    content_type = f"text/plain; charset={charset}"
    assert_none_stands_out(
        lambda text: parse(mail(entity(content_type, text.encode("latin-1", "replace")))), pumped(_OCTETS, 16_000)
    )


def test_of_a_calendar_a_bounce_and_a_page() -> None:
    signs = (
        ":",
        ";",
        '"',
        "=",
        "\n",
        " ",
        "a",
        "BEGIN:VEVENT\n",
        "<",
        "@",
        "Message-ID: <a@b>\n",
        "begin 644 x\n",
        "!!\n",
    )
    for wrap in (
        lambda text: mail(entity("text/calendar", text)),
        lambda text: mail(text.encode(), "Return-Path: <>", "Subject: undeliverable"),
        lambda text: mail(html(text)),
        lambda text: mail(entity("text/plain; format=flowed; delsp=yes", text)),
    ):
        assert_none_stands_out(lambda text, wrap=wrap: parse(wrap(text)), pumped(signs, 16_000))  # type: ignore[misc]
