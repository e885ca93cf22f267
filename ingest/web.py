"""Answers supervisors and monitors over HTTP: ``/healthz``, ``/readyz``, ``/metrics``.

/healthz   200 while the process lives and its loop turns; a supervisor restarts it otherwise
/readyz    200 while mail can come in; 503 with the reasons otherwise, so that a balancer sends it elsewhere
/metrics   Prometheus' text form
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, disable_created_metrics, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from ingest.config.types import split_host_port

READY_CHECK_SECONDS = 5.0
"""A check for ``/readyz`` that takes longer counts as not ready. Less would report a slow moment as an outage; with
more, mail would be sent to a worker that cannot store it."""

MAX_HEADER_BYTES = 16 * 1024
"""Longest header of a request. Monitors send some hundred bytes; other servers allow 8 to 16 KiB."""
MAX_CONNECTIONS = 64
"""Connections at the same time. A worker has a few monitors; each connection costs memory and a file descriptor, which
mail needs."""
REQUEST_SECONDS = 20.0
"""Longest time from the beginning of a connection or request to the end of its response. The slowest response, that of
``/readyz``, takes ``READY_CHECK_SECONDS``."""

ReadinessCheck = Callable[[], Awaitable[dict[str, str]]]
"""Returns why no mail can be received now: component -> reason. Empty while mail can be received."""


def create_app(
    reasons: ReadinessCheck, refresh: Callable[[], Awaitable[None]], routes: Sequence[Route] = ()
) -> Starlette:
    """Return the ASGI application. ``refresh`` brings the gauges up to date before a scrape, and must not raise.
    ``routes`` are further endpoints."""

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_request: Request) -> Response:
        try:
            async with asyncio.timeout(READY_CHECK_SECONDS):
                found = await reasons()
        except TimeoutError:
            found = {"store": f"did not answer within {READY_CHECK_SECONDS:g} seconds"}
        return JSONResponse({"ready": not found, "reasons": found}, status_code=503 if found else 200)

    async def metrics(_request: Request) -> Response:
        await refresh()
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics), *routes])


disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, that nobody looks at


class _SignalFreeServer(uvicorn.Server):
    """A uvicorn server that leaves SIGTERM and SIGINT to the worker."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _BoundedProtocol(H11Protocol):
    """A connection that is bounded in time and number. uvicorn bounds neither: a client that sends its header byte by
    byte would stay for ever. h11 bounds the header in size; httptools, which uvicorn prefers, does not."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin a connection. If there are too many, the one that has been open for longest without a request gives
        way, so that silent clients cannot shut a monitor out."""
        super().connection_made(transport)
        self._opened_at = self.loop.time()
        self._limit_time()
        if len(self.connections) > MAX_CONNECTIONS:
            others = [other for other in self.connections if isinstance(other, _BoundedProtocol) and other is not self]
            min(others, key=lambda other: (other.is_busy, other._opened_at)).transport.abort()

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request; with the first of them its time begins."""
        if self._timer is None:
            self._limit_time()
        super().data_received(data)

    def on_response_complete(self) -> None:
        """End the time of a request. uvicorn limits the silence until the next one."""
        self._stop_timer()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def _limit_time(self) -> None:
        self._timer = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Web:
    """The HTTP listener of the worker."""

    def __init__(self, app: Starlette, listen: str) -> None:
        """``listen`` is ``host:port``; port 0 lets the system choose."""
        self._address = split_host_port(listen)
        self._server = _SignalFreeServer(
            uvicorn.Config(
                app,
                http=_BoundedProtocol,
                h11_max_incomplete_event_size=MAX_HEADER_BYTES,
                ws="none",
                lifespan="off",
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )

    def bind(self) -> None:
        """Listen on the port.

        Raises:
            OSError: the port is in use, or not allowed.
        """
        host, port = self._address
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise

    @property
    def url(self) -> str:
        """The base address; known after ``bind``."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    async def run(self) -> None:
        """Answer requests until ``stop`` is called."""
        await self._server.serve([self._socket])

    def stop(self) -> None:
        """End ``run`` when the requests in progress are answered."""
        self._server.should_exit = True
