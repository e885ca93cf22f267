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
LINES_LIMIT = 100_000
"""The same for lines."""

_UNSEEN = re.compile(r"<(?:script|style)\b[^<>]*>[^<]*", re.IGNORECASE)
_BREAK = re.compile(r"<(?:br|p|div|li|tr|h[1-6])\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_OPENING = re.compile(r"<(?=[A-Za-z/!?])")
_TARGET = re.compile(r"\]\(<?([^\s<>()]+)")
_POOR = 0.6


@dataclass(frozen=True, slots=True)
class Body:
    """The chosen body."""

    text: str
    source: str
    lines: Sequence[Line] = ()
    """Empty where the body is beyond a limit, and is kept whole."""


def choose(message: ParsedMessage) -> Body:
    """The body of a message, in lines."""
    text = message.text if message.text and not message.text.isspace() else ""
    markdown = _read_html(message, text)
    if markdown is not None and (not text or _is_better(markdown.lines, text)):
        return markdown
    if text:
        return _in_lines(text, "text")
    if message.calendar:
        return _in_lines("\n".join(map(_in_words, message.calendar)), "calendar")
    return Body(message.text or "", "text")


def _in_lines(text: str, source: str) -> Body:
    within = len(text) <= TEXT_LIMIT and text.count("\n") <= LINES_LIMIT
    return Body(text, source, split(text) if within else ())


def _read_html(message: ParsedMessage, text: str) -> Body | None:
    """The HTML as Markdown; where it is beyond a bound, its bare text, unless the message has a text of its own."""
    if not message.html or message.html.isspace():
        return None
    pictures = {attachment.content_id: attachment.filename for attachment in message.attachments}
    try:
        lines = to_lines(message.html, pictures)
    except Unreadable as error:
        return None if text else _in_lines(bare(message.html), f"html, {error}")
    if all(line.blank for line in lines):
        return None
    return Body("".join(line.text for line in lines), "html", lines)


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
    """The text of HTML that is too large or too deep to be read as a tree: tags out, line breaks kept, and nothing
    left that a renderer could take for a tag."""
    text = _TAG.sub(" ", _BREAK.sub("\n", _UNSEEN.sub("", html)))
    return _OPENING.sub(r"\<", unescape(text))


def _in_words(calendar: Calendar) -> str:
    """An invitation without a body, in one line."""
    facts = (calendar.summary, " to ".join(filter(None, (calendar.start, calendar.end))), calendar.location)
    said = ", ".join(filter(None, facts))
    by = f", organised by {calendar.organizer}" if calendar.organizer else ""
    return f"Calendar {calendar.method.lower() or 'entry'}: {said}{by}"
