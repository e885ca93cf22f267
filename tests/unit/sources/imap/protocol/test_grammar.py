"""The parser of server responses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sources.imap.protocol.grammar import (
    Continuation,
    StatusResponse,
    UnparsableResponse,
    UntaggedData,
    fetch_items,
    parse_response,
    parse_values,
)
from ingest.sources.imap.protocol.wire import Literal


def test_a_status_tells_its_code_and_text() -> None:
    assert parse_response([b"i7 NO [AUTHENTICATIONFAILED] who are you"]) == StatusResponse(
        "i7", "NO", "AUTHENTICATIONFAILED", "", "who are you"
    )
    assert parse_response([b"* OK [UIDVALIDITY 17] good"]) == StatusResponse("*", "OK", "UIDVALIDITY", "17", "good")
    assert parse_response([b"* bye"]) == StatusResponse("*", "BYE")


def test_fetch_items_are_read_by_name_in_any_order() -> None:
    literal = Literal(b"body)", 5)
    response = parse_response([b"* 3 FETCH (FLAGS (\\Seen) BODY[] ", literal, b" UID 9 RFC822.SIZE 5)"])
    assert isinstance(response, UntaggedData)
    assert response.number == 3
    assert fetch_items(response) == {"FLAGS": [b"\\Seen"], "BODY[]": literal, "UID": b"9", "RFC822.SIZE": b"5"}


def test_nil_is_nothing_and_in_quotes_it_is_a_word() -> None:
    assert parse_values([b'(BODY[] NIL X "NIL" "a \\" b")']) == [[b"BODY[]", None, b"X", b"NIL", b'a " b']]


@pytest.mark.parametrize("rest", [b")\r\ni3 OK", b" more of the mail", b"", b"text (of a mail)", b") i4 OK done"])
def test_a_literal_that_does_not_end_where_its_count_says_puts_the_connection_out_of_step(rest: bytes) -> None:
    assert isinstance(parse_response([b"* 1 FETCH (UID 1 BODY[] ", Literal(b"x", 1), rest]), UnparsableResponse)


@pytest.mark.parametrize(
    "rest", [b")", b" UID 4)", b' FLAGS (\\Seen $x) INTERNALDATE "1-Jan-2026 00:00:00 +0000") ', b" MODSEQ (12))"]
)
def test_items_may_follow_a_literal(rest: bytes) -> None:
    assert isinstance(parse_response([b"* 1 FETCH (BODY[] ", Literal(b"x", 1), rest]), UntaggedData)


def test_a_mails_line_that_got_in_by_mistake_is_no_response() -> None:
    assert isinstance(parse_response([b"Subject: hello"]), UnparsableResponse)
    assert isinstance(parse_response([b"+ go on"]), Continuation)


PIECES = st.one_of(st.binary(max_size=60), st.builds(Literal, st.binary(max_size=9), st.just(9)))


@given(st.binary(max_size=300), st.lists(PIECES, max_size=4))
def test_no_response_is_too_odd_to_be_read(head: bytes, pieces: list[bytes | Literal]) -> None:
    for start in (head, b"* 1 FETCH (" + head, b"* SEARCH " + head):
        response = parse_response([start, *pieces])
        if isinstance(response, UntaggedData):
            fetch_items(response)


def test_ten_thousand_open_parentheses_are_read_in_no_time_and_no_depth() -> None:
    assert len(parse_values([b"(" * 10_000])) == 1
    parse_response([b"* 1 FETCH (" + b"[" * 100_000 + b'"' * 99_999])
