"""The parts of the mailbox reader that need no server: names, sets of UIDs, responses, and what trouble means."""

import socket
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.config.imap_accounts import ImapAccount
from ingest.sources.imap.auth.login import LoginRefused
from ingest.sources.imap.diagnosis import Kind, diagnose
from ingest.sources.imap.fetch_retries import FetchRetries
from ingest.sources.imap.mail import date_of, received, reverse_path, what_is_known
from ingest.sources.imap.protocol.client import Bye, Refused
from ingest.sources.imap.protocol.grammar import Continuation, Data, Status, Unknown, fields, read, values
from ingest.sources.imap.protocol.uids import ranges
from ingest.sources.imap.protocol.utf7 import mailbox, readable
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
    assert mailbox(name) == on_the_wire


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_a_folder_name_comes_back_as_it_went(name: str) -> None:
    [there] = values([mailbox(name)])
    assert isinstance(there, bytes)
    assert readable(there) == name


@given(st.binary())
def test_any_octets_are_readable_as_a_name(name: bytes) -> None:
    assert isinstance(readable(name), str)


@given(st.frozensets(st.integers(1, 60)))
def test_ranges_name_exactly_the_uids(uids: frozenset[int]) -> None:
    named: set[int] = set()
    for part in ranges(uids).split(",") if uids else []:
        first, _, last = part.partition(":")
        named |= set(range(int(first), int(last or first) + 1))
    assert named == uids


# Responses


def test_a_status_tells_its_code_and_text() -> None:
    assert read([b"i7 NO [AUTHENTICATIONFAILED] who are you"]) == Status(
        "i7", "NO", "AUTHENTICATIONFAILED", "", "who are you"
    )
    assert read([b"* OK [UIDVALIDITY 17] good"]) == Status("*", "OK", "UIDVALIDITY", "17", "good")
    assert read([b"* bye"]) == Status("*", "BYE")


def test_fetch_items_are_read_by_name_in_any_order() -> None:
    literal = Literal(b"body)", 5)
    response = read([b"* 3 FETCH (FLAGS (\\Seen) BODY[] ", literal, b" UID 9 RFC822.SIZE 5)"])
    assert isinstance(response, Data)
    assert response.number == 3
    assert fields(response) == {"FLAGS": [b"\\Seen"], "BODY[]": literal, "UID": b"9", "RFC822.SIZE": b"5"}


def test_nil_is_nothing_and_in_quotes_it_is_a_word() -> None:
    assert values([b'(BODY[] NIL X "NIL" "a \\" b")']) == [[b"BODY[]", None, b"X", b"NIL", b'a " b']]


@pytest.mark.parametrize("rest", [b")\r\ni3 OK", b" more of the mail", b"", b"text (of a mail)", b") i4 OK done"])
def test_a_literal_that_does_not_end_where_its_count_says_puts_the_connection_out_of_step(rest: bytes) -> None:
    assert isinstance(read([b"* 1 FETCH (UID 1 BODY[] ", Literal(b"x", 1), rest]), Unknown)


@pytest.mark.parametrize(
    "rest", [b")", b" UID 4)", b' FLAGS (\\Seen $x) INTERNALDATE "1-Jan-2026 00:00:00 +0000") ', b" MODSEQ (12))"]
)
def test_items_may_follow_a_literal(rest: bytes) -> None:
    assert isinstance(read([b"* 1 FETCH (BODY[] ", Literal(b"x", 1), rest]), Data)


def test_a_mails_line_that_got_in_by_mistake_is_no_response() -> None:
    assert isinstance(read([b"Subject: hello"]), Unknown)
    assert isinstance(read([b"+ go on"]), Continuation)


PIECES = st.one_of(st.binary(max_size=60), st.builds(Literal, st.binary(max_size=9), st.just(9)))


@given(st.binary(max_size=300), st.lists(PIECES, max_size=4))
def test_no_response_is_too_odd_to_be_read(head: bytes, pieces: list[bytes | Literal]) -> None:
    for start in (head, b"* 1 FETCH (" + head, b"* SEARCH " + head):
        response = read([start, *pieces])
        if isinstance(response, Data):
            fields(response)


def test_ten_thousand_open_parentheses_are_read_in_no_time_and_no_depth() -> None:
    assert len(values([b"(" * 10_000])) == 1
    read([b"* 1 FETCH (" + b"[" * 100_000 + b'"' * 99_999])


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
    message = received(ACCOUNT, "INBOX", 5, 7, content, now=1.0)
    assert message.envelope.mail_from == mail_from
    assert message.envelope.rcpt_tos == ("help@ours.example",)
    assert message.source_ref.position == "5/7"
    assert message.content == content


@given(st.binary())
def test_any_octets_have_a_reverse_path(content: bytes) -> None:
    assert isinstance(reverse_path(b"from: " + content), str)


def test_internal_dates_are_read_and_unreadable_ones_are_none() -> None:
    assert date_of(b"17-Jul-1996 02:44:25 -0700") == 837596665.0
    assert date_of(b" 1-Jan-2026 00:00:00 +0000") == 1767225600.0
    assert date_of(b"yesterday") is None
    assert date_of(b"\xff") is None


def test_a_mail_that_nobody_can_read_is_kept_by_its_headers_or_its_place() -> None:
    assert what_is_known("imap:a/INBOX 1/2", 9, b"Subject: x\r\n\r\n") == b"Subject: x\r\n\r\n"
    known = what_is_known("imap:a/INBOX 1/2", 9, None)
    assert b"X-Ingest-Place: imap:a/INBOX 1/2\r\nX-Ingest-Size: 9\r\n\r\n" in known


# Messages that make trouble


def test_a_message_is_tried_with_growing_waits_and_then_given_up() -> None:
    trials = FetchRetries((0.0, 60.0))
    trials.suspect(5)
    assert trials.is_due(5, now=0.0)
    trials.fail(5, "NIL", now=0.0)
    assert trials.is_due(5, now=0.0)
    trials.fail(5, "NIL", now=1.0)
    assert not trials.is_due(5, now=60.0)
    assert trials.next_due() == 61.0
    assert not trials.is_hopeless(5)
    trials.fail(5, "still NIL", now=61.0)
    assert trials.is_hopeless(5)
    assert trials.reason(5) == "still NIL"


def test_a_message_that_others_took_away_is_forgotten() -> None:
    trials = FetchRetries((0.0,))
    trials.suspect(5)
    trials.suspect(6)
    trials.keep_only({6})
    assert 5 not in trials
    assert 6 in trials


# Trouble


def status(text: str, code: str = "", condition: str = "NO") -> Status:
    return Status("i1", condition, code, "", text)


def login_refused(text: str, code: str = "") -> LoginRefused:
    return LoginRefused(Refused("LOGIN", status(text, code)), "")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (login_refused("no", "AUTHENTICATIONFAILED"), Kind.REFUSED),
        (login_refused("LOGIN failed."), Kind.PASSING),
        (login_refused("try again later", "UNAVAILABLE"), Kind.PASSING),
        (login_refused("Too many simultaneous connections. (Failure)", "ALERT"), Kind.THROTTLED),
        (Refused("SELECT", status("Account exceeded command or bandwidth limits.", "OVERQUOTA")), Kind.THROTTLED),
        (Refused("SELECT", status("User is authenticated but not connected.", condition="BAD")), Kind.PASSING),
        (Refused("SELECT", status("whatever")), Kind.PASSING),
        (Bye(status("too many connections from your IP", condition="BYE")), Kind.THROTTLED),
        (Bye(status("Session expired, please login again.", condition="BYE")), Kind.PASSING),
        (socket.gaierror(-2, "Name or service not known"), Kind.SETUP),
        (ConnectionRefusedError(111, "refused"), Kind.SETUP),
        (ssl.SSLCertVerificationError(1, "self-signed certificate"), Kind.SETUP),
        (TimeoutError(), Kind.PASSING),
        (OSError(101, "Network is unreachable"), Kind.PASSING),
        (RuntimeError("a bug of ours"), Kind.PASSING),
    ],
)
def test_trouble_is_passing_unless_more_is_proved(error: Exception, kind: Kind) -> None:
    trouble = diagnose(error, ACCOUNT)
    assert trouble.kind is kind
    assert trouble.text
    assert "secret" not in trouble.text


def test_a_refusal_without_a_reason_counts_at_the_third_time() -> None:
    kinds = [diagnose(login_refused("LOGIN failed."), ACCOUNT, refusals).kind for refusals in (1, 2, 3)]
    assert kinds == [Kind.PASSING, Kind.PASSING, Kind.REFUSED]


def test_exchange_is_left_alone_for_as_long_as_it_asks() -> None:
    said = status("Request is throttled. Suggested Backoff Time: 299933 milliseconds", condition="BAD")
    trouble = diagnose(Refused("SELECT", said), ACCOUNT)
    assert trouble.kind is Kind.THROTTLED
    assert trouble.retry_after == pytest.approx(299.933)
