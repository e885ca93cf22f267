"""Header lines above a quoted or forwarded mail, and labels that are none."""

from html import escape

import pytest

from ingest.languages import Language, all_languages
from tests.support.replies import of_html, of_text


@pytest.mark.parametrize("stray", ["From: me", "To: be precise, the fan.", "Date: tomorrow?", "Date: 5/5/2026"])
@pytest.mark.parametrize("between", ["", "-----Original Message-----\n", "________________\n", "> "])
def test_a_line_with_a_label_is_no_part_of_the_header_below(stray: str, between: str) -> None:
    header = ["From: A <a@b.example>", "Sent: Mon, 5 Jan 2026 10:14", "To: B", "Subject: C", "", "old"]
    quoted = "\n".join(f"> {line}" for line in header) if between == "> " else between + "\n".join(header)
    assert of_text(f"Yes\n\n{stray}\n\n{quoted}\n", subject="Re: C").content == f"Yes\n\n{stray}"


def test_what_follows_labels_does_not_make_them_a_header() -> None:
    journey = "From: Berlin\nTo: Paris\nDate: 5 May"
    attribution = "On Mon, Jan 5, 2026 at 10:14 AM A B <a@b.example> wrote:"
    assert of_text(f"{journey}\n\nBook this.\n{attribution}\n> x\n").content == f"{journey}\n\nBook this."


def test_header_blocks_need_what_only_a_mail_has() -> None:
    journey = "From: Berlin\nTo: Paris\nDate: 5 May\n"
    assert of_text(f"Book this:\n\n{journey}").content.endswith("5 May")
    mail = "From: A <a@b.example>\nTo: B\nDate: 5 May 2026 10:14\n"
    assert of_text(f"new\n\n{mail}\nold").content == "new"


def test_a_header_block_above_quoted_lines_does_not_take_the_answer_below_them() -> None:
    text = "From: A <a@b.example>\nDate: Mon, 5 Jan 2026 10:14\nTo: B\nSubject: C\n\n> which one?\n\nthe red one\n"
    assert of_text(text, subject="Re: C").content == "the red one"


@pytest.mark.parametrize(
    ("subject", "kept"),
    [("FW: C", True), ("[TAI-42] Fwd: C", True), ("WG: C", False), ("Re: FW: C", False), ("TR: C", False)],
)
def test_the_subject_says_whether_a_header_block_is_a_forward(subject: str, kept: bool) -> None:
    text = "new\n\nFrom: A <a@b.example>\nSent: Mon, 5 Jan 2026 10:14\nTo: B\nSubject: C\n\nold\n"
    assert of_text(text, subject=subject).content.endswith("old") is kept


def test_a_forward_is_told_from_a_reply_in_the_language_of_its_header() -> None:
    danish = "Hej\n\nFra: A <a@b.example>\nSendt: 5. januar 2026 10:14\nTil: B\nEmne: C\n\ngammelt\n"
    assert of_text(danish, subject="VS: C").content.endswith("gammelt")
    finnish = "Hei\n\nLähettäjä: A <a@b.example>\nLähetetty: 5.1.2026 10.14\nVastaanottaja: B\nAihe: C\n\nvanha\n"
    assert of_text(finnish, subject="VS: C").content == "Hei"


@pytest.mark.parametrize(
    ("subject", "kept"),
    [
        ("Re: [TAI-42] Printer", True),
        ("Re: Invoice 4711", False),
        ("AW: [EXTERN] [TAI-42] Re: Invoice 4711", False),
        ("Re: Scanner", True),
        ("Re: Invoice", False),
        ("", False),
    ],
)
def test_the_header_of_a_mail_with_another_subject_was_pasted(subject: str, kept: bool) -> None:
    text = "new\n\nFrom: A <a@b.example>\nSent: Mon, 5 Jan 2026 10:14\nTo: B\nSubject: Invoice 4711\n\nold\n\nWhy?\n"
    assert of_text(text, subject=subject).content.endswith("Why?") is kept


VALUES = {"from": "Sam <help@desk.example>", "sent": "05.01.2026 10:14", "to": "Alice", "subject": "Printer"}
ORDERS = (("sent", "from", "to", "subject"), ("from", "sent", "to", "subject"), ("sent", "from", "subject"))
WITH_HEADERS = [language for language in all_languages() if language.header_from and language.header_subject]


@pytest.mark.parametrize("language", WITH_HEADERS, ids=lambda language: language.name)
@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
@pytest.mark.parametrize("gap", ["\n", "\n\n"], ids=["", "blank lines between"])
def test_a_header_block_is_one_in_each_order_and_with_blank_lines(
    language: Language, order: tuple[str, ...], gap: str
) -> None:
    fields = [f"{getattr(language, f'header_{role}')[0].capitalize()}: {VALUES[role]}" for role in order]
    text = f"Yes, it works.\n\n{gap.join(fields)}\n\nCan you sign in?\n"
    html = escape(text).replace("\n\n", "<p>").replace("\n", "<br>")
    assert of_text(text).content == of_html(html).content == "Yes, it works."


@pytest.mark.parametrize("line", ["Date: Monday, 5 January 2026", "Von: Sam <help@desk.example>", "件名：プリンタ"])
def test_a_header_line_that_is_left_is_not_what_somebody_wrote(line: str) -> None:
    body = f"{line}\n\nOn Mon, 5 Jan 2026 at 10:14, Sam <help@desk.example> wrote:\n> Can you sign in?\n"
    assert of_text(body).content == body.strip()
