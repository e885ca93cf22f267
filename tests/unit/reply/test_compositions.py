"""Any text above any trail: what was written stays whole, and what a mail program put below it goes."""

from functools import cache

import pytest

from ingest.model.message import Reply
from tests.support.replies import Fixture, assert_lossless, fixtures, of_text

pytestmark = pytest.mark.no_cover  # tens of thousands of mails, which cover what the fixtures do

_ALL = [fixture for fixture in fixtures() if fixture.path.suffix == ".txt"]
_WRITTEN = [(fixture.message().text or "").rstrip() for fixture in _ALL if fixture.name.startswith("lookalike")]
_WRITTEN = [text for text in _WRITTEN if not of_text(text).elided and not text.splitlines()[-1].startswith(">")]


def _trail(fixture: Fixture) -> str:
    """What stands below the text of a reply; ``""`` where something stands above it as well."""
    body = fixture.message().text or ""
    trail = body.removeprefix(fixture.expected)
    return trail if trail != body and trail.strip() else ""


_TRAILED = [fixture for fixture in _ALL if _trail(fixture) and not fixture.path.with_suffix(".sent").exists()]


@cache
def _composed(written: str, trailed: Fixture) -> Reply:
    return of_text(written + _trail(trailed), subject=trailed.message().subject)


@pytest.mark.parametrize("trailed", _TRAILED, ids=lambda trailed: trailed.name)
def test_no_word_of_a_text_is_lost_above_any_trail(trailed: Fixture) -> None:
    for written in _WRITTEN:
        reply = _composed(written, trailed)
        words = written.split()
        assert reply.content.split()[: len(words)] == words
        assert_lossless(reply)


def test_hardly_ever_does_anything_of_the_trail_stay() -> None:
    pairs = [(written, trailed) for written in _WRITTEN for trailed in _TRAILED]
    more = sum(_composed(*pair).content.split() != pair[0].split() for pair in pairs)
    assert more <= len(pairs) / 200
