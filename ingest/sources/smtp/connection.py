"""One connection of an SMTP client, with the limits that a public port needs: who may connect, how long, how many
errors, how much memory.

aiosmtpd 1.4.6 has none of these limits, so we run the loop around its commands. The commands are in ``session.py``.
"""

import asyncio
from collections.abc import Iterable
from typing import AnyStr

from aiosmtpd.proxy_protocol import get_proxy
from aiosmtpd.smtp import SMTP

from ingest import log, metrics
from ingest.sources.smtp import replies
from ingest.sources.smtp.data import STREAM_LIMIT_BYTES, EndlessLineError, SmtpReader
from ingest.sources.smtp.limits import ERROR_BUDGET, IDLE_PENALTY, penalty
from ingest.sources.smtp.listener import Listener, client_address

LOG = log.get("smtp")
IDLE_CHECK_SECONDS = 5.0
"""How often it is looked whether a client has been silent for too long: how long that is changes with the number of
connections."""
MIN_SILENCE_SECONDS = 1.0
"""A client that has said something within this time is not silent; it may be waiting for us."""
LINGER_SECONDS = 10.0
"""How long our last reply may take to reach a slow client before the connection is cut."""
_SMTP_COMMANDS = frozenset(
    {"DATA", "EHLO", "EXPN", "HELO", "HELP", "MAIL", "NOOP", "QUIT", "RCPT", "RSET", "STARTTLS", "VRFY"}
)
_LMTP_COMMANDS = _SMTP_COMMANDS - {"EHLO", "HELO"} | {"LHLO"}
_HTTP_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PRI", "PUT", "TRACE"})
_IDLE_COMMANDS = frozenset({"EHLO", "EXPN", "HELO", "HELP", "LHLO", "NOOP", "RSET", "STARTTLS", "VRFY"})


class SmtpConnection(SMTP):
    """A connection, from accept to close. Its task is never cancelled, so that no store is interrupted: it learns of
    the end of the connection when it reads."""

    line_length_limit = STREAM_LIMIT_BYTES
    """The limit that aiosmtpd gives its stream. We check the lengths of lines ourselves."""

    def __init__(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        self._listener = listener
        super().__init__(
            self,
            hostname=listener.settings.hostname,
            data_size_limit=listener.settings.max_message_bytes,
            enable_SMTPUTF8=True,
            loop=loop,
        )
        self.event_handler = None
        self._commands = _LMTP_COMMANDS if listener.lmtp else _SMTP_COMMANDS
        self._client = ""
        self._opened_at = self._active_at = loop.time()
        self._error_budget = ERROR_BUDGET
        self._storing = self._counted = False
        self._tls = False
        self._unsent = bytearray()

    def __dir__(self) -> Iterable[str]:
        """Return nothing. aiosmtpd searches the names of its objects for commands and hooks on each connection, and
        that takes longer than a whole mail; we look commands up when they come."""
        return ()

    # Beginning and end

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a connection: wrap its reader, note the address of the client, and count it."""
        super().connection_made(transport)
        self._input = SmtpReader(self._reader)
        self._client = client_address((transport.get_extra_info("peername") or [None])[0])
        self._listener.connections.add(self)
        metrics.CONNECTIONS.inc()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the reader of the end. aiosmtpd would cancel the task, perhaps while a message is being stored."""
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
        asyncio.StreamReaderProtocol.connection_lost(self, error)

    def eof_received(self) -> bool:
        """Keep the connection open, so that a client that closed only its sending half gets the replies it waits for.
        TLS has no half-close."""
        asyncio.StreamReaderProtocol.eof_received(self)
        return not self._tls

    @property
    def task(self) -> "asyncio.Task[None]":
        """The task of the connection. It outlives the connection if that ends while a message is being stored."""
        assert self._handler_coroutine is not None
        return self._handler_coroutine

    async def _handle_client(self) -> None:
        try:
            if await self._admit():
                await self._run_commands()
        except EndlessLineError:
            self.end(replies.TOO_MANY_ERRORS)
        except (EOFError, OSError) as error:
            LOG.debug("connection lost", client=self._client, error=repr(error))
        finally:
            self._listener.connections.discard(self)
            metrics.CONNECTIONS.dec()
            self._close()
            self._break_cycles()

    async def _admit(self) -> bool:
        """Determine the client's address and return whether it is served; if not, it has been told so where
        possible."""
        if self._listener.is_proxy(self._client):
            proxied = await get_proxy(self._reader)
            if not proxied:
                LOG.info("refused: no valid PROXY header", client=self._client)
                return False
            self._client = client_address(proxied.src_addr) or self._client
        refusal = self._listener.admit(self._client)
        if refusal:
            self.end(refusal)
        self._counted = refusal is None
        return refusal is None

    def end(self, reply: str) -> None:
        """Send ``reply`` and close the connection."""
        if not self._writer.is_closing():
            self._put(reply)
            self._write()
            self._close()

    def end_if_idle(self) -> None:
        """Close the connection, because we shut down, if it is between two transactions."""
        if self._is_idle():
            self.end(replies.SHUTTING_DOWN)

    @property
    def is_silent(self) -> bool:
        """Whether we wait for the client, and have for a while."""
        is_waiting = self._counted and not self._storing and not self._writer.is_closing()
        return is_waiting and self.loop.time() - self._active_at >= MIN_SILENCE_SECONDS

    @property
    def importance(self) -> tuple[bool, int, float]:
        """Whether it is within a transaction, how few connections its client has, and when it was last heard of."""
        return not self._is_idle(), -self._listener.limits.connections_of(self._client), self._active_at

    def give_way(self) -> None:
        """Close the connection because others need its place, which is free at once."""
        self.end(replies.TOO_CROWDED)
        self._uncount()

    def _uncount(self) -> None:
        if self._counted:
            self._counted = False
            self._listener.limits.disconnect(self._client)

    def abort(self) -> None:
        """Close the connection at once. A message that is being stored is stored nevertheless."""
        self._writer.transport.abort()

    def _is_idle(self) -> bool:
        assert self.envelope is not None
        return self.envelope.mail_from is None

    def _close(self) -> None:
        transport = self._writer.transport
        if not transport.is_closing():
            assert self._timeout_handle is not None
            self._timeout_handle.cancel()
            self._timeout_handle = self.loop.call_later(LINGER_SECONDS, transport.abort)
            transport.close()

    def _break_cycles(self) -> None:
        """Break reference cycles so that memory is freed now instead of at the next garbage collection."""
        self._client_connected_cb = None
        del self._writer

    # Time

    def _reset_timeout(self, _duration: float | None = None) -> None:
        """Record the time of progress. The timer checks it when it expires, so that no command needs to move the
        timer."""
        self._active_at = self.loop.time()
        if self._timeout_handle is None:
            settings = self._listener.settings
            first = min(settings.smtp_idle, settings.smtp_session, IDLE_CHECK_SECONDS)
            self._timeout_handle = self.loop.call_later(first, self._timeout_cb)

    def _timeout_cb(self) -> None:
        settings = self._listener.settings
        idle_until = self._active_at + self._listener.limits.idle_seconds()
        due = min(idle_until, self._opened_at + settings.smtp_session) - self.loop.time()
        if due > 0 or self._storing:
            seconds = min(due, IDLE_CHECK_SECONDS) if due > 0 else 1.0
            self._timeout_handle = self.loop.call_later(seconds, self._timeout_cb)
        else:
            self.end(replies.TOO_SLOW)

    # Commands

    async def _run_commands(self) -> None:
        try:
            self._put(f"220 {self.hostname} {'LMTP' if self._listener.lmtp else 'ESMTP'}")
            while not self._writer.is_closing():
                if self._listener.draining:
                    self.end_if_idle()
                line = await self._next_line()
                self._reset_timeout()
                await self._run_command(line)
        finally:
            self._uncount()

    async def _next_line(self) -> bytes | None:
        """Return the next command. Replies are sent only when we would have to wait for it, so that replies to commands
        that came together go out together (RFC 2920 section 3.2)."""
        if not self._input.has_line:
            await self._flush()
        return await self._input.line()

    async def _run_command(self, line: bytes | None) -> None:
        verb, _, argument = (line or b"").partition(b" ")
        name = verb.decode("ascii", "replace").upper()
        if name in _HTTP_METHODS:
            # A browser or a server was made to send its request here; in its body may be mail (cross-protocol attack).
            self.end(replies.NO_HTTP)
            return
        if name not in self._commands:
            await self.push("500 5.5.2 Line too long" if line is None else "500 5.5.2 Command not recognized")
            return
        try:
            await getattr(self, f"smtp_{name}")(argument.strip().decode("utf-8", "surrogateescape") or None)
        except Exception as error:
            if isinstance(error, EOFError) or self._writer.is_closing():
                raise
            await self.push(await self.handle_exception(error))
        if name in _IDLE_COMMANDS:
            self._charge(IDLE_PENALTY)

    async def handle_exception(self, error: Exception) -> str:
        """Log an unexpected error of ours and return the reply for it: a temporary failure without the error's text."""
        LOG.error("unexpected error in an SMTP session", client=self._client, exc_info=error)
        return replies.UNEXPECTED

    # Replies

    async def push(self, status: AnyStr) -> None:
        """Send a reply of ours or of aiosmtpd, the latter completed with an enhanced status code, and charge its
        penalty to the session's error budget."""
        reply = replies.enhanced(status if isinstance(status, str) else status.decode())
        self._put(reply)
        self._charge(penalty(reply))

    def _put(self, reply: str) -> None:
        self._unsent += reply.encode("ascii", "replace") + b"\r\n"
        if reply[0] in "45":
            self._note(reply)

    async def _flush(self) -> None:
        self._write()
        await self._writer.drain()

    def _write(self) -> None:
        self._writer.write(bytes(self._unsent))
        self._unsent.clear()

    def _note(self, reply: str) -> None:
        metrics.REFUSED.labels(reply[:3]).inc()
        transaction = self.envelope
        sender = transaction.mail_from if transaction else None
        # Surplus recipients may be thousands; every other refusal costs part of the error budget, which bounds their
        # number.
        write = LOG.info if penalty(reply) else LOG.debug
        write("refused", client=self._client, reply=reply, mail_from=sender and log.redact_address(sender))

    def _charge(self, points: int) -> None:
        self._error_budget -= points
        if self._error_budget < 0:
            self.end(replies.TOO_MANY_ERRORS)
