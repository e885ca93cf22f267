"""A body as lines: what the recognisers look at, and what segments are cut from."""

import re
from dataclasses import dataclass
from enum import Enum

_QUOTE_PREFIX = re.compile(r"(?:[ \t]{0,3}\\?[>＞])+")
_INITIALS_PREFIX = re.compile(r"[A-Z][A-Za-z]{0,2}>(?=\s|$)")
_INVISIBLE = re.compile(r"[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_LINK = re.compile(r"\[([^\[\]]*)\]\((?:<[^<>\n]*>|[^()\s<>]*)\)")
_ADDRESS_TARGET = re.compile(r"<(?:https?://|mailto:)[^<>\s]*>")
_ESCAPE = re.compile(r"\\(?=[!-/:-@\[-`{-~])")


class Kind(Enum):
    """What markup or subtraction says a line is; a line without one is read by its words."""

    QUOTE = "quote"
    REST = "rest"
    """From here on everything is quoted, whatever it looks like."""
    FORWARD = "forward"
    ATTRIBUTION = "attribution"
    SIGNATURE = "signature"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class Mark:
    """What a line is, from something surer than its words."""

    kind: Kind
    reason: str
    confidence: float


class Line:
    """One line of the body: its exact text with its line end, and the views of it that recognisers need, made once."""

    __slots__ = ("_plain", "answered", "brief", "copied", "depth", "echo", "mark", "prefix", "text")

    def __init__(self, text: str, mark: Mark | None = None) -> None:
        self.text = text
        self.mark = mark
        self.copied = False
        """It is part of a passage that repeats what this sender was sent: a quote, wherever it stands."""
        self.echo = False
        """It repeats words of the ticket, maybe by chance: a quote where it stands in one."""
        self.answered = False
        """It begins with words of the ticket, and goes on with others."""
        self.brief = False
        """Only its words were read, not its markup."""
        self.prefix, self.depth = _quote_prefix(text)
        self._plain: str | None = None

    def cut(self, at: int) -> "tuple[Line, Line]":
        """The line in two, at this place in its text."""
        head, tail = Line(self.text[:at], self.mark), Line(self.text[at:], self.mark)
        head.brief = tail.brief = self.brief
        return head, tail

    @property
    def plain(self) -> str:
        """The words without quote marks, markup, escapes and invisible characters: for reading, never for output."""
        if self._plain is None:
            self._plain = words_of(self.text[self.prefix :])
        return self._plain

    @property
    def blank(self) -> bool:
        """Nothing to see on this line but quote marks."""
        return not self.plain

    @property
    def marked_quote(self) -> bool:
        """By quote marks or by markup."""
        return self.depth > 0 or (self.mark is not None and self.mark.kind is Kind.QUOTE)

    @property
    def quoted(self) -> bool:
        """By quote marks, by markup, or because this sender was sent the words."""
        return self.copied or self.marked_quote


def split(body: str) -> list[Line]:
    """The lines of a body; joined, their texts are the body."""
    *ended, last = body.split("\n")
    lines = [Line(text + "\n") for text in ended]
    return [*lines, Line(last)] if last else lines


def words_of(text: str) -> str:
    """The words of a line of text or Markdown."""
    if not text.isascii():
        text = _INVISIBLE.sub("", text)
    if "](" in text:
        text = _LINK.sub(r"\1", text)
    if "<" in text:
        text = _ADDRESS_TARGET.sub("", text)
    if "\\" in text:
        text = _ESCAPE.sub("", text)
    return " ".join(text.replace("*", "").split()).strip("|# ")


def _quote_prefix(text: str) -> tuple[int, int]:
    """Length of the quote marks before a line, and how deep they are."""
    start = text.lstrip(" \t")[:2]
    if start[:1] in (">", "＞") or start == "\\>":
        prefix = _QUOTE_PREFIX.match(text)
        return (prefix.end(), prefix.group().count(">") + prefix.group().count("＞")) if prefix else (0, 0)
    initials = _INITIALS_PREFIX.match(text) if ">" in text[1:4] else None
    return (initials.end(), 1) if initials else (0, 0)
