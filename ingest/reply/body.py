"""Which of a message's bodies is read: HTML where its markup is known or where the text says less."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape

from ingest.model.message import Calendar, ParsedMessage
from ingest.reply.html.escape import plain_markdown
from ingest.reply.html.page import Page
from ingest.reply.html.tree import CONTROL, HtmlOverLimit
from ingest.reply.lines import BodyLine, split_lines

TEXT_LIMIT = 4_000_000
"""Characters of text that are read line by line. A longer body is kept whole."""
LINES_LIMIT = 100_000
"""The same for lines."""

_UNSEEN = re.compile(r"<(?:script|style)\b[^<>]*>[^<]*", re.IGNORECASE)
_BREAK = re.compile(r"<(?:br|p|div|li|tr|h[1-6])\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")


@dataclass(frozen=True, slots=True)
class ChosenBody:
    """The chosen body."""

    text: str
    source: str
    lines: Sequence[BodyLine] = ()
    """Empty where the body is beyond a limit, and is kept whole."""


def choose_body(message: ParsedMessage, *, text_only_quotes: bool) -> ChosenBody:
    """The body of a message, in lines; ``briefly`` gives what markup says is quoted as bare text."""
    text = message.text if message.text and not message.text.isspace() else ""
    page = _read_page(message, text, text_only_quotes=text_only_quotes)
    if page is not None:
        return page
    if text:
        return _in_lines(text, "text")
    if message.calendar:
        return _in_lines("\n".join(map(_in_words, message.calendar)), "calendar")
    return ChosenBody(message.text or "", "text")


def _in_lines(text: str, source: str) -> ChosenBody:
    within = len(text) <= TEXT_LIMIT and text.count("\n") <= LINES_LIMIT
    return ChosenBody(text, source, split_lines(text) if within else ())


def _read_page(message: ParsedMessage, text: str, *, text_only_quotes: bool) -> ChosenBody | None:
    """The HTML as Markdown, where it says more than the text. Beyond a bound, the text has to do, or its bare words."""
    if not message.html or message.html.isspace():
        return None
    try:
        page = Page(message.html)
        if text and not page.is_better_than(text):
            return None
        pictures = {attachment.content_id: attachment.filename for attachment in message.attachments}
        lines = page.lines(pictures, text_only_quotes=text_only_quotes)
    except HtmlOverLimit as error:
        return None if text else _in_lines(bare_text(message.html), f"html, {error}")
    if all(line.blank for line in lines):
        return None
    return ChosenBody("".join(line.text for line in lines), "html", lines)


def bare_text(html: str) -> str:
    """The text of HTML that is too large or too deep to be read as a tree: tags out, line breaks kept, and nothing
    left that a renderer could take for a tag."""
    text = _TAG.sub(" ", _BREAK.sub("\n", _UNSEEN.sub("", CONTROL.sub("", html))))
    return "\n".join(map(plain_markdown, unescape(text).split("\n")))


def _in_words(calendar: Calendar) -> str:
    """An invitation without a body, in one line."""
    facts = (calendar.summary, " to ".join(filter(None, (calendar.start, calendar.end))), calendar.location)
    said = ", ".join(filter(None, facts))
    by = f", organised by {calendar.organizer}" if calendar.organizer else ""
    return f"Calendar {calendar.method.lower() or 'entry'}: {said}{by}"
