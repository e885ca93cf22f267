"""What is posted where the body holds nothing new: what the writer changed in the subject."""

import pytest

from ingest.compose import compose_content
from ingest.model.message import Attachment, ParsedMessage
from ingest.reply import extract

PICTURE = Attachment(part_number=1, filename="lamp.png", content_type="image/png", size=1, sha256="0")
QUOTE = "On Mon, 5 Jan 2026 at 10:14, Sam <help@desk.example> wrote:\n> May we reset your password?"
HEADER = (
    "From: Sam <help@desk.example>\nSent: Monday, 5 January 2026 10:14\nTo: Alice\nSubject: Lost Password\n\nMay we?"
)
UNCHANGED = "Re: Ravenna: [TAI-42] Lost Password"


def posted(subject: str, text: str = "", *, pictures: int = 0, topic: str = "") -> str:
    message = ParsedMessage(
        message_id=None,
        subject=subject,
        text=text,
        attachments=(PICTURE,) * pictures,
        headers=(("thread-topic", topic),) if topic else (),
    )
    reply = extract(message)
    return compose_content(message, reply, names_sender=False, plain=False, ticket_title="Lost Password")


@pytest.mark.parametrize(
    ("subject", "changed"),
    [
        ("Re: [TAI-42] please cancel order 5512", "please cancel order 5512"),
        ("AW: [TAI-42] bitte Auftrag 5512 stornieren", "bitte Auftrag 5512 stornieren"),
        ("RE: RE: [EXTERNAL] [TAI-42] merci, tout marche", "merci, tout marche"),
        ("Re[2]: [TAI-42] Отмените заказ: 5512", "Отмените заказ: 5512"),
        ("回复：[TAI-42] 请取消订单", "请取消订单"),
        ("[TAI-42] this lamp is red since noon, what now?", "this lamp is red since noon, what now?"),
        ("Approve: Lost Password", "Approve"),
    ],
)
def test_what_was_typed_into_the_subject_is_posted(subject: str, changed: str) -> None:
    assert posted(subject) == changed
    assert posted(subject, pictures=1) == f"{changed}\n\n(1 attachment, no text)"
    assert posted(subject, QUOTE) == f"{changed}\n\n{QUOTE}"
    assert posted(subject, "Yes.\n\n" + QUOTE) == "Yes."


@pytest.mark.parametrize("vote", ["Approve", "Genehmigen", "Non", "同意"])
def test_a_vote_is_what_stands_before_the_subject_of_the_mail_answered(vote: str) -> None:
    subject = f"{vote}: Ravenna: [TAI-42] Lost Password"
    assert posted(subject, HEADER, topic="Ravenna: [TAI-42] Lost Password") == f"{vote}\n\n{HEADER}"


@pytest.mark.parametrize("subject", [UNCHANGED, "Lost Password", "SV: lost password", "Re: Re: [TAI-42] Lost Password"])
def test_a_subject_that_was_not_changed_is_not_posted(subject: str) -> None:
    assert posted(subject, pictures=2) == "(2 attachments, no text)"
    assert posted(subject, QUOTE) == QUOTE


def test_a_message_is_never_empty() -> None:
    assert posted("") == "(an empty mail)"
    assert posted(UNCHANGED) == UNCHANGED
