"""What errors mean, and what the operator should do."""

import socket
import ssl

import pytest

from ingest.config.imap_accounts import ImapAccount
from ingest.sources.imap.auth.login import LoginRefused
from ingest.sources.imap.diagnosis import FailureKind, diagnose
from ingest.sources.imap.protocol.client import CommandRefused, ServerBye
from ingest.sources.imap.protocol.grammar import StatusResponse

ACCOUNT = ImapAccount.model_validate(
    {"name": "support", "host": "imap.example", "user": "help@ours.example", "password": "secret"}
)


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
