"""Reads command lines and message data from an SMTP client, in large chunks and bounded memory.

aiosmtpd reads DATA line by line, which is slow for large mail and buffers a line without end. Here octets are appended
as they come, and the end of data is searched for in each new chunk.
"""

import asyncio

STREAM_LIMIT_BYTES = 64 * 1024
"""The stream buffers twice as many octets before it stops reading from the client. Larger saves switches between tasks
and costs memory per connection."""
CHUNK_BYTES = 1024 * 1024
"""Octets asked of the stream at once: more than it buffers, so that one read returns all of them."""
MAX_LINE_BYTES = 2048
"""Longest command line in octets. RFC 5321 section 4.5.3.1.4 asks for 512, and extensions add to that."""
MAX_DROPPED_LINE_BYTES = 1024 * 1024
"""After this many octets of one overlong command line the connection is closed. Up to here the client gets a reply that
says what is wrong."""
END_OF_DATA = b"\r\n.\r\n"
"""The only end of a message (RFC 5321 section 4.1.1.4); see ``MessageData``."""


class EndlessLineError(Exception):
    """A command line exceeded ``MAX_DROPPED_LINE_BYTES``."""


class SmtpReader:
    """Reads from one client: command lines between messages, chunks within a message."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._pending = bytearray()

    @property
    def pending(self) -> bool:
        """True if octets of the client were read and not yet returned."""
        return bool(self._pending)

    @property
    def has_line(self) -> bool:
        """True if a whole command line is buffered."""
        return b"\n" in self._pending

    async def line(self) -> bytes | None:
        """Return the next command line without its line end, or ``None`` for one above ``MAX_LINE_BYTES``.

        Raises:
            EOFError: the client has closed its side.
            EndlessLineError: more than ``MAX_DROPPED_LINE_BYTES`` octets came without a line end.
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
        """Return the octets that have come, at least one.

        Raises:
            EOFError: the client has closed its side.
        """
        if not self._pending:
            return await self._read()
        chunk = bytes(self._pending)
        self._pending.clear()
        return chunk

    def push_back(self, octets: bytes) -> None:
        """Return octets to the front of the buffer: what came after the end of a message, which with PIPELINING is the
        next command."""
        self._pending[:0] = octets

    async def _read(self) -> bytes:
        octets = await self._reader.read(CHUNK_BYTES)
        if not octets:
            raise EOFError
        return octets


class MessageData:
    """Collects a message that is sent after ``354``, up to the line of one dot (RFC 5321 section 4.5.2).

    Only CRLF.CRLF ends a message. LF.LF, CR.CR and all mixtures of them are content, so nobody can smuggle a second
    message past a server that reads line ends differently (SMTP smuggling).
    """

    def __init__(self, trace: bytes, limit: int) -> None:
        """``trace`` is the trace field to put before the message and ends with CRLF. ``limit`` is the most octets that
        the message may have without it."""
        self._octets = bytearray(trace)
        self._trace_length = len(trace)
        self._limit = limit
        # A line of one dot travels as two, so three octets of a message may be four on the wire.
        self._wire_limit = self._trace_length + limit + limit // 3 + len(END_OF_DATA)
        self.kept = True
        """False once the content was dropped: it was too large, or there was no memory for it."""
        self.dropped = 0
        """Octets dropped so far."""

    def feed(self, chunk: bytes) -> bytes | None:
        """Add a chunk. Returns ``None`` while the message goes on, else the octets that came after its end."""
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
        """Drop the content, and from now on only search for the end."""
        self.kept = False
        surplus = max(len(self._octets) - len(END_OF_DATA) + 1, 0)
        self.dropped += surplus
        del self._octets[:surplus]

    def content(self) -> bytes | None:
        """Return trace field and message with dots unstuffed, once the end has come; ``None`` if it was too large or
        was dropped. Can be called once.

        The trace field's last CRLF also lets a dot at the start of the message be found."""
        if not self.kept:
            return None
        octets, self._octets = bytes(self._octets), bytearray()
        content = octets.replace(b"\r\n.", b"\r\n")
        return content if len(content) - self._trace_length <= self._limit else None
