"""What HTML becomes: Markdown that shows what the mail showed, sign for sign."""

import re
from html import unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.replying import assert_safe, of_html

_RENDERER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def rendered(html: str) -> str:
    """What a reader sees of a mail, as the HTML that its Markdown is rendered to, without line ends between tags."""
    content = of_html(html).content
    assert_safe(content)
    shown = re.sub(r"<br />\n?", "<br>", _RENDERER.render(content).strip())
    return re.sub(r"(>)\n+(?=<)|\n+$", r"\1", shown)


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
