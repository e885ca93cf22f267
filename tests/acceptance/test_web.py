"""What a client of the HTTP port may use: bytes of a header, time, connections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from ingest import web
from ingest.web import Web, create_app

SECONDS = 10.0
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def nothing() -> dict[str, str]:
    return {}


async def refresh() -> None:
    """Brings nothing up to date."""


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[int]:
    """A listener, on the port that is given."""
    server = Web(create_app(nothing, refresh), "127.0.0.1:0")
    server.bind()
    running = asyncio.create_task(server.run())
    try:
        yield int(server.url.rpartition(":")[2])
    finally:
        server.stop()
        await asyncio.wait_for(running, SECONDS)


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Streams]:
    async with asyncio.timeout(SECONDS):
        while True:  # the listener needs a turn of the loop to begin
            with contextlib.suppress(ConnectionRefusedError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                break
            await asyncio.sleep(0)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def answer(streams: Streams) -> bytes:
    reader, writer = streams
    writer.write(REQUEST)
    return await asyncio.wait_for(reader.readline(), SECONDS)


async def test_a_header_without_end_is_refused_after_a_bounded_number_of_bytes() -> None:
    async with listening() as port, connected(port) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\n")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof() and sent < 100_000_000:
                writer.write(b"X-Endless: " + b"x" * 1000 + b"\r\n")
                sent += 1000
                await writer.drain()
                await asyncio.sleep(0)
        assert sent < 10_000_000  # the system's buffers take some of it
        async with connected(port) as other:
            assert b" 200 " in await answer(other)


async def test_a_client_that_sends_its_request_byte_by_byte_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "REQUEST_SECONDS", 0.2)
    async with listening() as port, connected(port) as (reader, writer), asyncio.timeout(SECONDS):
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"G")
                await asyncio.sleep(0.02)


async def test_a_silent_client_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "REQUEST_SECONDS", 0.1)
    async with listening() as port, connected(port) as (reader, _), asyncio.timeout(SECONDS):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""


async def test_a_connection_that_is_kept_has_the_whole_time_for_each_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "REQUEST_SECONDS", 0.3)
    async with listening() as port, connected(port) as streams:
        for _ in range(4):
            assert b" 200 " in await answer(streams)
            await streams[0].readuntil(b"ok\n")
            await asyncio.sleep(0.15)


async def test_a_thousand_silent_connections_do_not_shut_a_monitor_out() -> None:
    async with listening() as port, AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(connected(port)) for _ in range(400)]
        assert b" 200 " in await answer(await stack.enter_async_context(connected(port)))
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(silent[0][0].read(), SECONDS) == b""
        for _ in range(600):
            await stack.enter_async_context(connected(port))
        assert b" 200 " in await answer(await stack.enter_async_context(connected(port)))
