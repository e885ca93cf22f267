"""A TCP proxy that behaves as bad networks do: it stalls without closing, cuts at a chosen octet, delays, splits."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager


class Proxy:
    """Forwards to ``port``. The faults apply to what the server sends, since that is what a reader depends on."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._flows = asyncio.Event()
        self._flows.set()
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0
        self.connections = 0
        self.said = bytearray()
        """What clients have sent."""
        self.cuts: Iterator[int] = iter(())
        """For each connection in turn: after how many bytes it is cut. When the list ends, none is cut."""
        self.delay = 0.0
        """Seconds before each piece is passed on."""
        self.piece = 65_536
        """Octets passed on at a time."""

    def stall(self) -> None:
        """From now on nothing goes through the connections that there are, and none is closed."""
        self._flows.clear()
        self._flows = asyncio.Event()
        self._flows.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        flows, left = self._flows, next(self.cuts, None)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        self._writers += [writer, far_writer]
        upward = asyncio.create_task(self._forward(reader, far_writer, flows, None, self.said))
        await self._forward(far_reader, writer, flows, left, bytearray())
        upward.cancel()

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        flows: asyncio.Event,
        left: int | None,
        record: bytearray,
    ) -> None:
        try:
            while data := await reader.read(self.piece):
                record += data
                await flows.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data if left is None else data[:left])
                await writer.drain()
                if left is not None:
                    left -= len(data)
                    if left <= 0:
                        break
        except OSError:
            pass
        finally:
            writer.close()

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def proxy(port: int) -> AsyncIterator[Proxy]:
    """A proxy before ``port``, closed with the block."""
    async with Proxy(port) as running:
        yield running
