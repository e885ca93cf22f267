"""Chooses which of a message's bodies is read: the HTML where its markup is known or the text says less, else the text,
else the invitation. The chosen body is handed on as lines."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import unescape

from ingest.model.message import Calendar, ParsedMessage
from ingest.reply.html.escape import plain_markdown
from ingest.reply.html.page import Page
from ingest.reply.html.sentinels import CONTROL
from ingest.reply.html.tree import HtmlOverLimit
from ingest.reply.lines import BodyLine, split_lines

MAX_TEXT_CHARACTERS = 4_000_000
"""A body with more characters is kept whole instead of being read line by line. No mail that a person wrote comes near;
reading this much takes seconds, and the parsing process has a limit of time."""
MAX_TEXT_LINES = 100_000
"""A body with more lines is kept whole, for the same reason: each line costs more than its characters."""

_UNSEEN = re.compile(r"<(?:script|style)\b[^<>]*>[^<]*", re.IGNORECASE)
_BREAK = re.compile(r"<(?:br|p|div|li|tr|h[1-6])\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")


class BodySource(StrEnum):
    """Which body of the message was read."""

    TEXT = "text"
    HTML = "html"
    CALENDAR = "calendar"


@dataclass(frozen=True, slots=True)
class BodyOrigin:
    """Where a body is from. ``str()`` gives the text for people: ``html``, ``html, HTML over the size limit``."""

    source: BodySource
    limit: str = ""
    """The limit that the HTML passed, so that only its bare text was read; ``""`` where it passed none."""

    @property
    def is_markdown(self) -> bool:
        """True if the lines are Markdown, made of HTML."""
        return self.source is BodySource.HTML

    def __str__(self) -> str:
        return f"{self.source}, {self.limit}" if self.limit else self.source.value


TEXT = BodyOrigin(BodySource.TEXT)
HTML = BodyOrigin(BodySource.HTML)
CALENDAR = BodyOrigin(BodySource.CALENDAR)


@dataclass(frozen=True, slots=True)
class ChosenBody:
    """The body that was chosen, as one text and as lines."""

    text: str
    origin: BodyOrigin
    lines: Sequence[BodyLine] = ()
    """Empty if the body is beyond a limit; it is then kept whole."""


def choose_body(message: ParsedMessage, *, text_only_quotes: bool) -> ChosenBody:
    """Return the body of ``message`` to read, in lines.

    With ``text_only_quotes``, the HTML that a mail program marked as quoted is read as bare text, which is fast. A
    message without any body gives an empty one.
    """
    text = message.text if message.text and not message.text.isspace() else ""
    page = _body_from_html(message, text, text_only_quotes=text_only_quotes)
    if page is not None:
        return page
    if text:
        return _in_lines(text, TEXT)
    if message.calendar:
        return _in_lines("\n".join(map(_invitation_line, message.calendar)), CALENDAR)
    return ChosenBody(message.text or "", TEXT)


def _in_lines(text: str, origin: BodyOrigin) -> ChosenBody:
    within = len(text) <= MAX_TEXT_CHARACTERS and text.count("\n") <= MAX_TEXT_LINES
    return ChosenBody(text, origin, split_lines(text) if within else ())


def _body_from_html(message: ParsedMessage, text: str, *, text_only_quotes: bool) -> ChosenBody | None:
    """Return the HTML as Markdown if it says more than ``text``, below the text where each says what the other does
    not; else ``None``. If the HTML is beyond a limit, the text
    is used instead, or the bare text of the HTML where there is no other."""
    if not message.html or message.html.isspace():
        return None
    try:
        page = Page(message.html)
        above = _text_above(page, text) if text else []
        if above is None:
            return None
        named = (attachment for attachment in message.attachments if attachment.content_id)
        pictures = {attachment.content_id: attachment.filename for attachment in named}
        lines = [*above, *page.lines(pictures, text_only_quotes=text_only_quotes)]
    except HtmlOverLimit as error:
        return None if text else _in_lines(bare_text(message.html), BodyOrigin(BodySource.HTML, str(error)))
    if all(line.blank for line in lines):
        return None
    return ChosenBody("".join(line.text for line in lines), HTML, lines)


def _text_above(page: Page, text: str) -> list[BodyLine] | None:
    """Return the lines of ``text`` to be read above those of the page; ``None`` if the text is read alone.

    If the page says what the text says, and shows it better, no line of the text is needed. If it lacks the text's
    words, the text is read, and the page as well where it says something of its own."""
    if not page.lacks_words_of(text):
        return [] if page.is_better_than(text) else None
    if not page.says_more_than(text) or len(text) > MAX_TEXT_CHARACTERS or text.count("\n") > MAX_TEXT_LINES:
        return None
    return split_lines("".join(f"{plain_markdown(line)}\n" for line in text.rstrip().split("\n")) + "\n")


def bare_text(html: str) -> str:
    """Return the text of HTML without reading it as a tree, as Markdown that shows it as it is: tags are removed, line
    breaks kept, and nothing is left that a renderer could take for a tag. Linear in the size of ``html``."""
    text = _TAG.sub(" ", _BREAK.sub("\n", _UNSEEN.sub("", CONTROL.sub("", html))))
    lines = unescape(text).split("\n")
    escaped = {line: plain_markdown(line) for line in set(lines)}
    return "\n".join(escaped[line] for line in lines)


def _invitation_line(calendar: Calendar) -> str:
    """Return a calendar invitation as one readable line, and below it what was written with an answer to one."""
    facts = (calendar.summary, " to ".join(filter(None, (calendar.start, calendar.end))), calendar.location)
    said = ", ".join(filter(None, facts))
    by = f", organised by {calendar.organizer}" if calendar.organizer else ""
    answer = f" ({calendar.answer})" if calendar.answer else ""
    comment = f"\n\n{calendar.comment}\n" if calendar.comment else ""
    return f"Calendar {calendar.method.lower() or 'entry'}{answer}: {said}{by}{comment}"
