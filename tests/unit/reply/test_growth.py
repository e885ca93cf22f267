"""Twice the body costs about twice the time: no pattern backtracks, and nothing is read again and again.

What is measured is the ratio of processor times, the best of several; a quadratic step shows as a factor of four.
"""

import time
from collections.abc import Callable

import pytest

from tests.support.replies import of_html, of_text

pytestmark = pytest.mark.no_cover  # the tracer would be measured

TEXTS = {
    "quote marks": ">",
    "lines of quote marks": ">\n",
    "words that open attributions": "On ",
    "lines that open attributions": "On Mon, 5 Jan 2026 at 10:14\n",
    "sentences that end as attributions do": "On Mon, 5 Jan 2026 at 10:14 I wrote:\n",
    "attributions and quotes": "On Mon, 5 Jan 2026 10:14, x <a@b.example> wrote:\n> q\nt\n",
    "attributions without a verb": "On Mon, 5 Jan 2026 at 10:14 Jane Doe <jane@doe.example>:\n",
    "sentences with an address": "On Mon, 5 Jan 2026 at 10:14 I wrote a@b.example\n",
    "header lines of one long word": f"From: {'x' * 250}\nTo: {'y' * 250}\n",
    "Chinese lines without spaces": f"{'日' * 60}1:\n",
    "header labels": "From: a\nx\nTo: b\ny\n",
    "separators": "----- x -----\n",
    "delimiters": "-- \n",
    "colons": "1a:\n",
    "open brackets": "](<x",
    "unclosed addresses": "<a@b.",
    "escapes": "\\",
    "fences": "```\n",
    "device lines": "Sent from my iPhone\n\n",
    "legal words": "this e-mail is confidential, intended recipient\n",
    "Chinese attributions": "在1写道：\n",
    "spaces": " \t",
}
PAGES = {
    "quotes and answers": "<blockquote type=cite>q</blockquote>t",
    "containers": "<div class=gmail_quote>x</div>",
    "lines": "<div>x<br></div>",
    "lists": "<ul><li>x",
    "links": '<a href="http://a.example/_x_">x</a> ',
    "tables": "<table><tr><td>a<td>b<tr><td>c<td>d</table>",
    "less-than signs": "<",
    "unknown tags": "<foo>x</foo>",
    "attributes": "<div a=b c=d e=f>",
    "specials": "*_`[x](y)",
    "preformatted lines": "<pre wrap>x\ny\n</pre>",
}


def cost(read: Callable[[str], object], body: str) -> float:
    times = []
    for _ in range(3):
        start = time.process_time()
        read(body)
        times.append(time.process_time() - start)
    return min(times)


def assert_linear(read: Callable[[str], object], piece: str) -> None:
    """Four times as much may cost up to nine times as much; sixteen times is quadratic."""
    small = cost(read, piece * (12_000 // len(piece)))
    large = cost(read, piece * (48_000 // len(piece)))
    assert large < 9 * small + 0.02, f"{small * 1000:.1f} ms became {large * 1000:.1f} ms"


@pytest.mark.parametrize("piece", TEXTS.values(), ids=TEXTS.keys())
def test_text_costs_no_more_than_in_proportion(piece: str) -> None:
    assert_linear(of_text, piece)


MOST_TIMES_PROSE = 8
"""How much more four megabytes of any shape may cost than as much prose; the worst takes two or three times as much,
and without bounds some took a hundred times."""
PROSE = "The printer on the third floor works again since this morning.\n"


def seconds_for_four_megabytes(piece: str) -> float:
    body = piece * (4_000_000 // len(piece))
    start = time.process_time()
    of_text(body)
    return time.process_time() - start


@pytest.fixture(scope="module")
def seconds_for_prose() -> float:
    return seconds_for_four_megabytes(PROSE)


@pytest.mark.parametrize("piece", TEXTS.values(), ids=TEXTS.keys())
def test_four_megabytes_of_any_text_cost_about_as_much_as_prose(piece: str, seconds_for_prose: float) -> None:
    assert seconds_for_four_megabytes(piece) < MOST_TIMES_PROSE * seconds_for_prose


@pytest.mark.parametrize("piece", PAGES.values(), ids=PAGES.keys())
def test_html_costs_no_more_than_in_proportion(piece: str) -> None:
    assert_linear(of_html, piece)


def test_looking_for_answers_in_a_quote_costs_no_more_than_in_proportion() -> None:
    asked = "which of the printers do you mean today\n"
    head = "From: Sam\nSent: Monday\nTo: Alice\nSubject: Printer\n\n"
    assert_linear(lambda body: of_text(head + body, asked), f"{asked}that one\n")


def test_comparing_with_what_was_sent_costs_no_more_than_in_proportion() -> None:
    words = "lorem ipsum dolor sit amet consetetur\n"
    assert_linear(lambda body: of_text(body, body), words)


@pytest.mark.parametrize("level", ["<blockquote>", "<ul><li>"])
def test_levels_cost_each_line_no_more_than_a_few_signs(level: str) -> None:
    html = level * 400 + "x<br>" * 2_000
    assert len(of_html(html).body) < 20 * len(html)
