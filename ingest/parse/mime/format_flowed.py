"""Undoes ``format=flowed`` (RFC 3676), in which a line that ends with a space continues in the next line."""

from collections.abc import Iterator
from typing import NamedTuple

_SIGNATURE = "-- "


class _FlowedLine(NamedTuple):
    depth: int
    text: str
    flows: bool


def unflow(text: str, *, delete_space: bool) -> str:
    """Join the lines of each paragraph. Quoted lines keep their ``>`` marks.

    Args:
        text: the text with line feeds as line ends.
        delete_space: the parameter DelSp: the space at the end of a flowed line is no text.
    """
    paragraphs: list[str] = []
    depth, words = 0, list[str]()
    for line in _lines(text, delete_space):
        if words and line.depth != depth:
            paragraphs.append(_quoted(depth, words))
            words = []
        depth = line.depth
        words.append(line.text)
        if not line.flows:
            paragraphs.append(_quoted(depth, words))
            words = []
    if words:
        paragraphs.append(_quoted(depth, words))
    return "\n".join(paragraphs)


def _lines(text: str, delete_space: bool) -> Iterator[_FlowedLine]:
    for line in text.split("\n"):
        bare = line.lstrip(">")
        depth = len(line) - len(bare)
        content = bare.removeprefix(" ")
        flows = content.endswith(" ") and content != _SIGNATURE
        yield _FlowedLine(depth, content[:-1] if flows and delete_space else content, flows)


def _quoted(depth: int, words: list[str]) -> str:
    paragraph = "".join(words)
    return f"{'>' * depth} {paragraph}" if depth else paragraph
