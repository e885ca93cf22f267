"""What a supervisor and a monitor ask over HTTP: ``/healthz``, ``/readyz``, ``/metrics``.

/healthz   200 while the process lives and its loop turns; a supervisor restarts it otherwise
/readyz    200 while mail can come in; 503 with the reasons otherwise, so that a balancer sends it elsewhere
/metrics   Prometheus' text form
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, disable_created_metrics, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ingest.config.types import split_host_port

CHECK_SECONDS = 5.0
"""What does not answer within this time is not ready."""

Reasons = Callable[[], Awaitable[dict[str, str]]]
"""Why no mail can be taken in now: part of the worker -> reason. Empty: all is well."""


def create_app(reasons: Reasons, refresh: Callable[[], Awaitable[None]]) -> Starlette:
    """The ASGI application. ``refresh`` brings the gauges up to date before a scrape; it may raise nothing."""

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_request: Request) -> Response:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                found = await reasons()
        except TimeoutError:
            found = {"store": f"did not answer within {CHECK_SECONDS:g} seconds"}
        return JSONResponse({"ready": not found, "reasons": found}, status_code=503 if found else 200)

    async def metrics(_request: Request) -> Response:
        await refresh()
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])


disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, that nobody looks at


class _Server(uvicorn.Server):
    """A server that leaves signals to the process it runs in."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Web:
    """The HTTP listener of the worker."""

    def __init__(self, app: Starlette, listen: str) -> None:
        self._address = split_host_port(listen)
        self._server = _Server(
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
        """Take the port.

        Raises:
            OSError: it is taken, or not allowed.
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
        """Base address, known once the port is taken."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    async def run(self) -> None:
        """Answer requests until ``stop``."""
        await self._server.serve([self._socket])

    def stop(self) -> None:
        """End ``run``, after the requests that are being answered."""
        self._server.should_exit = True
