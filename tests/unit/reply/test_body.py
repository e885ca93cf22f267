"""Which body is read, what becomes of pictures, links and invitations, and what is kept whole."""

import pytest

from ingest.model.message import Attachment, Calendar, ParsedMessage
from ingest.reply import extract
from tests.support.replies import assert_lossless, assert_safe, of_html, of_text

GMAIL = (
    '<div dir="ltr">It <b>works</b>.</div><div class="gmail_quote"><div class="gmail_attr">On Mon, Jan 5, 2026 at 10:14'
    ' AM A &lt;a@b.example&gt; wrote:</div><blockquote class="gmail_quote">Does it?</blockquote></div>'
)


def both(text: str | None, html: str | None) -> str:
    return extract(ParsedMessage(message_id=None, text=text, html=html)).content


def test_html_whose_markup_tells_the_quote_is_read_first() -> None:
    reply = extract(ParsedMessage(message_id=None, text="It works.\n\nDoes it?", html=GMAIL))
    assert reply.content == "It **works**."
    assert reply.method == "html: gmail_attr, gmail_quote"


def test_text_is_read_as_it_is_where_html_says_no_more() -> None:
    assert both("It  works:\n    a  b\n", "<p>It works:<br>a b</p>") == "It  works:\n    a  b"


def test_html_is_read_where_the_text_is_missing_or_blank() -> None:
    assert both(None, "<p>Hello</p>") == both(" \n\t\n", "<p>Hello</p>") == "Hello"


def test_html_is_read_where_the_text_only_points_to_it() -> None:
    html = "<p>Please cancel order 4711, the lamp arrived broken, and send the money back to my account.</p>"
    assert "4711" in both("View this mail in your browser.", html)


LOGO = '<p><img src="cid:logo"></p><p><a href="https://cole.example">Cole Ltd</a></p>'
SIGNED = f"{LOGO}<table><tr><td>Tel.</td><td>1234</td></tr><tr><td>Fax</td><td>5678</td></tr></table>"


@pytest.mark.parametrize(
    "html", [LOGO, SIGNED, f'<div class="gmail_signature">{SIGNED}</div>', f"<p>Hello Sam,</p>{LOGO}"]
)
@pytest.mark.parametrize(
    "text",
    [
        "Approved, please go ahead with option B.",
        "Hello Sam,\n\nja, bitte nehmen Sie die zweite Möglichkeit.",
        "好的，请选择第二个方案。",
        "1. Oui\n2. Non\n",
    ],
)
def test_html_that_lacks_the_words_of_the_text_is_not_read_instead_of_it(text: str, html: str) -> None:
    assert both(text, html).split() == text.split()


def test_where_each_form_has_many_words_of_its_own_both_are_read() -> None:
    html = "<p>Please cancel order 4711, the lamp arrived broken, and send the money back to my account.</p>"
    content = both("Siehe Anlage *heute*.", html)
    assert content.startswith("Siehe Anlage")
    assert "4711" in content


@pytest.mark.parametrize(
    ("text", "html"),
    [
        (
            "[cid:logo.png]\nSee *the* list:\n\n1. red\n2. green",
            "<p>See the list:</p><ol><li>red<li>green</ol><img src=cid:a>",
        ),
        ("Siehe hier <https://a.example/x?y=1> und da", '<p>Siehe <a href="https://a.example/z">hier</a> und da</p>'),
        (
            "It works for me and for all of us here.",
            "<p>It&nbsp;works for <b>m</b>e and for all of us<img src=cid:a> here.</p>",
        ),
    ],
)
def test_what_a_converter_changes_is_no_missing_word(text: str, html: str) -> None:
    assert extract(ParsedMessage(message_id=None, text=text, html=html)).method.startswith("html")


def test_html_is_read_where_it_has_a_table_or_a_link_that_the_text_has_not() -> None:
    table = "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>"
    assert both("a b 1 2", table).startswith("| a")
    assert both("see the page", '<p>see <a href="https://a.example/x">the page</a></p>').endswith(
        "(https://a.example/x)"
    )
    assert both("see https://a.example/x", '<p>see <a href="https://a.example/x">the page</a></p>') == (
        "see https://a.example/x"
    )


def test_empty_html_beside_text_is_no_body() -> None:
    assert both("Hello", "<html><head><title>x</title></head><body></body></html>") == "Hello"


def test_a_message_without_any_body_is_empty_and_says_so() -> None:
    reply = extract(ParsedMessage(message_id=None))
    assert (reply.content, reply.segments, reply.method) == ("", (), "empty")


def test_an_invitation_without_a_body_becomes_one_readable_line() -> None:
    invitation = Calendar(
        method="REQUEST",
        summary="Call about the printer",
        start="2026-01-05 10:00",
        end="2026-01-05 10:30",
        location="Room 4",
        organizer="bob@customer.example",
    )
    reply = extract(ParsedMessage(message_id=None, calendar=(invitation,)))
    assert reply.content == (
        "Calendar request: Call about the printer, 2026-01-05 10:00 to 2026-01-05 10:30, Room 4,"
        " organised by bob@customer.example"
    )


def test_an_inline_picture_keeps_its_place_and_gets_its_file_s_name() -> None:
    picture = Attachment(
        part_number=2,
        filename="lamp.jpg",
        content_type="image/jpeg",
        size=1,
        sha256="0",
        content_id="ii_1@mail",
        inline=True,
    )
    reply = of_html('<p>before <img src="cid:ii_1@mail" alt="image.png"> after</p>', attachments=(picture,))
    assert reply.content == "before ![lamp.jpg](cid:ii_1@mail) after"


def test_a_tracking_pixel_goes_and_a_picture_stays() -> None:
    pixel = '<img src="https://t.example/o.gif" width="1" height="1"><img src="https://t.example/p" style="height:0px">'
    assert of_html(f'<p>Hello{pixel}<img src="https://a.example/lamp.jpg" alt="lamp"></p>').content == (
        "Hello[lamp](https://a.example/lamp.jpg)"
    )


def test_addresses_of_other_schemes_leave_only_their_text() -> None:
    addresses = (
        "JaVaScRiPt:x",
        "data:text/html,x",
        "&#1;javascript:x",
        " java\nscript:x",
        "/x",
        "vbscript:x",
        "file:///x",
    )
    for address in addresses:
        assert of_html(f'<a href="{address}">a</a>').content == "a"


def test_what_looks_like_markdown_in_html_is_shown_as_it_is() -> None:
    content = of_html(
        "<p>a*b*c _d_ `e` [f](javascript:g) &lt;b&gt; &amp;lt; \\&lt;i&gt;</p><p># no heading</p><p>1. x</p>"
    ).content
    assert content == (
        "a\\*b\\*c \\_d\\_ \\`e\\` [f\\](javascript:g) \\<b> \\&lt; \\\\\\<i>\n\n\\# no heading\n\n1\\. x"
    )
    assert_safe(content)


def test_a_body_over_the_limit_is_kept_whole() -> None:
    body = "On Mon, 5 Jan 2026 at 10:14, A <a@b.example> wrote:\n> x\n" * 80_000
    reply = of_text(body)
    assert (reply.body, reply.elided) == (body, "")
    assert reply.method == "text: whole, over the limit"


def test_html_nested_a_hundred_thousand_deep_is_read_as_bare_text() -> None:
    reply = of_html("<div>" * 50_000 + "deep &lt;b&gt;" + "</div>" * 50_000)
    assert reply.content == "deep \\<b>"
    assert_lossless(reply)


def test_the_text_is_read_where_the_html_is_beyond_a_bound() -> None:
    assert both("short", "<p>" * 100_000) == "short"


def test_a_failing_reading_keeps_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr("ingest.reply.select_reply", fail)
    reply = of_text("Hello\n> x\n")
    assert (reply.content, reply.method) == ("Hello\n> x", "text: whole, RuntimeError while reading it")
    assert "<b>" not in of_html("<b>x</b>").content


def test_what_stands_behind_the_end_of_the_html_is_read_in_its_place() -> None:
    two = "<html><body><p>first</p></body></html><html><head><title>x</title></head><body>second</body></html>third"
    assert of_html(two).content == "first\n\nsecond\n\nthird"
    quoted = "<html><body>Yes.<div id=divRplyFwdMsg>From: A</div><div>old</div></body></html><p>footer</p>"
    assert (of_html(quoted).content, "footer" in of_html(quoted).elided) == ("Yes.", True)


def test_signs_of_ours_cannot_be_written_as_entities() -> None:
    reply = of_html("<p>a&#xfdd0;0&#xfdd2;b&#64979;&lt;b> <img src=cid:x alt='c&#xfdd3;'></p><hr id=stopSpelling>old")
    assert (reply.content, reply.method) == ("a0b\\<b> ![c](cid:x)", "html: hr stopSpelling")
    assert of_html("<div>" * 5_000 + "\ufdd3&lt;b>").content == "\\<b>"


def test_a_picture_without_an_address_shows_no_attachment() -> None:
    attached = Attachment(part_number=1, filename="contract.pdf", content_type="application/pdf", size=1, sha256="0")
    assert "contract" not in of_html('<p>Hello</p><img src="cid:"><img src="">', attachments=(attached,)).content
