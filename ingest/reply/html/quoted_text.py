"""Reads the quoted parts of a page as bare lines, without their markup. They are nearly always cut, and a full
conversion costs ten times as much."""

import re
from collections.abc import Iterator

from lxml import etree

from ingest.reply.html.escape import plain_markdown
from ingest.reply.html.tree import BLOCKS, Element
from ingest.reply.lines import BodyLine, LineMark

_SPACE = re.compile(r"\s+")
_BREAKS = BLOCKS | {"br"}


def take_quote(element: Element, mark: LineMark) -> list[BodyLine]:
    """Empty an element, and return its text as lines with ``mark``."""
    lines = _lines(_pieces(element), mark)
    tail = element.tail
    element.clear()
    element.tail = tail
    return lines


def take_rest(element: Element, mark: LineMark) -> list[BodyLine]:
    """Empty an element, remove everything that comes after it, and return the text of both as lines with ``mark``."""
    pieces = list(_pieces(element))
    element.text = None
    del element[:]
    node: Element | None = element
    while node is not None:
        pieces += ["\n", node.tail or ""]
        node.tail = None
        parent = node.getparent()
        for sibling in list(node.itersiblings()):
            pieces += [*_pieces(sibling), sibling.tail or ""]
            if parent is not None:
                parent.remove(sibling)
        node = parent
    return _lines(iter(pieces), mark)


def _pieces(element: Element) -> Iterator[str]:
    """Yield the texts inside an element in their order, with a line end wherever a block or a break begins or ends."""
    for event, inner in etree.iterwalk(element, events=("start", "end")):
        if inner.tag in _BREAKS:
            yield "\n"
        text = inner.text if event == "start" else inner.tail if inner is not element else None
        if text:
            yield _SPACE.sub(" ", text)


def _lines(pieces: Iterator[str], mark: LineMark) -> list[BodyLine]:
    stripped = (text.strip() for text in "".join(pieces).split("\n"))
    lines = [BodyLine(plain_markdown(text) + "\n", mark) for text in stripped if text]
    for line in lines:
        line.text_only = True
    return lines
