"""Mail that comes by SMTP (RFC 5321) or LMTP (RFC 2033): a listener of its own for each address."""

import asyncio
import logging
import ssl
from collections.abc import Callable

from ingest.config.settings import Settings
from ingest.config.types import split_host_port
from ingest.sources import Receive, SourceError
from ingest.sources.smtp.connection import SmtpConnection
from ingest.sources.smtp.limits import SmtpLimits
from ingest.sources.smtp.listener import Listener, Refusal
from ingest.sources.smtp.session import SmtpSession
from ingest.sources.smtp.tls import Certificate

ABORT_SECONDS = 1.0
"""Seconds that a connection may take to notice that it was cut."""
BACKLOG_CONNECTIONS = 1024
"""Connections that the system keeps for us until we accept them."""


class SmtpSource:
    """A listener. Answers ``250`` only after ``receive`` has returned, and never says what went wrong inside."""

    def __init__(
        self,
        listen: str,
        *,
        receive: Receive,
        refusal: Refusal,
        settings: Settings,
        clock: Callable[[], float],
        lmtp: bool = False,
        limits: SmtpLimits | None = None,
    ) -> None:
        """``listen`` is ``host:port``, port 0 for any; ``limits`` are those shared with other listeners, if any."""
        self.host, self.port = split_host_port(listen)
        """Where it listens; once started, the port that was really bound."""
        self._listener = Listener(
            receive=receive,
            refusal=refusal,
            settings=settings,
            clock=clock,
            lmtp=lmtp,
            limits=limits or SmtpLimits(settings, clock),
        )
        self._server: asyncio.Server | None = None
        self.name = self._name()

    def _name(self) -> str:
        return f"{'lmtp' if self._listener.lmtp else 'smtp'}:{self.port}"

    async def start(self) -> None:
        """Listen.

        Raises:
            SourceError: the address cannot be used, or the certificate cannot be read.
        """
        # aiosmtpd logs command lines and addresses as they come; ours are redacted.
        logging.getLogger("mail").setLevel(logging.CRITICAL)
        self._listener.certificate = self._certificate()
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: SmtpSession(self._listener, loop), self.host, self.port, backlog=BACKLOG_CONNECTIONS
            )
        except (OSError, OverflowError) as error:
            raise SourceError(f"cannot listen on {self.host}:{self.port}: {error}; choose another address") from error
        self.port = self._server.sockets[0].getsockname()[1]
        self.name = self._listener.name = self._name()

    async def drain(self, seconds: float) -> None:
        """Listen no more; send idle clients away; let transactions end for up to ``seconds``, then cut them.

        A store that is still running then is left to end by itself: its client will not hear, and send the mail again,
        and the store knows it by then."""
        self._listener.draining = True
        if self._server is not None:
            self._server.close()
        for connection in self._connections():
            connection.end_if_idle()
        await self._ended(seconds)
        for connection in self._connections():
            connection.abort()
        await self._ended(ABORT_SECONDS)

    def _connections(self) -> tuple[SmtpConnection, ...]:
        return tuple(self._listener.connections)

    async def _ended(self, seconds: float) -> None:
        tasks = [connection.task for connection in self._connections()]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    def _certificate(self) -> Certificate | None:
        chain, key = self._listener.settings.tls_certificate, self._listener.settings.tls_key
        if chain is None or key is None:
            return None
        try:
            return Certificate(chain, key)
        except (OSError, ssl.SSLError) as error:
            raise SourceError(f"cannot use {chain} with {key}: {error}; check INGEST_TLS_CERTIFICATE") from error
