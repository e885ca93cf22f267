"""Marks, markup and code: what a block of lines is taken for."""

from tests.support.replies import of_html, of_text


def test_marks_that_were_typed_above_a_quote_of_the_program_are_not_part_of_it() -> None:
    reply = of_html('<p>It says:</p><p>&gt; E05</p><blockquote type="cite">What does it say?</blockquote>')
    assert reply.content.replace("\\", "").split() == ["It", "says:", ">", "E05"]


def test_markup_of_a_reply_inside_a_quote_does_not_end_the_quote() -> None:
    html = '<p>new</p><blockquote type="cite">old<div class="gmail_quote">older</div></blockquote><p>newer</p>'
    assert of_html(html).content.split() == ["new", ">", "old", ">", ">", "older", "newer"]


def test_code_in_fences_is_never_cut() -> None:
    body = "```\n> x\n-- \nOn Mon, 5 Jan 2026 at 10:14, A <a@b.example> wrote:\n```\n\nsee above"
    assert of_text(body).content == body
