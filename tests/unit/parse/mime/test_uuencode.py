"""Uuencoded files in a text."""

from ingest.parse import parse
from tests.support.mime import attachment, mail, only, plain


def test_a_uuencoded_file_in_the_text_is_a_file() -> None:
    content = mail(plain("See this:\n\nbegin 644 hello.txt\n%2&5L;&\\\n`\nend\n\nBye\n"))
    message = parse(content)
    assert message.text == "See this:\n\n\n\nBye\n"
    assert (only(message).filename, only(message).size) == ("hello.txt", 5)
    assert attachment(content, only(message).part_number) == b"Hello"


def test_words_that_look_like_the_start_of_a_uuencoded_file_stay() -> None:
    text = "We\nbegin 644 weeks from now\nand end\n"
    message = parse(mail(plain(text)))
    assert (message.text, message.attachments) == (text, ())
