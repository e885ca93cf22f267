"""Turns an HTML mail into lines of safe Markdown, each with what the markup of the mail program says about it."""

import re
from collections.abc import Mapping, Sequence

from html_to_markdown import ConversionOptions, convert
from lxml import etree

from ingest.reply.html import client_markup, missing_words, quoted_text
from ingest.reply.html.blocks import is_data_table, normalise_blocks
from ingest.reply.html.emphasis import normalise_emphasis
from ingest.reply.html.escape import escape_text, with_backslashes
from ingest.reply.html.sanitize import sanitize_tree
from ingest.reply.html.sentinels import MARK_BEGIN, MARK_END, NUMBER_END
from ingest.reply.html.tree import Element, HtmlOverLimit, parse_html
from ingest.reply.lines import BodyLine, LineMark, MarkKind

_SENTINEL = re.compile(f"([{MARK_BEGIN}{MARK_END}])([0-9]+){NUMBER_END}")
_DECORATION = re.compile(r"[\s>|\-*+]*|\s*\d+\.\s*")
_BLANK = "> \u00a0\n"
_OPTIONS = ConversionOptions(extract_metadata=False, max_depth=1_000)


class Page:
    """An HTML mail. ``lines`` can be called once, because it takes the tree apart.

    The constructor and ``lines`` raise :class:`ingest.reply.html.tree.HtmlOverLimit` if the HTML passes a limit.
    """

    def __init__(self, html: str) -> None:
        self._root = parse_html(html)
        self._marked = list(client_markup.marks(self._root)) if self._root is not None else []

    def is_better_than(self, text: str) -> bool:
        """Return whether the HTML says what ``text`` does not: which parts are quoted, more words, tables, pictures or
        links."""
        if self._root is None:
            return False
        if self._marked:
            return True
        size = sum(len(str(piece).strip()) for piece in self._root.itertext())
        return size * _POOR_TEXT_SHARE > len(text.strip()) or _adds(self._root, text)

    def lacks_words_of(self, text: str) -> bool:
        """Return whether the HTML lacks what ``text`` says; no markup, table, picture or link outweighs that."""
        return self._root is not None and missing_words.lacks_words(self._root, text)

    def says_more_than(self, text: str) -> bool:
        """Return whether the HTML, beside a ``text`` whose words it lacks, has many words of its own."""
        return self._root is not None and missing_words.says_more(self._root, text)

    def lines(self, pictures: Mapping[str, str], *, text_only_quotes: bool) -> list[BodyLine]:
        """Return the mail as lines of Markdown. ``pictures`` has the file names of the pictures that ``cid:`` addresses
        name. With ``text_only_quotes``, the quoted parts are read as bare text, which is ten times as fast."""
        if self._root is None:
            return []
        taken: dict[int, list[BodyLine]] = {}
        for number, (element, mark) in enumerate(self._marked):
            _enclose(element, number, mark.kind)
            if text_only_quotes and mark.kind is MarkKind.QUOTE:
                taken[number] = quoted_text.take_quote(element, mark)
            elif text_only_quotes and mark.kind is MarkKind.REST:
                taken[number] = quoted_text.take_rest(element, mark)
        return _SentinelDecoder([mark for _, mark in self._marked], taken).lines(to_markdown(self._root, pictures))


def to_markdown(root: Element, pictures: Mapping[str, str]) -> str:
    """Return the Markdown of a tree, which is changed in place. Each step needs what the steps above it guarantee.

    1. ``sanitize_tree`` takes any tree. Afterwards it holds only known elements and safe addresses, and its text has
       blanks that are to be shown as ``BLANK``.
    2. ``normalise_blocks`` needs only known elements, so that it knows which are blocks. Afterwards real tables and
       lists are sound, lines of ``<div>`` are paragraphs, and no emphasis or link holds a block.
    3. ``normalise_emphasis`` needs emphasis that ends with its paragraph. Afterwards no emphasis is empty, holds its
       like or a line break, or touches a letter where Markdown would not see it; no ``<span>`` parts a text.
    4. ``escape_text`` needs texts in one piece, because a sign may be markup only beside its neighbours. Afterwards no
       character of the mail is taken for markup: ``ESCAPE`` and the other sentinels stand before it or in its place.
    5. ``convert`` makes the Markdown, and leaves all sentinels as they are.
    6. ``with_backslashes`` replaces the sentinels of ``escape``; those of ``page`` stay for the caller.

    Raises HtmlOverLimit: the tree is nested too deeply to be converted.
    """
    sanitize_tree(root, pictures)
    normalise_blocks(root)
    normalise_emphasis(root)
    escape_text(root)
    result = convert(etree.tostring(root, encoding="unicode", method="html"), _OPTIONS)
    if any("depth" in str(warning.kind).lower() for warning in result.warnings):
        raise HtmlOverLimit("HTML nested too deeply")
    return with_backslashes(result.content or "")


_POOR_TEXT_SHARE = 0.6
"""A text with fewer characters than this share of those of the HTML is a poor copy of it, and the HTML is read."""


def _adds(root: Element, text: str) -> bool:
    return (
        any(is_data_table(table) for table in root.iter("table"))
        or any(picture.get("src", "").startswith("cid:") for picture in root.iter("img"))
        or any(link.get("href", "").startswith("http") and link.get("href", "") not in text for link in root.iter("a"))
    )


def _enclose(element: Element, number: int, kind: MarkKind) -> None:
    """Put a paragraph with a sentinel before an element and behind it, so that its lines are found in the Markdown. A
    mark that lasts to the end of the mail has none behind it."""
    before = _sentinel(MARK_BEGIN, number)
    after = _sentinel(MARK_END, number) if kind not in (MarkKind.REST, MarkKind.FORWARD) else None
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
    paragraph.text = f"{sign}{number}{NUMBER_END}"
    return paragraph


class _SentinelDecoder:
    """Removes the sentinels from Markdown and gives the lines between them their marks. Inside several, the outermost
    mark counts. ``taken`` has the lines of the elements that were emptied, by the number of their mark."""

    def __init__(self, marks: Sequence[LineMark], taken: Mapping[int, list[BodyLine]]) -> None:
        self._marks = marks
        self._taken = taken
        self._open: list[int] = []
        self._lines: list[BodyLine] = []

    def lines(self, markdown: str) -> list[BodyLine]:
        fenced = False
        for text in markdown.strip("\n").split("\n"):
            if NUMBER_END in text:
                self._split(text)
            elif fenced or text.strip(_BLANK):
                self._add(text)
                fenced ^= text.lstrip("> ").startswith("```")
            elif self._lines and self._lines[-1].text.strip(_BLANK):
                self._lines[-1].text = self._lines[-1].text.rstrip() + "\n"
                self._add(text.replace("\u00a0", "").rstrip())
        return self._lines

    def _split(self, text: str) -> None:
        """Read a line with sentinels. Text beside them is a line if it is more than bullets and quote marks."""
        at = 0
        for sentinel in _SENTINEL.finditer(text):
            self._add_beside(text[at : sentinel.start()])
            self._begin_or_end(sentinel.group(1), int(sentinel.group(2)))
            at = sentinel.end()
        self._add_beside(text[at:])

    def _begin_or_end(self, sign: str, number: int) -> None:
        if sign == MARK_BEGIN:
            self._open.append(number)
            self._lines += self._taken.get(number, ())
        elif number in self._open:
            self._open.remove(number)

    def _add_beside(self, piece: str) -> None:
        if not _DECORATION.fullmatch(piece):
            self._add(piece)

    def _add(self, text: str) -> None:
        self._lines.append(BodyLine(text + "\n", self._marks[self._open[0]] if self._open else None))
