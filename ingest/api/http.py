"""HTTP to the ticket API: ``Http`` sends one request, ``RetryingTransport`` decides when to send it and how often.

Every request is bounded in time and memory, whatever the server does. The transport is that of httpx-aiohttp: httpx's
own connection pool gets slower with each request in flight (``benchmarks/transport.py``).

Retries here are a burst of at most 2 seconds, for a restart of the API or a network that failed for a moment, while
the message is in memory. All longer waits belong to the schedule in the store (``ingest/retry.py``)."""

import asyncio
import json
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from tenacity import AsyncRetrying, RetryCallState, retry_if_result, stop_after_attempt, stop_after_delay
from tenacity.wait import wait_random_exponential

from ingest import __version__
from ingest.api.circuit_breaker import CircuitBreaker
from ingest.api.responses import ApiResponse, ResponseClass, classify, classify_error, raised_by_aiohttp
from ingest.config.settings import ConfigError, Settings
from ingest.metrics import API_REQUESTS, API_SECONDS

MAX_RESPONSE_BYTES = 16 * 1024 * 1024
"""Largest body that is read, after decompression. A page of 100 tickets or messages is far smaller; a larger body
would only fill the memory."""
CONNECT_SECONDS = 10.0
"""Time to connect. An API that is up accepts a connection in well under a second, also from another continent."""
MIN_UPLOAD_BYTES_PER_SECOND = 100_000
"""An upload gets the ordinary time-out and one second for each 100 kB (0.8 Mbit/s); a slower one is given up."""
KEEP_ALIVE_SECONDS = 15.0
"""We close idle connections after this time. Most servers keep them for longer, so none closes one just as we send."""
MAX_TRIES = 3
"""Requests in one burst. Each doubles the load on an API that is in trouble, so there are few."""
BURST_SECONDS = 2.0
"""No new try begins after this time: the message's lease goes on meanwhile, and its delivery slot is taken."""
SHORT_WAIT_SECONDS = 1.0
"""A ``Retry-After`` of up to this much is waited for within the burst; a longer one defers the message."""

_COMMON_HEADERS = {"Accept-Encoding": "identity", "User-Agent": f"email-ingest/{__version__}"}
_MAY_HELP = (ResponseClass.UNREACHED, ResponseClass.THROTTLED, ResponseClass.IN_DOUBT)
_full_jitter = wait_random_exponential(multiplier=0.2, max=0.8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request to a path under the API's base URL."""

    method: str
    path: tuple[str, ...]
    """Path segments. Each is percent-encoded, so that an id from a mail cannot lead to another path."""
    params: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """JSON."""
    headers: Mapping[str, str] = field(default_factory=dict)
    ticket_id: str | None = None
    """The ticket that a message is posted to; ``None`` for every other request."""
    timeout_seconds: float | None = None
    """The time that it may take; ``None``: the API's time-out for posts."""
    has_effect: bool = False
    """Not idempotent (a POST that creates a message): never retried when the outcome is unknown."""


class Http:
    """Sends single requests over a pool of connections, which is open between ``start`` and ``stop``.

    We use httpx's request, response and transport types without ``httpx.Client``: no redirects, cookies, proxies or
    netrc. Their lookup costs a quarter of a request (``benchmarks/transport.py``)."""

    def __init__(self, settings: Settings) -> None:
        self._base_url = settings.api_url
        self._headers = _api_headers(settings)
        self._timeout_seconds = settings.api_timeout
        connect = min(CONNECT_SECONDS, self._timeout_seconds)
        self._extensions = {"timeout": httpx.Timeout(self._timeout_seconds, connect=connect).as_dict()}
        self._max_connections = settings.deliveries + 8

    def use_token(self, settings: Settings) -> None:
        """Send the token of these settings from the next request on.

        Raises:
            ConfigError: no header field can carry it.
        """
        self._headers = _api_headers(settings)

    async def start(self) -> None:
        """Open the connection pool. Connections are made when they are needed."""
        tls = httpx.create_ssl_context()
        connector = aiohttp.TCPConnector(limit=self._max_connections, keepalive_timeout=KEEP_ALIVE_SECONDS, ssl=tls)
        session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        self._transport = AiohttpTransport(client=session, verify=tls)

    async def stop(self) -> None:
        """Close all connections to the API. The client cannot send anything after it."""
        await self._transport.aclose()

    async def send(self, request: Request) -> ApiResponse:
        """Send a request once. Every error but cancellation is returned as a response with its class."""
        seconds = request.timeout_seconds or self._timeout_seconds
        return await self._timed(request.method, self._send_to_api(request), seconds)

    async def put(self, url: str, content: bytes, mime_type: str) -> ApiResponse:
        """Upload bytes to a URL that the API gave, without our token. Errors are returned as ``send`` returns them.

        The time-out grows with the size, see ``MIN_UPLOAD_BYTES_PER_SECOND``."""
        outgoing = httpx.Request(
            "PUT",
            url,
            content=content,
            headers={"Content-Type": mime_type} | _COMMON_HEADERS,
            extensions=self._extensions,
        )
        seconds = self._timeout_seconds + len(content) / MIN_UPLOAD_BYTES_PER_SECOND
        return await self._timed("PUT", self._exchange(outgoing), seconds)

    async def _timed(self, method: str, exchange: Awaitable[ApiResponse], seconds: float) -> ApiResponse:
        """Await the exchange within ``seconds``, count it in the metrics, and classify what it raised."""
        started = time.perf_counter()
        try:
            async with asyncio.timeout(seconds):
                response = await exchange
        except Exception as error:  # an error that nobody foresaw must neither lose a message nor repeat it
            response = classify_error(error)
            label = type(raised_by_aiohttp(error)).__name__
        else:
            label = str(response.status)
        API_REQUESTS.labels(method, label).inc()
        API_SECONDS.labels(method).observe(time.perf_counter() - started)
        return response

    async def _send_to_api(self, request: Request) -> ApiResponse:
        url = "/".join((self._base_url, *(quote(segment, safe="") for segment in request.path)))
        content_type = {"Content-Type": "application/json"} if request.body is not None else {}
        outgoing = httpx.Request(
            request.method,
            url,
            params=request.params or None,
            content=request.body,
            headers={**self._headers, **content_type, **request.headers},
            extensions=self._extensions,
        )
        return await self._exchange(outgoing)

    async def _exchange(self, outgoing: httpx.Request) -> ApiResponse:
        incoming = await self._transport.handle_async_request(outgoing)
        try:
            content = await _read_body(incoming)
        finally:
            await incoming.aclose()
        body = _decode_json(content)
        is_page = bool(content) and body is None and incoming.headers.get("content-type", "").startswith("text/html")
        return classify(incoming.status_code, incoming.headers, body, time.time(), is_page=is_page)


class RetryingTransport:
    """Sends requests through the circuit breaker and retries the ones that are safe to repeat."""

    def __init__(self, http: Http, circuit_breaker: CircuitBreaker) -> None:
        self._http = http
        self._circuit_breaker = circuit_breaker

    async def send(self, request: Request) -> ApiResponse:
        """Send a request, up to ``MAX_TRIES`` times, and return the last response."""
        burst = AsyncRetrying(
            stop=stop_after_attempt(MAX_TRIES) | stop_after_delay(BURST_SECONDS),
            wait=_wait_seconds,
            retry=retry_if_result(_is_retryable(request)),
            retry_error_callback=_last_response,
        )
        response: ApiResponse = await burst(self._try, request)
        return response

    async def _try(self, request: Request) -> ApiResponse:
        if (rejection := self._circuit_breaker.rejection(request.ticket_id)) is not None:
            return rejection
        response = await self._http.send(request)
        self._circuit_breaker.record(response, request.ticket_id)
        return response


def _is_retryable(request: Request) -> Callable[[ApiResponse], bool]:
    """Return the test for responses after which ``request`` may be sent again: for a POST with an effect only those
    that prove that it was never sent. A 429 does not: some servers count a request after they have done it."""
    retryable = (ResponseClass.UNREACHED,) if request.has_effect else _MAY_HELP
    return lambda response: response.response_class in retryable and (response.retry_after or 0.0) <= SHORT_WAIT_SECONDS


def _last_response(state: RetryCallState) -> ApiResponse:
    assert state.outcome is not None
    response: ApiResponse = state.outcome.result()
    return response


def _wait_seconds(state: RetryCallState) -> float:
    """Return what the API asked for plus a random time, so that many messages do not come back together."""
    return (_last_response(state).retry_after or 0.0) + _full_jitter(state)


def _api_headers(settings: Settings) -> dict[str, str]:
    token = settings.api_token.get_secret_value() if settings.api_token is not None else ""
    if not token.isascii() or not token.isprintable():
        raise ConfigError("RAVENNA_API_TOKEN: it has characters that no HTTP field can carry; copy it again")
    name, value = ("Authorization", f"Bearer {token}") if settings.api_bearer else ("x-ravenna-api-token", token)
    return {name: value, "Accept": "application/json"} | _COMMON_HEADERS


async def _read_body(incoming: httpx.Response) -> bytes | None:
    """Return the body; ``None`` if it is too large, or has a content coding other than gzip and deflate."""
    content = bytearray()
    async for chunk in incoming.aiter_raw():
        content += chunk
        if len(content) > MAX_RESPONSE_BYTES:
            return None
    coding = incoming.headers.get("content-encoding", "identity").lower()
    if coding in ("gzip", "deflate"):
        return _inflate(content)
    return bytes(content) if coding == "identity" else None


def _inflate(content: bytearray) -> bytes | None:
    """Decompress a body, up to ``MAX_RESPONSE_BYTES``; return ``None`` if it is larger or broken.

    We ask for no compression, because a few bytes can inflate to gigabytes; some gateways compress all the same."""
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        plain = inflater.decompress(content, MAX_RESPONSE_BYTES)
    except zlib.error:
        return None
    return plain if inflater.eof else None


def _decode_json(content: bytes | None) -> Any:
    try:
        return json.loads(content) if content else None
    except (ValueError, RecursionError):
        return None
