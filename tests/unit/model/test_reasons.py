"""The reasons of cuts and the text that is printed for them."""

import pytest

from ingest.model.reasons import CONFIDENCE_OF, Confidence, CutReason, Recognised, in_languages


@pytest.mark.parametrize(
    ("recognised", "text"),
    [
        (Recognised(CutReason.QUOTE_MARKS), "quote marks"),
        (Recognised(CutReason.ATTRIBUTION), "attribution"),
        (Recognised(CutReason.ATTRIBUTION, "GroupWise"), "attribution (GroupWise)"),
        (Recognised(CutReason.CLIENT_MARKUP, "gmail_quote"), "gmail_quote"),
        (Recognised(CutReason.CLIENT_MARKUP_LEAD, "gmail_quote"), "gmail_quote lead"),
        (Recognised(CutReason.READING_FAILED, "RuntimeError"), "whole, RuntimeError while reading it"),
        (Recognised(CutReason.LOOSE_SIGNATURE), "signature"),
        (in_languages(CutReason.HEADER_BLOCK, ()), "header block"),
        (in_languages(CutReason.HEADER_BLOCK, ("Danish", "Norwegian")), "header block (Danish/Norwegian)"),
        (in_languages(CutReason.ATTRIBUTION, ("A", "B", "C", "D")), "attribution (A/B/C)"),
    ],
)
def test_a_reason_is_printed_with_its_detail(recognised: Recognised, text: str) -> None:
    assert str(recognised) == text


@pytest.mark.parametrize("reason", CutReason)
def test_each_reason_has_a_sentence_that_says_what_it_means(reason: CutReason) -> None:
    assert reason.meaning.endswith(".")
    assert str(Recognised(reason)) == reason.printed


def test_each_reason_has_a_confidence_and_the_least_sure_is_the_smallest() -> None:
    assert CONFIDENCE_OF.keys() == set(CutReason)
    assert min(Confidence, key=int).label == "guessed"
    assert max(Confidence).label == "certain"
