"""Attributions, and the sentences that only look like one."""

import pytest

from tests.support.replies import assert_lossless, kinds, of_text

ATTRIBUTIONS = (
    "On Mon, Jan 5, 2026 at 10:14 AM A B <a@b.example> wrote:",
    "On 1/5/26 10:14, A B wrote:",
    "A B <a@b.example> wrote:",
    "Am 05.01.2026 um 10:14 schrieb A B:",
    "A B schrieb:",
    "Le 5 janv. 2026 à 10:14, A B a écrit :",
    "El lunes, 5 de enero de 2026, A B escribió:",
    "2026-01-05 10:14 GMT+01:00 A B <a@b.example>:",
    "05.01.2026 10:14, A B пишет:",
    "Dnia 5 stycznia 2026 10:14 A B napisał(a):",
    "2026/01/05 10:14、A B <a@b.example>のメール:",
    "在 2026年1月5日，10:14，A B <a@b.example> 写道：",
    "ti 5. tammik. 2026 klo 10.14 A B (a@b.example) kirjoitti:",
    "Tarehe 5 Jan 2026 saa 10:14 A B <a@b.example> aliandika:",
    "---- On Mon, 05 Jan 2026 10:14:00 +0100 A B <a@b.example> wrote ----",
)
SENTENCES = (
    "On Monday I wrote:",
    "On 5 January 2026 at 10:14 she wrote:",
    "As you wrote:",
    "The manual says:",
    "My times are 10:14 on 5 January 2026:",
    "Please mail a@b.example:",
)


@pytest.mark.parametrize("line", ATTRIBUTIONS)
def test_an_attribution_above_quoted_lines_is_cut_with_them(line: str) -> None:
    reply = of_text(f"new\n\n{line}\n> old\n> words\n")
    assert reply.content == "new"
    assert kinds(reply) == ["new", "attribution", "quote"]


@pytest.mark.parametrize("line", [line for line in ATTRIBUTIONS if "@" in line or "10:14, A B" in line])
def test_a_full_attribution_is_proof_where_the_quote_bears_no_mark(line: str) -> None:
    assert of_text(f"new\n\n{line}\n\nold\nwords\n").content == "new"


@pytest.mark.parametrize("line", SENTENCES)
def test_a_sentence_that_looks_like_an_attribution_stays(line: str) -> None:
    body = f"Hello\n\n{line}\n\nthis and that\n\nBye"
    assert of_text(body).content == body


@pytest.mark.parametrize("line", ["As A B wrote:", "Your colleague said:", "Wie A B schrieb:", "Comme A B a écrit :"])
def test_a_sentence_about_somebody_keeps_what_it_quotes(line: str) -> None:
    body = f"{line}\n\n> restart it\n\nThat does not help."
    assert of_text(body).content == body


def test_a_line_of_text_above_the_attribution_stays_though_it_begins_like_one() -> None:
    text = "On reflection, I agree.\nOn Mon, 5 Jan 2026 at 10:14, A <a@b.example> wrote:\n> agree?\n"
    assert of_text(text).content == "On reflection, I agree."


def test_an_attribution_with_the_quote_on_its_line_is_parted_from_what_is_quoted() -> None:
    reply = of_text("Yes\n\n  On Mon, Jan 5, 2026 at 10:14 AM, A<a@b.example> wrote:   Hello\nold\n")
    assert kinds(reply) == ["new", "attribution", "quote"]
    assert_lossless(reply)
    assert of_text("Mail a@b.example, On 5 Jan 2026 at 10:14:   it works\n").elided == ""


@pytest.mark.parametrize("joint", [". ", "。", " "])
def test_a_reply_and_the_attribution_on_its_line_are_parted(joint: str) -> None:
    reply = of_text(f"It works{joint}On Mon, Jan 5, 2026 at 10:14 AM A B <a@b.example> wrote:\n> well?\n")
    assert reply.content == f"It works{joint}".strip()


def test_a_comparison_is_no_address_that_goes_on_in_the_next_line() -> None:
    text = "Pages:\n< 10 on Sunday\n\nIs that too much?"
    assert of_text(f"{text}\n\nA B <a@b.example> kirjoitti 5.1.2026 kello\n10.14:\n> x\n").content == text
