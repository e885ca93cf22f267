"""``ingest replay``: mails from files through the same pipeline, by itself or beside a worker."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

from ingest.cli.exit_codes import INTERRUPTED, ExitCode
from ingest.sandbox import Fault, Sandbox
from tests.support.commands import Told, run, run_beside
from tests.support.engine import environment
from tests.support.fixture_mails import SANDBOX
from tests.support.sandbox_worker import eventually, new_world, reply

FROM = b"From alice@customer.example Mon Nov 23 08:15:00 2026\n"
STRANGER = reply("Hello").replace(b"To: <help+TAI-cm7y0q4kt000q5gneqf0tbspg@", b"To: <help@")


def mbox(folder: Path, *mails: bytes) -> Path:
    path = folder / "a.mbox"
    path.write_bytes(b"".join(FROM + mail.replace(b"\r\n", b"\n") + b"\n" for mail in mails))
    return path


def rows(told: Told) -> list[dict[str, Any]]:
    return [json.loads(line) for line in told.out.splitlines()]


def settings(sandbox: Sandbox, folder: Path) -> dict[str, str]:
    return environment(sandbox, folder / "ingest.db") | {"INGEST_RETRY_FIRST": "3600"}


async def test_a_mailbox_is_delivered_and_a_second_time_posts_nothing(tmp_path: Path) -> None:
    path = mbox(tmp_path, reply("One"), reply("Two"))
    async with Sandbox(data=SANDBOX) as sandbox:
        first = await run_beside("replay", "--json", path, **settings(sandbox, tmp_path))
        again = await run_beside("replay", "--json", path, **settings(sandbox, tmp_path))
        posted = [post["content"] for post in sandbox.state.posts]
    assert (first.code, again.code) == (ExitCode.OK, ExitCode.OK), first.err
    assert sorted(posted) == ["One", "Two"]
    assert [(row["path"], row["state"], row["known"]) for row in rows(first)] == [
        (f"{path}#1", "delivered", False),
        (f"{path}#2", "delivered", False),
    ]
    assert [row["known"] for row in rows(again)] == [True, True]


async def test_a_table_tells_people_what_became_of_each_mail_and_the_code_tells_scripts(tmp_path: Path) -> None:
    path = mbox(tmp_path, reply("One"), STRANGER)
    (tmp_path / "notes.txt").write_text("no mail")
    async with Sandbox(data=SANDBOX) as sandbox:
        told = await run_beside("replay", tmp_path, **settings(sandbox, tmp_path))
    assert told.code == ExitCode.PERSON_NEEDED
    header, first, second, summary = told.out.splitlines()
    assert header == "mail\toutcome\tticket\treason"
    assert first.startswith(f"{path}#1\tdelivered\tcm7y0q4kt000q5gneqf0tbspg")
    assert second.startswith(f"{path}#2\tquarantined\t\tunmatched: ")
    assert summary == "2 mails: 1 delivered, 1 quarantined"
    assert "files that look like no mail" in told.complaint


async def test_mail_that_the_api_does_not_take_now_is_told_as_put_off(tmp_path: Path) -> None:
    path = mbox(tmp_path, reply("One"))
    async with Sandbox(data=SANDBOX) as sandbox:
        dead = settings(sandbox, tmp_path) | {"RAVENNA_API_URL": "http://127.0.0.1:1/api"}
        told = await run_beside("replay", "--json", path, **dead)
    assert told.code == ExitCode.UNFINISHED
    (row,) = rows(told)
    assert row["state"] == "queued"
    assert "no answer" in row["reason"]


async def test_a_dry_run_tells_the_same_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = mbox(tmp_path, reply("One"), STRANGER)
    async with Sandbox(data=SANDBOX) as sandbox:
        told = await run_beside("replay", "--dry-run", "--json", path, **settings(sandbox, tmp_path))
        posts = list(sandbox.state.posts)
    assert told.code == ExitCode.PERSON_NEEDED
    assert [row["state"] for row in rows(told)] == ["delivered", "quarantined"]
    assert posts == []
    assert not (tmp_path / "ingest.db").exists()


async def test_beside_a_worker_the_worker_does_the_work_and_no_token_is_needed(tmp_path: Path) -> None:
    async with new_world(tmp_path) as world:
        world.start()
        await world.deliver(reply("Zero"))
        told = await run_beside(
            "replay", "--json", mbox(tmp_path, reply("One")), INGEST_DATABASE_URL=world.database_url
        )
        assert told.code == ExitCode.OK, told.err
        assert [row["state"] for row in rows(told)] == ["delivered"]
        assert world.posted("One") == 1


async def test_a_reply_that_comes_before_its_parent_in_the_mailbox_is_delivered_too(tmp_path: Path) -> None:
    parent = reply("Parent", name="parent")
    child = STRANGER.replace(b"\r\n\r\nHello", b"\r\nIn-Reply-To: <parent@customer.example>\r\n\r\nChild")
    async with Sandbox(data=SANDBOX) as sandbox:
        told = await run_beside("replay", "--json", mbox(tmp_path, child, parent), **settings(sandbox, tmp_path))
    assert [row["state"] for row in rows(told)] == ["delivered", "delivered"], told


async def test_a_replay_that_is_interrupted_gives_back_its_work_and_posts_nothing_twice(tmp_path: Path) -> None:
    path = mbox(tmp_path, reply("One"), reply("Two"))
    async with new_world(tmp_path) as world:
        await world.order(Fault(method="POST", path="/api/ticket-messages", effect=True, cut=True, delay=3600))
        world.environment["INGEST_DRAIN"] = "0.2"
        world.start((sys.executable, "-m", "ingest", "replay", str(path)))
        await eventually(lambda: world.posted("One") == 1, "the first message is posted, and nobody is told")
        assert world.worker is not None
        world.worker.send_signal(signal.SIGINT)
        assert await world.died() == INTERRUPTED

        async def delivered() -> bool:
            """The post in doubt is looked for after a while: a replay ends before that and tells what is queued."""
            told = await run_beside("replay", "--json", path, **world.environment)
            return [row["state"] for row in rows(told)] == ["delivered", "delivered"]

        await eventually(delivered, "both messages are delivered")
        assert (world.posted("One"), world.posted("Two")) == (1, 1)


def test_without_a_worker_and_without_a_token_it_says_what_to_set(tmp_path: Path) -> None:
    told = run("replay", mbox(tmp_path, reply("One")), INGEST_DATABASE_URL=f"sqlite:///{tmp_path}/ingest.db")
    assert told.code == ExitCode.USAGE
    assert [line.split()[1] for line in told.err.splitlines()] == ["RAVENNA_API_TOKEN", "INGEST_DOMAINS"]
