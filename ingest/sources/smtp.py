"""Mail that comes by SMTP (RFC 5321) or LMTP (RFC 2033): a listener of its own for each address."""

import asyncio
import logging
import ssl
from collections.abc import Callable

from ingest.config import Settings, split_host_port
from ingest.sources import Receive, SourceError
from ingest.sources._limits import Limits
from ingest.sources._listener import Listener, Refusal
from ingest.sources._session import SmtpSession
from ingest.sources._tls import Certificate

BACKLOG = 1024
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
        limits: Limits | None = None,
    ) -> None:
        """``listen`` is ``host:port``, port 0 for any; ``limits`` are those shared with other listeners, if any."""
        self.host, self.port = split_host_port(listen)
        """Where it listens; once started, the port that was really bound."""
        self._receive = receive
        self._refusal = refusal
        self._settings = settings
        self._clock = clock
        self._lmtp = lmtp
        self._limits = limits or Limits(settings, clock)
        self.name = self._name()

    def _name(self) -> str:
        return f"{'lmtp' if self._lmtp else 'smtp'}:{self.port}"

    async def start(self) -> None:
        """Listen.

        Raises:
            SourceError: the address cannot be used, or the certificate cannot be read.
        """
        # aiosmtpd logs command lines and addresses as they come; ours are redacted.
        logging.getLogger("mail").setLevel(logging.CRITICAL)
        loop = asyncio.get_running_loop()
        self._listener = Listener(
            receive=self._receive,
            refusal=self._refusal,
            settings=self._settings,
            clock=self._clock,
            lmtp=self._lmtp,
            limits=self._limits,
            certificate=self._certificate(),
        )
        try:
            self._server = await loop.create_server(
                lambda: SmtpSession(self._listener, loop), self.host, self.port, backlog=BACKLOG
            )
        except (OSError, OverflowError) as error:
            raise SourceError(f"cannot listen on {self.host}:{self.port}: {error}; choose another address") from error
        self.port = self._server.sockets[0].getsockname()[1]
        self.name = self._listener.name = self._name()

    async def drain(self, seconds: float) -> None:
        """Listen no more; tell idle clients to come back later; let transactions end, for up to ``seconds``."""
        self._server.close()
        self._listener.draining = True
        sessions = list(self._listener.sessions)
        for session in sessions:
            session.end_if_idle()
        tasks = [session.task for session in sessions]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for session in list(self._listener.sessions):
            session.abort()

    def _certificate(self) -> Certificate | None:
        chain, key = self._settings.tls_certificate, self._settings.tls_key
        if chain is None or key is None:
            return None
        try:
            return Certificate(chain, key)
        except (OSError, ssl.SSLError) as error:
            raise SourceError(f"cannot use {chain} with {key}: {error}; check INGEST_TLS_CERTIFICATE") from error
