"""What holds for every body, sense or nonsense."""

import re
from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.model.message import ParsedMessage
from ingest.reply import extract
from tests.support.replies import Fixture, assert_lossless, assert_never_empty, assert_safe, fixtures, of_html, of_text

PIECES = st.sampled_from(
    (
        "On Mon, Jan 5, 2026 at 10:14 AM A <a@b.example> wrote:",
        "Am 05.01.26 um 10:14 schrieb A:",
        "在 2026年1月5日，A <a@b.example> 写道：",
        "> quoted",
        ">> twice",
        ">",
        "-- ",
        "--",
        "________________",
        "-----Original Message-----",
        "---------- Forwarded message ---------",
        "From: A <a@b.example>",
        "Sent: Monday, January 5, 2026 10:14",
        "To: B",
        "Subject: C",
        "Sent from my iPhone",
        "```",
        "new text",
        "",
        "  ",
        "##- Please type your reply above this line -##",
        "This e-mail and any attachments are confidential, for the intended recipient only.",
        "| a | b |",
        "\u202b\u200f",
        "👍",
        "\x00\x0b\x0c\x1c\x85\u2028",
    )
)
TEXT = st.lists(PIECES | st.text(max_size=40), max_size=30).flatmap(
    lambda lines: st.sampled_from(("\n", "\r\n")).map(lambda end: end.join(lines))
)
TAGS = st.sampled_from(
    (
        *("<div>", "</div>", "<p>", "</p>", "<br>", "<b>", "</b>", "<blockquote type=cite>", "</blockquote>", "<hr>"),
        *('<div class="gmail_quote">', '<div class="gmail_attr">', '<blockquote class="gmail_quote">', "<pre>"),
        *('<div id="divRplyFwdMsg">', '<div class="yahoo_quoted">', "<table><tr><td>", "</td><td>", "</table>"),
        *("<script>", "</script>", "<!--", "-->", "<a href='javascript:x'>", "<a href='http://a.example/_x_'>", "</a>"),
        *("&lt;script&gt;", "&amp;lt;b&amp;gt;", "<img src=x onerror=y>", "<code>`", "</code>", "<![if x]>", "<o:p>"),
        *("<img src='cid:a&quot;b'>", "<style>", "</style>", "<div class=gmail_signature>", "<svg><a>", "<ul><li>"),
        *("[", "]", "<th>", "<a href='http://a.example/'>](javascript:y) [</a>", "<b>](data:y)</b>", "<h2>", "</h2>"),
        *("*", "_", "`", "\\", "<", ">", "&", "|", "#", "](", "[x](javascript:y)", "</pre>", "\ufdd01\ufdd2"),
        *("&#xfdd0;0&#xfdd2;", "&#64979;", "&#xFDD5;x&#xfdd6;(javascript:y)", "<img alt='&#xfdd3;' src=cid:x>"),
        *("<td colspan=3>", "<p style='mso-list:l0 level2 lfo1'>", "<i>", "</i>", "<p style='white-space:pre'>"),
    )
)
HTML = st.lists(TAGS | PIECES | st.text(max_size=20), max_size=40).map("".join)
WORD = "word"
ELEMENTS = st.sampled_from(
    (
        *("<div>{}</div>", "<p>{}</p>", "<b>{}</b>", "<span>{}</span>", "{}<br>", "<hr>{}", "<ul><li>{}</li></ul>"),
        *(
            "<blockquote>{}</blockquote>",
            "<blockquote type=cite>{}</blockquote>",
            "<table><tr><td>{}</td></tr></table>",
        ),
        *(
            "<a href=https://a.example/>{}</a>",
            "<pre>{}</pre>",
            "<code>{}</code>",
            "<h2>{}</h2>",
            "<div id=Signature>{}</div>",
        ),
        *("<div class=gmail_quote>{}</div>", "<div class=gmail_attr>{}</div>", "<div class=zmail_extra>{}</div>"),
        *(
            "<blockquote class=gmail_quote>{}</blockquote>",
            "<div class=yahoo_quoted>{}</div>",
            "<hr id=stopSpelling>{}",
        ),
        *("<div id=divRplyFwdMsg>{}</div>", "<div class=moz-forward-container>{}</div>", "<div name=quote>{}</div>"),
    )
)
PAGES = st.recursive(
    st.just(WORD),
    lambda inner: st.lists(st.builds(str.format, ELEMENTS, inner) | inner, min_size=1, max_size=4).map(" ".join),
    max_leaves=30,
)
"""Pages of what mail programs write, sound as HTML, so that one knows what a reader of them sees."""


@settings(max_examples=150, deadline=None)
@given(TEXT)
@example("")
@example("\n\n")
@example("> only\n> quotes\n")
def test_a_text_is_parted_without_loss_and_never_to_nothing(text: str) -> None:
    reply = of_text(text)
    assert reply.body == text
    assert_lossless(reply)
    assert_never_empty(reply)


@settings(max_examples=150, deadline=None)
@given(HTML)
def test_any_html_is_parted_without_loss_and_is_safe_to_render(html: str) -> None:
    reply = of_html(html)
    assert_lossless(reply)
    assert_never_empty(reply)
    assert_safe(reply.body)
    assert "while reading" not in reply.method


@settings(max_examples=150, deadline=None)
@given(PAGES)
@example("<div class=zmail_extra>word <b>word <a href=https://a.example/>word</a> word</b> word</div>")
def test_all_words_of_a_page_are_in_its_reply_in_their_order(page: str) -> None:
    head, *between = f"<p>{WORD}</p>{page}".split(WORD)
    numbered = head + "".join(f"w{number}{rest}" for number, rest in enumerate(between))
    reply = of_html(numbered)
    assert re.findall(r"w(\d+)", reply.body) == [str(number) for number in range(len(between))]
    assert_lossless(reply)


@settings(max_examples=60, deadline=None)
@given(TEXT, HTML, st.lists(TEXT, max_size=3))
def test_nothing_raises_whatever_was_sent_before(text: str, html: str, sent: list[str]) -> None:
    reply = extract(ParsedMessage(message_id=None, text=text, html=html), sent)
    assert_lossless(reply)
    assert_never_empty(reply)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([fixture for fixture in fixtures() if fixture.path.suffix == ".txt"]), st.data())
def test_a_fixture_with_a_line_torn_out_is_parted_without_loss(fixture: Fixture, data: st.DataObject) -> None:
    lines = (fixture.message().text or "").split("\n")
    del lines[data.draw(st.integers(0, len(lines) - 1))]
    reply = of_text("\n".join(lines))
    assert reply.body == "\n".join(lines)
    assert_lossless(reply)
    assert_never_empty(reply)


HEADER = "From: A <a@b.example>\nSent: Monday, January 5, 2026 10:14\nTo: B\nSubject: C\n\n"
ANSWERS = st.sampled_from(
    ("none", "below", "on the line", "its last word", "its last words", "its last word on the line")
)
QUESTIONS = st.lists(st.tuples(st.integers(5, 14), ANSWERS), min_size=2, max_size=8)


def _asked_and_answered(questions: Sequence[tuple[int, str]]) -> tuple[str, str, list[str]]:
    """A text of numbered words, the same with answers in it, and the answers."""
    sent, answered, answers = ["Hello Alice,"], ["Hello Alice,"], []
    for number, (size, kind) in enumerate(questions):
        words = [f"w{number}x{place}" for place in range(size)]
        question = " ".join(words) + "?"
        own, last = f"answer{number}", words[-1] + "."
        answer = {"none": "", "below": own, "on the line": own, "its last words": " ".join(words[-2:]) + "."}.get(
            kind, last
        )
        sent.append(question)
        answered.append(question + (" " if kind.endswith("on the line") else "\n") + answer)
        answers += [answer] if answer else []
    return (
        "\n\n".join((*sent, "Kind regards, your Ravenna team")),
        "\n".join((*answered, "Kind regards, your Ravenna team")),
        answers,
    )


@settings(max_examples=150, deadline=None)
@given(QUESTIONS, st.sampled_from(("", "See below.\n\n")))
@example([(6, "its last word on the line"), (6, "its last words")], "")
def test_no_answer_that_was_typed_into_a_known_text_is_lost(questions: list[tuple[int, str]], above: str) -> None:
    sent, answered, answers = _asked_and_answered(questions)
    reply = of_text(f"{above}{HEADER}{answered}\n", sent, subject="Re: C")
    kept = reply.content.replace("\n", " ")
    assert_lossless(reply)
    assert sum(kept.count(answer) for answer in set(answers)) >= len(answers)
    if answers:
        assert reply.elided
