"""Takes in mail by SMTP (RFC 5321) or LMTP (RFC 2033); there is one source for each listening address."""

import asyncio
import logging
import ssl
from collections.abc import Callable

from ingest.config.settings import Settings
from ingest.config.types import split_host_port
from ingest.sources import Receive, Refusal, SourceError
from ingest.sources.smtp.connection import SmtpConnection
from ingest.sources.smtp.limits import SmtpLimits
from ingest.sources.smtp.listener import Listener
from ingest.sources.smtp.session import SmtpSession
from ingest.sources.smtp.tls import Certificate

ABORT_SECONDS = 1.0
"""How long we wait for connections that were cut to end; asyncio needs one turn of its loop for that."""
BACKLOG_CONNECTIONS = 1024
"""Connections that the kernel queues until we accept them; enough for a burst of clients that reconnect at once."""


class SmtpSource:
    """An SMTP or LMTP listener. It answers ``250`` only after ``receive`` has returned, and its replies never contain
    the text of an internal error."""

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
        """``listen`` is ``host:port``, port 0 for any; ``limits`` are shared with other listeners if given."""
        self.host, self.port = split_host_port(listen)
        """The address it listens on; once started, the port that was bound."""
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
        """Bind the address and listen.

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
        """Stop listening, close idle connections, wait up to ``seconds`` for transactions, then cut the rest.

        A message that is still being stored then is stored nevertheless. Its client gets no reply and sends it again,
        and the store finds that it has it."""
        self._listener.draining = True
        if self._server is not None:
            self._server.close()
        for connection in self._connections():
            connection.end_if_idle()
        await self._ended(seconds)
        for connection in self._connections():
            connection.abort()
        await self._ended(ABORT_SECONDS)

    def reload_certificate(self) -> None:
        """Read the certificate again. If it cannot be used, the old one stays, and the log says so."""
        if self._listener.certificate is not None:
            self._listener.certificate.forget()
            self._listener.certificate.context()

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
