"""The pool of parser processes: real processes that are killed, hang, run out of memory or lose their parent."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from ingest.parse import parse
from ingest.parse_pool import ParsePool, ParsePoolStopped, PoisonMessage
from tests.support.mime import in_base64, mail, multipart, only, plain

MiB = 1024 * 1024
HELLO = mail(multipart("mixed", plain("Hello"), in_base64('application/pdf; name="a.pdf"', b"%PDF")))


@asynccontextmanager
async def pool(
    *, processes: int = 1, seconds: float = 10.0, target: str = "tests.support.parse_jobs:do"
) -> AsyncIterator[ParsePool]:
    started = ParsePool(processes=processes, seconds=seconds, memory_bytes=512 * MiB, target=target)
    await started.start()
    try:
        yield started
    finally:
        await started.stop()


async def ask(parser_pool: ParsePool, job: str) -> Any:
    """Let a parser process do a job of ``tests.support.parse_jobs``."""
    return await parser_pool.parse_and_extract(job.encode())


def sample(name: str, **labels: str) -> float:
    """Return the value of a metric now."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


async def test_a_mail_is_parsed_its_reply_taken_out_and_its_attachment_read() -> None:
    parser_pool = ParsePool(processes=1, seconds=20, memory_bytes=512 * MiB)
    await parser_pool.start()
    try:
        message, reply = await parser_pool.parse_and_extract(HELLO)
        assert (message, reply.content) == (parse(HELLO), "Hello")
        assert (await parser_pool.reply(message, ["something sent before"])).content == "Hello"
        assert await parser_pool.attachment_bytes(HELLO, [only(message).part_number]) == (b"%PDF",)
        with pytest.raises(LookupError, match="no part 99"):
            await parser_pool.attachment_bytes(HELLO, [99])
    finally:
        await parser_pool.stop()


async def test_many_callers_share_few_parser_processes() -> None:
    async with pool(processes=2) as parser_pool:
        answers = await asyncio.gather(*(ask(parser_pool, f"echo {number}") for number in range(200)))
    assert answers == [str(number) for number in range(200)]


async def test_a_large_mail_passes_both_ways() -> None:
    async with pool() as parser_pool:
        assert await ask(parser_pool, "echo " + "x" * (20 * MiB)) == "x" * (20 * MiB)


@pytest.mark.parametrize(
    ("job", "cause"), [("loop", "time"), ("sleep", "time"), ("bomb", "memory"), ("die", "crash"), ("raise", "crash")]
)
async def test_a_message_that_misbehaves_is_poisoned_and_the_next_one_is_served(job: str, cause: str) -> None:
    async with pool(seconds=1.0) as parser_pool:
        with pytest.raises(PoisonMessage) as raised:
            await ask(parser_pool, job)
        assert raised.value.cause == cause
        assert raised.value.reason.startswith(f"{cause}: ")
        assert "customer" not in raised.value.reason
        assert await ask(parser_pool, "echo well") == "well"


@pytest.mark.parametrize(("job", "cause", "count"), [("sleep", "time", 2), ("bomb", "memory", 1), ("die", "crash", 2)])
async def test_each_parser_process_that_a_message_ends_is_counted_by_cause(job: str, cause: str, count: int) -> None:
    async with pool(seconds=0.5) as parser_pool:
        before = sample("ingest_parse_children_killed_total", cause=cause)
        with pytest.raises(PoisonMessage):
            await ask(parser_pool, job)
        assert sample("ingest_parse_children_killed_total", cause=cause) == before + count


async def test_the_time_of_each_job_is_observed() -> None:
    async with pool() as parser_pool:
        before = sample("ingest_parse_seconds_count")
        await ask(parser_pool, "echo well")
        assert sample("ingest_parse_seconds_count") == before + 1


async def test_a_parser_process_imports_nothing_that_only_the_worker_needs() -> None:
    async with pool() as parser_pool:
        modules = await ask(parser_pool, "modules")
    assert "ingest.parse" in modules
    assert not {"prometheus_client", "structlog", "asyncio", "httpx", "apsw", "pydantic"} & set(modules)


async def test_a_message_whose_process_is_killed_for_anothers_sake_is_tried_again(tmp_path: Path) -> None:
    marker = tmp_path / "first"
    marker.mkdir()
    async with pool() as parser_pool:
        assert await ask(parser_pool, f"die-once {marker}") == "alive"


async def test_a_parser_process_that_is_killed_in_mid_job_is_replaced() -> None:
    async with pool(processes=2) as parser_pool:
        victim = await ask(parser_pool, "pid")
        waiting = asyncio.create_task(ask(parser_pool, "sleep"))
        await asyncio.sleep(0)
        os.kill(victim, signal.SIGKILL)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        served = {await ask(parser_pool, "pid") for _ in range(4)}
        assert victim not in served


async def test_a_caller_who_gives_up_leaves_no_answer_behind_for_the_next() -> None:
    async with pool() as parser_pool:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await ask(parser_pool, "sleep")
        assert await ask(parser_pool, "echo mine") == "mine"


async def test_a_caller_who_gives_up_while_waiting_costs_no_parser_process() -> None:
    async with pool(seconds=1.0) as parser_pool:
        busy = asyncio.create_task(ask(parser_pool, "sleep"))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(ask(parser_pool, "echo never"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(PoisonMessage):
            await busy
        assert await ask(parser_pool, "echo well") == "well"


async def test_a_stopped_pool_says_so_and_poisons_nothing() -> None:
    async with pool() as parser_pool:
        running = asyncio.create_task(ask(parser_pool, "sleep"))
        waiting = asyncio.create_task(ask(parser_pool, "echo late"))
        await asyncio.sleep(0.1)
        await parser_pool.stop()
        for task in (running, waiting):
            with pytest.raises(ParsePoolStopped):
                await task
        with pytest.raises(ParsePoolStopped):
            await ask(parser_pool, "echo later")


async def test_stopping_leaves_no_process_behind() -> None:
    async with pool(processes=2) as parser_pool:
        pids = {await ask(parser_pool, "pid") for _ in range(8)}
    assert not any(is_alive(pid) for pid in pids)


async def test_a_pool_that_cannot_start_says_so() -> None:
    parser_pool = ParsePool(processes=1, seconds=1, memory_bytes=512 * MiB, target="tests.no_such_module:do")
    with pytest.raises(ParsePoolStopped, match="cannot be started"):
        await parser_pool.start()


async def test_a_parser_process_holds_no_socket_of_ours_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAVENNA_API_TOKEN", "secret")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        os.set_inheritable(listener.fileno(), True)
        async with pool() as parser_pool:
            assert "RAVENNA_API_TOKEN" not in await ask(parser_pool, "environment")
            descriptors = await ask(parser_pool, "descriptors")
    assert listener.fileno() not in descriptors
    assert len(descriptors) <= 5


async def test_a_parser_process_cannot_write_files(tmp_path: Path) -> None:
    async with pool() as parser_pool:
        with pytest.raises(PoisonMessage):
            await ask(parser_pool, f"write {tmp_path / 'file'}")


async def test_a_result_that_is_no_plain_value_is_not_unpickled() -> None:
    async with pool() as parser_pool:
        with pytest.raises(PoisonMessage, match=r"posix\.system"):
            await ask(parser_pool, "evil")


ORPHANS = """
import asyncio, sys
from tests.acceptance.test_parse_pool import ask, pool

async def main():
    async with pool(processes=2) as parser_pool:
        print(*sorted({await ask(parser_pool, "pid") for _ in range(8)}), flush=True)
        await asyncio.gather(ask(parser_pool, "sleep"), ask(parser_pool, "loop"))

asyncio.run(main())
"""


async def test_parser_processes_end_with_their_parent_idle_or_busy() -> None:
    parent = subprocess.Popen([sys.executable, "-c", ORPHANS], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(pid) for pid in (await asyncio.to_thread(parent.stdout.readline)).split()]
    assert pids
    parent.kill()
    parent.wait()
    parent.stdout.close()
    await until(lambda: not any(is_alive(pid) for pid in pids))
