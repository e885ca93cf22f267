"""Reading from an SMTP client: command lines and message octets, in large chunks and in bounded memory.

aiosmtpd reads DATA line by line, which is slow for large mail and keeps a line without an end for ever. Here octets
are gathered as they come, and the end is searched for in each new chunk.
"""

import asyncio

STREAM_LIMIT_BYTES = 64 * 1024
"""Half of the octets that the stream holds for us before it stops the client."""
CHUNK_BYTES = 1024 * 1024
"""Octets asked of the stream at once: all that it holds."""
MAX_LINE_BYTES = 2048
"""Octets of a command line. RFC 5321 section 4.5.3.1.4 asks for 512 and room for what extensions add."""
MAX_DROPPED_LINE_BYTES = 1024 * 1024
"""Octets of one overlong command line that are read and dropped before the connection is given up."""
END_OF_DATA = b"\r\n.\r\n"


class EndlessLineError(Exception):
    """A command line went on beyond all patience."""


class SmtpReader:
    """The octets of one client in order: as lines between messages, as chunks within one."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._pending = bytearray()

    @property
    def pending(self) -> bool:
        """Whether the client has sent more than has been used."""
        return bool(self._pending)

    @property
    def has_line(self) -> bool:
        """Whether a whole command line is here already."""
        return b"\n" in self._pending

    async def line(self) -> bytes | None:
        """The next command line without its line end; ``None`` for one that was too long, of which nothing is kept.

        Raises:
            EOFError: the client has closed its side.
            EndlessLineError: more than ``MAX_DROPPED_LINE`` octets came without a line end.
        """
        dropped = 0
        while (end := self._pending.find(b"\n")) < 0:
            if len(self._pending) > MAX_LINE_BYTES:
                dropped += len(self._pending)
                self._pending.clear()
            if dropped > MAX_DROPPED_LINE_BYTES:
                raise EndlessLineError
            self._pending += await self._read()
        line = bytes(self._pending[:end])
        del self._pending[: end + 1]
        return None if dropped or end > MAX_LINE_BYTES else line.rstrip(b"\r")

    async def chunk(self) -> bytes:
        """Whatever has come, at least one octet.

        Raises:
            EOFError: the client has closed its side.
        """
        if not self._pending:
            return await self._read()
        chunk = bytes(self._pending)
        self._pending.clear()
        return chunk

    def push_back(self, octets: bytes) -> None:
        """Give back what came behind the end of a message: with PIPELINING, the next command."""
        self._pending[:0] = octets

    async def _read(self) -> bytes:
        octets = await self._reader.read(CHUNK_BYTES)
        if not octets:
            raise EOFError
        return octets


class MessageData:
    """The octets between ``354`` and the line of one dot (RFC 5321 section 4.5.2), behind a trace field of ours.

    Only CRLF.CRLF ends a message. LF.LF, CR.CR and all their mixtures are content like any other, so nobody can
    smuggle a second message past a server that reads line ends differently.
    """

    def __init__(self, trace: bytes, limit: int) -> None:
        """``trace`` ends with CRLF; ``limit`` is the number of octets that the message below it may have."""
        self._octets = bytearray(trace)
        self._trace_length = len(trace)
        self._limit = limit
        # A line of one dot travels as two, so three octets of a message may be four on the wire.
        self._wire_limit = self._trace_length + limit + limit // 3 + len(END_OF_DATA)
        self.kept = True
        """False once the octets have been let go: too many, or nobody could hold them."""
        self.dropped = 0
        """Octets let go so far."""

    def feed(self, chunk: bytes) -> bytes | None:
        """Take in a chunk: ``None`` while the message goes on, else the octets that came behind its end."""
        start = max(len(self._octets) - len(END_OF_DATA) + 1, 0)
        self._octets += chunk
        end = self._octets.find(END_OF_DATA, start)
        if end < 0:
            if not self.kept or len(self._octets) > self._wire_limit:
                self.drop()
            return None
        rest = bytes(self._octets[end + len(END_OF_DATA) :])
        del self._octets[end + 2 :]
        return rest

    def drop(self) -> None:
        """Let go of the octets and go on reading for the end."""
        self.kept = False
        surplus = max(len(self._octets) - len(END_OF_DATA) + 1, 0)
        self.dropped += surplus
        del self._octets[:surplus]

    def content(self) -> bytes | None:
        """Trace field and message, dots unstuffed, once the end has come; ``None`` where it was too large or dropped.

        The trace field's last CRLF serves the first line of the message as the line end before it."""
        if not self.kept:
            return None
        octets, self._octets = bytes(self._octets), bytearray()
        content = octets.replace(b"\r\n.", b"\r\n")
        return content if len(content) - self._trace_length <= self._limit else None
