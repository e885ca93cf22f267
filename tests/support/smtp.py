"""A real listener and a bare client for the tests of SMTP and LMTP: what a test sends is what goes over the wire."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from ingest.config.settings import Settings
from ingest.model.envelope import ReceivedMessage
from ingest.sources.smtp import SmtpSource
from ingest.sources.smtp.limits import MAX_BYTES_IN_FLIGHT, SmtpLimits

SECONDS = 10.0
"""How long a test waits for anything before it fails."""
OURS = "help@ours.example"
SENDER = "alice@customer.example"


class Inbox:
    """A store that keeps what it is given; tests put other behaviour in its place."""

    def __init__(self) -> None:
        self.messages: list[ReceivedMessage] = []
        self.reason: str | None = None
        self.receive: Callable[[ReceivedMessage], Awaitable[str]] = self.keep
        self.refuse: Callable[[], Awaitable[str | None]] = self.refusal

    async def keep(self, message: ReceivedMessage) -> str:
        self.messages.append(message)
        return f"queue-{len(self.messages)}"

    async def refusal(self) -> str | None:
        return self.reason

    def body(self) -> bytes:
        """Return the bytes of the only message, below our trace field."""
        (message,) = self.messages
        return message.content[message.trace_length :]

    def trace(self) -> str:
        """Return the trace field of the only message, in one line."""
        (message,) = self.messages
        return message.content[: message.trace_length].decode("ascii").replace("\r\n\t", " ").removesuffix("\r\n")


class Client:
    """A client that says exactly what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def reply(self) -> str:
        """The next reply, with all its lines; ``""`` at the end of the connection."""
        lines = []
        while True:
            line = (await asyncio.wait_for(self.reader.readline(), SECONDS)).decode("ascii")
            lines.append(line.removesuffix("\r\n"))
            if line[3:4] != "-":
                return "\n".join(lines)

    async def say(self, command: str | bytes) -> str:
        """Send one command line and return the reply to it."""
        self.send((command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        return await self.reply()

    async def say_all(self, *commands: str) -> list[str]:
        return [await self.say(command) for command in commands]

    async def begin(self, *recipients: str, sender: str = SENDER, hello: str = "EHLO client.example") -> str:
        """Everything up to DATA; the reply to DATA."""
        await self.say(hello)
        await self.say(f"MAIL FROM:<{sender}>")
        for recipient in recipients or (OURS,):
            await self.say(f"RCPT TO:<{recipient}>")
        return await self.say("DATA")

    async def deliver(self, content: bytes, *recipients: str, **how: str) -> str:
        """A whole transaction; ``content`` as it goes over the wire, without the final dot."""
        assert (await self.begin(*recipients, **how)).startswith("354 ")
        self.send(content + b"\r\n.\r\n")
        return await self.reply()

    async def start_tls(self, context: ssl.SSLContext) -> None:
        await asyncio.wait_for(self.writer.start_tls(context, server_hostname="ours.example"), SECONDS)

    async def is_closed(self) -> bool:
        """Wait for the server to close; what it still says is dropped. Fails the test where it does not."""
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(self.reader.read(), SECONDS)
        return True


def smtp_source(
    inbox: Inbox,
    *,
    listen: str = "127.0.0.1:0",
    lmtp: bool = False,
    clock: Callable[[], float] = time.time,
    max_bytes: int = MAX_BYTES_IN_FLIGHT,
    **values: Any,
) -> SmtpSource:
    """A source, not started, on a port of the system's choice; ``max_bytes`` of messages may be in memory, ``values``
    are settings."""
    settings = Settings(**{"domains": ("ours.example",), "hostname": "mx.ours.example"} | values)
    return SmtpSource(
        listen,
        receive=lambda message: inbox.receive(message),
        refusal=lambda: inbox.refuse(),
        settings=settings,
        clock=clock,
        lmtp=lmtp,
        limits=SmtpLimits(settings, clock, max_bytes=max_bytes),
    )


@contextlib.asynccontextmanager
async def listening(inbox: Inbox, **how: Any) -> AsyncIterator[SmtpSource]:
    """A source that listens; ``how`` as for ``smtp_source``."""
    source = smtp_source(inbox, **how)
    await source.start()
    try:
        yield source
    finally:
        await source.drain(0)


@contextlib.asynccontextmanager
async def connected(source: SmtpSource, *, greeted: bool = True) -> AsyncIterator[Client]:
    """A client of ``source`` that has read the greeting."""
    reader, writer = await asyncio.open_connection("127.0.0.1", source.port)
    client = Client(reader, writer)
    try:
        if greeted:
            assert (await client.reply()).startswith("220 ")
        yield client
    finally:
        writer.transport.abort()


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until ``condition`` holds."""
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.001)
