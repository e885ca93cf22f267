"""A body as lines: what the recognisers look at, and what segments are cut from."""

import re
from dataclasses import dataclass
from enum import Enum

from ingest.model.message import SegmentKind

_QUOTE_PREFIX = re.compile(r"(?:[ \t]{0,3}\\?[>＞])+")
_INITIALS_PREFIX = re.compile(r"[A-Z][A-Za-z]{0,2}>(?=\s|$)")
_INVISIBLE = re.compile(r"[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_LINK = re.compile(r"\[([^\[\]]*)\]\((?:<[^<>\n]*>|[^()\s<>]*)\)")
_ADDRESS_TARGET = re.compile(r"<(?:https?://|mailto:)[^<>\s]*>")
_ESCAPE = re.compile(r"\\(?=[!-/:-@\[-`{-~])")


class MarkKind(Enum):
    """What markup or subtraction says a line is; a line without one is read by its words."""

    QUOTE = "quote"
    REST = "rest"
    """From here on everything is quoted, whatever it looks like."""
    FORWARD = "forward"
    ATTRIBUTION = "attribution"
    SIGNATURE = "signature"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class LineMark:
    """What a line is, from something surer than its words."""

    kind: MarkKind
    reason: str
    confidence: float


class BodyLine:
    """One line of the body: its exact text with its line end, and the views of it that recognisers need, made once."""

    __slots__ = (
        "_plain",
        "depth",
        "in_ticket_passage",
        "mark",
        "prefix",
        "repeats_ticket",
        "starts_with_ticket_text",
        "text",
        "text_only",
    )

    def __init__(self, text: str, mark: LineMark | None = None) -> None:
        self.text = text
        self.mark = mark
        self.in_ticket_passage = False
        """It is part of a passage that repeats what this sender was sent: a quote, wherever it stands."""
        self.repeats_ticket = False
        """It repeats words of the ticket, maybe by chance: a quote where it stands in one."""
        self.starts_with_ticket_text = False
        """It begins with words of the ticket, and goes on with others."""
        self.text_only = False
        """Only its words were read, not its markup."""
        self.prefix, self.depth = _quote_prefix(text)
        self._plain: str | None = None

    def split_at(self, at: int) -> "tuple[BodyLine, BodyLine]":
        """The line in two, at this place in its text."""
        head, tail = BodyLine(self.text[:at], self.mark), BodyLine(self.text[at:], self.mark)
        head.text_only = tail.text_only = self.text_only
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
        return self.depth > 0 or (self.mark is not None and self.mark.kind is MarkKind.QUOTE)

    @property
    def quoted(self) -> bool:
        """By quote marks, by markup, or because this sender was sent the words."""
        return self.in_ticket_passage or self.marked_quote


@dataclass(frozen=True, slots=True)
class ClassifiedBlock:
    """Lines ``start`` up to and without ``stop``."""

    kind: SegmentKind
    start: int
    stop: int
    reason: str = ""
    confidence: float = 1.0
    client_quoted: bool = False
    """A mail program quoted this, by markup or as text that the sender was sent; nobody typed the quote marks."""
    answers_possible: bool = False
    """It was taken for a quote as a whole, and nothing of it is known: answers may have been typed into it."""


def split_lines(body: str) -> list[BodyLine]:
    """The lines of a body; joined, their texts are the body."""
    *ended, last = body.split("\n")
    lines = [BodyLine(text + "\n") for text in ended]
    return [*lines, BodyLine(last)] if last else lines


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
