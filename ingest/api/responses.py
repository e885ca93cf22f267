"""Classifies responses of the API, and turns them into outcomes. No other module maps HTTP to outcomes.

A permanent failure must be proved, and only the API's own error envelope proves that it understood and refused. The
HTML page of a gateway, an undocumented status and an unreadable body all mean "try again later". If a POST may have
had its effect, the outcome says so, and the next attempt looks for the message before it posts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any

import aiohttp
import httpx

from ingest.api import records
from ingest.api.records import Draft, MalformedResponse
from ingest.log import printable
from ingest.model.outcome import DeferCause, Deferred, Delivered, Failed, PostEffect

MAX_RETRY_AFTER_SECONDS = 3600.0
"""A longer ``Retry-After`` is cut to this, so that one wrong header cannot hold mail back for days."""
MAX_REASON_CHARACTERS = 300
"""Text of the API or of a library in a reason: enough for its message, and short enough for a table and a log line."""
MAX_LOCATION_CHARACTERS = 200
MAX_ISSUES = 10
"""Issues of an error envelope that a reason names."""


class ResponseClass(Enum):
    """What a response, or the lack of one, says about a request."""

    ACCEPTED = "done"
    REFUSED = "refused for good, proved by the API's error envelope"
    UNAUTHORIZED = "the token is not accepted"
    FORBIDDEN = "the token may not do this"
    THROTTLED = "too many requests"
    UNREACHED = "certainly no effect: the request was never sent"
    IN_DOUBT = "it may have had its effect"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiResponse:
    """A response (or its absence), classified."""

    response_class: ResponseClass
    reason: str
    """For people: printable, bounded, without the content of messages."""
    status: int | None = None
    """The HTTP status; ``None`` if no response came."""
    body: Any = None
    """The decoded JSON body; ``None`` if the body is no JSON, or there is none."""
    retry_after: float | None = None
    """Seconds to wait before the next request, as the API asked; ``None`` if it did not."""

    @property
    def is_refusal(self) -> bool:
        """True if repeating the request is useless. A 403 counts only with a JSON body: the HTML page of a firewall
        is temporary."""
        return self.response_class is ResponseClass.REFUSED or (
            self.response_class is ResponseClass.FORBIDDEN and self.body is not None
        )


_STATUS_CLASSES: Mapping[int, ResponseClass] = {
    **dict.fromkeys(range(200, 300), ResponseClass.ACCEPTED),
    **dict.fromkeys((400, 404, 410, 413, 422), ResponseClass.REFUSED),
    401: ResponseClass.UNAUTHORIZED,
    403: ResponseClass.FORBIDDEN,
    429: ResponseClass.THROTTLED,
}
"""Every other status is in doubt, also 409: the conflict may be with an earlier request of ours."""

_NEVER_SENT_ERRORS: tuple[type[Exception], ...] = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)
"""Errors before the request was sent. Every other exception leaves the request in doubt: a time-out while reading, a
reset connection, and whatever nobody foresaw."""


class Unavailable(Exception):
    """The API could not answer now, or refused to (``refused`` is True)."""

    def __init__(self, outcome: Deferred, *, refused: bool = False) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome
        self.refused = refused


def classify(status: int, headers: Mapping[str, str], body: Any, now: float, *, is_page: bool = False) -> ApiResponse:
    """Classify an HTTP response.

    ``body`` is the decoded JSON, ``None`` if there is none. ``now`` is a Unix time. ``is_page`` says that the body is
    an HTML page: with a 2xx it is the page of a gateway, and proves nothing."""
    error = _error_envelope(body)
    detail = error or _redirection(status, headers) or ("with an HTML page" if is_page else "")
    response_class = class_of_status(status, is_proved=error is not None)
    is_gateway = is_page and response_class is ResponseClass.ACCEPTED
    return ApiResponse(
        response_class=ResponseClass.IN_DOUBT if is_gateway else response_class,
        reason=f"the API answered {status}" + (f", {detail}" if detail else ""),
        status=status,
        body=body,
        retry_after=parse_retry_after(headers, now),
    )


def classify_error(error: Exception) -> ApiResponse:
    """Classify an exception that a request raised instead of a response."""
    cause = raised_by_aiohttp(error)
    detail = f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__
    reason = printable(f"no answer from the API: {detail}", MAX_REASON_CHARACTERS)
    return ApiResponse(response_class=class_of_error(error), reason=reason)


def class_of_status(status: int, *, is_proved: bool) -> ResponseClass:
    """Return the class of a status. ``is_proved`` says that the body is the API's own error envelope; without it, no
    status is a refusal for good."""
    found = _STATUS_CLASSES.get(status, ResponseClass.IN_DOUBT)
    return ResponseClass.IN_DOUBT if found is ResponseClass.REFUSED and not is_proved else found


def class_of_error(error: Exception) -> ResponseClass:
    """Return ``UNREACHED`` if the exception proves that the request was never sent, else ``IN_DOUBT``."""
    is_unsent = isinstance(raised_by_aiohttp(error), _NEVER_SENT_ERRORS)
    return ResponseClass.UNREACHED if is_unsent else ResponseClass.IN_DOUBT


def raised_by_aiohttp(error: Exception) -> Exception:
    """Return the exception of aiohttp that its httpx transport wrapped, or ``error`` itself if there is none.

    httpx-aiohttp turns a connection that broke after the request was sent into a ``ConnectTimeout``, because in aiohttp
    ``ServerDisconnectedError`` and ``ClientOSError`` are connection errors. If we believed that, we would post a
    message twice."""
    return error.__cause__ if isinstance(error.__cause__, aiohttp.ClientError) else error


def post_outcome(response: ApiResponse, draft: Draft) -> Delivered | Deferred | Failed:
    """Return the outcome of posting a draft."""
    match response.response_class:
        case ResponseClass.ACCEPTED:
            return _delivered(response, draft)
        case ResponseClass.REFUSED:
            return Failed(reason=response.reason, post_effect=PostEffect.NONE)
        case ResponseClass.IN_DOUBT:
            return replace(deferred(response), post_effect=PostEffect.UNKNOWN)
        case ResponseClass.THROTTLED if response.status is not None:
            return replace(deferred(response), post_effect=PostEffect.ANSWERED)
        case _:
            return replace(deferred(response), post_effect=PostEffect.NONE)


def deferred(response: ApiResponse) -> Deferred:
    """Return the outcome "try again later", for a request that certainly had no effect or can be repeated."""
    return Deferred(reason=response.reason, retry_after=response.retry_after, cause=_cause(response))


def _cause(response: ApiResponse) -> DeferCause:
    """Return whose fault a response is. Whether a failure of the API is an outage shows in those of other messages."""
    match response.response_class:
        case ResponseClass.THROTTLED | ResponseClass.UNAUTHORIZED:
            return DeferCause.OUTAGE
        case ResponseClass.UNREACHED | ResponseClass.IN_DOUBT:
            return DeferCause.API_FAILURE
        case _:
            return DeferCause.FAULT if response.status is not None else DeferCause.OUTAGE


def _delivered(response: ApiResponse, draft: Draft) -> Delivered | Deferred:
    try:
        posted = records.parse_message(response.body)
    except MalformedResponse as problem:
        reason = f"{response.reason}, but not with a message: {problem}"
        return Deferred(
            reason=reason,
            retry_after=response.retry_after,
            cause=DeferCause.API_FAILURE,
            post_effect=PostEffect.UNKNOWN,
        )
    return Delivered(
        ticket_id=posted.ticket_id or draft.ticket_id,
        ticket_message_id=posted.id,
        email_message_id=posted.email_message_id,
        email_in_reply_to=posted.email_in_reply_to,
    )


def _error_envelope(body: Any) -> str | None:
    """Return the text ``CODE: message (issues)`` of an error envelope, or ``None`` if the body is none.

    Some versions of the API send it flat, others nested under ``error``."""
    error = body.get("error", body) if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return None
    code, message, issues = error.get("code"), error.get("message"), error.get("issues")
    if not isinstance(code, str) or not isinstance(message, str):
        return None
    detail = "; ".join(_issues(issues)) if isinstance(issues, list) else ""
    return printable(f"{code}: {message}" + (f" ({detail})" if detail else ""), MAX_REASON_CHARACTERS)


def _redirection(status: int, headers: Mapping[str, str]) -> str:
    """Describe a redirection, with what to do. We never follow one: the token would go along."""
    location = printable(headers.get("location", ""), MAX_LOCATION_CHARACTERS) if 300 <= status < 400 else ""
    return f"to go to {location}: if that is right, change RAVENNA_API_URL" if location else ""


def _issues(issues: list[Any]) -> list[str]:
    return [str(issue.get("message")) for issue in issues[:MAX_ISSUES] if isinstance(issue, dict)]


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that ``Retry-After`` asks for (RFC 9110 section 10.2.3), 0 to ``MAX_RETRY_AFTER_SECONDS``, or
    ``None`` if it is missing or malformed.

    A date is compared with the server's own ``Date`` if there is one, so that its clock need not agree with ours."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        seconds = float(value)
    elif (until := _parse_date(value)) is not None:
        seconds = until - (_parse_date(headers.get("date", "")) or now)
    else:
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)


def _parse_date(text: str) -> float | None:
    try:
        found: datetime = parsedate_to_datetime(text)
        return found.timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
