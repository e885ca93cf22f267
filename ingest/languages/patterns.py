"""Compiles the phrases of the table that have wildcards into regular expressions."""

import re
from collections.abc import Iterable
from itertools import groupby

_WILDCARDS = {"*": r"\w*", "+": r"\w+", "?": ".", "_": " ", "^": r"\b"}
"""The wildcards that the head of ``languages.toml`` explains."""


def any_of(phrases: Iterable[str]) -> str:
    """Return the source of a regular expression that matches any of ``phrases``, as one group without a number.

    Phrases that agree up to a ``*`` share that part, so that the letters which it stands for are looked at once and
    not once per phrase. Without phrases, nothing matches.
    """
    by_head = groupby(sorted(set(phrases)), key=_up_to_star)
    alternatives = [_alternative(head, list(group)) for head, group in by_head]
    return f"(?:{'|'.join(alternatives)})" if alternatives else "(?!)"


def _up_to_star(phrase: str) -> str:
    return phrase[: phrase.rfind("*") + 1]


def _alternative(head: str, phrases: list[str]) -> str:
    tails = "|".join(_source(phrase[len(head) :]) for phrase in phrases)
    return f"{_source(head)}(?:{tails})" if head else tails


def _source(phrase: str) -> str:
    return "".join(_WILDCARDS.get(character) or re.escape(character) for character in phrase)
