"""The words that mail programs put around a reply, in every language that we know: data, read by the recognisers.

The words are in ``languages.toml``; adding a language is adding one table there. What is language-free (dates,
addresses, dashes, quote marks) is in the recognisers themselves, and reads the languages that are not listed.
"""

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """One language; every word in lower case."""

    name: str
    wrote: Words = ()
    """Verbs and phrases of ``On <date>, <name> wrote:``."""
    opens: Words = ()
    """First words of an attribution: prepositions before the date, weekdays as clients abbreviate them."""
    i: Words = ()
    """Who writes in a person's own sentence: ``On Monday I wrote:`` is no attribution."""
    tells: Words = ()
    """First words of a person's sentence about somebody: ``As Goethe wrote:``."""
    from_: Words = ()
    sent: Words = ()
    to: Words = ()
    cc: Words = ()
    subject: Words = ()
    other: Words = ()
    """Header labels that stand between the others: Reply-To, Importance, Attachments."""
    original: Words = ()
    """``Original Message``: what follows is quoted."""
    forwarded: Words = ()
    """``Forwarded message``: what follows was passed on, and is content."""
    forward_prefixes: Words = ()
    """Subject prefixes of a forward, without the colon."""
    above: Words = ()
    """``Reply above this line``: what follows is quoted."""
    device: Words = ()
    """Lines that a phone or an app adds; ``…`` stands for any words, and one of them names a device."""
    device_any: Words = ()
    """The same where the phrase alone is proof enough, such as ``sent from my …``."""
    device_short: Words = ()
    """The same where a longer line could be a sentence, such as ``from my …``."""
    legal_opens: Words = ()
    """First words of a legal footer."""
    me: Words = ()
    """Words by which one speaks of oneself, as no legal footer does."""
    legal: Words = ()
    """Stems that legal footers are full of."""
    company: Words = ()
    """What the law has companies write below their mails."""
    footer: Words = ()
    """First words of the footers of lists, virus scanners and gateways."""
    list_footer: Words = ()
    """What the footer of a list says below a rule."""
    postscript: Words = ()
    """What is written below a signature begins with this."""


def _words(listed: str) -> Words:
    return tuple(word for line in listed.splitlines() for word in map(str.strip, line.split("|")) if word)


def _load() -> tuple[Language, ...]:
    tables = tomllib.loads(files("ingest.reply.recognise").joinpath("languages.toml").read_text("utf-8"))
    return tuple(
        Language(
            name=name, **{"from_" if field == "from" else field: _words(listed) for field, listed in table.items()}
        )
        for name, table in tables.items()
    )


LANGUAGES = _load()


def index(words_of: Callable[[Language], Words]) -> dict[str, tuple[str, ...]]:
    """Each word of one field with the names of the languages that use it."""
    found: dict[str, tuple[str, ...]] = {}
    for language in LANGUAGES:
        for word in words_of(language):
            found[word] = (*found.get(word, ()), language.name)
    return found


def every(words_of: Callable[[Language], Words]) -> Iterator[str]:
    """All words of one field, over all languages, in the order of the tables."""
    for language in LANGUAGES:
        yield from words_of(language)
