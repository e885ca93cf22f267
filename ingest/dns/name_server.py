"""A name server as dnspython asks it, whose answers over TCP are bounded.

An answer may have 64 KiB, which are thousands of records if they are small. To parse so many takes dnspython seconds,
in which nothing else of the worker would go on; and who owns a domain decides what the answers about it are.
"""

import asyncio
import struct
from typing import Any

import dns.exception
import dns.message
import dns.nameserver
import dns.query

MAX_ANSWER_BYTES = 16 * 1024
"""Size of an answer that is read. The TXT records of large firms have half of it."""

_LENGTH = struct.Struct("!H")


class AnswerTooLarge(dns.exception.FormError):
    """An answer is larger than ``MAX_ANSWER_BYTES``."""


class BoundedNameserver(dns.nameserver.Do53Nameserver):
    """A name server at an address and a port, over UDP and TCP."""

    async def async_query(
        self,
        request: dns.message.QueryMessage,
        timeout: float,
        source: str | None,
        source_port: int,
        max_size: bool,
        *more: Any,
        **named: Any,
    ) -> dns.message.Message:
        """Ask once, over TCP where ``max_size`` says so; called by dnspython's resolver.

        Raises:
            AnswerTooLarge, dns.exception.DNSException, OSError, EOFError: there is no answer of use.
        """
        if not max_size:
            return await super().async_query(request, timeout, source, source_port, max_size, *more, **named)
        try:
            async with asyncio.timeout(timeout):
                wire = await self._exchange(request.to_wire())
        except TimeoutError as error:
            raise dns.exception.Timeout(timeout=timeout) from error  # type: ignore[no-untyped-call]
        response = dns.message.from_wire(wire)
        if not request.is_response(response):
            raise dns.query.BadResponse
        return response

    async def _exchange(self, wire: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self.address, self.port)
        try:
            writer.write(_LENGTH.pack(len(wire)) + wire)
            [length] = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
            if length > MAX_ANSWER_BYTES:
                raise AnswerTooLarge
            return await reader.readexactly(length)
        finally:
            writer.close()
