"""The tables of words."""

from dataclasses import fields

import pytest

from ingest.reply.recognise.languages import LANGUAGES, Language, index

PROMISED = (
    *("English", "German", "French", "Spanish", "Portuguese", "Italian", "Dutch", "Polish", "Russian", "Ukrainian"),
    *("Czech", "Swedish", "Norwegian", "Danish", "Finnish", "Hungarian", "Romanian", "Greek", "Turkish", "Arabic"),
    *("Hebrew", "Japanese", "Korean", "Chinese"),
)
BY_NAME = {language.name: language for language in LANGUAGES}


@pytest.mark.parametrize("name", PROMISED)
def test_each_promised_language_has_its_words(name: str) -> None:
    language = BY_NAME[name]
    for field in ("wrote", "from_", "sent", "to", "subject", "original", "forwarded"):
        assert getattr(language, field), field
    assert language.device or language.device_short


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
def test_all_words_are_in_lower_case_and_named_once(language: Language) -> None:
    for field in fields(Language)[1:]:
        words = getattr(language, field.name)
        assert list(words) == [word.lower() for word in words]
        assert len(set(words)) == len(words), field.name


def test_a_word_is_indexed_with_every_language_that_has_it() -> None:
    assert index(lambda language: language.wrote)["skrev"] == ("Swedish", "Norwegian", "Danish")
