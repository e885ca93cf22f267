"""Reads ``languages.toml`` into one ``Language`` for each of its tables."""

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """The words of one language, in lower case. The head of ``languages.toml`` explains each field with an example."""

    name: str
    """The name of the language in English."""
    attribution_verbs: Words = ()
    attribution_openers: Words = ()
    weekdays: Words = ()
    pronouns: Words = ()
    sentence_openers: Words = ()
    header_from: Words = ()
    header_sent: Words = ()
    header_to: Words = ()
    header_cc: Words = ()
    header_subject: Words = ()
    header_other: Words = ()
    original_message: Words = ()
    forwarded_message: Words = ()
    forward_prefixes: Words = ()
    reply_prefixes: Words = ()
    reply_above: Words = ()
    answer_announcements: Words = ()
    device_lines: Words = ()
    device_lines_certain: Words = ()
    device_lines_short: Words = ()
    device_words: Words = ()
    legal_openers: Words = ()
    legal_stems: Words = ()
    first_person: Words = ()
    company_data: Words = ()
    footer_openers: Words = ()
    list_footers: Words = ()
    postscripts: Words = ()
    out_of_office: Words = ()
    bounce_failures: Words = ()
    bounce_subjects: Words = ()
    bounce_delays: Words = ()
    bounce_copies: Words = ()
    bounce_phrases: Words = ()
    automatic_phrases: Words = ()
    received_notices: Words = ()
    read_receipts: Words = ()
    banners: Words = ()
    missing: Words = ()
    """The kinds of entry that nobody has filled yet for this language; a test compares them with what is there."""


@cache
def all_languages() -> tuple[Language, ...]:
    """Return every language, in the order of the file. The file is read at the first call."""
    tables = tomllib.loads(files("ingest.languages").joinpath("languages.toml").read_text("utf-8"))
    return tuple(
        Language(name=name, **{key: _split(phrases) for key, phrases in table.items()})
        for name, table in tables.items()
    )


def _split(phrases: str) -> Words:
    return tuple(word for line in phrases.splitlines() for word in map(str.strip, line.split("|")) if word)


def all_words(words_of: Callable[[Language], Words]) -> Iterator[str]:
    """Yield the words of one field over all languages, in the order of the file. A word that several languages share
    comes several times."""
    for language in all_languages():
        yield from words_of(language)


def languages_by_word(words_of: Callable[[Language], Words]) -> dict[str, tuple[str, ...]]:
    """Map each word of one field to the names of the languages that have it, in the order of the file."""
    found: dict[str, tuple[str, ...]] = {}
    for language in all_languages():
        for word in words_of(language):
            found[word] = (*found.get(word, ()), language.name)
    return found
