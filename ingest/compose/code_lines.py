"""Finds the lines of a Markdown text that every CommonMark renderer shows as code, so that they can stay as they were
written, and closes what is left open.

A line counts as code only where no reading of the text makes it anything else. Where a fence could be the beginning of
code in one reading and the end of it in another (below a list, whose depth renderers see differently), it is rewritten
so that only one reading is left.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from ingest.compose.invisible import WORD_JOINER

_TAB_COLUMNS = 4
_CODE_INDENT = 4
"""Columns of indentation that make code (CommonMark section 4.4). A fence has fewer."""
_FENCE = re.compile(r"((?:> {0,4}(?=>))*+(?:> ?)?+)( *+)(`{3,}(?=[^`]*$)|~{3,})")
_FENCE_END = re.compile(r" *(`{3,}|~{3,}) *$")
_QUOTE_MARK = re.compile(r" {0,3}> ?")
_RUN = re.compile(rf"(?<!{WORD_JOINER})([`~])(?=\1\1)")
_FENCE_OF_ITEM = re.compile(r"((?: *+(?:[-+*]|\d{1,9}[.)]) )++ *+)(`{3,}(?=[^`]*$)|~{3,})")
_ITEM = re.compile(r" {0,3}(?:[-+*]|\d{1,9}[.)]) +\S")
_LATER_NUMBER = re.compile(r" *(?!1[.)])\d")
"""A list that does not begin with 1 cannot interrupt a paragraph (CommonMark section 5.2)."""
_MARKER = re.compile(r"\s*(?:[-+*>:\[]|\d{1,9}[.)])")
"""What may begin a list, a quote, a definition or a footnote, so that lines below it may be indented inside it."""


class LineKind(Enum):
    """What a renderer makes of a line."""

    PROSE = "prose"
    """Escapes work here."""
    CODE = "code"
    """Nothing in it is markup, and an escape would be seen."""
    UNCLEAR = "unclear"
    """Code in one reading, prose in another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fence:
    """A fence of code that is open: what follows is code until a line closes it (CommonMark 4.5)."""

    run: str
    quote_depth: int
    indent: int
    """Columns before the fence, where it may stand inside a list item: a line with less of them may have left it."""

    def inside(self, line: str) -> str | None:
        """Return the line without its quote marks, or ``None`` if it is outside the block that the fence is in."""
        for _ in range(self.quote_depth):
            mark = _QUOTE_MARK.match(line)
            if mark is None:
                return None
            line = line[mark.end() :]
        return line if _indent(line) >= self.indent or not line.strip(" ") else None

    def is_ended_by(self, line: str) -> bool:
        end = _FENCE_END.match(line)
        allowed = self.indent or _indent(line) < _CODE_INDENT
        return end is not None and bool(allowed) and end.group(1).startswith(self.run)

    @property
    def end(self) -> str:
        """The line that ends the code."""
        return f"{' ' * self.indent}{self.run}"


class CodeLines:
    """Reads a text line by line."""

    def __init__(self, *, strict: bool) -> None:
        """``strict``: the text has something dangerous in it, so that no line may count as code by mistake."""
        self._strict = strict
        self._fence: _Fence | None = None
        self._below_blank = True
        self._below_item = False
        self._outside_lists = True
        self._indented = LineKind.PROSE
        """What the indented lines before this one are."""

    def read(self, lines: Sequence[str]) -> Iterator[tuple[str, LineKind]]:
        """Yield the lines, with those that end an open fence, each with what a renderer makes of it."""
        for line in lines:
            yield from self._read(line, line.expandtabs(_TAB_COLUMNS) if "\t" in line else line)
        if self._fence is not None and not self._fence.quote_depth:
            yield self._fence.end, LineKind.CODE

    def _read(self, line: str, columns: str) -> Iterator[tuple[str, LineKind]]:
        """Read a line; ``columns`` is the line with its tabs as blanks."""
        fence = self._fence
        if fence is not None and (inside := fence.inside(columns)) is not None:
            if fence.is_ended_by(inside):
                self._fence = None
                line = line if _indent(inside) < _CODE_INDENT else fence.end
            yield line, LineKind.CODE
            return
        if fence is not None and fence.indent:
            yield fence.end, LineKind.CODE
        self._fence = self._opened_by(columns)
        if self._fence is not None:
            self._below_blank, self._outside_lists = True, self._outside_lists or not self._fence.indent
            yield line, LineKind.CODE
            return
        kind = self._kind(columns)
        yield self._without_fence(line) if self._strict and kind is not LineKind.CODE else line, kind

    def _opened_by(self, columns: str) -> _Fence | None:
        """Return the fence that a line opens, for certain if ``strict``."""
        found = _FENCE.match(columns)
        of_item = None if found or self._strict else _FENCE_OF_ITEM.match(columns)
        if of_item is not None and self._is_item(columns):
            return _Fence(run=of_item.group(2), quote_depth=0, indent=len(of_item.group(1)))
        if found is None or len(found.group(2)) >= _CODE_INDENT or (found.group(1) and found.group(2)):
            return None
        indent = 0 if self._outside_lists else len(found.group(2))
        return _Fence(run=found.group(3), quote_depth=found.group(1).count(">"), indent=indent)

    def _is_item(self, columns: str) -> bool:
        """Return whether a line begins an item of a list in each reading: not everything may interrupt a paragraph."""
        if not _ITEM.match(columns):
            return False
        return self._below_blank or self._below_item or not _LATER_NUMBER.match(columns)

    def _kind(self, columns: str) -> LineKind:
        if not columns.strip(" "):
            self._below_blank = True
            return self._indented
        if _indent(columns) >= _CODE_INDENT:
            if self._below_blank:
                self._indented = LineKind.CODE if self._outside_lists else LineKind.UNCLEAR
            self._below_blank = False
            return self._indented
        self._below_item = self._is_item(columns)
        if _MARKER.match(columns):
            self._outside_lists = False
        elif self._below_blank and not columns.startswith(" "):
            self._outside_lists = True
        self._below_blank, self._indented = False, LineKind.PROSE
        return LineKind.PROSE

    def _without_fence(self, line: str) -> str:
        """Return a line in which no run of signs is a fence, wherever the line may stand."""
        return _RUN.sub(rf"\1{WORD_JOINER}", line, count=1) if _may_be_fence(line) else line


def _may_be_fence(line: str) -> bool:
    """Return whether a line has a run of signs that makes a fence behind some mark of a block."""
    run = _RUN.search(line)
    if run is None:
        return False
    behind = line[run.start() :].lstrip(run.group(1))
    return run.group(1) == "~" or "`" not in behind


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
