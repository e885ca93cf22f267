"""Helpers for the tests of replies: the fixtures, and assertions that hold for every reply."""

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from markdown_it import MarkdownIt

from ingest.model.message import Attachment, ParsedMessage, Reply
from ingest.reply import extract

FOLDER = Path(__file__).parents[2] / "fixtures" / "replies"
_RENDERER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
_RENDERER.validateLink = lambda _url: True  # type: ignore[method-assign, assignment]  # it would hide what we are looking for
_HARMLESS = re.compile(r"(?:https?|mailto|tel|sms|ftp|cid):|[^:]*$", re.IGNORECASE)


@dataclass(frozen=True)
class Fixture:
    """A reply as a client sends it: NAME.txt or NAME.html, with NAME.expected, and NAME.subject, NAME.sent (texts that
    this sender was sent, ``---`` between them) and NAME.written (a text that they wrote before) where they matter."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def expected(self) -> str:
        return self.path.with_suffix(".expected").read_text("utf-8").removesuffix("\n")

    def reply(self) -> Reply:
        sent, written = (self._texts(suffix) for suffix in (".sent", ".written"))
        return extract(self.message(), sent, written)

    def _texts(self, suffix: str) -> list[str]:
        path = self.path.with_suffix(suffix)
        return path.read_text("utf-8").split("---\n") if path.exists() else []

    def message(self) -> ParsedMessage:
        subject = self.path.with_suffix(".subject")
        body = self.path.read_text("utf-8")
        return ParsedMessage(
            message_id=None,
            subject=subject.read_text("utf-8").strip() if subject.exists() else "Re: [TAI-42] Printer",
            text=body if self.path.suffix == ".txt" else None,
            html=body if self.path.suffix == ".html" else None,
        )


def fixtures() -> list[Fixture]:
    return [Fixture(path) for path in sorted(FOLDER.iterdir()) if path.suffix in (".txt", ".html")]


def of_text(text: str, *sent: str, subject: str = "Re: Printer") -> Reply:
    return extract(ParsedMessage(message_id=None, subject=subject, text=text), sent)


def of_html(html: str, *sent: str, subject: str = "Re: Printer", attachments: tuple[Attachment, ...] = ()) -> Reply:
    message = ParsedMessage(message_id=None, subject=subject, html=html, attachments=attachments)
    return extract(message, sent)


def assert_lossless(reply: Reply) -> None:
    """Assert that the content and what was cut are together the segments, in their order."""
    kept = "".join(segment.text for segment in reply.segments if segment.kept)
    assert reply.elided == "".join(segment.text for segment in reply.segments if not segment.kept)
    assert reply.content.split() == kept.split()
    assert reply.content in kept


def assert_words_kept(html: str, reply: Reply) -> None:
    """Assert that every letter and digit that a reader of the page sees is in the body, in order. The page is read by
    the parser of the standard library."""
    page = _Page()
    page.feed(html)
    page.close()
    body = iter(reply.body)
    read = ""
    for sign in filter(str.isalnum, "".join(page.texts)):
        assert sign in body, f"lost behind {read[-40:]!r}"
        read += sign


class _Page(HTMLParser):
    """Collects the texts of a page that has no scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._unseen += tag in ("style", "title")

    def handle_endtag(self, tag: str) -> None:
        self._unseen -= tag in ("style", "title")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.texts.append(data)


def assert_never_empty(reply: Reply) -> None:
    assert reply.content.strip() or not reply.body.strip()
    assert reply.method


def assert_safe(markdown: str) -> None:
    """Assert that the rendered Markdown has no raw HTML and only links with harmless addresses."""
    for block in _RENDERER.parse(markdown):
        for token in (block, *(block.children or ())):
            assert token.type not in ("html_block", "html_inline"), token.content
            for address in (token.attrGet("href"), token.attrGet("src")):
                assert address is None or _HARMLESS.match(str(address)), address


def kinds(reply: Reply) -> list[str]:
    """What the segments of a reply were taken for, in order."""
    return [segment.kind for segment in reply.segments]
