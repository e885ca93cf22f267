"""When a reply is worth a second reading, beside what was said on the ticket."""

import pytest

from ingest.model.message import ParsedMessage, Reply
from ingest.reply import extract
from tests.support.replies import of_html, of_text

ASKED = "Which one of the two printers is it?\n"
OUTLOOK = f"From: A <a@b.example>\nSent: Mon, 5 Jan 2026 10:14\nTo: B\nSubject: Printer\n\n{ASKED}"
MARKED = f"On Mon, 5 Jan 2026 at 10:14, A <a@b.example> wrote:\n> {ASKED}"
LONG = (
    "The printer on the third floor still says that its paper has run out, though there is enough of it in there.\n\n"
)


def of_answer(text: str) -> Reply:
    return extract(ParsedMessage(message_id=None, in_reply_to=("a@b.example",), subject="Re: Printer", text=text))


def test_an_unmarked_quote_is_ambiguous_whatever_stands_above_it() -> None:
    assert of_text(f"{LONG}{OUTLOOK}").ambiguous
    assert of_text(f"See below.\n\n{OUTLOOK}").ambiguous
    assert of_text(OUTLOOK).ambiguous


def test_a_marked_quote_is_ambiguous_where_hardly_anything_stands_above_it() -> None:
    assert of_text(f"See below.\n\n{MARKED}").ambiguous
    assert not of_text(f"{LONG}{MARKED}").ambiguous


@pytest.mark.parametrize(("quote", "is_ambiguous"), [("yahoo_quoted", True), ("gmail_quote", False)])
def test_a_quote_that_ends_where_somebody_types_is_not_open(quote: str, is_ambiguous: bool) -> None:
    assert (
        of_html(f"<p>See below.</p><div class={quote}>On Monday A wrote:<p>Which one?</p></div>").ambiguous
        is is_ambiguous
    )


def test_a_long_answer_without_any_quote_is_ambiguous_and_a_short_one_is_not() -> None:
    assert of_answer(LONG).ambiguous
    assert not of_answer("It works again.\n").ambiguous
    assert not of_text(LONG).ambiguous


def test_a_quote_in_which_copies_were_found_is_not_open() -> None:
    assert not of_text(f"The red one.\n\n{OUTLOOK}", f"{ASKED}\nThe other one is not for you to open.").ambiguous
