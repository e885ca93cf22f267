"""The characters of our own that stand in a page until its Markdown is done."""

import re

from ingest.reply.html import sentinels
from tests.support.replies import of_html

OURS = {name: value for name, value in vars(sentinels).items() if isinstance(value, str) and name.isupper()}


def test_each_sentinel_is_another_character_and_none_of_them_is_left_in_a_mail() -> None:
    assert len(set(OURS.values())) == len(OURS) == 8
    assert all(sentinels.CONTROL.fullmatch(sentinel) for sentinel in OURS.values())


def test_each_sentinel_stands_in_the_table_with_its_code_point() -> None:
    listed = dict(re.findall(r"^([A-Z_]+) +U\+(\w{4}) ", sentinels.__doc__ or "", re.MULTILINE))
    assert listed == {name: f"{ord(value):X}" for name, value in OURS.items()}


def test_no_sentinel_comes_out_of_a_page_that_uses_them_all() -> None:
    html = (
        "<p>a*b \\* c</p><a href='https://x.example/'>[d]</a><pre wrap>  e\n    f</pre>"
        "<div class=gmail_signature>g</div><blockquote type=cite>h</blockquote>"
    )
    body = of_html(html).body
    assert not sentinels.CONTROL.search(body)
    assert "\\[d" in body
    assert "\u00a0" in body
