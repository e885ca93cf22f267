"""Footers of companies, lists and virus scanners, and the text that only looks like one."""

import pytest

from tests.support.replies import kinds, of_text

NOTICE = "This e-mail is confidential. If you are not the intended recipient, delete this message."
COMPANY = "Sitz der Gesellschaft: Hamburg, Amtsgericht Hamburg, HRB 12345"
LIST = "____________\nprinters mailing list\nprinters@lists.example"


@pytest.mark.parametrize(
    "footer", [NOTICE, f"CONFIDENTIALITY NOTICE\n\n{NOTICE}", f"DISCLAIMER:\n{NOTICE}", COMPANY, LIST]
)
def test_a_footer_is_cut_at_the_end(footer: str) -> None:
    reply = of_text(f"It works.\n\n{footer}\n")
    assert reply.content == "It works."
    assert set(kinds(reply)) == {"new", "footer"}


@pytest.mark.parametrize(
    "text",
    [
        "This e-mail is for you alone. If I was in error, delete this message and forget my question.",
        "This message came in twice.",
        "Amtsgericht Hamburg is where I live.",
        "____________\nPlease take me off the mailing list.",
        f"Your mails end with:\n\n{NOTICE}",
        "CONFIDENTIALITY NOTICE",
    ],
)
def test_text_that_looks_like_a_footer_stays(text: str) -> None:
    assert of_text(f"Hello\n\n{text}\n").elided == ""


def test_a_footer_directly_below_a_sign_off_is_cut_without_it() -> None:
    assert of_text(f"It works.\n\nBest regards\nA B\n{NOTICE}\n").content == "It works.\n\nBest regards\nA B"
    assert of_text(f"It works.\n\nA B\nKundin GmbH\n{COMPANY}\n").content == "It works.\n\nA B\nKundin GmbH"
