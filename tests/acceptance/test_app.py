"""The worker as an operator meets it: start, health, stop, death, and what it says."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ingest.app import App, ComponentStopped
from ingest.cli.exit_codes import ExitCode
from ingest.cli.serve import FORGED_AUTHOR, line_to_try
from ingest.sandbox import Fault
from ingest.store import Ledger
from ingest.store.opening import WorkerLock, open_store
from tests.support.commands import ROOT, run
from tests.support.engine import started
from tests.support.sandbox_worker import World, eventually, free_port, new_world, reply
from tests.support.smtp import Inbox, listening

READY = "and look at"
SLOW_POST = Fault(method="POST", path="/api/ticket-messages", delay=3600, effect=True, cut=True)


def alone(folder: Path) -> dict[str, str]:
    """Settings with ports and files of its own."""
    return {
        "PATH": os.environ["PATH"],
        "INGEST_DATABASE_URL": f"sqlite:///{folder}/var/ingest.db",
        "INGEST_SMTP_LISTEN": f"127.0.0.1:{free_port()}",
        "INGEST_HTTP_LISTEN": f"127.0.0.1:{free_port()}",
        "INGEST_SANDBOX_LISTEN": f"127.0.0.1:{free_port()}",
        "INGEST_PARSE_CHILDREN": "1",
    }


@contextmanager
def sandbox_worker(environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``ingest serve --sandbox`` when it is ready, and what it printed until then."""
    command = [sys.executable, "-m", "ingest", "serve", "--sandbox"]
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as worker:
        try:
            assert worker.stdout is not None
            printed = ""
            while READY not in printed:
                line = worker.stdout.readline()
                assert line, "the worker ended before it was ready"
                printed += line
            yield worker, printed
        finally:
            worker.kill()


async def get(environment: dict[str, str], path: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://{environment['INGEST_HTTP_LISTEN']}{path}")


async def posts(environment: dict[str, str]) -> list[str]:
    """What was posted to the worker's sandbox."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://{environment['INGEST_SANDBOX_LISTEN']}/sandbox/posts")
    return [post["content"] for post in answer.json()]


async def ledger_of(environment: dict[str, str]) -> Ledger:
    async with open_store(environment["INGEST_DATABASE_URL"]) as store:
        return await store.ledger(now=time.time())


# serve --sandbox


async def test_the_line_that_it_prints_sends_a_reply_that_is_seen_at_the_sandbox_and_outlives_a_kill(
    tmp_path: Path,
) -> None:
    environment = alone(tmp_path)

    async def is_posted(times: int) -> bool:
        return await posts(environment) == ["Thank you, it works now."] * times

    with sandbox_worker(environment) as (worker, printed):
        line, forged = (line for line in printed.splitlines() if "TAI-42]" in line)
        for _ in range(2):
            sent = await asyncio.to_thread(subprocess.run, ["/bin/sh", "-c", line], capture_output=True, check=False)
            assert sent.returncode == 0, sent.stderr
        await asyncio.to_thread(subprocess.run, ["/bin/sh", "-c", forged], capture_output=True, check=True)
        await eventually(lambda: is_posted(2), "both replies are posted")
        await eventually(lambda: are_treated(environment), "the forged one is held")
        worker.kill()
        worker.wait()
    with sandbox_worker(environment):
        assert await is_posted(2)
        ledger = await ledger_of(environment)
    assert ledger.holds
    assert ledger.accepted == 3


async def are_treated(environment: dict[str, str]) -> bool:
    """Whether two mails were posted as proven, and one was held as forged."""
    async with open_store(environment["INGEST_DATABASE_URL"]) as store:
        found = await store.list_messages()
    trusted = sorted((str(one.state), str(one.trust.authentication.result)) for one in found if one.trust is not None)
    return trusted == [("delivered", "proven"), ("delivered", "proven"), ("quarantined", "failed")]


def test_it_says_what_listens_where_and_what_to_look_at(tmp_path: Path) -> None:
    environment = alone(tmp_path)
    with sandbox_worker(environment) as (_worker, printed):
        for name in ("INGEST_SMTP_LISTEN", "INGEST_HTTP_LISTEN", "INGEST_SANDBOX_LISTEN", "INGEST_DATABASE_URL"):
            assert environment[name] in printed
        assert len(printed.splitlines()) < 15


# Starting


def test_without_a_token_and_a_domain_it_says_so_and_how_to_try_without(tmp_path: Path) -> None:
    told = run("serve", INGEST_DATABASE_URL=f"sqlite:///{tmp_path}/ingest.db")
    assert told.code == ExitCode.USAGE
    token, domains = told.err.splitlines()
    assert "RAVENNA_API_TOKEN is not set" in token
    assert "ingest serve --sandbox" in token
    assert "INGEST_DOMAINS is not set" in domains


@pytest.mark.parametrize("with_curl", [True, False])
async def test_each_form_of_the_line_sends_a_reply_to_the_ticket(tmp_path: Path, with_curl: bool) -> None:
    if with_curl and shutil.which("curl") is None:
        pytest.skip("curl is not installed, and not printed then")
    inbox = Inbox()
    async with listening(inbox) as source:
        line = line_to_try(f"127.0.0.1:{source.port}", "ours.example", with_curl=with_curl)
        sent = await asyncio.to_thread(subprocess.run, ["/bin/sh", "-c", line], capture_output=True, check=False)
    assert sent.returncode == 0, sent.stderr
    assert b"\r\nIn-Reply-To: <tai-42-1@mail.ravenna.example>\r\n\r\nThank you" in inbox.body()


async def test_the_line_with_a_forged_author_has_the_agent_in_from_and_envelope() -> None:
    line = line_to_try("127.0.0.1:25", "ours.example", with_curl=True, author=FORGED_AUTHOR)
    assert "From: Sam Okafor <sam.okafor@support.example>" in line
    assert "--mail-from sam.okafor@support.example" in line


@pytest.mark.parametrize("setting", ["INGEST_SMTP_LISTEN", "INGEST_HTTP_LISTEN", "INGEST_SANDBOX_LISTEN"])
def test_a_port_that_is_taken_is_one_line_that_names_the_setting(tmp_path: Path, setting: str) -> None:
    environment = alone(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environment[setting] = f"127.0.0.1:{taken.getsockname()[1]}"
        told = run("serve", "--sandbox", **environment)
    assert told.code == ExitCode.UNAVAILABLE
    assert environment[setting] in told.complaint
    assert setting in told.complaint


def test_a_second_worker_on_one_database_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    environment = alone(tmp_path)
    lock = WorkerLock(environment["INGEST_DATABASE_URL"])
    assert lock.take()
    told = run("serve", "--sandbox", **environment)
    lock.release()
    assert told.code == ExitCode.UNAVAILABLE
    assert f"(process {os.getpid()})" in told.complaint
    assert "INGEST_DATABASE_URL" in told.complaint


def test_a_lock_whose_process_died_is_free(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ingest.db"
    code = f"from ingest.store.opening import WorkerLock; import os; assert WorkerLock({url!r}).take(); os._exit(9)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    lock = WorkerLock(url)
    assert lock.take()
    lock.release()


# Health


async def test_it_is_healthy_ready_and_measured_while_it_works(tmp_path: Path) -> None:
    async with new_world(tmp_path) as world:
        world.environment["INGEST_HTTP_LISTEN"] = f"127.0.0.1:{free_port()}"
        world.start()
        await world.deliver(reply("One"))
        await eventually(lambda: world.posted("One") == 1, "the mail is posted")
        health, ready = [await get(world.environment, path) for path in ("/healthz", "/readyz")]
        assert (health.status_code, health.text) == (200, "ok\n")
        assert (ready.status_code, ready.json()) == (200, {"ready": True, "reasons": {}})

        async def is_counted() -> bool:
            return 'ingest_messages{state="delivered"} 1.0' in (await get(world.environment, "/metrics")).text

        await eventually(is_counted, "the mail is counted as delivered")
        metrics = (await get(world.environment, "/metrics")).text
    assert "ingest_ledger_holds 1.0" in metrics
    assert 'ingest_received_total{source="smtp"} 1.0' in metrics
    assert "ingest_oldest_queued_seconds 0.0" in metrics
    assert "_created" not in metrics


async def test_without_a_source_it_is_not_ready_and_says_what_to_set(tmp_path: Path) -> None:
    async with started(tmp_path / "ingest.db", INGEST_SMTP_LISTEN="none", INGEST_HTTP_LISTEN="none") as (engine, _):
        app = App(engine)
        await app.start()
        assert "INGEST_SMTP_LISTEN" in (await app.reasons())["sources"]
        await app.stop(0)


async def test_with_too_little_room_it_is_not_ready(tmp_path: Path) -> None:
    room = {"INGEST_MIN_FREE_BYTES": str(2**62), "INGEST_SMTP_LISTEN": "127.0.0.1:0", "INGEST_HTTP_LISTEN": "none"}
    async with started(tmp_path / "ingest.db", **room) as (engine, _):
        app = App(engine)
        await app.start()
        assert "make room" in (await app.reasons())["intake"]
        await app.stop(0)


# Stopping


async def begin_slow_post(world: World) -> None:
    """Start a worker and leave it with a mail whose POST gets no answer."""
    world.environment["INGEST_HTTP_LISTEN"] = f"127.0.0.1:{free_port()}"
    await world.order(SLOW_POST)
    world.start()
    await world.deliver(reply("One"))
    await eventually(lambda: world.posted("One") == 1, "the POST has its effect")


async def test_a_stop_waits_for_what_is_in_progress_and_ends_well(tmp_path: Path) -> None:
    async with new_world(tmp_path) as world:
        await world.order(Fault(method="POST", path="/api/ticket-messages", delay=1.0))
        world.environment["INGEST_HTTP_LISTEN"] = f"127.0.0.1:{free_port()}"
        world.start()
        await world.deliver(reply("One"))
        await eventually(world.played, "the POST has begun")
        assert world.worker is not None
        world.worker.send_signal(signal.SIGTERM)
        assert await world.died() == 0
        assert world.posted("One") == 1
        ledger = await world.ledger()
    assert {state: number for state, number in ledger.by_state.items() if number} == {"delivered": 1}


async def test_while_it_stops_it_is_not_ready_and_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    async with new_world(tmp_path) as world:
        world.environment["INGEST_DRAIN"] = "3600"
        await begin_slow_post(world)
        assert world.worker is not None
        world.worker.send_signal(signal.SIGINT)

        async def is_draining() -> bool:
            answer = (await get(world.environment, "/readyz")).json()
            return bool(answer["reasons"] == {"worker": "it is stopping"})

        await eventually(is_draining, "it says that it is stopping")
        world.worker.send_signal(signal.SIGINT)
        assert await world.died() == 128 + signal.SIGINT


async def test_what_a_stop_cuts_off_is_given_back_and_not_posted_twice(tmp_path: Path) -> None:
    async with new_world(tmp_path) as world:
        world.environment["INGEST_DRAIN"] = "0.2"
        await begin_slow_post(world)
        assert world.worker is not None
        world.worker.send_signal(signal.SIGTERM)
        assert await world.died() == 0
        world.start()
        await eventually(lambda: world.settled(1), "the mail is delivered")
        assert world.posted("One") == 1


async def test_a_part_that_ends_by_itself_ends_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with started(tmp_path / "ingest.db", INGEST_SMTP_LISTEN="none", INGEST_HTTP_LISTEN="none") as (engine, _):

        async def die() -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(engine.worker, "run", die)
        with pytest.raises(ComponentStopped, match="ZeroDivisionError"):
            await App(engine).run(asyncio.Event())
