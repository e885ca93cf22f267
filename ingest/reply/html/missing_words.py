"""Tells whether the HTML form of a mail lacks words that its text form has: some programs put the writer's words into
one form only, and a logo, a link or a signature into the other."""

import re
from collections.abc import Iterator
from itertools import chain, islice, takewhile
from unicodedata import normalize

from ingest.reply.html.tree import Element

_MAX_CHARACTERS = 200_000
"""Of each form this many characters are compared. It bounds the cost; what was newly written stands at the top."""
_MAX_HEAD_LINES = 200
"""Of the text this many lines are compared: what stands above the quote and the signature."""
_MISSING_SHARE = 4
"""The HTML lacks the words of the text if one in so many is missing; converters change a few."""
_MIN_SUBSTRING_CHARACTERS = 4
"""A word of at least this many characters counts as said inside a longer one, as where two were joined."""
_MIN_FURTHER_WORDS = 12
"""HTML with at least this many words that the text lacks says something of its own."""
_WORD = re.compile(r"[^\W_]+|[\u2190-\u2bff\u3200-\u32ff\U0001f000-\U0001faff]")
_NO_WORDS = re.compile(
    r"(?:https?://|www\.|mailto:)\S+|<[^<>\s]*>|\[(?:cid:|https?:|image|inline|bild|imagen?|immagine)[^\[\]]*\]"
    r"|^\s*(?:\d{1,3}|[a-z])[.)]\s",
    re.IGNORECASE | re.MULTILINE,
)
"""What a converter adds to a text and HTML has elsewhere or not at all: addresses of links, names of pictures, the
numbers of a list."""
_QUOTED = re.compile(r"\s{0,3}[>|]|-- ?$")


def lacks_words(root: Element, text: str) -> bool:
    """Return whether the page lacks what the head of ``text`` says: its first line, or too many of its words."""
    head = list(_head_lines(text))
    if not head:
        return False
    shown = _words(_shown(root))
    said = frozenset(shown)
    if said.issuperset(chain.from_iterable(head)):
        return False
    squeezed = "".join(shown)
    missing = [[word for word in line if not _is_said(word, said, squeezed)] for line in head]
    if len(missing[0]) == len(head[0]):
        return True
    return len(set(chain.from_iterable(missing))) * _MISSING_SHARE >= len(set(chain.from_iterable(head)))


def says_more(root: Element, text: str) -> bool:
    """Return whether a page that lacks the words of ``text`` says something of its own, so that both are read."""
    return len(set(_words(_shown(root))).difference(_words(text))) >= _MIN_FURTHER_WORDS


def _head_lines(text: str) -> Iterator[list[str]]:
    """Yield the words of each line with words above the first quote or signature, or of all lines if there are none."""
    lines = text[:_MAX_CHARACTERS].split("\n")[:_MAX_HEAD_LINES]
    above = list(filter(None, map(_line_words, takewhile(lambda line: _QUOTED.match(line) is None, lines))))
    return iter(above) if above else filter(None, map(_line_words, lines))


def _line_words(line: str) -> list[str]:
    return _words(_NO_WORDS.sub(" ", line))


def _words(text: str) -> list[str]:
    return _WORD.findall((text if text.isascii() else normalize("NFKC", text)).casefold())


def _shown(root: Element) -> str:
    """Return what a page shows, and the words that stand for its pictures."""
    pictures = (str(picture.get("alt", "")) for picture in root.iter("img"))
    pieces = [*map(str, islice(root.itertext(), _MAX_CHARACTERS)), *islice(pictures, _MAX_HEAD_LINES)]
    return " ".join(pieces)[:_MAX_CHARACTERS]


def _is_said(word: str, said: frozenset[str], squeezed: str) -> bool:
    return word in said or (len(word) >= _MIN_SUBSTRING_CHARACTERS and word in squeezed)
