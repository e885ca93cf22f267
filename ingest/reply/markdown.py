"""HTML of a mail as lines of safe Markdown, each with what the markup said about it."""

import re
from collections.abc import Mapping, Sequence

from html_to_markdown import ConversionOptions, convert
from lxml import etree

from ingest.reply import clients
from ingest.reply.clean import ESCAPE, clean, escape
from ingest.reply.layout import shape
from ingest.reply.lines import Kind, Line, Mark
from ingest.reply.tree import Element, Unreadable, parse

_OPEN, _CLOSE, _END = "\ufdd0", "\ufdd1", "\ufdd2"
_SENTINEL = re.compile("([\ufdd0\ufdd1])([0-9]+)\ufdd2")
_DECORATION = re.compile(r"[\s>|\-*+]*|\s*\d+\.\s*")
_OPTIONS = ConversionOptions(extract_metadata=False, max_depth=1_000)


def to_lines(html: str, pictures: Mapping[str, str]) -> list[Line]:
    """The body of an HTML mail as marked lines.

    Raises :class:`ingest.reply.tree.Unreadable` where a bound is passed.
    """
    root = parse(html)
    if root is None:
        return []
    found = list(clients.marks(root))
    for number, (element, mark) in enumerate(found):
        _enclose(element, number, mark.kind)
    clean(root, pictures)
    shape(root)
    escape(root)
    return _lines(_converted(root), [mark for _, mark in found])


def _enclose(element: Element, number: int, kind: Kind) -> None:
    """Put a paragraph before and behind an element that says which mark begins and ends here."""
    before = _sentinel(_OPEN, number)
    after = _sentinel(_CLOSE, number) if kind not in (Kind.REST, Kind.FORWARD) else None
    if element.getparent() is None or element.tag in ("td", "th", "tr", "li", "body"):
        before.tail, element.text = element.text, None
        element.insert(0, before)
        if after is not None:
            element.append(after)
        return
    element.addprevious(before)
    if after is not None:
        after.tail, element.tail = element.tail, None
        element.addnext(after)


def _sentinel(sign: str, number: int) -> Element:
    paragraph = etree.Element("p")
    paragraph.text = f"{sign}{number}{_END}"
    return paragraph


def _converted(root: Element) -> str:
    result = convert(etree.tostring(root, encoding="unicode", method="html"), _OPTIONS)
    if any("depth" in str(warning.kind).lower() for warning in result.warnings):
        raise Unreadable("HTML nested too deeply")
    return (result.content or "").replace(ESCAPE, "\\")


def _lines(markdown: str, marks: Sequence[Mark]) -> list[Line]:
    """Take the sentinels out, and give the lines between them their marks; the outermost mark counts."""
    lines: list[Line] = []
    opened: list[int] = []
    fenced = False
    for text in markdown.strip("\n").split("\n"):
        at = 0
        for sentinel in _SENTINEL.finditer(text):
            _add(lines, text[at : sentinel.start()], opened, marks)
            _turn(opened, sentinel)
            at = sentinel.end()
        if at:
            _add(lines, text[at:], opened, marks)
        elif fenced or text.strip("> "):
            lines.append(Line(text + "\n", _current(opened, marks)))
            fenced ^= text.lstrip("> ").startswith("```")
        elif lines and not lines[-1].blank:
            lines[-1].text = lines[-1].text.rstrip() + "\n"
            lines.append(Line(text.rstrip() + "\n", _current(opened, marks)))
    return lines


def _add(lines: list[Line], piece: str, opened: Sequence[int], marks: Sequence[Mark]) -> None:
    """Add what stands beside a sentinel on its line, if that is more than bullets and quote marks."""
    if not _DECORATION.fullmatch(piece):
        lines.append(Line(piece + "\n", _current(opened, marks)))


def _turn(opened: list[int], sentinel: re.Match[str]) -> None:
    number = int(sentinel.group(2))
    if sentinel.group(1) == _OPEN:
        opened.append(number)
    elif number in opened:
        opened.remove(number)


def _current(opened: Sequence[int], marks: Sequence[Mark]) -> Mark | None:
    return marks[opened[0]] if opened else None
