"""``##- Please type your reply above this line -##``: the line that a help desk puts above what it sends."""

import re
from functools import cache

from ingest.languages import all_words
from ingest.reply.lines import BodyLine

_LENGTH = 200
_BESIDE = 40
"""Characters that a marker has beside its phrase, where no signs set it off; a sentence about the line has more."""
_SIGNS = "##-"
_ZENDESK = re.compile(r"##- .{3,150} -##")


@cache
def _phrases() -> tuple[str, ...]:
    return tuple(all_words(lambda language: language.reply_above))


@cache
def _longest_line() -> int:
    return max(map(len, _phrases())) + _BESIDE


@cache
def _pronouns() -> frozenset[str]:
    return frozenset(all_words(lambda language: language.pronouns))


def is_marker(line: BodyLine, *, alone: bool) -> bool:
    """Whether a line asks to write above it; ``alone`` says that no line of text stands directly above it."""
    text = line.plain
    if len(text) > _LENGTH or not (
        _is_set_off(text) or (alone and len(text) <= _longest_line()) or _SIGNS in line.text
    ):
        return False
    lowered = text.lower()
    phrase = next(filter(lowered.__contains__, _phrases()), None)
    if phrase is None:
        return _ZENDESK.search(line.text) is not None
    return _is_set_off(text) or (alone and len(text) - len(phrase) <= _BESIDE and _first(lowered) not in _pronouns())


def _is_set_off(text: str) -> bool:
    """By dashes or the like, before and behind."""
    return text != "" and not text[0].isalnum() and not text[-1].isalnum() and text[-1] not in ".!?"


def _first(text: str) -> str:
    return text.split(" ", 1)[0]
