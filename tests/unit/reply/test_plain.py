"""Markdown of ours, shown as it is: the words without the signs."""

import pytest

from ingest.reply.plain import plain
from tests.support.replies import of_html


def as_text(html: str) -> str:
    return plain(of_html(html).content)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>It <b>does <i>not</i></b> work</p>", "It does not work"),
        ("<p>2*3*4, _x_ and \\ &lt;config&gt; #1</p>", "2*3*4, _x_ and \\ <config> #1"),
        ("<p># no heading</p><h2>A heading</h2>", "# no heading\n\nA heading"),
        ("<p>one<br>two</p>", "one\ntwo"),
        ("<ul><li>one</li><li>two</li></ul>", "- one\n- two"),
        ("<p>1. no list</p>", "1. no list"),
        ("<p>2 * 3 is <b>6</b></p><ul><li>a<ul><li>b</li></ul></li></ul>", "2 * 3 is 6\n\n- a\n  * b"),
        (
            "<p>see <a href='https://a.example/x(1)'>the [new] page</a></p>",
            "see the [new] page <https://a.example/x%281%29>",
        ),
        ("<p><a href='https://a.example/'>https://a.example/</a></p>", "https://a.example/"),
        ("<p><code>a*b*</code> and <code>c_d</code></p>", "a*b* and c_d"),
        ("<p>so:</p><pre>if (a &lt; b) **x\n  y_z</pre>", "so:\n\nif (a < b) **x\n  y_z"),
        ("<p>look <img src='cid:x' alt='The lamp'></p>", "look (The lamp)"),
    ],
)
def test_the_words_stay_and_the_signs_go(html: str, text: str) -> None:
    assert as_text(html) == text


def test_a_table_keeps_its_cells_apart() -> None:
    html = "<table><tr><th>name</th><th>count</th></tr><tr><td>toner</td><td>2</td></tr></table>"
    assert [line.replace(" ", "") for line in as_text(html).split("\n")] == [
        "|name|count|",
        "|-----|-----|",
        "|toner|2|",
    ]


@pytest.mark.parametrize("sign", ["[", "`", "``", "![", "](", "\\", "*", "[a](", "`a", "> # ", "> ", " "])
def test_signs_that_nobody_closes_cost_no_more_than_in_proportion(sign: str) -> None:
    assert len(plain(sign * 200_000)) <= len(sign) * 200_000
