"""What HTML becomes: Markdown that shows what the mail showed, sign for sign."""

import re
from html import unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.support.replies import assert_safe, of_html

_RENDERER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def rendered(html: str) -> str:
    """What a reader sees of a mail, as the HTML that its Markdown is rendered to, without line ends between tags."""
    content = of_html(html).content
    assert_safe(content)
    shown = re.sub(r"<br />\n?", "<br>", _RENDERER.render(content).strip())
    return re.sub(r"\n+(?=<)", "", shown)


@pytest.mark.parametrize(
    "text",
    [
        "__init__ and _a_ and snake_case",
        "2 * 3 * 4",
        "wow![",
        "C:\\dir\\*.txt",
        "&amp;copy; is written &amp;amp;copy;",
        "https://x.example/__a__/_b_",
    ],
)
def test_signs_of_markdown_are_seen_as_they_were_written(text: str) -> None:
    assert rendered(f"<p>{text}</p>") == f"<p>{text}</p>"


def test_signs_are_seen_where_tags_part_them() -> None:
    assert rendered("<p>&amp;<span>lt;</span>b</p>") == "<p>&amp;lt;b</p>"
    assert rendered("<p><span>1</span>. one</p>") == "<p>1. one</p>"
    assert rendered("<p>*<span>*</span>bold*<font>*</font></p>") == "<p>**bold**</p>"


@pytest.mark.parametrize("line", ["---", "-", "+", "#", "1.", "1)"])
def test_a_first_line_of_nothing_but_a_sign_is_seen_as_it_is(line: str) -> None:
    assert rendered(f"<p>{line}<br>text</p>") == f"<p>{line}<br>text</p>"


def test_a_table_drawn_with_signs_is_no_table() -> None:
    assert rendered("<div>a | b</div><div>--- | ---</div><div>c | d</div>") == "<p>a | b<br>--- | ---<br>c | d</p>"


def test_a_link_behind_an_exclamation_mark_is_no_picture() -> None:
    assert rendered('<p>New!<a href="https://x.example/">here</a></p>') == (
        '<p>New!<a href="https://x.example/">here</a></p>'
    )


def test_the_address_of_a_link_is_the_one_that_was_written() -> None:
    address = "https://x.example/a b/__c__?d=e&amp;copy;=1"
    assert rendered(f'<a href="{address}">{address}</a>') == (
        f'<p><a href="{address.replace(" ", "%20")}">{address}</a></p>'
    )


def test_a_cell_outside_a_table_is_a_block() -> None:
    assert of_html('<th>New!</th><a href="https://x.example/">here</a>').content == "New!\n\n[here](https://x.example/)"


def test_pieces_of_code_side_by_side_are_one() -> None:
    assert of_html("<code>a</code><code>`&lt;b&gt;</code><code>c<kbd>d</kbd></code>").content == "``a`<b>cd``"


def test_what_is_quoted_inside_a_link_is_not_the_words_of_the_link() -> None:
    reply = of_html('<p>Yes</p><a href="https://x.example/"><img src="cid:x" id="divRplyFwdMsg"></a><p>old ![</p>')
    assert (reply.content, "](https" in reply.body) == ("Yes", False)


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ("<b>Name:</b>Alice", "<strong>Name</strong>:Alice"),
        ("これは<b>「重要」</b>です", "これは「<strong>重要</strong>」です"),
        ("x<b><i>(y)</i></b>z", "x(<em><strong>y</strong></em>)z"),
        ("x<s>(y)</s>z", "x(<s>y</s>)z"),
        ("x<b><code>y</code></b>z", "x<code>y</code>z"),
        ("<i>a<i>b</i></i>", "<em>ab</em>"),
        ("<b>a<br><br>b</b>", "<strong>a</strong></p><p><strong>b</strong>"),
        ("a<b>&nbsp;</b>b", "a b"),
        ("<b>a </b>b", "<strong>a</strong> b"),
    ],
)
def test_no_sign_of_emphasis_is_seen(html: str, shown: str) -> None:
    assert rendered(f"<p>{html}</p>") == f"<p>{shown}</p>"


_TAGS = ["b", "i", "span", "u"]
_WORDS = st.text(st.sampled_from('ab 1.("*_`[]~|\\:é「—'), max_size=6).map(lambda text: f"w{text}")


@st.composite
def _inline(draw: st.DrawFn, depth: int = 2) -> str:
    text = draw(_WORDS)
    if not depth or draw(st.booleans()):
        return text
    tag = draw(st.sampled_from(_TAGS))
    return f"{text}<{tag}>{draw(_inline(depth - 1))}</{tag}>{draw(_WORDS)}"


@given(_inline())
@settings(deadline=None)
def test_what_is_seen_is_what_was_written(html: str) -> None:
    def seen(markup: str) -> str:
        return "".join(unescape(re.sub(r"<[^<>]*>", "", markup)).split())

    assert seen(rendered(f"<p>{html}</p>")) == seen(html)


def test_a_list_between_two_items_lies_inside_the_one_above_it() -> None:
    assert of_html("<ul><li>a</li><ul><li>b</li></ul><li>c</li></ul>").content == "- a\n  * b\n- c"


def word_item(level: int, bullet: str, text: str) -> str:
    return (
        f"<p class=MsoListParagraph style='text-indent:-18.0pt;mso-list:l0 level{level} lfo1'><![if !supportLists]>"
        f"<span style='mso-list:Ignore'>{bullet}<span style='font:7.0pt Times'>&nbsp;&nbsp; </span></span>"
        f"<![endif]>{text}<o:p></o:p></p>"
    )


def test_lists_of_word_keep_their_levels_kinds_and_numbers() -> None:
    first = (
        word_item(1, "1.", "one") + word_item(2, "o", "sub") + word_item(3, "§", "subsub") + word_item(1, "2.", "two")
    )
    later = "<p class=MsoNormal>Then:</p>" + word_item(1, "3.", "three")
    assert rendered(first + later) == (
        "<ol><li>one<ul><li>sub<ul><li>subsub</li></ul></li></ul></li><li>two</li></ol><p>Then:</p>"
        '<ol start="3"><li>three</li></ol>'
    )


def test_items_of_one_line_in_a_block_make_a_close_list() -> None:
    assert of_html("<ul><li><div>a</div></li><li><div>b</div><div>c</div></li></ul>").content == "- a\n- b  \n  c"


def test_cells_stay_in_their_columns_where_others_span_several() -> None:
    table = (
        "<tr><td colspan=2>sum</td><td>5</td></tr><tr><td rowspan=2>a</td><td>b</td><td>2</td></tr><tr><td>c<td>3</tr>"
    )
    assert re.sub(r" +", " ", of_html(f"<table>{table}</table>").content) == (
        "| sum | | 5 |\n| --- | --- | --- |\n| a | b | 2 |\n| | c | 3 |"
    )


@pytest.mark.parametrize("cell", ["<td>a" * 5_000, "<td colspan=99>a" * 50])
def test_a_table_wider_than_any_page_is_not_filled_up(cell: str) -> None:
    html = f"<table><tr>{cell}</tr>{'<tr><td>b<td>c' * 3_000}</table>"
    assert len(of_html(html).body) < 10 * len(html)


@pytest.mark.parametrize(
    ("tag", "inside"),
    [
        ("b", "<strong>{}</strong>"),
        ("i", "<em>{}</em>"),
        ('a href="https://x.example/"', '<a href="https://x.example/">{}</a>'),
    ],
)
def test_a_link_or_emphasis_around_blocks_reaches_into_them(tag: str, inside: str) -> None:
    html = f"<{tag}><div>a</div><div>b</div></{tag[0]}><p>c</p>"
    assert rendered(html) == f"<p>{inside.format('a')}<br>{inside.format('b')}</p><p>c</p>"


@pytest.mark.parametrize("style", ["pre", "pre-wrap", "pre-line"])
def test_line_ends_that_a_style_shows_are_lines(style: str) -> None:
    html = f'<table><tr><td style="white-space: {style}">Name: A\nRoom: 4\n\nHelp</td></tr></table>'
    assert of_html(html).content == "Name: A  \nRoom: 4\n\nHelp"


def test_line_ends_between_blocks_are_none_whatever_the_style() -> None:
    assert of_html('<div style="white-space:pre-wrap">\n<div>a</div>\n<div>b</div>\n</div>').content == "a  \nb"


def test_blanks_that_set_columns_stay_in_preformatted_text() -> None:
    content = of_html("<pre wrap>item   count\ntoner  2\n  black</pre>").content
    assert content.replace("\u00a0", " ") == "item   count  \ntoner  2  \n  black"


def test_code_in_preformatted_text_is_code_though_it_is_the_whole_mail() -> None:
    assert of_html("<pre><code>a  *b*\n  c</code></pre>").content == "```\na  *b*\n  c\n```"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('<img data-emoji="😀" alt="😀" src="https://fonts.gstatic.example/1f600/72.png" width=72>', "😀"),
        ('<img class="EmojiInsert" alt="👍🏽" src="cid:emoji">', "👍🏽"),
        ('<img alt="1️⃣" src="https://a.example/1.png">', "1️⃣"),
        ("<span style='font-family:Wingdings'>J</span>", "🙂"),
        ("<span style='font-family:Wingdings'><span style='mso-symbol-font-family:Wingdings'>à</span></span>", "→"),
        ('<font face="Wingdings">L</font>', "🙁"),
        ("10<sup>6</sup> m<sup>2</sup>, H<sub>2</sub>O, 1<sup>st</sup>", "10⁶ m², H₂O, 1st"),
        ('<input type="checkbox" checked> done <input type=checkbox> open <input value="x">', "☑ done ☐ open"),
        ("he said <q>no</q>", 'he said "no"'),
    ],
)
def test_what_a_picture_a_font_or_a_place_says_is_said_in_characters(html: str, text: str) -> None:
    assert of_html(f"<p>{html}</p>").content == text


def test_a_picture_with_words_is_no_emoji() -> None:
    assert of_html('<img alt="😀 team" src="https://a.example/t.png">').content == "[😀 team](https://a.example/t.png)"


def test_a_picture_on_a_server_is_a_link_and_inside_a_link_its_name() -> None:
    picture = '<img alt="logo" src="https://a.example/t.png">'
    assert of_html(f"<p>a {picture}</p>").content == "a [logo](https://a.example/t.png)"
    assert of_html(f'<p>a <a href="https://b.example/">{picture}</a></p>').content == "a [(logo)](https://b.example/)"


def test_a_picture_in_the_mail_stays_a_picture() -> None:
    assert of_html('<p>a <img alt="lamp" src="cid:x@y"></p>').content == "a ![lamp](cid:x@y)"
