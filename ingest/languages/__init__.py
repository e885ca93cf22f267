"""The words of each language by which quotes, footers, absence notices and delivery reports are recognised.

The words are data in ``languages.toml``, whose head explains each key: adding a language is adding one table there.
``table`` reads it; ``patterns`` compiles the phrases that have wildcards.
"""

from ingest.languages.patterns import any_of
from ingest.languages.table import Language, Words, all_languages, all_words, languages_by_word

__all__ = ["Language", "Words", "all_languages", "all_words", "any_of", "languages_by_word"]
