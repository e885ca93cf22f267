"""Sends commands and splits the octets of an IMAP connection into responses: lines and literals (RFC 3501
section 2.2).

Memory is bounded whatever a server sends: lines have a limit, and a literal above its limit is read and dropped. A
literal is collected in a ``BytesIO``, whose ``getvalue`` returns its buffer without a copy, so a mail of 50 MB is in
memory once.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from io import BytesIO

CHUNK_BYTES = 128 * 1024
"""Octets read from the stream at once, and half of what asyncio buffers. Larger chunks save system calls and cost
memory per connection."""
MAX_LINE_BYTES = 32 * 1024 * 1024
"""Most octets in the lines of one response: a SEARCH that finds four million messages fits."""
MAX_LITERALS = 256
"""Most literals in one response; a FETCH response that we asked for has one, a LIST response one as its name."""
SMALL_LITERAL_BYTES = 64 * 1024
"""A literal of up to this many octets is always kept, such as a folder name or a header section, even after a mail has
used up the response's allowance."""
KEEPALIVE_OPTIONS = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""TCP keep-alive in seconds and probes: the kernel notices within two minutes (60 + 4 x 15 s) that a peer is gone."""

_ANNOUNCES_LITERAL = re.compile(rb"~?\{(\d{1,19})\+?\}\r?\n\Z")


class ConnectionLost(Exception):
    """The connection has ended, has gone silent, or is out of step. A new one is needed."""


class NothingReceived(Exception):
    """No response began within the time given. The connection may be fine."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A literal: octets that the server announced with their count."""

    octets: bytes | None
    """``None`` if there were more than the limit, so that they were read and dropped."""
    size: int
    """The announced count."""


Response = Sequence[bytes | Literal]
"""One response: pieces of lines and the literals between them, in order."""


class Wire:
    """One connection to a server. ``timeout`` is how many seconds the server may be silent while it owes us octets;
    ``max_literal`` is how many octets of literals a response may keep in memory."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, timeout: float, max_literal: int
    ) -> None:
        self._reader, self._writer = reader, writer
        self._in_clear: asyncio.StreamWriter | None = None
        self._timeout = timeout
        self._max_literal = max_literal

    @classmethod
    async def connect(
        cls, host: str, port: int, *, tls: ssl.SSLContext | None, timeout: float, max_literal: int
    ) -> "Wire":
        """Connect, with TLS from the first octet if ``tls`` is given.

        Raises:
            OSError: the host is unknown or does not answer (``ssl.SSLError``: TLS failed).
            TimeoutError: no connection within ``timeout`` seconds.
        """
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=tls, server_hostname=host if tls else None, limit=CHUNK_BYTES
            )
        _keep_alive(writer.get_extra_info("socket"))
        return cls(reader, writer, timeout=timeout, max_literal=max_literal)

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Start TLS. Octets that came before are dropped with the old reader, because somebody between the server and
        us could have injected them (STARTTLS injection, CVE-2011-0411).

        Raises:
            OSError: TLS failed. The connection is closed, and nothing more was sent in clear.
        """
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=CHUNK_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            async with asyncio.timeout(self._timeout):
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
        """Send ``data``, waiting while the server does not accept it.

        Raises:
            ConnectionLost: it cannot be sent.
        """
        try:
            async with asyncio.timeout(self._timeout):
                self._writer.write(data)
                await self._writer.drain()
        except OSError as error:
            raise ConnectionLost(f"the connection broke while a command was being sent: {error}") from error

    async def receive(self, wait: float | None = None) -> Response:
        """Return the next response. It must begin within ``wait`` seconds (``timeout`` by default).

        Raises:
            NothingReceived: ``wait`` was given, and no response began in that time.
            ConnectionLost: the connection ended, or the server was silent for ``timeout`` seconds.
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
            if lines > MAX_LINE_BYTES or len(pieces) > 2 * MAX_LITERALS:
                raise ConnectionLost("the server sent a response without an end")
        pieces.append(line.rstrip(b"\r\n"))
        return pieces

    def close(self) -> None:
        """Close the connection at once."""
        self._writer.transport.abort()

    async def _first_line(self, wait: float | None) -> bytes:
        if wait is None:
            return await self._line()
        try:
            async with asyncio.timeout(wait):
                head = await self._until_line_end()
        except TimeoutError:
            raise NothingReceived from None
        return head if head.endswith(b"\n") else head + await self._line()

    async def _line(self) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while not pieces or not pieces[-1].endswith(b"\n"):
            pieces.append(await self._within_timeout(self._until_line_end()))
            size += len(pieces[-1])
            if size > MAX_LINE_BYTES:
                raise ConnectionLost("the server sent a line without an end")
        return b"".join(pieces)

    async def _until_line_end(self) -> bytes:
        """Return octets up to the end of the line, or as many of a long line as the reader holds."""
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            return await self._reader.readexactly(error.consumed)
        except asyncio.IncompleteReadError:
            raise ConnectionLost("the server closed the connection") from None
        except OSError as error:
            raise ConnectionLost(f"the connection broke: {error}") from error

    async def _literal(self, size: int, allowance: int) -> Literal:
        wanted = size <= max(allowance, SMALL_LITERAL_BYTES)
        buffer, left = BytesIO(), size
        while left:
            chunk = await self._within_timeout(self._reader.read(min(left, CHUNK_BYTES)))
            if not chunk:
                raise ConnectionLost(f"the server closed the connection within a message, {left} octets before its end")
            left -= len(chunk)
            if wanted:
                buffer.write(chunk)
        return Literal(buffer.getvalue() if wanted else None, size)

    async def _within_timeout(self, reading: Coroutine[object, object, bytes]) -> bytes:
        try:
            async with asyncio.timeout(self._timeout):
                return await reading
        except TimeoutError:
            raise ConnectionLost(f"the server has been silent for {self._timeout:g} s") from None
        except OSError as error:
            raise ConnectionLost(f"the connection broke: {error}") from error


async def speaks_tls(host: str, port: int, *, timeout: float) -> bool:
    """Return whether a server begins TLS when asked to, within ``timeout`` seconds. Nothing else is sent, so its
    certificate does not matter."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except OSError:
        return False
    writer.transport.abort()
    return True


def _keep_alive(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE_OPTIONS.items():
        if hasattr(socket, name):  # not on every system
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
