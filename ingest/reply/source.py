"""Which of a message's bodies is read: HTML where its markup is known or where the text says less."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape

from ingest.message import Calendar, ParsedMessage
from ingest.reply.lines import Line, split
from ingest.reply.markdown import to_lines
from ingest.reply.tree import Unreadable

TEXT_LIMIT = 4_000_000
"""Characters of text that are read line by line. A longer body is kept whole."""

_TAG = re.compile(r"<[^<>]*>")
_TARGET = re.compile(r"\]\(<?([^\s<>()]+)")
_POOR = 0.6


class TooLarge(Exception):
    """A body beyond the limit; it is kept whole."""


@dataclass(frozen=True, slots=True)
class Body:
    """The chosen body."""

    lines: Sequence[Line]
    source: str


def choose(message: ParsedMessage) -> Body:
    """The body of a message, in lines."""
    text = message.text if message.text and message.text.strip() else ""
    markdown = _read_html(message)
    if any(not line.blank for line in markdown) and (not text or _is_better(markdown, text)):
        return Body(markdown, "html")
    if text:
        return Body(split(text), "text")
    return Body(split("\n".join(map(_in_words, message.calendar))), "calendar")


def _read_html(message: ParsedMessage) -> list[Line]:
    if not message.html or not message.html.strip():
        return []
    pictures = {attachment.content_id: attachment.filename for attachment in message.attachments}
    try:
        return to_lines(message.html, pictures)
    except Unreadable:
        return split(bare(message.html)) if not message.text else []


def _is_better(markdown: Sequence[Line], text: str) -> bool:
    """Markup that tells quote from text; or words, links, tables and pictures that the text has not."""
    if any(line.mark is not None for line in markdown):
        return True
    if sum(len(line.plain) for line in markdown) * _POOR > len(text.strip()):
        return True
    return any(_adds(line.text, text) for line in markdown)


def _adds(line: str, text: str) -> bool:
    if line.startswith("| ---"):
        return True
    return any(target.group(1) not in text for target in _TARGET.finditer(line))


def bare(html: str) -> str:
    """The text of HTML that is too large or too deep to be read as a tree: tags out, nothing else understood."""
    return unescape(_TAG.sub(" ", html))


def _in_words(calendar: Calendar) -> str:
    """An invitation without a body, in one line."""
    facts = (calendar.summary, " to ".join(filter(None, (calendar.start, calendar.end))), calendar.location)
    said = ", ".join(filter(None, facts))
    by = f", organised by {calendar.organizer}" if calendar.organizer else ""
    return f"Calendar {calendar.method.lower() or 'entry'}: {said}{by}"
