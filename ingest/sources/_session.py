"""One SMTP or LMTP connection: aiosmtpd's commands and grammar, within the bounds that a public port needs.

aiosmtpd 1.4.6 keeps what it does well: the order and syntax of commands, envelopes, the PROXY protocol. Replaced are
the parts through which a client could hurt us or itself: the loop around the commands (no bound on memory or time,
replies that name our exceptions), DATA (line by line, without bound), paths (exceptions on odd ones), STARTTLS (twice),
and the cancelling of a handler in the middle of a store. ``docs/decisions/smtp-hardened-aiosmtpd.md`` has the list.
"""

# ruff: noqa: N802 - aiosmtpd finds commands and hooks by these names

import asyncio
from collections.abc import Iterable
from typing import AnyStr

from aiosmtpd.proxy_protocol import get_proxy
from aiosmtpd.smtp import SMTP
from aiosmtpd.smtp import Envelope as Transaction

from ingest import log, metrics
from ingest.envelope import Envelope, ReceivedMessage, SourceRef
from ingest.sources import _replies
from ingest.sources._data import STREAM_LIMIT, EndlessLineError, MessageData, Wire
from ingest.sources._limits import IDLE_COST, PATIENCE, Hold, cost
from ingest.sources._listener import Listener, client_address
from ingest.sources._paths import NULL_PATH, PathError, parse_path, refuse_recipient
from ingest.sources._tls import Certificate
from ingest.sources._trace import protocol, received_field
from ingest.store import StoreUnavailable

LOG = log.get("smtp")
LINGER = 10.0
"""Seconds that our last words may take to reach a client before the connection is cut."""
TLS_HANDSHAKE = 30.0
"""Seconds that a TLS handshake may take."""
DROPPED = 2
"""A message above the size limit is read and dropped for this many times the limit, then the connection is closed."""
_IDLE_COMMANDS = frozenset({"EHLO", "EXPN", "HELO", "HELP", "LHLO", "NOOP", "RSET", "STARTTLS", "VRFY"})
_COMMON = ["DATA", "EXPN", "HELP", "MAIL", "NOOP", "QUIT", "RCPT", "RSET", "STARTTLS", "VRFY"]
_HOOKS = ["handle_MAIL", "handle_RCPT"]
_SMTP_NAMES = _HOOKS + [f"smtp_{name}" for name in [*_COMMON, "EHLO", "HELO"]]
_LMTP_NAMES = _HOOKS + [f"smtp_{name}" for name in [*_COMMON, "LHLO"]]


class SmtpSession(SMTP):
    """One connection. It is its own aiosmtpd handler: ``handle_MAIL`` and ``handle_RCPT`` are aiosmtpd's hooks."""

    line_length_limit = STREAM_LIMIT
    """What aiosmtpd gives its stream as limit; the lengths of lines are ours to judge."""

    def __init__(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        self._listener = listener
        super().__init__(
            self,
            hostname=listener.settings.hostname,
            data_size_limit=listener.settings.max_message_bytes,
            enable_SMTPUTF8=True,
            loop=loop,
        )
        self._client = ""
        self._opened_at = self._active_at = loop.time()
        self._patience = PATIENCE
        self._storing = False
        self._tls = False

    def __dir__(self) -> Iterable[str]:
        """The names that aiosmtpd looks for on each connection; to search them all would cost more than a mail does."""
        return _LMTP_NAMES if self._listener.lmtp else _SMTP_NAMES

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._wire = Wire(self._reader)
        self._client = client_address(transport.get_extra_info("peername"))
        self._listener.sessions.add(self)
        metrics.CONNECTIONS.inc()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the reader. The session ends when it next reads; aiosmtpd would cancel it, in the middle of a store."""
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
        asyncio.StreamReaderProtocol.connection_lost(self, error)

    def eof_received(self) -> bool:
        """Let a client that closes only its sending half have the replies it waits for (TLS has no half-close)."""
        asyncio.StreamReaderProtocol.eof_received(self)
        return not self._tls

    async def _handle_client(self) -> None:
        try:
            if await self._admit():
                await self._converse()
        except EndlessLineError:
            self.end(_replies.TOO_MANY_ERRORS)
        except (EOFError, OSError) as error:
            LOG.debug("connection lost", client=self._client, error=repr(error))
        finally:
            self._leave()

    async def _admit(self) -> bool:
        """Learn who the client is, and whether there is room and leave for it."""
        if self._listener.is_proxy(self._client):
            proxied = await get_proxy(self._reader)
            if not proxied:
                LOG.info("refused: no valid PROXY header", client=self._client)
                return False
            self._client = client_address((proxied.src_addr,)) or self._client
        refusal = self._listener.admit(self._client)
        if refusal:
            self.end(refusal)
        return refusal is None

    def _leave(self) -> None:
        self._listener.sessions.discard(self)
        metrics.CONNECTIONS.dec()
        self._close()

    def end(self, reply: str) -> None:
        """Say why and close."""
        if not self._writer.is_closing():
            self._note(reply)
            self._send(reply)
            self._close()

    @property
    def task(self) -> "asyncio.Task[None]":
        """Runs as long as the session."""
        assert self._handler_coroutine is not None
        return self._handler_coroutine

    def abort(self) -> None:
        """Cut the connection. A store that is running is not: it ends by itself."""
        self._writer.transport.abort()

    def end_if_idle(self) -> None:
        """Close a connection that is between two transactions: we are shutting down."""
        if self._is_idle():
            self.end(_replies.SHUTTING_DOWN)

    def _is_idle(self) -> bool:
        assert self.envelope is not None
        return self.envelope.mail_from is None

    def _close(self) -> None:
        transport = self._writer.transport
        if not transport.is_closing():
            assert self._timeout_handle is not None
            self._timeout_handle.cancel()
            self._timeout_handle = self.loop.call_later(LINGER, transport.abort)
            transport.close()

    # Time

    def _reset_timeout(self, _duration: float | None = None) -> None:
        """Note progress. The timer looks at the note when it goes off, so that no command needs to move it."""
        self._active_at = self.loop.time()
        if self._timeout_handle is None:
            settings = self._listener.settings
            first = min(settings.smtp_idle, settings.smtp_session)
            self._timeout_handle = self.loop.call_later(first, self._timeout_cb)

    def _timeout_cb(self) -> None:
        settings = self._listener.settings
        due = min(self._active_at + settings.smtp_idle, self._opened_at + settings.smtp_session) - self.loop.time()
        if due > 0 or self._storing:
            self._timeout_handle = self.loop.call_later(due if due > 0 else 1.0, self._timeout_cb)
        else:
            self.end(_replies.TOO_SLOW)

    # The commands

    async def _converse(self) -> None:
        try:
            await self._say(f"220 {self.hostname} {'LMTP' if self._listener.lmtp else 'ESMTP'}")
            while not self._writer.is_closing():
                if self._listener.draining and self._is_idle():
                    self.end(_replies.SHUTTING_DOWN)
                    return
                line = await self._wire.line()
                self._reset_timeout()
                await self._obey(line)
        finally:
            self._listener.limits.disconnect(self._client)

    async def _obey(self, line: bytes | None) -> None:
        verb, _, argument = (line or b"").partition(b" ")
        name = verb.decode("ascii", "replace").upper()
        command = self._smtp_methods.get(name)
        if command is None:
            await self.push("500 5.5.2 Line too long" if line is None else "500 5.5.2 Command not recognized")
            return
        try:
            await command(argument.strip().decode("utf-8", "surrogateescape") or None)
        except Exception as error:
            if isinstance(error, EOFError) or self._writer.is_closing():
                raise
            await self.push(await self.handle_exception(error))
        if name in _IDLE_COMMANDS:
            self._spend(IDLE_COST)

    async def handle_exception(self, error: Exception) -> str:
        """A fault of ours is temporary, and its text is for the log only."""
        LOG.error("unexpected error in an SMTP session", client=self._client, exc_info=error)
        return _replies.UNEXPECTED

    async def smtp_EHLO(self, hostname: str | None) -> None:
        settings = self._listener.settings
        extensions = ["PIPELINING", f"SIZE {settings.max_message_bytes}", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"]
        if self._listener.certificate and not self._tls:
            extensions.append("STARTTLS")
        await self._greet(hostname, extensions)

    async def smtp_HELO(self, hostname: str | None) -> None:
        await self._greet(hostname, [])

    async def smtp_LHLO(self, hostname: str | None) -> None:
        await self.smtp_EHLO(hostname)

    async def _greet(self, hostname: str | None, extensions: list[str]) -> None:
        assert self.session is not None
        if not hostname:
            await self.push("501 5.5.4 Say who you are: a host name is missing")
            return
        self._begin_again()
        self.session.host_name = hostname
        self.session.extended_smtp = bool(extensions)
        *first, last = [self.hostname, *extensions]
        await self._say("".join(f"250-{line}\r\n" for line in first) + f"250 {last}")

    def _begin_again(self) -> None:
        self.envelope = self._create_envelope()

    async def smtp_HELP(self, _arg: str | None) -> None:
        await self._say("214 2.0.0 RFC 5321 has the commands")

    async def smtp_VRFY(self, _arg: str | None) -> None:
        await self._say("252 2.5.2 Cannot verify; send the mail, and its recipients are checked")

    async def smtp_QUIT(self, _arg: str | None) -> None:
        self.end("221 2.0.0 Bye")

    async def smtp_STARTTLS(self, arg: str | None) -> None:
        """Octets that came behind the command were sent in the clear, by anyone: they end the session (RFC 3207)."""
        certificate = self._listener.certificate
        if certificate is None:
            await self.push("502 5.5.1 STARTTLS is not available")
        elif arg:
            await self.push("501 5.5.4 STARTTLS takes no argument")
        elif self._tls:
            await self.push("503 5.5.1 TLS is active already")
        elif self._wire.pending or self._reader._buffer:  # type: ignore[attr-defined]  # no public way to ask
            self.end("554 5.5.0 Commands were sent behind STARTTLS")
        else:
            self._send("220 2.0.0 Ready to start TLS")
            await self._start_tls(certificate)

    async def _start_tls(self, certificate: Certificate) -> None:
        """Everything said before counts no more (RFC 3207 section 4.2); who the client is, a proxy told us, does."""
        assert self.session is not None
        transport = await self.loop.start_tls(
            self._writer.transport,
            self,
            certificate.context(),
            server_side=True,
            ssl_handshake_timeout=TLS_HANDSHAKE,
        )
        if transport is None:
            raise EOFError
        self._tls = True
        self.transport = self._reader._transport = transport  # type: ignore[attr-defined]  # its flow control
        self._writer = asyncio.StreamWriter(transport, self, self._reader, self.loop)
        self.session.host_name = None
        self._begin_again()

    # A transaction

    def _getaddr(self, arg: str) -> tuple[str, str]:
        return parse_path(arg) if arg.startswith("<") else ("", "")

    async def smtp_MAIL(self, arg: str | None) -> None:
        try:
            await super().smtp_MAIL(arg)
        except PathError:
            await self.push("553 5.1.7 The sender's address is malformed")

    async def smtp_RCPT(self, arg: str | None) -> None:
        try:
            await super().smtp_RCPT(arg)
        except PathError:
            await self.push("553 5.1.3 The recipient's address is malformed")

    async def handle_MAIL(
        self, _server: SMTP, _session: object, transaction: Transaction, address: str, _options: list[str]
    ) -> str:
        refusal = await self._refuse_mail(transaction, address)
        if refusal is None:
            transaction.mail_from = address
        return refusal or "250 2.1.0 Ok"

    async def _refuse_mail(self, transaction: Transaction, address: str) -> str | None:
        if not address.isascii() and not transaction.smtp_utf8:
            return _replies.NEEDS_SMTPUTF8
        if not self._listener.limits.begin_message(self._client):
            return _replies.TOO_FAST
        reason = await self._listener.refusal()
        if reason is not None:
            LOG.info("no mail can be taken now", reason=reason)
        return None if reason is None else _replies.UNAVAILABLE

    async def handle_RCPT(
        self, _server: SMTP, _session: object, transaction: Transaction, address: str, _options: list[str]
    ) -> str:
        settings = self._listener.settings
        if len(transaction.rcpt_tos) >= settings.max_recipients:
            return _replies.TOO_MANY_RECIPIENTS
        if not address.isascii() and not transaction.smtp_utf8:
            return _replies.NEEDS_SMTPUTF8
        refusal = refuse_recipient(address, settings.domains, settings.recipients)
        if refusal is None:
            transaction.rcpt_tos.append(address)
        return refusal or "250 2.1.5 Ok"

    async def smtp_DATA(self, arg: str | None) -> None:
        assert self.envelope is not None
        if arg:
            await self.push("501 5.5.4 DATA takes no argument")
        elif not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 No recipient was accepted")
        else:
            await self._say("354 End data with <CR><LF>.<CR><LF>")
            with Hold(self._listener.limits) as hold:
                reply = self._for_each_recipient(await self._take(hold))
            self._begin_again()
            await self.push(reply)

    def _for_each_recipient(self, reply: str) -> str:
        """LMTP answers once for each recipient (RFC 2033 section 4.2); ours share one fate."""
        assert self.envelope is not None
        return "\r\n".join([reply] * len(self.envelope.rcpt_tos)) if self._listener.lmtp else reply

    async def _take(self, hold: Hold) -> str:
        """Read a message and store it; the reply that tells what became of it."""
        received_at = self._listener.clock()
        trace = self._trace(received_at)
        data = MessageData(trace, self._listener.settings.max_message_bytes)
        await self._gather(data, hold)
        content = data.content()
        if content is None:
            return _replies.UNAVAILABLE if hold.refused else _replies.TOO_LARGE
        return await self._store(content, len(trace), received_at)

    async def _gather(self, data: MessageData, hold: Hold) -> None:
        rest = None
        while rest is None:
            chunk = await self._wire.chunk()
            self._reset_timeout()
            if data.kept and not hold.take(len(chunk)):
                data.drop()
            rest = data.feed(chunk)
            if not data.kept:
                hold.release()
            if data.dropped > DROPPED * self._listener.settings.max_message_bytes:
                self.end(self._for_each_recipient(_replies.TOO_LARGE))
                raise EOFError
        self._wire.put_back(rest)

    def _trace(self, received_at: float) -> bytes:
        assert self.session is not None
        assert self.envelope is not None
        recipients = self.envelope.rcpt_tos
        return received_field(
            helo=self.session.host_name or "",
            client=self._client,
            hostname=self.hostname,
            with_protocol=protocol(
                lmtp=self._listener.lmtp,
                extended=self.session.extended_smtp,
                tls=self._tls,
                utf8=self.envelope.smtp_utf8,
            ),
            recipient=recipients[0] if len(recipients) == 1 else None,
            received_at=received_at,
        )

    async def _store(self, content: bytes, trace_length: int, received_at: float) -> str:
        message = ReceivedMessage(
            envelope=self._envelope(),
            content=content,
            trace_length=trace_length,
            source_ref=SourceRef(source=self._listener.name),
            received_at=received_at,
        )
        self._storing = True
        try:
            queue_id = await self._listener.receive(message)
        except StoreUnavailable as error:
            LOG.warning("the store takes no mail", reason=str(error))
            return _replies.UNAVAILABLE
        except Exception as error:
            return await self.handle_exception(error)
        finally:
            self._storing = False
            self._reset_timeout()
        self._patience = PATIENCE
        return f"250 2.0.0 Ok: queued as {queue_id}"

    def _envelope(self) -> Envelope:
        assert self.session is not None
        assert self.envelope is not None
        mail_from = self.envelope.mail_from or ""
        return Envelope(
            mail_from="" if mail_from == NULL_PATH else mail_from,
            rcpt_tos=tuple(self.envelope.rcpt_tos),
            helo=self.session.host_name or "",
            client=self._client,
            smtputf8=self.envelope.smtp_utf8,
        )

    # Replies

    async def push(self, status: AnyStr) -> None:
        """Send a reply, of ours or of aiosmtpd's, completed with an enhanced status code, and keep account of it."""
        reply = _replies.enhanced(status if isinstance(status, str) else status.decode())
        self._note(reply)
        await self._say(reply)
        self._spend(cost(reply))

    async def _say(self, reply: str) -> None:
        self._send(reply)
        await self._writer.drain()

    def _send(self, reply: str) -> None:
        self._writer.write(reply.encode("ascii", "replace") + b"\r\n")

    def _note(self, reply: str) -> None:
        if reply[0] in "45":
            metrics.REFUSED.labels(reply[:3]).inc()
            LOG.info("refused", client=self._client, reply=reply, **self._parties())

    def _parties(self) -> dict[str, str]:
        transaction = self.envelope
        if transaction is None or transaction.mail_from is None:
            return {}
        return {"mail_from": log.redact_address(transaction.mail_from), "recipients": str(len(transaction.rcpt_tos))}

    def _spend(self, price: int) -> None:
        self._patience -= price
        if self._patience < 0:
            self.end(_replies.TOO_MANY_ERRORS)
