"""Retries of messages that a server does not deliver."""

from ingest.sources.imap.fetch_retries import FetchRetries


def test_a_message_is_tried_with_growing_waits_and_then_given_up() -> None:
    retries = FetchRetries((0.0, 60.0))
    retries.isolate(5)
    assert retries.is_due(5, now=0.0)
    retries.fail(5, "NIL", now=0.0)
    assert retries.is_due(5, now=0.0)
    retries.fail(5, "NIL", now=1.0)
    assert not retries.is_due(5, now=60.0)
    assert retries.next_due() == 61.0
    assert not retries.is_exhausted(5)
    retries.fail(5, "still NIL", now=61.0)
    assert retries.is_exhausted(5)
    assert retries.reason(5) == "still NIL"


def test_a_message_that_others_took_away_is_forgotten() -> None:
    retries = FetchRetries((0.0,))
    retries.isolate(5)
    retries.isolate(6)
    retries.keep_only({6})
    assert 5 not in retries
    assert 6 in retries
