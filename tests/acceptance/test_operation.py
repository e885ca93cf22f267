"""What happens to a running worker and its files: removed, moved, restored, locked, paused, reloaded."""

import asyncio
import shutil
import signal
import smtplib
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import httpx
import pytest

from ingest.cli.exit_codes import ExitCode
from ingest.sandbox import Fault
from ingest.store.opening import open_store
from tests.support.commands import run_beside
from tests.support.sandbox_worker import TICKET, World, eventually, free_port, new_world, reply

QUICK = {"INGEST_API_TIMEOUT": "2", "INGEST_SETTLE": "0.3", "INGEST_SECOND_LOOK": "0.3"}
"""Settings under which a POST in doubt is looked for soon."""
POSTS = "/api/ticket-messages"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with new_world(tmp_path) as world:
        world.environment |= QUICK | {"INGEST_HTTP_LISTEN": f"127.0.0.1:{free_port()}"}
        yield world


async def readiness(world: World) -> tuple[int, str]:
    """Status and text of ``/readyz``; 0 while nobody answers."""
    try:
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://{world.environment['INGEST_HTTP_LISTEN']}/readyz", timeout=10)
    except httpx.HTTPError:
        return 0, ""
    return answer.status_code, answer.text


async def is_ready(world: World) -> bool:
    return (await readiness(world))[0] == 200


async def hold_back(world: World, *texts: str) -> None:
    """Take mails in while the API is down, so that they stay queued."""
    await world.order(Fault(path="/api/", status=503, times=None))
    for text in texts:
        await world.deliver(reply(text))


async def let_go(world: World) -> None:
    async with httpx.AsyncClient() as client:
        await client.delete(f"{world.sandbox.page}sandbox/faults")


# Two workers


async def test_a_second_worker_is_refused_though_the_lock_file_is_gone(world: World) -> None:
    world.start()
    await eventually(lambda: is_ready(world), "the worker is ready")
    world.database.with_name("ingest.db.lock").unlink()
    other = {"INGEST_SMTP_LISTEN": "127.0.0.1:0", "INGEST_HTTP_LISTEN": "none"}
    told = await run_beside("serve", **world.environment | other)
    assert told.code == ExitCode.UNAVAILABLE
    assert "another worker" in told.complaint
    texts = [f"mail {number} of the first." for number in range(8)]
    for text in texts:
        await world.deliver(reply(text))
    await eventually(lambda: world.settled(len(texts)), "all are delivered")
    assert [world.posted(text) for text in texts] == [1] * len(texts)


# Files that are taken away


@pytest.mark.parametrize("what", ["-wal", "-shm"])
async def test_a_log_that_is_removed_is_noticed_saved_and_ends_the_worker(world: World, what: str) -> None:
    world.start()
    texts = [f"mail {number} before." for number in range(10)]
    await hold_back(world, *texts)
    Path(f"{world.database}{what}").unlink()
    assert await world.died() == ExitCode.FAILED
    await let_go(world)
    world.start()
    await eventually(lambda: world.settled(len(texts)), "all that was acknowledged is delivered")
    assert [world.posted(text) for text in texts] == [1] * len(texts)


async def test_a_database_that_is_moved_ends_the_worker_and_has_all_mail(world: World) -> None:
    world.start()
    texts = [f"mail {number} before." for number in range(10)]
    await hold_back(world, *texts)
    moved = world.database.rename(world.database.with_name("moved.db"))
    assert await world.died() == ExitCode.FAILED
    assert not world.database.exists()
    for leftover in (f"{world.database}-wal", f"{world.database}-shm"):
        Path(leftover).unlink(missing_ok=True)
    async with open_store(f"sqlite:///{moved}") as store:
        assert await store.backlog() == len(texts)


async def test_a_database_that_is_deleted_is_saved_and_no_worker_starts_without_it(world: World) -> None:
    world.start()
    texts = [f"mail {number} before." for number in range(10)]
    await hold_back(world, *texts)
    world.database.unlink()
    assert await world.died() == ExitCode.FAILED
    world.start()
    assert await world.died() == ExitCode.UNAVAILABLE
    await let_go(world)
    for leftover in (f"{world.database}-wal", f"{world.database}-shm"):
        Path(leftover).unlink(missing_ok=True)
    Path(f"{world.database}.rescued").rename(world.database)
    world.start()
    await eventually(lambda: world.settled(len(texts)), "all that was acknowledged is delivered")
    assert [world.posted(text) for text in texts] == [1] * len(texts)


async def test_no_mail_is_acknowledged_once_the_log_is_gone(world: World) -> None:
    world.start()
    await eventually(lambda: is_ready(world), "the worker is ready")
    Path(f"{world.database}-wal").unlink()
    with pytest.raises((OSError, smtplib.SMTPException)):
        await asyncio.to_thread(world.submit, reply("too late"))
    assert await world.died() == ExitCode.FAILED


# Readiness


async def test_a_worker_that_cannot_write_is_not_ready(world: World) -> None:
    world.start()
    await eventually(lambda: is_ready(world), "the worker is ready")
    locking = apsw.Connection(str(world.database))
    locking.set_busy_timeout(10_000)  # the worker may be writing just now
    locking.execute("BEGIN IMMEDIATE")

    async def says_so() -> bool:
        status, text = await readiness(world)
        return status == 503 and "store" in text

    await eventually(says_so, "it is not ready")
    locking.execute("ROLLBACK")
    locking.close()
    await eventually(lambda: is_ready(world), "it is ready again")


# Commands beside a worker that writes


@pytest.mark.parametrize("words", [("messages", "list"), ("ledger",), ("threads", "list"), ("messages", "show", "ID")])
async def test_a_command_that_only_reads_does_not_wait_for_a_writer(world: World, words: tuple[str, ...]) -> None:
    world.start()
    await hold_back(world, "mail one.")
    async with open_store(world.database_url) as store:
        (row,) = await store.list_messages()
    locking = apsw.Connection(str(world.database))
    locking.set_busy_timeout(10_000)  # the worker may be writing just now
    locking.execute("BEGIN IMMEDIATE")
    arguments = [row.queue_id if word == "ID" else word for word in words]
    told = await run_beside(*arguments, INGEST_DATABASE_URL=world.database_url)
    locking.close()
    assert (told.code, told.err) == (0, "")


# A pause that the API asks for


async def test_an_operator_ends_a_long_pause_of_a_running_worker(world: World) -> None:
    await world.order(Fault(method="POST", path=POSTS, status=429, retry_after="3600"))
    world.start()
    await world.deliver(reply("mail one."))
    await eventually(world.played, "the API asks for a pause")
    await world.deliver(reply("mail two."))
    assert await is_ready(world)  # mail can come in
    assert (world.posted("mail one."), world.posted("mail two.")) == (0, 0)
    told = await run_beside("resume", "--by", "olga", INGEST_DATABASE_URL=world.database_url)
    assert told.code == 0
    await eventually(lambda: world.settled(2), "both are delivered")
    assert (world.posted("mail one."), world.posted("mail two.")) == (1, 1)


# Reloading


async def test_a_new_token_is_used_from_a_signal_on(world: World, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a token that the API does not know")
    del world.environment["RAVENNA_API_TOKEN"]
    world.environment["RAVENNA_API_TOKEN_FILE"] = str(file)
    world.start()
    await world.deliver(reply("mail one."))
    assert world.worker is not None
    file.write_text(world.sandbox.token)
    world.worker.send_signal(signal.SIGHUP)
    await eventually(lambda: world.settled(1), "the mail is delivered")


async def test_a_configuration_that_does_not_load_leaves_the_worker_as_it_was(world: World, tmp_path: Path) -> None:
    file = tmp_path / "ingest.toml"
    file.write_text("")
    world.environment["INGEST_CONFIG"] = str(file)
    world.start()
    await eventually(lambda: is_ready(world), "the worker is ready")
    file.write_text("INGEST_LEASE = 'soon'\n")
    assert world.worker is not None
    world.worker.send_signal(signal.SIGHUP)
    await world.deliver(reply("mail one."))
    await eventually(lambda: world.settled(1), "the mail is delivered")
    assert world.worker.poll() is None


# Backup and restore


@pytest.mark.parametrize("restore", [shutil.move, lambda source, target: target.write_bytes(source.read_bytes())])
async def test_a_backup_that_is_restored_after_delivery_doubles_nothing(world: World, restore: object) -> None:
    world.start()
    texts = [f"mail {number} of the backup." for number in range(10)]
    await hold_back(world, *texts)
    backup = world.database.with_name("backup.db")
    connection = apsw.Connection(str(world.database))
    connection.execute("VACUUM INTO ?", (str(backup),))
    connection.close()
    await let_go(world)
    await eventually(lambda: world.settled(len(texts)), "all are delivered")
    world.stop()
    assert callable(restore)
    restore(backup, world.database)
    world.start()
    await eventually(lambda: world.settled(len(texts)), "all are found at the API")
    assert [world.posted(text) for text in texts] == [1] * len(texts)
    assert len(world.sandbox.state.posts) == len(texts)
    assert {post["ticketId"] for post in world.sandbox.state.posts} == {TICKET}


# Damage


async def test_a_damaged_database_is_told_by_check_with_what_to_do(world: World) -> None:
    world.start()
    await hold_back(world, *(f"mail {number}. {'words ' * 2000}" for number in range(8)))
    world.stop()
    sound = await run_beside("check", **world.environment)
    assert "is sound" in sound.out
    with world.database.open("r+b") as file:
        file.seek(world.database.stat().st_size // 3)
        file.write(b"\xa5" * 60_000)
    told = await run_beside("check", **world.environment)
    assert told.code == ExitCode.FAILED
    assert "damaged" in told.out
    assert "backup" in told.out
