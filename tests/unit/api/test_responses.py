"""The one table from HTTP to outcomes: complete, and permanent only where the API proved it."""

import inspect
import ssl
from typing import Any

import aiohttp
import aiohttp.client_exceptions
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.api import responses
from ingest.api.records import Draft
from ingest.api.responses import ApiResponse, ResponseClass
from ingest.model.outcome import Deferred, Delivered, Failed, PostEffect

DRAFT = Draft(ticket_id="T1", author_id="U1", content="It works now.")
ENVELOPE = {"message": "Not found", "code": "NOT_FOUND"}
NESTED = {"error": {"message": "no such ticket", "code": "ticket_not_found"}}
NOW = 1_000_000.0

SENT_NOTHING = {
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorDNSError,
    aiohttp.ClientConnectorSSLError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ClientSSLError,
    aiohttp.ClientProxyConnectionError,
    aiohttp.client_exceptions.UnixClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.InvalidURL,
    aiohttp.InvalidUrlClientError,
    aiohttp.InvalidUrlRedirectClientError,
    aiohttp.NonHttpUrlClientError,
    aiohttp.NonHttpUrlRedirectClientError,
}
MAY_HAVE_ARRIVED = {
    httpx.HTTPError,
    httpx.RequestError,
    httpx.TransportError,
    httpx.TimeoutException,
    httpx.ReadTimeout,
    httpx.WriteTimeout,
    httpx.NetworkError,
    httpx.ReadError,
    httpx.WriteError,
    httpx.CloseError,
    httpx.ProtocolError,
    httpx.LocalProtocolError,
    httpx.RemoteProtocolError,
    httpx.DecodingError,
    httpx.TooManyRedirects,
    httpx.HTTPStatusError,
    httpx.CookieConflict,
    httpx.StreamError,
    httpx.StreamConsumed,
    httpx.StreamClosed,
    httpx.ResponseNotRead,
    httpx.RequestNotRead,
    aiohttp.ClientError,
    aiohttp.ClientConnectionError,
    aiohttp.ClientConnectionResetError,
    aiohttp.ClientOSError,
    aiohttp.ClientResponseError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ClientPayloadError,
    aiohttp.ContentTypeError,
    aiohttp.RedirectClientError,
    aiohttp.ServerConnectionError,
    aiohttp.ServerDisconnectedError,
    aiohttp.ServerTimeoutError,
    aiohttp.SocketTimeoutError,
    aiohttp.TooManyRedirects,
    aiohttp.WSMessageTypeError,
    aiohttp.WSServerHandshakeError,
    aiohttp.client_exceptions.UploadAbortedError,
}
OTHERS = (TimeoutError, OSError, ConnectionResetError, ssl.SSLError, RuntimeError, ValueError, UnicodeEncodeError)


def exceptions_of(module: Any) -> set[type[Exception]]:
    found = {member for _name, member in inspect.getmembers(module, inspect.isclass)}
    return {
        member
        for member in found
        if issubclass(member, Exception) and member.__module__.startswith(module_name(module))
    }


def module_name(module: Any) -> str:
    return str(module.__name__).partition(".")[0]


def blank(kind: type[Exception]) -> Exception:
    """An instance without the arguments that each of them would have liked."""
    return kind.__new__(kind)


@pytest.mark.parametrize("module", [httpx, aiohttp.client_exceptions])
def test_every_exception_of_the_http_libraries_has_its_place_in_the_table(module: Any) -> None:
    placed = SENT_NOTHING | MAY_HAVE_ARRIVED
    assert exceptions_of(module) - placed == set()


@pytest.mark.parametrize("kind", sorted(SENT_NOTHING, key=str))
def test_an_exception_from_before_the_request_was_sent_had_no_effect(kind: type[Exception]) -> None:
    assert responses.class_of_error(blank(kind)) is ResponseClass.UNREACHED


@pytest.mark.parametrize("kind", [*sorted(MAY_HAVE_ARRIVED, key=str), *OTHERS])
def test_any_other_exception_leaves_the_request_in_doubt(kind: type[Exception]) -> None:
    assert responses.class_of_error(blank(kind)) is ResponseClass.IN_DOUBT


def test_a_lost_connection_that_the_transport_calls_a_connect_timeout_is_in_doubt() -> None:
    misnamed = httpx.ConnectTimeout("Server disconnected")
    misnamed.__cause__ = aiohttp.ServerDisconnectedError()
    assert responses.class_of_error(misnamed) is ResponseClass.IN_DOUBT
    assert "ServerDisconnectedError" in responses.classify_error(misnamed).reason


def test_every_status_has_one_outcome() -> None:
    assert {status: kind(outcome_of(status, ENVELOPE)) for status in range(100, 600)} == {
        **dict.fromkeys(range(100, 600), "in doubt"),
        **dict.fromkeys((400, 404, 410, 413, 422), "failed"),
        **dict.fromkeys((401, 403, 429), "deferred"),
    }


@pytest.mark.parametrize(
    "body", [None, "<html>", [], {"message": "no code"}, {"error": "text"}, {"message": 1, "code": 2}]
)
def test_without_the_apis_own_error_envelope_nothing_fails_for_good(body: Any) -> None:
    assert [status for status in range(100, 600) if kind(outcome_of(status, body)) == "failed"] == []


@pytest.mark.parametrize("body", [ENVELOPE, NESTED])
def test_both_forms_of_the_error_envelope_prove_a_refusal(body: Any) -> None:
    assert isinstance(outcome_of(404, body), Failed)


def test_a_refusal_tells_the_apis_own_words() -> None:
    body = {"message": "Invalid input data", "code": "BAD_REQUEST", "issues": [{"message": "content: too long"}]}
    outcome = outcome_of(400, body)
    told = "the API answered 400, BAD_REQUEST: Invalid input data (content: too long)"
    assert outcome == Failed(reason=told, post_effect=PostEffect.NONE)


def test_a_refusal_in_strange_words_is_made_printable_and_short() -> None:
    outcome = outcome_of(422, {"message": "\x1b[2J\r\n" + "x" * 10_000, "code": "C\0"})
    assert isinstance(outcome, Failed)
    assert outcome.reason.isprintable()
    assert len(outcome.reason) < 400


def test_a_message_in_a_2xx_is_delivered_with_its_ids_normalised() -> None:
    body = {
        "id": "M1",
        "ticketId": "T2",
        "emailMessageId": " <Abc.1@Mail.Ravenna.EXAMPLE> ",
        "emailInReplyTo": "tai-42-1@mail.ravenna.example",
    }
    assert outcome_of(200, body) == Delivered(
        ticket_id="T2",
        ticket_message_id="M1",
        email_message_id="Abc.1@mail.ravenna.example",
        email_in_reply_to="tai-42-1@mail.ravenna.example",
    )


@pytest.mark.parametrize(
    "body", [None, [], "ok", {}, {"id": None}, {"id": ""}, {"id": 7}, {"id": "x" * 999}, {"id": "a\nb"}]
)
def test_a_2xx_that_cannot_be_read_as_a_message_is_in_doubt(body: Any) -> None:
    outcome = outcome_of(200, body)
    assert isinstance(outcome, Deferred)
    assert outcome.post_effect is PostEffect.UNKNOWN


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "999999999"}, responses.MAX_RETRY_AFTER_SECONDS),
        ({"retry-after": "9" * 5000}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
        ({"retry-after": "Mon, 12 Jan 1970 13:47:10 GMT"}, 30.0),
        ({"retry-after": "Mon, 12 Jan 1970 13:46:00 GMT"}, 0.0),
        ({"retry-after": "Tue, 01 Jan 2999 00:00:00 GMT"}, responses.MAX_RETRY_AFTER_SECONDS),
        ({"retry-after": "Fri, 01 Jan 2038 00:00:20 GMT", "date": "Fri, 01 Jan 2038 00:00:00 GMT"}, 20.0),
        ({"retry-after": "Fri, 99 Jan 2038 00:00:20 GMT"}, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date_and_capped(headers: dict[str, str], seconds: float | None) -> None:
    assert responses.parse_retry_after(headers, NOW) == seconds


@pytest.mark.parametrize("status", [429, 503])
def test_the_time_that_the_api_asks_for_reaches_the_outcome(status: int) -> None:
    response = responses.classify(status, {"retry-after": "7"}, None, NOW)
    outcome = responses.post_outcome(response, DRAFT)
    assert isinstance(outcome, Deferred)
    assert outcome.retry_after == 7.0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["a\ud800", "\0", "M1"]),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["id", "error", "code", "message", "issues"]), inner)
    ),
)


@given(status=st.integers(100, 599), body=json_values, header=st.text())
def test_no_answer_is_too_odd_for_an_outcome(status: int, body: Any, header: str) -> None:
    response = responses.classify(status, {"retry-after": header, "date": header}, body, NOW)
    outcome = responses.post_outcome(response, DRAFT)
    assert isinstance(outcome, Delivered | Deferred | Failed)
    assert isinstance(outcome, Delivered) or outcome.reason.isprintable()


def kind(outcome: Delivered | Deferred | Failed) -> str:
    if isinstance(outcome, Deferred):
        return "in doubt" if outcome.post_effect is PostEffect.UNKNOWN else "deferred"
    return "failed" if isinstance(outcome, Failed) else "delivered"


def outcome_of(status: int, body: Any) -> Delivered | Deferred | Failed:
    response: ApiResponse = responses.classify(status, {}, body, NOW)
    return responses.post_outcome(response, DRAFT)


@pytest.mark.parametrize("status", [200, 201])
def test_an_html_page_proves_no_success(status: int) -> None:
    """It is the log-in or maintenance page of a gateway: nothing was connected, archived or uploaded."""
    page = responses.classify(status, {}, None, NOW, is_page=True)
    assert page.response_class is ResponseClass.IN_DOUBT
    assert "HTML page" in page.reason


def test_a_403_is_a_refusal_only_in_the_apis_own_words() -> None:
    """The page of a firewall passes; the API's own envelope stays."""
    assert responses.classify(403, {}, ENVELOPE, NOW).is_refusal
    assert not responses.classify(403, {}, None, NOW, is_page=True).is_refusal
