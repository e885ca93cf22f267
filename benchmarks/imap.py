"""Reading mailboxes, measured on a real Dovecot of this machine: the first catch-up beside mbsync, the wake-up from
IDLE beside a bare socket, and the memory of many mailboxes in IDLE.

    python -m benchmarks.imap [catch-up] [wake-up] [memory]

Needs Debian's dovecot-imapd and isync. Figures are ratios and differences against what runs beside us in the same
minute; medians of the runs.
"""

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.mails import make
from benchmarks.processes import resident_bytes
from ingest import log
from ingest.config.imap_accounts import ImapAccount
from ingest.model.envelope import ReceivedMessage
from ingest.receive import Receiver
from ingest.sources.imap import ImapSource
from ingest.store.imap import ImapStore
from ingest.store.messages import Store
from ingest.store.sqlite import SqliteDatabase
from tests.support.dovecot import PASSWORD, Dovecot, dovecot

MAILS = 2_000
RUNS = 3
WAKE_UPS = 100
ACCOUNTS = 200
MiB = 1024 * 1024

MBSYNCRC = """
IMAPAccount bench
Host 127.0.0.1
Port {port}
User bench@bench.example
Pass {password}
SSLType None
AuthMechs LOGIN

IMAPStore far
Account bench

MaildirStore near
Path {folder}/
Inbox {folder}/INBOX

Channel bench
Far :far:
Near :near:
Patterns INBOX
Create Near
Sync Pull
SyncState *
"""


def account(server: Dovecot, user: str, *, tls: bool = False) -> ImapAccount:
    facts: dict[str, Any] = {
        "name": user.partition("@")[0],
        "host": "localhost" if tls else "127.0.0.1",
        "port": server.tls_port if tls else server.port,
        "security": "tls" if tls else "none",
        "ca_file": server.ca_file if tls else None,
        "user": user,
        "password": PASSWORD,
        "first": "all",
    }
    return ImapAccount.model_validate(facts)


async def never() -> None:
    return None


class Worker:
    """A source, a receiver and a store in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.database = SqliteDatabase(folder / "ingest.db")
        self.stored: list[float] = []

    async def __aenter__(self) -> "Worker":
        await self.database.migrate()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.source.drain(5)
        await self.database.close()

    async def read(self, *accounts: ImapAccount) -> None:
        receiver = Receiver(Store(self.database), clock=time.time, max_backlog=1_000_000, min_free_bytes=0)

        async def receive(message: ReceivedMessage) -> str:
            queue_id = await receiver.receive(message)
            self.stored.append(time.monotonic())
            return queue_id

        self.source = ImapSource(accounts, receive, refusal=never, store=ImapStore(self.database))
        await self.source.start()

    async def until(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + 300
        while not condition():
            if time.monotonic() > until:
                raise SystemExit("it does not come to an end")
            await asyncio.sleep(0.002)


def fill(server: Dovecot, user: str, count: int) -> int:
    """Put the mixed set into a mailbox; and return its bytes."""
    size = 0
    new = server.mail / user / "new"
    for name in ("cur", "new", "tmp"):
        (server.mail / user / name).mkdir(parents=True)
    for number, mail in enumerate(make(count, "mixed", 500)):
        (new / f"{1_700_000_000 + number}.M{number}.bench").write_bytes(mail.content)
        size += len(mail.content)
    server.own(server.mail / user)
    server.uids(user)  # the server's own index is built before anything is measured
    return size


def mbsync(server: Dovecot) -> float:
    """Seconds that mbsync takes for the same mailbox, into a Maildir."""
    folder = Path(tempfile.mkdtemp(prefix="ingest-mbsync-"))
    try:
        settings = folder / "mbsyncrc"
        settings.write_text(MBSYNCRC.format(port=server.port, password=PASSWORD, folder=folder / "mail"))
        (folder / "mail").mkdir()
        began = time.monotonic()
        subprocess.run(["mbsync", "-c", str(settings), "-q", "bench"], check=True)
        took = time.monotonic() - began
        got = sum(1 for _ in folder.glob("mail/INBOX/*/*") if _.is_file() and not _.name.startswith("."))
        assert got == MAILS, f"mbsync got {got} mails"
        return took
    finally:
        shutil.rmtree(folder)


async def ours(server: Dovecot) -> float:
    """Seconds until all mails are in our store, synced."""
    folder = Path(tempfile.mkdtemp(prefix="ingest-bench-"))
    try:
        async with Worker(folder) as worker:
            began = time.monotonic()
            await worker.read(account(server, "bench@bench.example"))
            await worker.until(lambda: len(worker.stored) == MAILS)
            return worker.stored[-1] - began
    finally:
        shutil.rmtree(folder)


async def catch_up() -> None:
    with dovecot() as server:
        size = fill(server, "bench@bench.example", MAILS)
        theirs, us = [], []
        for _ in range(RUNS):
            us.append(await ours(server))
            theirs.append(await asyncio.to_thread(mbsync, server))
    we, they = statistics.median(us), statistics.median(theirs)
    print(f"catch-up of {MAILS} mails, {size / MiB:.0f} MiB, medians of {RUNS}:")
    print(f"  ours    {MAILS / we:6.0f} mails/s   ({', '.join(f'{t:.2f}' for t in us)} s)")
    print(f"  mbsync  {MAILS / they:6.0f} mails/s   ({', '.join(f'{t:.2f}' for t in theirs)} s)")
    print(f"  ours / mbsync = {they / we:.2f}   (at least 1 is asked for)")


BARE = r"""
import socket, sys, time
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
lines = connection.makefile("rb")
lines.readline()
for command in (f'a LOGIN {sys.argv[2]} {sys.argv[3]}', 'b EXAMINE INBOX', 'c IDLE'):
    connection.sendall(command.encode() + b"\r\n")
    while not (line := lines.readline()).startswith((command[0].encode() + b" ", b"+")):
        pass
print("idling", flush=True)
for line in lines:
    if line.endswith(b"EXISTS\r\n"):
        print(time.monotonic(), flush=True)
"""


async def wake_up() -> None:
    user = "wake@bench.example"
    folder = Path(tempfile.mkdtemp(prefix="ingest-bench-"))
    mails = make(WAKE_UPS, "text", 500)
    with dovecot() as server:
        server.uids(user)
        command = [sys.executable, "-c", BARE, str(server.port), user, PASSWORD]
        bare = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        assert bare.stdout
        try:
            async with Worker(folder) as worker:
                await worker.read(account(server, user))
                await bare.stdout.readline()
                await worker.until(lambda: bool(worker.source.statuses[0].record))
                await asyncio.sleep(1)
                behind, told = [], []
                for number, mail in enumerate(mails, 1):
                    await asyncio.to_thread(server.deliver, user, mail.content)
                    delivered = time.monotonic()
                    heard = float(await bare.stdout.readline())
                    await worker.until(lambda number=number: len(worker.stored) == number)  # type: ignore[misc]
                    behind.append(1000 * (worker.stored[-1] - heard))
                    told.append(1000 * (heard - delivered))
        finally:
            bare.kill()
            shutil.rmtree(folder)
    behind.sort()
    print(f"wake-up from IDLE, {WAKE_UPS} mails: stored by us after the bare client was told, in ms:")
    p99 = behind[int(len(behind) * 0.99) - 1]
    print(f"  p50 {statistics.median(behind):.1f}   p99 {p99:.1f}   (at most 20 and 100 are asked for)")
    print(f"  Dovecot tells the bare client {statistics.median(told):.0f} ms after delivery")


async def idle_memory(port: int, ca_file: str, tls: bool) -> None:
    """In a process of its own: the resident memory with no mailbox, and with all of them in IDLE."""
    folder = Path(tempfile.mkdtemp(prefix="ingest-bench-"))
    server = type("Address", (), {"port": port, "tls_port": port, "ca_file": ca_file})()
    try:
        async with Worker(folder) as worker:
            await worker.read(account(server, "warm@bench.example", tls=tls))
            await worker.until(lambda: bool(worker.source.statuses[0].record))
            before = resident_bytes(os.getpid())
            await worker.source.drain(5)
            await worker.read(*(account(server, f"idle{n}@bench.example", tls=tls) for n in range(ACCOUNTS)))
            await worker.until(lambda: all(reading.record for reading in worker.source.statuses))
            await asyncio.sleep(3)
            print(json.dumps({"before": before, "after": resident_bytes(os.getpid())}))
    finally:
        shutil.rmtree(folder)


async def mailboxes() -> None:
    with dovecot() as server:
        for tls, port in ((False, server.port), (True, server.tls_port)):
            command = [sys.executable, "-m", "benchmarks.imap", "--idle", str(port), str(server.ca_file), str(int(tls))]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            each = (found["after"] - found["before"]) / ACCOUNTS / MiB
            way = "TLS" if tls else "clear"
            print(
                f"memory, {ACCOUNTS} mailboxes in IDLE over {way}: {found['after'] / MiB:.0f} MiB in all,"
                f" {each:.3f} MiB a mailbox   (under 1 is asked for)"
            )


PARTS: dict[str, Callable[[], Awaitable[None]]] = {"catch-up": catch_up, "wake-up": wake_up, "memory": mailboxes}


def main(arguments: list[str]) -> None:
    log.configure("warning")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if arguments[:1] == ["--idle"]:
            runner.run(idle_memory(int(arguments[1]), arguments[2], arguments[3] == "1"))
            return
        for name in arguments or PARTS:
            runner.run(_part(name))


async def _part(name: str) -> None:
    await PARTS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
