"""The octets of one IMAP connection: commands out, responses in, line by line and literal by literal (RFC 3501
section 2.2).

Memory is bounded whatever a server sends: a line has a limit, and a literal above the limit is read and dropped. A
literal is collected in a ``BytesIO``, whose ``getvalue`` hands over its buffer without a copy: a mail of 50 MB is in
memory once.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from io import BytesIO

CHUNK = 128 * 1024
MAX_LINE = 32 * 1024 * 1024
"""Octets of the lines of one response: a SEARCH that finds four million messages fits."""
MAX_LITERALS = 256
SMALL_LITERAL = 64 * 1024
"""Octets that any literal may have, beside those that the mail itself may have: names, headers."""
KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""A peer that is gone without a word is noticed by the kernel within two minutes."""

_ANNOUNCES_LITERAL = re.compile(rb"~?\{(\d{1,19})\+?\}\r?\n\Z")


class ConnectionLost(Exception):
    """The connection has ended, has gone silent, or is out of step; a new one is needed."""


class Silence(Exception):
    """Nothing came in the time that was given; the connection may be well."""


@dataclass(frozen=True, slots=True)
class Literal:
    """Octets that a server sent with their count in front."""

    octets: bytes | None
    """``None``: there were more than we take, so they were read and dropped."""
    size: int


Response = Sequence[bytes | Literal]
"""One response in the order in which it came: pieces of lines, and literals between them."""


class Wire:
    """One connection to a server. ``patience`` is how many seconds it may keep us waiting for an octet."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, patience: float, max_literal: int
    ) -> None:
        self._reader, self._writer = reader, writer
        self._in_clear: asyncio.StreamWriter | None = None
        self._patience = patience
        self._max_literal = max_literal

    @classmethod
    async def connect(
        cls, host: str, port: int, *, tls: ssl.SSLContext | None, patience: float, max_literal: int
    ) -> "Wire":
        """Connect, with TLS from the first octet where ``tls`` is given.

        Raises:
            OSError: the host is unknown or does not answer (``ssl.SSLError``: TLS failed).
            TimeoutError: as ``OSError``, after ``patience`` seconds.
        """
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=tls, server_hostname=host if tls else None, limit=CHUNK
            )
        _keep_alive(writer.get_extra_info("socket"))
        return cls(reader, writer, patience=patience, max_literal=max_literal)

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Go on under TLS. What the server sent before belongs to nobody: it is dropped with the old reader, because
        whoever sits between us could have put it there (the STARTTLS injection of CVE-2011-0411).

        Raises:
            OSError: TLS failed; the connection is closed, and nothing was said on it in clear.
        """
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=CHUNK)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            async with asyncio.timeout(self._patience):
                transport = await loop.start_tls(self._writer.transport, protocol, context, server_hostname=host)
        except BaseException:
            self._writer.transport.abort()
            raise
        if transport is None:
            raise ConnectionLost("the connection ended while TLS was being set up")
        reader.set_transport(transport)
        self._in_clear = self._writer  # a StreamWriter that is dropped closes its transport, and ours runs on it
        self._reader, self._writer = reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def send(self, data: bytes) -> None:
        """Send ``data``; waits while the server does not take it.

        Raises:
            ConnectionLost: it cannot be sent.
        """
        try:
            async with asyncio.timeout(self._patience):
                self._writer.write(data)
                await self._writer.drain()
        except OSError as error:
            raise ConnectionLost(f"the connection broke while a command was being sent: {error}") from error

    async def receive(self, wait: float | None = None) -> Response:
        """The next response, waiting ``wait`` seconds for it to begin (``patience`` by default).

        Raises:
            Silence: it did not begin in ``wait`` seconds, where ``wait`` was given.
            ConnectionLost: the connection ended, or stalled within a response.
        """
        first = await self._first_line(wait)
        pieces: list[bytes | Literal] = []
        line, lines, allowance = first, len(first), self._max_literal
        while announced := _ANNOUNCES_LITERAL.search(line):
            pieces.append(line[: announced.start()])
            literal = await self._literal(int(announced[1]), allowance)
            allowance -= len(literal.octets or b"")
            pieces.append(literal)
            line = await self._line()
            lines += len(line)
            if lines > MAX_LINE or len(pieces) > 2 * MAX_LITERALS:
                raise ConnectionLost("the server sent a response without an end")
        pieces.append(line.rstrip(b"\r\n"))
        return pieces

    def close(self) -> None:
        """Drop the connection at once."""
        self._writer.transport.abort()

    async def _first_line(self, wait: float | None) -> bytes:
        if wait is None:
            return await self._line()
        try:
            async with asyncio.timeout(wait):
                head = await self._until_line_end()
        except TimeoutError:
            raise Silence from None
        return head if head.endswith(b"\n") else head + await self._line()

    async def _line(self) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while not pieces or not pieces[-1].endswith(b"\n"):
            pieces.append(await self._timely(self._until_line_end()))
            size += len(pieces[-1])
            if size > MAX_LINE:
                raise ConnectionLost("the server sent a line without an end")
        return b"".join(pieces)

    async def _until_line_end(self) -> bytes:
        """Octets up to the end of the line, or as many as the reader holds of a long one."""
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            return await self._reader.readexactly(error.consumed)
        except asyncio.IncompleteReadError:
            raise ConnectionLost("the server closed the connection") from None
        except OSError as error:
            raise ConnectionLost(f"the connection broke: {error}") from error

    async def _literal(self, size: int, allowance: int) -> Literal:
        wanted = size <= max(allowance, SMALL_LITERAL)
        buffer, left = BytesIO(), size
        while left:
            chunk = await self._timely(self._reader.read(min(left, CHUNK)))
            if not chunk:
                raise ConnectionLost(f"the server closed the connection within a message, {left} octets before its end")
            left -= len(chunk)
            if wanted:
                buffer.write(chunk)
        return Literal(buffer.getvalue() if wanted else None, size)

    async def _timely(self, reading: Coroutine[object, object, bytes]) -> bytes:
        try:
            async with asyncio.timeout(self._patience):
                return await reading
        except TimeoutError:
            raise ConnectionLost(f"the server has been silent for {self._patience:g} s") from None
        except OSError as error:
            raise ConnectionLost(f"the connection broke: {error}") from error


def _keep_alive(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):  # not on every system
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
