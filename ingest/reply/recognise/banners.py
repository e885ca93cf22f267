"""Recognises the banner that the recipient's mail server puts on top of a mail: ``CAUTION: external sender``."""

from collections.abc import Sequence
from functools import cache

from ingest.languages import all_words
from ingest.reply.lines import BodyLine

_MAX_CHARACTERS = 600
"""A banner is no longer than this many characters; it also bounds the cost."""
_MAX_LINES = 8
"""A banner is wrapped over no more than this many lines."""
_MIN_WRAPPED_CHARACTERS = 55
"""A line with fewer characters was not wrapped, so that the next one is no part of the banner."""
_MAX_WHOLE_WORDS = 3
"""A phrase of so few words begins many a sentence; it has to be the whole line."""
_ADDRESS = " @"
_SIGNS = "*[]()#|!.:_-=<>⚠️ \u200b"


def find_banner(lines: Sequence[BodyLine], at: int) -> int | None:
    """Return the index of the line after the banner that begins at line ``at``; ``None`` if there is none."""
    stop = at
    while stop < min(at + _MAX_LINES, len(lines)) and not (lines[stop].blank or lines[stop].quoted):
        stop += 1
        if len(lines[stop - 1].plain) < _MIN_WRAPPED_CHARACTERS or lines[stop - 1].plain.endswith("."):
            break
    text = " ".join(line.plain for line in lines[at:stop])[: _MAX_CHARACTERS + 1].lower().strip(_SIGNS)
    if not text or len(text) > _MAX_CHARACTERS:
        return None
    return stop if text in _whole() or _begins_with_address(text) or text.startswith(_openers()) else None


def _begins_with_address(text: str) -> bool:
    """Return whether a text is such as ``You don't often get email from`` with an address behind it."""
    opener = next((opener for opener in _openers_with_address() if text.startswith(opener)), None)
    return opener is not None and "@" in text[len(opener) :].lstrip().split(" ", 1)[0]


def _phrases() -> list[str]:
    return list(all_words(lambda language: language.banners))


@cache
def _whole() -> frozenset[str]:
    return frozenset(phrase.strip(_SIGNS) for phrase in _phrases() if len(phrase.split()) <= _MAX_WHOLE_WORDS)


@cache
def _openers() -> tuple[str, ...]:
    long = (phrase for phrase in _phrases() if len(phrase.split()) > _MAX_WHOLE_WORDS)
    return tuple(phrase for phrase in long if not phrase.endswith(_ADDRESS))


@cache
def _openers_with_address() -> tuple[str, ...]:
    return tuple(phrase.removesuffix(_ADDRESS) for phrase in _phrases() if phrase.endswith(_ADDRESS))
