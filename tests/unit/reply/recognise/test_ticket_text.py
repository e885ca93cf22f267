"""Copies of the texts of a ticket."""

from unicodedata import normalize

from tests.support.replies import of_text


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
