"""Runs the sandbox as a server: inside another process (`Sandbox`), or as a process of its own (`run`)."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ingest.config.settings import SANDBOX_TOKEN
from ingest.sandbox.app import create_app
from ingest.sandbox.faults import CUT
from ingest.sandbox.state import SandboxState


class CuttableProtocol(HttpToolsProtocol):
    """HTTP/1.1 protocol whose requests can close their connection at once, which ASGI itself does not offer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own narrowing
        """Put the function that cuts the connection into the ASGI state of its requests."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, CUT: transport.abort}


class _SandboxServer(uvicorn.Server):
    """A server that sets `ready` once it listens, and leaves signals to the process that it runs in."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


class Sandbox:
    """The sandbox within a running event loop; an async context manager.

    ``port`` 0 lets the system choose. ``data`` and ``journal`` are those of ``SandboxState``."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        data: Path | None = None,
        journal: Path | None = None,
        token: str = SANDBOX_TOKEN,
        lenient: bool = False,
    ) -> None:
        self.token = token
        self.state = SandboxState(data, journal)
        self._app = create_app(self.state, token, lenient=lenient)
        self._address = (host, port)

    @property
    def url(self) -> str:
        """Base address of the API."""
        return f"{self.page}api"

    @property
    def page(self) -> str:
        """Address of the page that shows the tickets."""
        host, port = self._address
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    async def start(self) -> None:
        """Listen; returns when requests are answered.

        Raises:
            OSError: the address cannot be listened on.
        """
        listening = _listen(*self._address)
        self._address = (self._address[0], listening.getsockname()[1])
        self._server = _SandboxServer(_config(self._app))
        self._serving = asyncio.create_task(self._server.serve([listening]))
        await self._server.ready.wait()

    async def stop(self) -> None:
        """Finish the requests that are being answered, for a second at most, and close."""
        self._server.should_exit = True
        await self._serving
        self.state.close()

    async def __aenter__(self) -> "Sandbox":
        await self.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.stop()


def run(
    host: str = "127.0.0.1",
    port: int = 8026,
    data: Path | None = None,
    journal: Path | None = None,
    token: str = SANDBOX_TOKEN,
) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        OSError: the address cannot be listened on.
    """
    state = SandboxState(data, journal)
    try:
        uvicorn.Server(_config(create_app(state, token))).run([_listen(host, port)])
    finally:
        state.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    return listening


def _config(app: Callable[..., Any]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=CuttableProtocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=1,
        backlog=2048,
    )
