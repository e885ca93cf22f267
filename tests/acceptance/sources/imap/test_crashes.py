"""A worker killed with SIGKILL while it reads: every message is taken in exactly once, and moved in the end."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dovecot import Dovecot, dovecot
from tests.support.mailboxes import account, eventually, faster, intake, mail, numbered

ROOT = Path(__file__).parents[4]
MAILS = tuple(numbered("mail", 12))
USER = "alice@customer.example"


@pytest.fixture
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        other = running.client(USER)
        other.create("Done")
        other.logout()
        running.deliver(USER, *MAILS)
        yield running


def start_victim(folder: Path, server: Dovecot, point: str, number: int) -> "subprocess.Popen[str]":
    command = [
        sys.executable,
        "-m",
        "tests.support.imap_victim",
        str(folder),
        str(server.port),
        USER,
        point,
        str(number),
    ]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [1, 6])
@pytest.mark.parametrize("point", ["before-commit", "after-commit"])
async def test_a_worker_dies_between_fetch_commit_and_move(
    tmp_path: Path, server: Dovecot, point: str, number: int
) -> None:
    victim = start_victim(tmp_path, server, point, number)
    assert await asyncio.to_thread(victim.wait, 30) == -signal.SIGKILL
    assert server.uids(USER), "it died too late to prove anything"
    async with intake(tmp_path) as taken:
        await taken.start(account(server, USER, after="move", move_to="Done"))
        await taken.has(*MAILS)
        await eventually(lambda: server.uids(USER) == [], "all are moved")
        assert len(server.uids(USER, "Done")) == len(MAILS)


async def test_another_worker_takes_over_from_a_dead_one_when_its_lease_ends(tmp_path: Path, server: Dovecot) -> None:
    async with intake(tmp_path) as taken:
        victim = start_victim(tmp_path, server, "never", 0)
        try:
            await taken.has(*MAILS)
            source = await taken.start(
                account(server, USER), timing=faster(lease_seconds=1.0, renew_seconds=0.2), only_worker=False
            )
            server.deliver(USER, mail("one"))
            await taken.has(*MAILS, mail("one"))
            assert source.statuses[0].record is None, "the other one reads"
        finally:
            victim.kill()
            await asyncio.to_thread(victim.wait)
        server.deliver(USER, mail("two"))
        await taken.has(*MAILS, mail("one"), mail("two"))
        assert source.statuses[0].record is not None
