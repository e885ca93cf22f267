"""What an answer of the API means: the one table that turns HTTP into outcomes.

The principle: permanent must be proved. Only the API's own error envelope proves that it understood and refused. The
HTML page of a gateway, a status that nobody documented, a body that cannot be read: all that is "try again later".
And where a POST may have had its effect, the outcome says so, so that the next attempt looks before it posts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any

import aiohttp
import httpx

from ingest.api import records
from ingest.api.records import Draft, Unreadable
from ingest.log import printable
from ingest.model.outcome import Deferred, Delivered, Failed

MAX_RETRY_AFTER = 3600.0
"""Seconds. A server that asks for more is asked again after this time."""


class ResponseClass(Enum):
    """What an answer, or the lack of one, says about a request."""

    ACCEPTED = "done"
    REFUSED = "refused for good, proved by the API's error envelope"
    UNAUTHORIZED = "the token is not accepted"
    FORBIDDEN = "the token may not do this"
    THROTTLED = "too many requests"
    UNREACHED = "certainly no effect: the request was never sent"
    IN_DOUBT = "it may have had its effect"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiResponse:
    """An answer, judged."""

    meaning: ResponseClass
    reason: str
    """For people: printable, bounded, without content."""
    status: int | None = None
    """``None`` where no answer came."""
    body: Any = None
    """The JSON of the body; ``None`` where there is none."""
    retry_after: float | None = None

    @property
    def is_refusal(self) -> bool:
        """Whether asking again is in vain. That the token may not do this counts in the API's own words only: the page
        of a firewall behind a 403 passes."""
        return self.meaning is ResponseClass.REFUSED or (
            self.meaning is ResponseClass.FORBIDDEN and self.body is not None
        )


_STATUSES: Mapping[int, ResponseClass] = {
    **dict.fromkeys(range(200, 300), ResponseClass.ACCEPTED),
    **dict.fromkeys((400, 404, 410, 413, 422), ResponseClass.REFUSED),
    401: ResponseClass.UNAUTHORIZED,
    403: ResponseClass.FORBIDDEN,
    429: ResponseClass.THROTTLED,
}
"""Every other status, known or not, is in doubt. 409 too: it may be the conflict with our own earlier request."""

_NEVER_SENT: tuple[type[Exception], ...] = (
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
"""Every other exception is in doubt: time-outs of reading, resets, and whatever nobody has thought of."""


class Unavailable(Exception):
    """The API could not answer now, or did not want to (``refused``)."""

    def __init__(self, outcome: Deferred, *, refused: bool = False) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome
        self.refused = refused


def of_status(status: int, *, proved: bool) -> ResponseClass:
    """The meaning of a status; ``proved`` says that the body is the API's own error envelope."""
    meaning = _STATUSES.get(status, ResponseClass.IN_DOUBT)
    return ResponseClass.IN_DOUBT if meaning is ResponseClass.REFUSED and not proved else meaning


def raised_by_aiohttp(error: Exception) -> Exception:
    """What aiohttp itself raised, where its httpx transport put another name on it.

    httpx-aiohttp calls a connection that broke after the request was sent a ``ConnectTimeout``, because to aiohttp
    ``ServerDisconnectedError`` and ``ClientOSError`` are connection errors. Taken at its word, a message would be
    posted twice."""
    return error.__cause__ if isinstance(error.__cause__, aiohttp.ClientError) else error


def of_error(error: Exception) -> ResponseClass:
    """The meaning of an exception."""
    return ResponseClass.UNREACHED if isinstance(raised_by_aiohttp(error), _NEVER_SENT) else ResponseClass.IN_DOUBT


def judge_response(
    status: int, headers: Mapping[str, str], body: Any, now: float, *, is_page: bool = False
) -> ApiResponse:
    """``body`` is the JSON of the answer, ``None`` where it was not readable; ``now`` is a Unix time. ``is_page``: it
    is an HTML page; with a 200, some gateway's."""
    envelope = _envelope(body)
    told = envelope or _redirection(status, headers) or ("with an HTML page" if is_page else "")
    meaning = of_status(status, proved=envelope is not None)
    return ApiResponse(
        meaning=ResponseClass.IN_DOUBT if meaning is ResponseClass.ACCEPTED and is_page else meaning,
        reason=f"the API answered {status}" + (f", {told}" if told else ""),
        status=status,
        body=body,
        retry_after=retry_after(headers, now),
    )


def judge_error(error: Exception) -> ApiResponse:
    cause = raised_by_aiohttp(error)
    told = f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__
    return ApiResponse(meaning=of_error(error), reason=printable(f"no answer from the API: {told}", 300))


def outcome(answer: ApiResponse, draft: Draft) -> Delivered | Deferred | Failed:
    """What became of a draft that was posted."""
    match answer.meaning:
        case ResponseClass.ACCEPTED:
            return _delivered(answer, draft)
        case ResponseClass.REFUSED:
            return Failed(reason=answer.reason)
        case ResponseClass.IN_DOUBT:
            return Deferred(reason=answer.reason, retry_after=answer.retry_after, unconfirmed=True)
        case _:
            return deferred(answer)


def deferred(answer: ApiResponse) -> Deferred:
    """Try again later, and nothing happened now."""
    return Deferred(reason=answer.reason, retry_after=answer.retry_after)


def _delivered(answer: ApiResponse, draft: Draft) -> Delivered | Deferred:
    try:
        posted = records.message(answer.body)
    except Unreadable as problem:
        reason = f"{answer.reason}, but not with a message: {problem}"
        return Deferred(reason=reason, retry_after=answer.retry_after, unconfirmed=True)
    return Delivered(
        ticket_id=posted.ticket_id or draft.ticket_id,
        ticket_message_id=posted.id,
        email_message_id=posted.email_message_id,
        email_in_reply_to=posted.email_in_reply_to,
    )


def _envelope(body: Any) -> str | None:
    """``CODE: message (issues)`` of the error envelope, flat or nested as the versions have it; ``None`` for none."""
    error = body.get("error", body) if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return None
    code, message, issues = error.get("code"), error.get("message"), error.get("issues")
    if not isinstance(code, str) or not isinstance(message, str):
        return None
    told = "; ".join(_issues(issues)) if isinstance(issues, list) else ""
    return printable(f"{code}: {message}" + (f" ({told})" if told else ""), 300)


def _redirection(status: int, headers: Mapping[str, str]) -> str:
    """We never follow: the token would go along."""
    location = printable(headers.get("location", ""), 200) if 300 <= status < 400 else ""
    return f"to go to {location}: if that is right, change RAVENNA_API_URL" if location else ""


def _issues(issues: list[Any]) -> list[str]:
    return [str(issue.get("message")) for issue in issues[:10] if isinstance(issue, dict)]


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that ``Retry-After`` asks for (RFC 9110 section 10.2.3), 0 to ``MAX_RETRY_AFTER``; ``None`` for none.

    A date is read against the server's own ``Date`` where there is one, so that its clock need not agree with ours."""
    given = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", given):
        seconds = float(given)
    elif (until := _date(given)) is not None:
        seconds = until - (_date(headers.get("date", "")) or now)
    else:
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _date(text: str) -> float | None:
    try:
        found: datetime = parsedate_to_datetime(text)
        return found.timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
