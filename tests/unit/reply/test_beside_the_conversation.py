"""A cut that is sure without the conversation stays beside it, whatever a template put around what was said."""

import pytest

from ingest.model.message import Reply, SegmentKind
from ingest.reply import extract
from ingest.reply.lines import BodyLine, split_lines
from ingest.reply.recognise.quoted_headers import label_of
from tests.support.replies import Fixture, fixtures

_HEADER_SEARCH_LINES = 25


def _said(reply: Reply) -> list[str]:
    """The words of the quotes that were cut, line by line, without the header block above them."""
    cut = [segment.text for segment in reply.segments if segment.kind is SegmentKind.QUOTE and not segment.kept]
    lines = [line for text in cut for line in split_lines(text)]
    labelled = (at for at, line in enumerate(lines[:_HEADER_SEARCH_LINES]) if _is_labelled(line))
    return [line.plain for line in lines[max(labelled, default=-1) + 1 :] if not line.blank]


def _is_labelled(line: BodyLine) -> bool:
    """Whether this is a header line, with a colon or as a row of a table."""
    return label_of(line) is not None or line.text.count("|") > 1


_CUT = [
    fixture
    for fixture in fixtures()
    if not fixture.path.with_suffix(".sent").exists() and _said(fixture.reply()) and fixture.name != "html-em-client"
]
"""The header of ``html-em-client`` has no colons: what was said cannot be told from it here."""

KNOWN = {
    "all of it": slice(None),
    "all but a line below it": slice(None, -1),
    "all but a line above it": slice(1, None),
    "all but a line above it and one below it": slice(1, -1),
    "all but two lines below it": slice(None, -2),
}


@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN.keys())
@pytest.mark.parametrize("fixture", _CUT, ids=lambda fixture: fixture.name)
def test_the_reply_is_the_same_where_the_ticket_has_of_the_quote(fixture: Fixture, known: slice) -> None:
    sent = "\n".join(_said(fixture.reply())[known])
    assert extract(fixture.message(), [sent]).content == fixture.expected
    assert extract(fixture.message(), [sent], [fixture.expected]).content == fixture.expected
