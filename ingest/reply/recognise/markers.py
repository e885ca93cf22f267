"""Finds the line that a help desk puts above what it sends: ``##- Please type your reply above this line -##``."""

import re
from functools import cache

from ingest.languages import all_words
from ingest.reply.lines import BodyLine

_MAX_CHARACTERS = 200
"""No marker is longer than this many characters; it also bounds the cost."""
_MAX_CHARACTERS_BESIDE_PHRASE = 40
"""A marker that no signs set off has at most this many characters beside its phrase; a sentence about the line has
more."""
_ZENDESK_SIGNS = "##-"
_ZENDESK = re.compile(r"##- .{3,150} -##")


@cache
def _phrases() -> tuple[str, ...]:
    return tuple(all_words(lambda language: language.reply_above))


@cache
def _max_characters_without_signs() -> int:
    return max(map(len, _phrases())) + _MAX_CHARACTERS_BESIDE_PHRASE


@cache
def _pronouns() -> frozenset[str]:
    return frozenset(all_words(lambda language: language.pronouns))


def is_marker(line: BodyLine, *, alone: bool) -> bool:
    """Return whether a line asks to write above it. ``alone`` says that no line of text is directly above it."""
    text = line.plain
    if len(text) > _MAX_CHARACTERS or not _may_be_marker(line, alone=alone):
        return False
    lowered = text.lower()
    phrase = next(filter(lowered.__contains__, _phrases()), None)
    if phrase is None:
        return _ZENDESK.search(line.text) is not None
    if _is_set_off(text):
        return True
    is_short = len(text) - len(phrase) <= _MAX_CHARACTERS_BESIDE_PHRASE
    return alone and is_short and _first_word(lowered) not in _pronouns()


def _may_be_marker(line: BodyLine, *, alone: bool) -> bool:
    """Return quickly whether a line may be a marker. Most lines need no search for the phrases."""
    text = line.plain
    return _is_set_off(text) or (alone and len(text) <= _max_characters_without_signs()) or _ZENDESK_SIGNS in line.text


def _is_set_off(text: str) -> bool:
    """Return whether dashes or other signs stand at both ends of a text. A full stop does not count."""
    return text != "" and not text[0].isalnum() and not text[-1].isalnum() and text[-1] not in ".!?"


def _first_word(text: str) -> str:
    return text.split(" ", 1)[0]
