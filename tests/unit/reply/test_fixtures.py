"""Replies of many clients in many languages, each with the text that its sender newly wrote."""

import pytest

from ingest.model.reasons import CONFIDENCE_OF, Confidence
from tests.support.replies import Fixture, assert_lossless, assert_never_empty, assert_safe, assert_words_kept, fixtures

ALL = fixtures()
HTML = [fixture for fixture in ALL if fixture.path.suffix == ".html"]
each = pytest.mark.parametrize("fixture", ALL, ids=lambda fixture: fixture.name)


@each
def test_the_content_is_what_the_sender_newly_wrote(fixture: Fixture) -> None:
    assert fixture.reply().content == fixture.expected


@each
def test_nothing_of_the_body_is_lost_and_something_is_left(fixture: Fixture) -> None:
    reply = fixture.reply()
    assert_lossless(reply)
    assert_never_empty(reply)
    if fixture.path.suffix == ".txt":
        assert reply.body == fixture.message().text


@each
def test_each_cut_says_why_and_how_sure(fixture: Fixture) -> None:
    reply = fixture.reply()
    cut = [segment for segment in reply.segments if not segment.kept]
    assert all(segment.reason is not None and str(segment.reason) for segment in cut)
    levels = [CONFIDENCE_OF[segment.reason.reason] for segment in cut if segment.reason is not None]
    assert reply.confidence == min(levels, default=Confidence.CERTAIN)


@pytest.mark.parametrize("fixture", HTML, ids=lambda fixture: fixture.name)
def test_every_word_of_a_page_is_in_the_content_or_in_what_was_cut(fixture: Fixture) -> None:
    html = fixture.message().html or ""
    if "<script" not in html:
        assert_words_kept(html, fixture.reply())


@pytest.mark.parametrize("fixture", HTML, ids=lambda fixture: fixture.name)
def test_what_came_as_html_is_safe_to_render(fixture: Fixture) -> None:
    assert_safe(fixture.reply().body)


def test_each_fixture_is_a_mail_of_its_own() -> None:
    bodies = [" ".join(fixture.path.read_text("utf-8").split()) for fixture in ALL]
    assert len(set(bodies)) == len(bodies) >= 120


def test_each_file_beside_a_fixture_belongs_to_one() -> None:
    names = {fixture.name for fixture in ALL}
    beside = {path.stem for path in ALL[0].path.parent.iterdir() if path.suffix not in (".txt", ".html")}
    assert beside <= names
    assert all(fixture.path.with_suffix(".expected").exists() for fixture in ALL)
