"""The wildcards of the phrases in the language table."""

import re

import pytest

from ingest.languages import any_of


@pytest.mark.parametrize(
    ("phrase", "matched", "not_matched"),
    [
        ("not sent", "was not sent.", "was not yet sent."),
        ("deliver* fail", "delivery failure", "delivery has failed"),
        ("deliver* fail", "deliver fail", "deliver"),
        ("telefo+", "telefon", "telefo"),
        ("r?ponse", "r\N{REPLACEMENT CHARACTER}ponse", "rponse"),
        ("warning:_", "warning: full", "warning:full"),
        ("^delay)", "(delay)", "(undelay)"),
        ("mail.ru", "mail.ru", "mailxru"),
    ],
)
def test_a_wildcard_stands_for_what_the_head_of_the_table_says(phrase: str, matched: str, not_matched: str) -> None:
    pattern = re.compile(any_of([phrase]))
    assert pattern.search(matched)
    assert not pattern.search(not_matched)


def test_any_of_the_phrases_matches_and_those_with_the_same_beginning_share_it() -> None:
    source = any_of(["late", "deliver* fail", "deliver* late", "late"])
    assert source == r"(?:deliver\w*(?:\ fail|\ late)|late)"


def test_without_phrases_nothing_matches() -> None:
    assert not re.search(any_of([]), "")
