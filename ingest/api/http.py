"""One request to the API and its answer, bounded in time and memory, whatever the other side does.

httpx's interface over aiohttp's connections: httpx's own pool costs more with each request in flight (``benchmarks/
transport.py``)."""

import asyncio
import json
import time
import zlib
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from ingest import __version__
from ingest.api.responses import ApiResponse, judge_error, judge_response, raised_by_aiohttp
from ingest.config.settings import ConfigError, Settings
from ingest.metrics import API_REQUESTS, API_SECONDS

MAX_ANSWER = 16 * 1024 * 1024
"""Octets of an answer's body, after decompression."""
CONNECT_SECONDS = 10.0
SLOWEST_UPLOAD = 100_000
"""Octets a second below which an upload is given up."""
KEEP_ALIVE_SECONDS = 15.0
"""Idle connections are closed by us after this time, before most servers close them under a request of ours."""
_COMMON = {"Accept-Encoding": "identity", "User-Agent": f"email-ingest/{__version__}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request under the API's base address."""

    method: str
    path: tuple[str, ...]
    """Segments, quoted when they are put together, so that none can lead elsewhere."""
    params: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """JSON."""
    headers: Mapping[str, str] = field(default_factory=dict)
    ticket_id: str | None = None
    """The ticket that a message is posted to; ``None`` for every other request."""
    has_effect: bool = False
    """Doing it twice is more than doing it once, as with a message; in doubt it is not repeated."""


class Http:
    """The connections to the API; open between ``start`` and ``stop``.

    httpx's requests, responses and transport, without its client: we want no redirects, cookies, proxies or passwords
    from files, and its looking for them is a quarter of what a request costs."""

    def __init__(self, settings: Settings) -> None:
        self._base = settings.api_url
        self._headers = _headers(settings)
        self._seconds = settings.api_timeout
        connect = min(CONNECT_SECONDS, self._seconds)
        self._extensions = {"timeout": httpx.Timeout(self._seconds, connect=connect).as_dict()}
        self._connections = settings.deliveries + 8

    async def start(self) -> None:
        tls = httpx.create_ssl_context()
        connector = aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=KEEP_ALIVE_SECONDS, ssl=tls)
        session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        self._transport = AiohttpTransport(client=session, verify=tls)

    async def stop(self) -> None:
        await self._transport.aclose()

    async def exchange(self, request: Request) -> ApiResponse:
        """Send a request once. Raises nothing but ``CancelledError``: what went wrong is in the answer."""
        return await self._timed(request.method, self._exchange(request), self._seconds)

    async def put(self, url: str, content: bytes, mime_type: str) -> ApiResponse:
        """Put octets to an address that the API gave, without our token. As ``exchange``, with time for the size."""
        outgoing = httpx.Request(
            "PUT", url, content=content, headers={"Content-Type": mime_type} | _COMMON, extensions=self._extensions
        )
        return await self._timed("PUT", self._send(outgoing), self._seconds + len(content) / SLOWEST_UPLOAD)

    async def _timed(self, method: str, answering: Awaitable[ApiResponse], seconds: float) -> ApiResponse:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(seconds):
                answer = await answering
        except Exception as error:  # whatever nobody thought of must neither lose a message nor repeat it
            answer = judge_error(error)
            label = type(raised_by_aiohttp(error)).__name__
        else:
            label = str(answer.status)
        API_REQUESTS.labels(method, label).inc()
        API_SECONDS.labels(method).observe(time.perf_counter() - started)
        return answer

    async def _exchange(self, request: Request) -> ApiResponse:
        url = "/".join((self._base, *(quote(segment, safe="") for segment in request.path)))
        kind = {"Content-Type": "application/json"} if request.body is not None else {}
        outgoing = httpx.Request(
            request.method,
            url,
            params=request.params or None,
            content=request.body,
            headers={**self._headers, **kind, **request.headers},
            extensions=self._extensions,
        )
        return await self._send(outgoing)

    async def _send(self, outgoing: httpx.Request) -> ApiResponse:
        response = await self._transport.handle_async_request(outgoing)
        try:
            body = await _read(response)
        finally:
            await response.aclose()
        found = _json(body)
        is_page = bool(body) and found is None and response.headers.get("content-type", "").startswith("text/html")
        return judge_response(response.status_code, response.headers, found, time.time(), is_page=is_page)


def _headers(settings: Settings) -> dict[str, str]:
    token = settings.api_token.get_secret_value() if settings.api_token is not None else ""
    if not token.isascii() or not token.isprintable():
        raise ConfigError("RAVENNA_API_TOKEN: it has characters that no HTTP field can carry; copy it again")
    name, value = ("Authorization", f"Bearer {token}") if settings.api_bearer else ("x-ravenna-api-token", token)
    return {name: value, "Accept": "application/json"} | _COMMON


async def _read(response: httpx.Response) -> bytes | None:
    """The body; ``None`` where it is too large, or coded in a way that we did not ask for."""
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > MAX_ANSWER:
            return None
    coding = response.headers.get("content-encoding", "identity").lower()
    if coding in ("gzip", "deflate"):
        return _inflate(content)
    return bytes(content) if coding == "identity" else None


def _inflate(content: bytearray) -> bytes | None:
    """We ask for no compression, because a few octets can inflate to gigabytes; some gateways compress all the same."""
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        plain = inflater.decompress(content, MAX_ANSWER)
    except zlib.error:
        return None
    return plain if inflater.eof else None


def _json(body: bytes | None) -> Any:
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        return None
