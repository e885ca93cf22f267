"""The commands of one SMTP or LMTP client and its transactions, from EHLO to a stored message.

aiosmtpd 1.4.6 checks the order and syntax of MAIL, RCPT and the small commands, and keeps the envelope. We replace the
parts through which a client could harm us or itself: DATA (read line by line, without bound), paths (exceptions on odd
ones), STARTTLS (possible twice). ``docs/decisions/smtp-hardened-aiosmtpd.md`` has the whole list.
"""
# ruff: noqa: N802 - commands are found by their names

import re
from collections.abc import Sequence
from typing import Any

from aiosmtpd.smtp import MISSING

from ingest import log
from ingest.model.envelope import Envelope, ReceivedMessage, SourceRef
from ingest.sources.smtp import replies
from ingest.sources.smtp.connection import SmtpConnection
from ingest.sources.smtp.data import MessageData
from ingest.sources.smtp.limits import ERROR_BUDGET, MemoryReservation
from ingest.sources.smtp.paths import NULL_PATH, PathError, parse_path, refuse_recipient
from ingest.sources.smtp.tls import Certificate
from ingest.sources.smtp.trace import protocol, received_field
from ingest.store import StoreUnavailable

LOG = log.get("smtp")
TLS_HANDSHAKE_SECONDS = 30.0
"""Longest TLS handshake; slow links need some seconds, and a client that stalls holds a connection for so long."""
MAX_DROPPED_RATIO = 2
"""A message above the size limit is read and dropped up to this many times the limit, so that the client gets our
reply; then the connection is closed."""

_OFFERED = frozenset({"BODY", "SIZE", "SMTPUTF8"})
_FOREIGN = re.compile(r"[A-Z0-9][A-Z0-9-]*=.+|X[A-Z0-9-]+")
"""Parameters that can be ignored; names that begin with X are private to an MTA."""


class SmtpSession(SmtpConnection):
    """The commands that a client may send."""

    # Before a transaction

    async def smtp_EHLO(self, hostname: str | None) -> None:
        """Answer EHLO with the extensions that we offer; STARTTLS only with a certificate and outside TLS."""
        settings = self._listener.settings
        extensions = ["PIPELINING", f"SIZE {settings.max_message_bytes}", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"]
        if self._listener.certificate and not self._tls:
            extensions.append("STARTTLS")
        await self._hello(hostname, extensions)

    async def smtp_HELO(self, hostname: str | None) -> None:
        """Answer HELO, without extensions."""
        await self._hello(hostname, [])

    async def smtp_LHLO(self, hostname: str | None) -> None:
        """Answer LHLO, which is EHLO under LMTP (RFC 2033 section 4.1)."""
        await self.smtp_EHLO(hostname)

    async def _hello(self, hostname: str | None, extensions: list[str]) -> None:
        assert self.session is not None
        if not hostname:
            await self.push("501 5.5.4 Say who you are: a host name is missing")
            return
        self._reset_transaction()
        self.session.host_name = hostname
        self.session.extended_smtp = bool(extensions)
        *first, last = [self.hostname, *extensions]
        self._put("".join(f"250-{line}\r\n" for line in first) + f"250 {last}")

    def _reset_transaction(self) -> None:
        self.envelope = self._create_envelope()

    async def smtp_HELP(self, _arg: str | None) -> None:
        """Refer to the RFC."""
        await self.push("214 2.0.0 RFC 5321 has the commands")

    async def smtp_VRFY(self, _arg: str | None) -> None:
        """Answer 252, which tells nothing: VRFY would let strangers collect addresses (RFC 5321 section 7.3)."""
        await self.push("252 2.5.2 Cannot verify; send the mail, and its recipients are checked")

    async def smtp_QUIT(self, _arg: str | None) -> None:
        """Say goodbye and close the connection."""
        self.end("221 2.0.0 Bye")

    async def smtp_STARTTLS(self, arg: str | None) -> None:
        """Start TLS. Octets that came after the command were sent in clear, perhaps by an attacker: they end the
        session (RFC 3207 section 5; STARTTLS injection, CVE-2011-0411)."""
        certificate = self._listener.certificate
        if certificate is None:
            await self.push("502 5.5.1 STARTTLS is not available")
        elif arg:
            await self.push("501 5.5.4 STARTTLS takes no argument")
        elif self._tls:
            await self.push("503 5.5.1 TLS is active already")
        elif self._input.pending or self._reader._buffer:  # type: ignore[attr-defined]  # no public way to ask
            self.end("554 5.5.0 Commands were sent behind STARTTLS")
        else:
            self._put("220 2.0.0 Ready to start TLS")
            self._write()
            await self._start_tls(certificate)

    async def _start_tls(self, certificate: Certificate) -> None:
        """Upgrade to TLS and reset the session (RFC 3207 section 4.2). The client address from the PROXY header is
        kept.

        Nothing may be awaited between the check for early octets and ``start_tls``, which stops reading at once."""
        assert self.session is not None
        transport = await self.loop.start_tls(
            self._writer.transport,
            self,
            certificate.context(),
            server_side=True,
            ssl_handshake_timeout=TLS_HANDSHAKE_SECONDS,
        )
        if transport is None:
            raise EOFError
        self._tls = True
        # asyncio's streams cannot be given another transport in public; aiosmtpd reaches for the same two fields.
        self._reader._transport = transport  # type: ignore[attr-defined]  # see above
        self._writer._transport = transport  # type: ignore[attr-defined]  # see above
        self.transport = transport
        self.session.host_name = None
        self._reset_transaction()

    # A transaction

    def _getaddr(self, arg: str) -> tuple[str, str]:
        return parse_path(arg) if arg.startswith("<") else ("", "")

    def _getparams(self, params: Sequence[str]) -> dict[str, str | bool] | None:
        """Return the parameters of MAIL or RCPT (in capitals) that we offer, and what is no ``KEY=VALUE``.

        The others are taken and ignored: MTAs send ``AUTH=<>``, ``RET``, ``ENVID``, ``NOTIFY``, ``ORCPT`` and their own
        without being offered them, and a 555 would bounce the mail. One without a value, such as REQUIRETLS, may be a
        demand that we do not meet, and stays refused."""
        ours = [word for word in params if word.partition("=")[0] in _OFFERED or not _FOREIGN.fullmatch(word)]
        return super()._getparams(ours)

    async def smtp_MAIL(self, arg: str | None) -> None:
        """Begin a transaction, as aiosmtpd does; a malformed sender is refused with 553."""
        try:
            await super().smtp_MAIL(arg)
        except PathError:
            await self.push("553 5.1.7 The sender's address is malformed")

    async def smtp_RCPT(self, arg: str | None) -> None:
        """Add a recipient, as aiosmtpd does; a malformed address is refused with 553."""
        try:
            await super().smtp_RCPT(arg)
        except PathError:
            await self.push("553 5.1.3 The recipient's address is malformed")

    async def _call_handler_hook(self, command: str, *args: Any) -> Any:
        """Decide on a MAIL or RCPT command whose syntax aiosmtpd has checked, and return the reply."""
        if command == "MAIL":
            return await self._begin(args[0])
        return self._add_recipient(args[0]) if command == "RCPT" else MISSING

    async def _begin(self, address: str) -> str:
        assert self.envelope is not None
        refusal = await self._refuse_sender(address)
        if refusal is None:
            self.envelope.mail_from = address
        return refusal or "250 2.1.0 Ok"

    async def _refuse_sender(self, address: str) -> str | None:
        if self._needs_smtputf8(address):
            return replies.NEEDS_SMTPUTF8
        if not self._listener.limits.begin_message(
            self._client,
            "" if address == NULL_PATH else address,
            is_relay=self._listener.is_relay(self._client),
        ):
            return replies.TOO_FAST
        try:
            reason = await self._listener.refusal()
        except StoreUnavailable as error:
            reason = str(error)
        if reason is not None:
            LOG.info("no mail can be taken now", reason=reason)
        return None if reason is None else replies.UNAVAILABLE

    def _add_recipient(self, address: str) -> str:
        assert self.envelope is not None
        refusal = self._refuse_recipient(address, self.envelope.rcpt_tos)
        if refusal is None:
            self.envelope.rcpt_tos.append(address)
        return refusal or "250 2.1.5 Ok"

    def _refuse_recipient(self, address: str, earlier: Sequence[str]) -> str | None:
        if address == NULL_PATH:
            raise PathError
        settings = self._listener.settings
        if len(earlier) >= settings.max_recipients:
            return replies.TOO_MANY_RECIPIENTS
        if self._needs_smtputf8(address):
            return replies.NEEDS_SMTPUTF8
        return refuse_recipient(address, settings.domains, settings.recipients)

    def _needs_smtputf8(self, address: str) -> bool:
        assert self.envelope is not None
        return not address.isascii() and not self.envelope.smtp_utf8

    async def smtp_DATA(self, arg: str | None) -> None:
        """Receive a message, store it and answer: once with SMTP, once for each recipient with LMTP."""
        assert self.envelope is not None
        if arg:
            await self.push("501 5.5.4 DATA takes no argument")
        elif not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 No recipient was accepted")
        else:
            self._put("354 End data with <CR><LF>.<CR><LF>")
            await self._flush()
            with MemoryReservation(self._listener.limits) as reservation:
                reply = self._for_each_recipient(await self._receive_message(reservation))
            self._reset_transaction()
            await self.push(reply)

    def _for_each_recipient(self, reply: str) -> str:
        """Return the reply once for each recipient with LMTP (RFC 2033 section 4.2), where all get the same; else
        once."""
        assert self.envelope is not None
        return "\r\n".join([reply] * len(self.envelope.rcpt_tos)) if self._listener.lmtp else reply

    async def _receive_message(self, reservation: MemoryReservation) -> str:
        """Read a message, store it, and return the reply."""
        received_at = self._listener.clock()
        trace = self._trace(received_at)
        data = MessageData(trace, self._listener.settings.max_message_bytes)
        await self._read_data(data, reservation)
        content = data.content()
        if content is None:
            return replies.UNAVAILABLE if reservation.refused else replies.TOO_LARGE
        return await self._store(content, len(trace), received_at)

    async def _read_data(self, data: MessageData, reservation: MemoryReservation) -> None:
        rest = None
        while rest is None:
            chunk = await self._input.chunk()
            self._reset_timeout()
            if data.kept and not reservation.reserve(len(chunk)):
                data.drop()
            rest = data.feed(chunk)
            if not data.kept:
                reservation.release()
            if data.dropped > MAX_DROPPED_RATIO * self._listener.settings.max_message_bytes:
                self.end(self._for_each_recipient(replies.TOO_LARGE))
                raise EOFError
        self._input.push_back(rest)

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
            return replies.UNAVAILABLE
        except Exception as error:
            return await self.handle_exception(error)
        finally:
            self._storing = False
            self._reset_timeout()
        self._error_budget = ERROR_BUDGET
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
