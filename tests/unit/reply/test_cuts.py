"""What is taken for a quote, an attribution, a header, an ending; and what only looks like one."""

from unicodedata import normalize

import pytest

from ingest.model.message import Reply
from tests.support.replies import assert_lossless, of_html, of_text


def kinds(reply: Reply) -> list[str]:
    return [segment.kind for segment in reply.segments]


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


@pytest.mark.parametrize("stray", ["From: me", "To: be precise, the fan.", "Date: tomorrow?"])
@pytest.mark.parametrize("between", ["", "-----Original Message-----\n", "________________\n", "> "])
def test_a_line_with_a_label_is_no_part_of_the_header_below(stray: str, between: str) -> None:
    header = ["From: A <a@b.example>", "Sent: Mon, 5 Jan 2026 10:14", "To: B", "Subject: C", "", "old"]
    quoted = "\n".join(f"> {line}" for line in header) if between == "> " else between + "\n".join(header)
    assert of_text(f"Yes\n\n{stray}\n\n{quoted}\n", subject="Re: C").content == f"Yes\n\n{stray}"


def test_what_follows_labels_does_not_make_them_a_header() -> None:
    journey = "From: Berlin\nTo: Paris\nDate: 5 May"
    attribution = "On Mon, Jan 5, 2026 at 10:14 AM A B <a@b.example> wrote:"
    assert of_text(f"{journey}\n\nBook this.\n{attribution}\n> x\n").content == f"{journey}\n\nBook this."


def test_marks_that_were_typed_above_a_quote_of_the_program_are_not_part_of_it() -> None:
    reply = of_html('<p>It says:</p><p>&gt; E05</p><blockquote type="cite">What does it say?</blockquote>')
    assert reply.content.replace("\\", "").split() == ["It", "says:", ">", "E05"]


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
    ("line", "cut"),
    [
        ("##- Geef hier uw antwoord -##", True),
        ("--- Reply above this line ---", True),
        ("[Please type your reply above this line to add a comment to ticket 42]", True),
        ("Please reply above this line.", True),
        ("__________\nReply above this line.", True),
        ("I shall reply above this line.", False),
        ("Nobody can reply above this line, because there is none in what you sent.", False),
        ("I do as you say\nand reply above this line.", False),
    ],
)
def test_all_below_a_line_that_asks_to_write_above_it_is_cut(line: str, cut: bool) -> None:
    reply = of_text(f"Yes\n\n{line}\n\nold\n")
    assert reply.content == ("Yes" if cut else f"Yes\n\n{line}\n\nold")


@pytest.mark.parametrize(
    "line",
    [
        "Sent from my iPhone",
        "Von meinem iPad gesendet",
        "发自我的手机",
        "Get Outlook for iOShttps://aka.example/a",
        "iOS용 Outlook 받기",
    ],
)
def test_a_device_line_goes_at_the_end_and_stays_in_the_middle(line: str) -> None:
    assert of_text(f"Yes\n\n{line}\n").content == "Yes"
    assert line in of_text(f"Your app adds this:\n\n{line}\n\nHow do I switch it off?").content


def test_only_device_line_and_quote_keep_the_whole() -> None:
    reply = of_text("Sent from my iPhone\n\n> On 5 Jan 2026, at 10:14, A <a@b.example> wrote:\n> old\n")
    assert reply.elided == ""
    assert reply.method == "text: whole, nothing else was left"


def test_a_signature_with_the_space_of_rfc_3676_is_surer_than_one_without() -> None:
    assert of_text("Hi\n-- \nA\n").confidence > of_text("Hi\n--\nA\n").confidence


def test_two_dashes_above_a_long_text_are_no_signature() -> None:
    body = "Part one\n--\n" + "A line of the second part of a long text.\n" * 40
    assert of_text(body).elided == ""


@pytest.mark.parametrize(
    ("below", "cut"),
    [
        ("A B\nHead of Sales\nCustomer Ltd.", True),
        ("A B\nKundin GmbH, Sp. z o.o.", True),
        ("the upper tray works.", False),
        ("Which one is it?", False),
        ("直りません。", False),
    ],
)
def test_dashes_without_the_space_are_no_signature_above_a_sentence(below: str, cut: bool) -> None:
    assert (of_text(f"The lower tray jams.\n--\n{below}\n").elided != "") is cut
    assert of_text(f"The lower tray jams.\n-- \n{below}\n").elided


@pytest.mark.parametrize(
    "postscript", ["PS: and the scanner", "P.S. and the scanner", "追伸 スキャナーも", "P. D. el escáner"]
)
def test_a_postscript_below_a_signature_is_new(postscript: str) -> None:
    reply = of_text(f"Yes\n-- \nA B\n\n{postscript}\n\nSent from my iPhone\n")
    assert reply.content == f"Yes\n{postscript}"
    assert kinds(reply) == ["new", "signature", "new", "device-line"]
    assert_lossless(reply)


def test_the_confidence_is_that_of_the_least_sure_cut() -> None:
    reply = of_text("Hi\n\n-- \nA\n\nOn 1/5/26 10:14, A wrote:\n> x\n\n> y\n")
    assert reply.confidence == min(segment.confidence for segment in reply.segments if not segment.kept)
    assert reply.method == "text: signature, attribution (English), quote marks"


def test_quotes_are_kept_where_something_new_follows_and_cut_where_nothing_does() -> None:
    reply = of_text("> first?\n\nyes\n\n> second?\n\nno\n\n> bye\n")
    assert reply.content == "> first?\n\nyes\n\n> second?\n\nno"
    assert kinds(reply) == ["answered-quote", "new", "answered-quote", "new", "quote"]


def test_of_a_long_quote_only_what_is_answered_stays() -> None:
    reply = of_text("> a line\n" * 30 + ">\n> the question?\n\nthe answer\n")
    assert reply.content == "> the question?\n\nthe answer"
    assert_lossless(reply)


def test_markup_of_a_reply_inside_a_quote_does_not_end_the_quote() -> None:
    html = '<p>new</p><blockquote type="cite">old<div class="gmail_quote">older</div></blockquote><p>newer</p>'
    assert of_html(html).content.split() == ["new", ">", "old", ">", ">", "older", "newer"]


def test_code_in_fences_is_never_cut() -> None:
    body = "```\n> x\n-- \nOn Mon, 5 Jan 2026 at 10:14, A <a@b.example> wrote:\n```\n\nsee above"
    assert of_text(body).content == body


def test_what_was_sent_is_a_quote_whatever_was_done_to_it() -> None:
    sent = "Please **restart** the printer, wait ten minutes, and tell us whether the lamp is green again."
    copy = "Please restart the\nprinter, wait ten   minutes, and\ntell us whether the lamp is green again.\n"
    reply = of_text(f"It is red.\n\n{copy}", sent)
    assert reply.content == "It is red."
    assert reply.method == "text: text that was sent"
    assert of_text(f"It is red.\n\n{copy}").elided == ""


def test_letters_that_a_mail_program_took_apart_are_the_same() -> None:
    sent = "Veuillez redémarrer la machine et attendre dix minutes, s’il vous plaît."
    assert of_text(f"Fait.\n\n{normalize('NFD', sent)}\n", sent).content == "Fait."


def test_a_phrase_of_what_was_sent_is_no_copy() -> None:
    sent = "Please restart the printer, wait ten minutes, and tell us whether the lamp is green."
    assert of_text("The lamp is green again.\nThank you!", sent).elided == ""


def test_nothing_that_was_sent_makes_no_difference() -> None:
    assert of_text("Hello\n\nworld", "", " \n", "one").elided == ""


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
