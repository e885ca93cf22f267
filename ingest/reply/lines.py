"""The lines of a body, what is known about each, and the blocks that they are classified into."""

import re
from dataclasses import dataclass
from enum import Enum

from ingest.model.message import SegmentKind
from ingest.model.reasons import CutReason, Recognised

_QUOTE_PREFIX = re.compile(r"(?:[ \t]{0,3}\\?[>＞])+")
_INITIALS_PREFIX = re.compile(r"[A-Z][A-Za-z]{0,2}>(?=\s|$)")
_INVISIBLE = re.compile(r"[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_LINK = re.compile(r"\[([^\[\]]*)\]\((?:<[^<>\n]*>|[^()\s<>]*)\)")
_ADDRESS_TARGET = re.compile(r"<(?:https?://|mailto:)[^<>\s]*>")
_ESCAPE = re.compile(r"\\(?=[!-/:-@\[-`{-~])")

LOCAL_PART = r"(?:(?<![\w.+=-])[\w.+=-]{1,64}|(?<![A-Za-z0-9_.+=-])[A-Za-z0-9_.+=-]{1,64})"
"""Matches what may stand before the ``@`` of an address. It is tried where a word begins only, so that a long word
costs no more than its characters; in Chinese, an address may begin inside what looks like a word."""


class MarkKind(Enum):
    """What the markup of a mail program says a line is. A line without a mark is recognised by its words."""

    QUOTE = "quote"
    REST = "rest"
    """From here on everything is quoted, whatever it looks like."""
    FORWARD = "forward"
    """From here on everything is a mail that the sender passed on."""
    ATTRIBUTION = "attribution"
    SIGNATURE = "signature"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class LineMark:
    """What the markup of a mail program says about a line. All lines of one element share one mark."""

    kind: MarkKind
    reason: Recognised
    typed: bool = False
    """True if the writer made the quote with the program's quote button, so that no program quoted a mail."""


class BodyLine:
    """One line of the body: its exact text with its line end, what is known about it, and its words."""

    __slots__ = (
        "_plain",
        "depth",
        "in_ticket_passage",
        "inside_ticket_text",
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
        """True if the line is part of a passage that repeats what this sender was sent: it is quoted, wherever it
        is."""
        self.repeats_ticket = False
        """True if the line repeats words of the ticket, possibly by chance: it is quoted if it stands in a quote."""
        self.starts_with_ticket_text = False
        """True if the line begins with words of the ticket and goes on with others, as an answer behind its
        question."""
        self.inside_ticket_text = False
        """True if the line stands between two lines of one text of the ticket that follow each other there: somebody
        typed it in."""
        self.text_only = False
        """True if the line was read in the fast mode, without its markup. If it is kept, it must be read again."""
        self.prefix, self.depth = _quote_prefix(text)
        """The number of characters of the quote marks before the line, and the number of the marks."""
        self._plain: str | None = None

    def split_at(self, at: int) -> "tuple[BodyLine, BodyLine]":
        """Return the line as two, split before the character with index ``at`` of its text."""
        head, tail = BodyLine(self.text[:at], self.mark), BodyLine(self.text[at:], self.mark)
        head.text_only = tail.text_only = self.text_only
        return head, tail

    @property
    def plain(self) -> str:
        """The words without quote marks, markup, escapes and invisible characters. It is for recognition, never for
        output. It is made once, when it is first asked for."""
        if self._plain is None:
            self._plain = words_of(self.text[self.prefix :])
        return self._plain

    @property
    def blank(self) -> bool:
        """True if the line has nothing but quote marks and white space."""
        return not self.plain

    @property
    def marked_quote(self) -> bool:
        """True if the line is quoted by ``>`` marks or by the client's markup (not by comparison with the ticket)."""
        return self.depth > 0 or (self.mark is not None and self.mark.kind is MarkKind.QUOTE)

    @property
    def quoted(self) -> bool:
        """True if the line is quoted by ``>`` marks, by markup, or because this sender was sent the words."""
        return self.in_ticket_passage or self.marked_quote


@dataclass(frozen=True, slots=True)
class ClassifiedBlock:
    """Consecutive lines and what they were taken for, before it is decided what is kept: the lines with the indexes
    ``start`` to ``stop - 1``."""

    kind: SegmentKind
    start: int
    stop: int
    reason: Recognised | None = None
    """What the lines were recognised by; ``None`` for new text."""
    client_quoted: bool = False
    """True if a mail program quoted the lines, by markup or as text that the sender was sent: nobody typed the
    marks."""
    unattributed: bool = False
    """True if nothing above or inside the quote says whose words it has: the writer may have typed them."""
    attributed: bool = True
    """False if nothing above or inside the quote says whose words it has, although the ticket may know them."""
    announced: bool = False
    """True if the text above says that answers follow: ``see below``."""
    answers_possible: bool = False
    """True if the lines were taken for a quote as a whole and no text of the ticket was found in them, so that answers
    may have been typed into it."""

    def is_for(self, reason: CutReason) -> bool:
        """Return whether the lines were recognised by ``reason``, whatever its detail."""
        return self.reason is not None and self.reason.reason is reason


def split_lines(body: str) -> list[BodyLine]:
    """Return the lines of a body. Joined, their texts are the body."""
    *ended, last = body.split("\n")
    lines = [BodyLine(text + "\n") for text in ended]
    return [*lines, BodyLine(last)] if last else lines


def words_of(text: str) -> str:
    """Return the words of a line of text or Markdown, with one space between two of them."""
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
    """Return the number of characters of the quote marks before a line, and the number of marks."""
    start = text.lstrip(" \t")[:2]
    if start[:1] in (">", "＞") or start == "\\>":
        prefix = _QUOTE_PREFIX.match(text)
        return (prefix.end(), prefix.group().count(">") + prefix.group().count("＞")) if prefix else (0, 0)
    initials = _INITIALS_PREFIX.match(text) if ">" in text[1:4] else None
    return (initials.end(), 1) if initials else (0, 0)
