"""Recognises footers in the last paragraph of a text: legal notices, the data of a company, and what lists and virus
scanners add."""

import re
from collections.abc import Sequence
from functools import cache

from ingest.languages import all_languages, all_words
from ingest.reply.lines import BodyLine

_MAX_PARAGRAPH_CHARACTERS = 4_000
"""Of a paragraph this many characters are read. It bounds the cost; long legal notices open and repeat themselves
within it."""
_MAX_COMPANY_CHARACTERS = 500
"""The data of a company are no longer than this many characters; a longer paragraph with such words is text."""
_MIN_COMPANY_DATA = 3
"""This many kinds of data of a company, such as its seat, court and register number, are no chance."""
_MIN_LEGAL_STEMS = 2
"""This many words of legal notices, below an opening that sentences have, too, are no chance."""
_MAX_HEADING_WORDS = 4
"""A heading such as ``CONFIDENTIALITY NOTICE`` has at most this many words."""
_MIN_WRAPPED_CHARACTERS = 60
"""A line with fewer characters than this was not wrapped, so that the next line begins something new."""
_ADDRESS_OR_URL = re.compile(r"[\w-]@[\w-]|https?://|www\.")


def find_footer(lines: Sequence[BodyLine], first: int, stop: int, *, ruled: bool) -> int | None:
    """Return the index of the line where a footer begins in the paragraph ``first`` to ``stop - 1``; ``None`` if it has
    none. ``ruled`` says that its first line is a rule.

    Some programs leave no blank line between a sign-off and what the company has put below it."""
    paragraph = join_lines(lines[first:stop])
    if _opens_footer(paragraph) or (ruled and _is_list_footer(lines[first:stop], paragraph)):
        return first
    if _is_company_data(paragraph):
        return _find_company_data(lines, first, stop)
    for at in range(first + 1, stop):
        if (
            lines[at].plain.lower().startswith(_openers())
            and _ends_itself(lines[at - 1].plain)
            and _opens_footer(join_lines(lines[at:stop]))
        ):
            return _find_company_data(lines, first, at)
    return None


def is_footer_heading(paragraph: str) -> bool:
    """Return whether a paragraph, as ``join_lines`` returns it, is a heading such as ``CONFIDENTIALITY NOTICE``."""
    return len(paragraph.split()) <= _MAX_HEADING_WORDS and opens_legal_notice(paragraph)


def opens_legal_notice(text: str) -> bool:
    """Return whether a text, in lower case, begins with the first words of a legal notice."""
    return text.startswith(_legal_openers())


def join_lines(lines: Sequence[BodyLine]) -> str:
    """Return the words of a paragraph in lower case, without its line ends, and cut off at a bound."""
    return " ".join(line.plain for line in lines)[:_MAX_PARAGRAPH_CHARACTERS].lower()


def _opens_footer(paragraph: str) -> bool:
    text = paragraph.lstrip("_-=* ")
    if not text.startswith(_openers()):
        return False
    if text.startswith(_footer_openers()):
        return True
    return sum(stem in text for stem in _legal_stems()) >= _MIN_LEGAL_STEMS and _is_legal_notice(text)


def _is_legal_notice(text: str) -> bool:
    """Return whether a text opens as a legal notice, and nobody in it says ``I`` or ``my``."""
    languages = [language for language in all_languages() if text.startswith(language.legal_openers)]
    words = frozenset(word.strip(".,;:!?()\"'") for word in text.split())
    return bool(languages) and all(words.isdisjoint(language.first_person) for language in languages)


def _is_list_footer(lines: Sequence[BodyLine], paragraph: str) -> bool:
    """Return whether a mailing list added these lines. A person who asks to be taken off a list gives no address to do
    so."""
    has_phrase = any(phrase in paragraph for phrase in _list_footers())
    return has_phrase and any(_ADDRESS_OR_URL.search(line.text) for line in lines)


def _is_company_data(paragraph: str) -> bool:
    if len(paragraph) > _MAX_COMPANY_CHARACTERS:
        return False
    return sum(phrase in paragraph for phrase in _company_data()) >= _MIN_COMPANY_DATA


def _find_company_data(lines: Sequence[BodyLine], first: int, stop: int) -> int:
    """Return the index of the line where the data of a company begin, or ``stop`` if there are none. The name and the
    title above them are somebody's, and stay."""
    if not _is_company_data(join_lines(lines[first:stop])):
        return stop
    having = (at for at in range(first, stop) if any(phrase in lines[at].plain.lower() for phrase in _company_data()))
    return next(having, first)


def _ends_itself(text: str) -> bool:
    """Return whether a line was not wrapped, so that the line below it begins something new."""
    return len(text) < _MIN_WRAPPED_CHARACTERS or text.endswith((".", "!", "?", "。"))


@cache
def _openers() -> tuple[str, ...]:
    return (*_footer_openers(), *_legal_openers())


@cache
def _footer_openers() -> tuple[str, ...]:
    return tuple(all_words(lambda language: language.footer_openers))


@cache
def _legal_openers() -> tuple[str, ...]:
    return tuple(all_words(lambda language: language.legal_openers))


@cache
def _legal_stems() -> tuple[str, ...]:
    return tuple(dict.fromkeys(all_words(lambda language: language.legal_stems)))


@cache
def _company_data() -> tuple[str, ...]:
    return tuple(all_words(lambda language: language.company_data))


@cache
def _list_footers() -> tuple[str, ...]:
    return tuple(all_words(lambda language: language.list_footers))
