"""Fields whose value is one keyword, with all that RFC 5322 allows around it."""

import pytest

from ingest.model.keywords import keyword


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("no", "no"),
        (" No ; reason=x", "no"),
        ("no (a person wrote it)", "no"),
        ("(set by (the) gateway) no", "no"),
        ('"no"', "no"),
        ('auto-replied (vacation); owner-email="a@b.example"', "auto-replied"),
        ('AUTO-Generated;x="no"', "auto-generated"),
        ("(a comment without its end", ""),
        (r"(a \) in it) no", "no"),
        ("", ""),
        (";", ""),
        ("0", "0"),
        ("x" * 100_000, "x" * 998),
    ],
)
def test_the_keyword_stands_without_comments_quotes_and_parameters(value: str, word: str) -> None:
    assert keyword(value) == word
