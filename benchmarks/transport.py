"""Which transport carries httpx's requests: its own, or that of httpx-aiohttp.

POSTs ticket messages to the sandbox, which runs in a process of its own, with 1, 10, 50 and 200 requests in flight, and
prints for each transport the rate, its ratio to httpx's own transport, and the processor time that a request costs
this side. aiohttp without httpx is shown as the ceiling.

    python -m benchmarks.transport [--requests 2000] [--rounds 3]
"""

import argparse
import asyncio
import json
import multiprocessing
import socket
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import httpx
import uvloop
from httpx_aiohttp import AiohttpTransport

from ingest.config.settings import SANDBOX_TOKEN
from ingest.sandbox import run

DATA = Path(__file__).parent.parent / "fixtures" / "sandbox.json"
IN_FLIGHT = (1, 10, 50, 200)
HEADERS = {"x-ravenna-api-token": SANDBOX_TOKEN, "Content-Type": "application/json"}
LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=None)
Post = Callable[[], Awaitable[None]]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--requests", type=int, default=2000, help="POSTs of each measurement (2000)")
    options.add_argument("--rounds", type=int, default=3, help="measurements of which the median is taken (3)")
    given = options.parse_args()
    with sandbox() as url:
        uvloop.run(compare(f"{url}/ticket-messages", given.requests, given.rounds))


async def compare(url: str, requests: int, rounds: int) -> None:
    transports = {"httpx's own": httpx_own, "httpx-aiohttp": httpx_aiohttp, "aiohttp alone": aiohttp_alone}
    print(f"{'transport':<14} {'in flight':>9} {'POST/s':>8} {'ratio':>6} {'processor ms each':>18}")
    for in_flight in IN_FLIGHT:
        base = 0.0
        for name, opened in transports.items():
            measured = [await measure(opened, url, requests, in_flight) for _ in range(rounds)]
            rate, cost = (statistics.median(figures) for figures in zip(*measured, strict=True))
            base = base or rate
            print(f"{name:<14} {in_flight:>9} {rate:>8.0f} {rate / base:>6.2f} {cost * 1000:>18.2f}")


async def measure(
    opened: Callable[[str], AbstractAsyncContextManager[Post]], url: str, requests: int, in_flight: int
) -> tuple[float, float]:
    """Requests a second, and processor seconds of this process for each."""
    async with opened(url) as post:
        await asyncio.gather(*(post() for _ in range(in_flight)))
        todo = iter(range(requests))

        async def worker() -> None:
            for _ in todo:
                await post()

        started, busy = time.perf_counter(), time.process_time()
        await asyncio.gather(*(worker() for _ in range(in_flight)))
        return requests / (time.perf_counter() - started), (time.process_time() - busy) / requests


@asynccontextmanager
async def httpx_own(url: str) -> AsyncIterator[Post]:
    async with httpx.AsyncClient(headers=HEADERS, limits=LIMITS, trust_env=False) as client:
        yield posting(client, url)


@asynccontextmanager
async def httpx_aiohttp(url: str) -> AsyncIterator[Post]:
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    async with httpx.AsyncClient(headers=HEADERS, transport=AiohttpTransport(client=session)) as client:
        yield posting(client, url)


def posting(client: httpx.AsyncClient, url: str) -> Post:
    async def post() -> None:
        (await client.post(url, content=BODY)).raise_for_status()

    return post


@asynccontextmanager
async def aiohttp_alone(url: str) -> AsyncIterator[Post]:
    async with aiohttp.ClientSession(headers=HEADERS, connector=aiohttp.TCPConnector(limit=0)) as session:

        async def post() -> None:
            async with session.post(url, data=BODY) as response:
                response.raise_for_status()
                await response.read()

        yield post


def body() -> bytes:
    """About 2 KB, to a real ticket by a real author of the start data."""
    data = json.loads(DATA.read_text("utf-8"))
    content = "Thank you, it works again.\n" * 70
    fields = {"content": content, "authorId": data["users"][0]["id"], "ticketId": data["tickets"][0]["id"]}
    return json.dumps(fields | {"source": "EMAIL"}).encode()


@contextmanager
def sandbox() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=run, kwargs={"port": port, "data": DATA})
    process.start()
    try:
        wait_for(port)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        process.terminate()
        process.join()


def wait_for(port: int, seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit("the sandbox did not start")


BODY = body()

if __name__ == "__main__":
    main()
