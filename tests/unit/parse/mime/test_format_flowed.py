"""Text in format=flowed (RFC 3676)."""

import pytest

from ingest.parse import parse
from tests.support.mime import entity, mail


@pytest.mark.parametrize(
    ("delsp", "sent", "read"),
    [
        ("no", "one \r\ntwo\r\nthree", "one two\nthree"),
        ("yes", "日本 \r\n語 \r\nです", "日本語です"),
        ("no", "> quoted \r\n> text\r\nmine", "> quoted text\nmine"),
        ("no", ">> deep \r\n> less", ">> deep \n> less"),
        ("no", "Bye\r\n-- \r\nAlice", "Bye\n-- \nAlice"),
        ("no", " From stuffed\r\n >not a quote", "From stuffed\n>not a quote"),
    ],
)
def test_flowed_text_is_put_together_again(delsp: str, sent: str, read: str) -> None:
    message = parse(mail(entity(f"text/plain; charset=utf-8; format=flowed; delsp={delsp}", sent)))
    assert message.text == read
