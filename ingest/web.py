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

from ingest.config.types import split_host_port

READY_CHECK_SECONDS = 5.0
"""A check for ``/readyz`` that takes longer counts as not ready. Less would report a slow moment as an outage; with
more, mail would be sent to a worker that cannot store it."""

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


class Web:
    """The HTTP listener of the worker."""

    def __init__(self, app: Starlette, listen: str) -> None:
        """``listen`` is ``host:port``; port 0 lets the system choose."""
        self._address = split_host_port(listen)
        self._server = _SignalFreeServer(
            uvicorn.Config(
                app,
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
