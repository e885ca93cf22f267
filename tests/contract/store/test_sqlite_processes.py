"""SQLite with processes that are killed, and with processes that share a file."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.model.teachers import Teacher
from ingest.store.messages import Store
from ingest.store.sqlite import SqliteDatabase
from tests.support.store import START, receive
from tests.support.workers import content_of

REPOSITORY = Path(__file__).parents[3]


def start(what: str, path: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.support.workers", what, str(path)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def lines_of(process: "subprocess.Popen[str]", *, at_most: int | None = None) -> list[str]:
    """The next lines that a process prints, up to its end."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if len(lines) == at_most:
            break
    return lines


async def opened(path: Path) -> tuple[SqliteDatabase, Store]:
    database = SqliteDatabase(path)
    await database.migrate()
    return database, Store(database)


@pytest.mark.parametrize("acknowledged", [1, 150, 600])
async def test_every_acknowledged_mail_survives_the_death_of_the_process(tmp_path: Path, acknowledged: int) -> None:
    process = start("receive", tmp_path / "ingest.db")
    lines = lines_of(process, at_most=acknowledged)
    process.kill()
    numbers = {int(line) for line in lines + lines_of(process)}
    process.wait()
    database, store = await opened(tmp_path / "ingest.db")
    for number in numbers:
        assert await store.content(f"Q{number}") == content_of(number)
    ledger = await store.ledger(now=START)
    assert ledger.holds
    assert ledger.accepted >= len(numbers) >= acknowledged
    assert await database.read(lambda tx: tx.execute("PRAGMA integrity_check")) == [("ok",)]
    await database.close()


async def test_processes_that_share_a_file_never_claim_the_same_message(tmp_path: Path) -> None:
    path = tmp_path / "ingest.db"
    database, store = await opened(path)
    await asyncio.gather(*(receive(store, number) for number in range(400)))
    processes = [start("claim", path) for _ in range(2)]
    claimed = [await asyncio.to_thread(lines_of, process) for process in processes]
    assert [process.wait() for process in processes] == [0, 0]
    assert sorted(claimed[0] + claimed[1]) == sorted(f"Q{number}" for number in range(400))
    assert await store.backlog() == 400
    await database.close()


async def test_two_processes_that_write_at_the_same_time_both_get_through(tmp_path: Path) -> None:
    """The command line beside a busy worker: nobody is refused, nothing is counted wrong."""
    path = tmp_path / "ingest.db"
    database, store = await opened(path)
    process = start("receive", path)
    assert len(lines_of(process, at_most=1)) == 1
    for number in range(50):
        await store.learn(f"{number}@x", "T1", learned_from=Teacher.OPERATOR, now=START)
    process.kill()
    process.wait()
    assert len(await store.list_threads(limit=1000)) == 50
    assert (await store.ledger(now=START)).holds
    await database.close()
