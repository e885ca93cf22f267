"""What an operator is told, and can do, when a disk, a database file or the API's limits are in trouble."""

import re
import sqlite3
import subprocess
import sys
from contextlib import closing

import httpx
import pytest

from ingest.sandbox import Fault
from tests.support.attachments import mail, part
from tests.support.sandbox_worker import TICKET, World, eventually, free_port, reply

POSTS = "/api/ticket-messages"


def run(world: World, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of ``ingest`` with the worker's settings."""
    command = [sys.executable, "-m", "ingest", *words]
    return subprocess.run(command, env=world.environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def web(world: World) -> str:
    port = free_port()
    world.environment["INGEST_HTTP_LISTEN"] = f"127.0.0.1:{port}"
    return f"http://127.0.0.1:{port}"


async def ready(web: str) -> int:
    """The status of the readiness page; 0 if there is none."""
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            return (await client.get(f"{web}/readyz", timeout=30)).status_code
        except httpx.TransportError:
            return 0


async def is_ready(web: str, status: int) -> bool:
    return await ready(web) == status


async def metrics(web: str) -> str:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"{web}/metrics", timeout=30)).text


async def test_a_write_ahead_log_that_is_removed_loses_nothing_and_ends_the_worker(world: World) -> None:
    await world.order(Fault(status=503, times=None))
    world.start()
    for n in range(10):
        await world.deliver(reply(f"mail number {n}"))
    world.database.with_name("ingest.db-wal").unlink()
    assert await world.died() == 1
    await world.forget()
    world.start()
    await eventually(lambda: world.settled(10), "all are delivered")


def test_a_damaged_database_is_told_by_check(world: World) -> None:
    assert run(world, "migrate").returncode == 0
    with closing(sqlite3.connect(world.database)) as database, database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.executemany(
            "INSERT INTO threads (message_id, ticket_id, learned_from, learned_at) VALUES (?, 'T', 'operator', 0)",
            [(f"number-{n}@customer.example",) for n in range(5_000)],
        )
    with world.database.open("r+b") as file:
        file.seek(world.database.stat().st_size // 2)
        file.write(b"\xff" * 8192)
    told = run(world, "check")
    assert told.returncode != 0
    assert re.search("damage|corrupt|malformed|integrity|quick_check", told.stdout + told.stderr)


async def test_a_long_pause_that_the_api_asks_for_is_an_alarm_that_an_operator_can_end(world: World, web: str) -> None:
    await world.order(Fault(method="POST", path=POSTS, status=429, retry_after="3600"))
    world.start()
    await world.deliver(reply("mail 1"))
    await eventually(world.played, "the API asks for an hour")

    async def alarmed() -> bool:
        return re.search(r"^ingest_sending_\w+(\{.*\})? [1-9]", await metrics(web), re.MULTILINE) is not None

    await eventually(alarmed, "the metric tells that nothing is sent")
    assert run(world, "resume").returncode == 0
    await eventually(lambda: world.settled(1), "it is delivered")


async def test_a_database_that_takes_no_writes_is_not_ready(world: World, web: str) -> None:
    world.start()
    await eventually(lambda: is_ready(web, 200), "the worker is ready")
    with closing(sqlite3.connect(world.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await eventually(lambda: is_ready(web, 503), "the worker is not ready")
        other.execute("ROLLBACK")
    await eventually(lambda: is_ready(web, 200), "the worker is ready again")


async def test_a_database_that_was_moved_is_not_ready(world: World, web: str) -> None:
    world.start()
    await eventually(lambda: is_ready(web, 200), "the worker is ready")
    world.database.rename(world.database.with_name("elsewhere.db"))

    async def noticed() -> bool:
        return await ready(web) != 200

    await eventually(noticed, "it is noticed")


async def test_what_is_left_out_of_ten_thousand_parts_is_named(world: World) -> None:
    world.environment["INGEST_ATTACHMENTS"] = "false"  # a thousand uploads take a minute, and prove nothing more
    world.start()
    parts = [part(b"x", "application/octet-stream", f"{n}.bin") for n in range(10_000)]
    await world.deliver(mail("a mail of many parts", *parts, ticket=TICKET))
    await eventually(lambda: world.settled(1), "it is delivered")
    (content,) = world.contents()
    told = [int(number.replace(",", "")) for number in re.findall(r"([\d,]+) more", content)]
    assert sum(told) + len(re.findall(r"\b\d+\.bin", content)) >= 10_000
