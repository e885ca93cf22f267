"""The table of words: what it holds for each language, and what each language lacks."""

import tomllib
from dataclasses import fields
from importlib.resources import files

import pytest

from ingest.languages import Language, all_languages, all_words, languages_by_word

PROMISED = (
    *("English", "German", "French", "Spanish", "Portuguese", "Italian", "Dutch", "Polish", "Russian", "Ukrainian"),
    *("Czech", "Swedish", "Norwegian", "Danish", "Finnish", "Hungarian", "Romanian", "Greek", "Turkish", "Arabic"),
    *("Hebrew", "Japanese", "Korean", "Chinese"),
)
BY_NAME = {language.name: language for language in all_languages()}
KINDS = {
    "attributions": ("attribution_verbs",),
    "header lines": ("header_from", "header_sent", "header_to", "header_subject"),
    "original message": ("original_message",),
    "forwarded message": ("forwarded_message",),
    "forward prefixes": ("forward_prefixes",),
    "reply-above markers": ("reply_above",),
    "device lines": ("device_lines", "device_lines_certain", "device_lines_short"),
    "device words": ("device_words",),
    "legal footers": ("legal_openers", "legal_stems"),
    "company data": ("company_data",),
    "list footers": ("footer_openers", "list_footers"),
    "postscripts": ("postscripts",),
    "absence notices": ("out_of_office",),
    "delivery reports": ("bounce_failures", "bounce_subjects"),
    "banners": ("banners",),
}
"""Each kind of entry, with the keys of which one at least has to be filled."""


def lacking(language: Language) -> list[str]:
    return [kind for kind, keys in KINDS.items() if not any(getattr(language, key) for key in keys)]


@pytest.mark.parametrize("language", all_languages(), ids=lambda language: language.name)
def test_each_language_says_which_kinds_of_entry_it_lacks(language: Language) -> None:
    lacks = lacking(language)
    new_gaps = [kind for kind in lacks if kind not in language.missing]
    filled_gaps = [kind for kind in language.missing if kind not in lacks]
    assert not new_gaps, f"{language.name} lacks {', '.join(new_gaps)}: fill the key, or name it in `missing`."
    assert not filled_gaps, f"{language.name} has {', '.join(filled_gaps)} now: take it out of `missing`."


@pytest.mark.parametrize("name", PROMISED)
def test_each_promised_language_has_its_words(name: str) -> None:
    language = BY_NAME[name]
    for key in (
        *("attribution_verbs", "header_from", "header_sent", "header_to", "header_subject"),
        *("original_message", "forwarded_message"),
    ):
        assert getattr(language, key), key
    assert language.device_lines or language.device_lines_short


@pytest.mark.parametrize("language", all_languages(), ids=lambda language: language.name)
def test_all_words_are_in_lower_case_and_named_once(language: Language) -> None:
    for field in fields(Language)[1:]:
        words = getattr(language, field.name)
        assert list(words) == [word.lower() for word in words]
        assert len(set(words)) == len(words), field.name


def test_the_head_of_the_table_explains_every_key() -> None:
    text = files("ingest.languages").joinpath("languages.toml").read_text("utf-8")
    head = text[: text.index("\n[")]
    for field in fields(Language)[1:]:
        assert field.name in head
    assert set(tomllib.loads(text)) == set(BY_NAME)


def test_a_word_is_mapped_to_every_language_that_has_it() -> None:
    assert languages_by_word(lambda language: language.attribution_verbs)["skrev"] == ("Swedish", "Norwegian", "Danish")


def test_all_words_of_a_field_come_in_the_order_of_the_table() -> None:
    words = list(all_words(lambda language: language.forward_prefixes))
    assert words[: len(BY_NAME["English"].forward_prefixes)] == list(BY_NAME["English"].forward_prefixes)
