"""The parts of the encode_folder reader that need no server: names, sets of UIDs, responses, and what trouble means."""

import socket
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.config.imap_accounts import ImapAccount
from ingest.sources.imap.auth.login import LoginRefused
from ingest.sources.imap.diagnosis import FailureKind, diagnose
from ingest.sources.imap.fetch_retries import FetchRetries
from ingest.sources.imap.mail import parse_internal_date, placeholder_content, received_message, reverse_path
from ingest.sources.imap.protocol.client import CommandRefused, ServerBye
from ingest.sources.imap.protocol.grammar import (
    Continuation,
    StatusResponse,
    UnparsableResponse,
    UntaggedData,
    fetch_items,
    parse_response,
    parse_values,
)
from ingest.sources.imap.protocol.uids import sequence_set
from ingest.sources.imap.protocol.utf7 import decode_folder, encode_folder
from ingest.sources.imap.protocol.wire import Literal

ACCOUNT = ImapAccount.model_validate(
    {"name": "support", "host": "imap.example", "user": "help@ours.example", "password": "secret"}
)

# Names (RFC 3501 section 5.1.3) and sets of UIDs


@pytest.mark.parametrize(
    ("name", "on_the_wire"),
    [
        ("INBOX", b'"INBOX"'),
        ("Sent & done", b'"Sent &- done"'),
        ("Entwürfe", b'"Entw&APw-rfe"'),
        ("~peter/mail/台北/日本語", b'"~peter/mail/&U,BTFw-/&ZeVnLIqe-"'),
        ('say "hi" \\ bye', b'"say \\"hi\\" \\\\ bye"'),
        ("😀", b'"&2D3eAA-"'),
    ],
)
def test_a_folder_name_goes_to_the_wire_in_modified_utf_7(name: str, on_the_wire: bytes) -> None:
    assert encode_folder(name) == on_the_wire


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_a_folder_name_comes_back_as_it_went(name: str) -> None:
    [there] = parse_values([encode_folder(name)])
    assert isinstance(there, bytes)
    assert decode_folder(there) == name


@given(st.binary())
def test_any_octets_are_readable_as_a_name(name: bytes) -> None:
    assert isinstance(decode_folder(name), str)


@given(st.frozensets(st.integers(1, 60)))
def test_ranges_name_exactly_the_uids(uids: frozenset[int]) -> None:
    named: set[int] = set()
    for part in sequence_set(uids).split(",") if uids else []:
        first, _, last = part.partition(":")
        named |= set(range(int(first), int(last or first) + 1))
    assert named == uids


# Responses


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


# Mail as it is handed over


@pytest.mark.parametrize(
    ("content", "mail_from"),
    [
        (b"Return-Path: <a@x.example>\r\nFrom: b@y.example\r\n\r\n", "a@x.example"),
        (b"Received: x\r\nReturn-Path:<>\r\nFrom: b@y.example\r\n\r\n", ""),
        (b'From: "B, dear" <b@y.example>\r\n\r\nReturn-Path: <of-the-body@x.example>\r\n', "b@y.example"),
        (b"Subject: nobody\r\n\r\n", ""),
        (b"", ""),
    ],
)
def test_the_envelopes_sender_is_what_the_delivery_noted_else_the_author(content: bytes, mail_from: str) -> None:
    message = received_message(ACCOUNT, "INBOX", 5, 7, content, now=1.0)
    assert message.envelope.mail_from == mail_from
    assert message.envelope.rcpt_tos == ("help@ours.example",)
    assert message.source_ref.position == "5/7"
    assert message.content == content


@given(st.binary())
def test_any_octets_have_a_reverse_path(content: bytes) -> None:
    assert isinstance(reverse_path(b"from: " + content), str)


def test_internal_dates_are_read_and_unreadable_ones_are_none() -> None:
    assert parse_internal_date(b"17-Jul-1996 02:44:25 -0700") == 837596665.0
    assert parse_internal_date(b" 1-Jan-2026 00:00:00 +0000") == 1767225600.0
    assert parse_internal_date(b"yesterday") is None
    assert parse_internal_date(b"\xff") is None


def test_a_mail_that_nobody_can_read_is_kept_by_its_headers_or_its_place() -> None:
    assert placeholder_content("imap:a/INBOX 1/2", 9, b"Subject: x\r\n\r\n") == b"Subject: x\r\n\r\n"
    known = placeholder_content("imap:a/INBOX 1/2", 9, None)
    assert b"X-Ingest-Place: imap:a/INBOX 1/2\r\nX-Ingest-Size: 9\r\n\r\n" in known


# Messages that make trouble


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


# Trouble


def status(text: str, code: str = "", condition: str = "NO") -> StatusResponse:
    return StatusResponse("i1", condition, code, "", text)


def login_refused(text: str, code: str = "") -> LoginRefused:
    return LoginRefused(CommandRefused("LOGIN", status(text, code)), "")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (login_refused("no", "AUTHENTICATIONFAILED"), FailureKind.REFUSED),
        (login_refused("LOGIN failed."), FailureKind.PASSING),
        (login_refused("try again later", "UNAVAILABLE"), FailureKind.PASSING),
        (login_refused("Too many simultaneous connections. (Failure)", "ALERT"), FailureKind.THROTTLED),
        (
            CommandRefused("SELECT", status("Account exceeded command or bandwidth limits.", "OVERQUOTA")),
            FailureKind.THROTTLED,
        ),
        (
            CommandRefused("SELECT", status("User is authenticated but not connected.", condition="BAD")),
            FailureKind.PASSING,
        ),
        (CommandRefused("SELECT", status("whatever")), FailureKind.PASSING),
        (ServerBye(status("too many connections from your IP", condition="BYE")), FailureKind.THROTTLED),
        (ServerBye(status("Session expired, please login again.", condition="BYE")), FailureKind.PASSING),
        (socket.gaierror(-2, "Name or service not known"), FailureKind.SETUP),
        (ConnectionRefusedError(111, "refused"), FailureKind.SETUP),
        (ssl.SSLCertVerificationError(1, "self-signed certificate"), FailureKind.SETUP),
        (TimeoutError(), FailureKind.PASSING),
        (OSError(101, "Network is unreachable"), FailureKind.PASSING),
        (RuntimeError("a bug of ours"), FailureKind.PASSING),
    ],
)
def test_trouble_is_passing_unless_more_is_proved(error: Exception, kind: FailureKind) -> None:
    failure = diagnose(error, ACCOUNT)
    assert failure.kind is kind
    assert failure.text
    assert "secret" not in failure.text


def test_a_refusal_without_a_reason_counts_at_the_third_time() -> None:
    kinds = [diagnose(login_refused("LOGIN failed."), ACCOUNT, refusals).kind for refusals in (1, 2, 3)]
    assert kinds == [FailureKind.PASSING, FailureKind.PASSING, FailureKind.REFUSED]


def test_exchange_is_left_alone_for_as_long_as_it_asks() -> None:
    said = status("Request is throttled. Suggested Backoff Time: 299933 milliseconds", condition="BAD")
    failure = diagnose(CommandRefused("SELECT", said), ACCOUNT)
    assert failure.kind is FailureKind.THROTTLED
    assert failure.retry_after == pytest.approx(299.933)
