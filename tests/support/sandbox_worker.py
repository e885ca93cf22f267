"""A small world for tests of the whole: a sandbox, a worker process, and a mail server that keeps trying."""

import asyncio
import os
import signal
import smtplib
import socket
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from subprocess import DEVNULL, Popen, TimeoutExpired
from typing import Any

import httpx

from ingest.sandbox import Behaviour, Fault, Sandbox
from ingest.store import Ledger
from ingest.store.opening import open_store
from tests.support.decisions import as_toml, table_where_anybody_may_write

DATA = Path(__file__).parents[2] / "fixtures" / "sandbox.json"
TICKET = "cm7y0q4kt000q5gneqf0tbspg"
DOMAIN = "mail.ravenna.example"
PATIENCE = 60.0
"""Seconds after which a condition that has not come is a failure; far more than it ever takes."""

INGEST = (sys.executable, "-m", "ingest", "serve")


async def eventually(
    condition: Callable[[], Awaitable[bool] | bool], what: str, *, patience: float | None = None
) -> None:
    """Return when ``condition`` holds; fail, naming ``what``, when it does not come to hold in ``patience`` seconds."""
    patience = PATIENCE if patience is None else patience
    until = time.monotonic() + patience
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        assert time.monotonic() < until, f"waited {patience:.0f} s in vain: {what}"
        await asyncio.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def reply(text: str, *, ticket: str = TICKET, sender: str = "alice@customer.example", name: str = "") -> bytes:
    """A reply to a ticket; ``name`` makes its Message-ID, and ``text`` tells it at the sandbox."""
    return (
        f"From: <{sender}>\r\nTo: <help+TAI-{ticket}@{DOMAIN}>\r\nSubject: Re: a ticket\r\n"
        f"Date: Mon, 05 Oct 2026 11:00:00 +0200\r\nMessage-ID: <{name or text.replace(' ', '-')}@customer.example>\r\n"
        f"\r\n{text}\r\n"
    ).encode()


class World:
    """Files in ``folder``; the worker may die and be started again, the sandbox and the mail server live on. Any sender
    may write to any ticket: what is tested here comes after that decision."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.port = free_port()
        self.database_url = f"sqlite:///{folder / 'ingest.db'}"
        self.database = folder / "ingest.db"
        config = folder / "ingest.toml"
        config.write_text(as_toml(table_where_anybody_may_write()))
        self.environment = os.environ | {
            "INGEST_CONFIG": str(config),
            "RAVENNA_API_URL": sandbox.url,
            "RAVENNA_API_TOKEN": sandbox.token,
            "INGEST_DATABASE_URL": self.database_url,
            "INGEST_SMTP_LISTEN": f"127.0.0.1:{self.port}",
            "INGEST_HTTP_LISTEN": "none",
            "INGEST_DOMAINS": DOMAIN,
            "INGEST_RETRY_FIRST": "0.2",
            "INGEST_RETRY_CAP": "1",
            "INGEST_API_TIMEOUT": "3",
            "INGEST_SETTLE": "0.5",
            "INGEST_SECOND_LOOK": "0.5",
            "INGEST_PARSE_CHILDREN": "1",
            "INGEST_DNS_SERVERS": "none",
            "INGEST_AUTHENTICATION": "advisory",
            "INGEST_LOOP_EQUAL": "0",
            "INGEST_LOOP_SENDER": "0",
            "INGEST_LOOP_TICKET": "0",
            "INGEST_MAX_UNFINISHED": "50",
            "INGEST_LOG_LEVEL": "error",
        }
        self.worker: Popen[bytes] | None = None

    def start(self, command: Sequence[str] = INGEST) -> None:
        """Start a worker; it listens some time later."""
        root = Path(__file__).parents[2]
        self.worker = Popen(command, env=self.environment, cwd=root, stdin=DEVNULL)

    def kill(self) -> None:
        """End the worker as a power cut does."""
        assert self.worker is not None
        self.worker.send_signal(signal.SIGKILL)
        self.worker.wait()

    async def died(self) -> int:
        """Wait for the worker to die; its return code."""
        worker = self.worker
        assert worker is not None
        await eventually(lambda: worker.poll() is not None, "the worker dies")
        return int(worker.returncode)

    def stop(self) -> None:
        """End the worker as an operator does."""
        if self.worker is None:
            return
        self.worker.terminate()
        try:
            self.worker.wait(30)
        except TimeoutExpired:
            self.kill()

    def submit(
        self, content: bytes, sender: str = "alice@customer.example", ticket: str = TICKET, recipient: str = ""
    ) -> None:
        """Send a mail once, to ``recipient`` or else to the address of ``ticket``.

        Raises:
            OSError: nobody listens, or the connection broke.
            SMTPException: it was not accepted.
        """
        with smtplib.SMTP("127.0.0.1", self.port, timeout=30) as client:
            client.sendmail(sender, [recipient or f"help+TAI-{ticket}@{DOMAIN}"], content)

    async def deliver(self, content: bytes, ticket: str = TICKET, recipient: str = "") -> None:
        """Send a mail as a mail server does: again and again, until there is a 250."""

        async def accepted() -> bool:
            try:
                await asyncio.to_thread(self.submit, content, ticket=ticket, recipient=recipient)
            except (OSError, smtplib.SMTPException):
                return False
            return True

        await eventually(accepted, "the mail is accepted")

    async def order(self, fault: Fault) -> None:
        """Have the API make trouble."""
        async with httpx.AsyncClient() as client:
            await client.post(f"{self.sandbox.page}sandbox/faults", content=f"[{fault.model_dump_json()}]")

    async def played(self) -> bool:
        """Whether all the trouble that was ordered has begun."""
        async with httpx.AsyncClient() as client:
            return bool((await client.get(f"{self.sandbox.page}sandbox/faults")).json() == [])

    async def forget(self) -> None:
        """Have the API make no more trouble."""
        async with httpx.AsyncClient() as client:
            await client.delete(f"{self.sandbox.page}sandbox/faults")

    async def faults(self) -> int:
        """To how many requests trouble was made."""
        async with httpx.AsyncClient() as client:
            return int((await client.get(f"{self.sandbox.page}sandbox/state")).json()["faults"])

    async def requests(self) -> dict[str, int]:
        """How many requests of each kind the API has answered."""
        async with httpx.AsyncClient() as client:
            counted: dict[str, int] = (await client.get(f"{self.sandbox.page}sandbox/state")).json()["requests"]
            return counted

    def behave(self, **behaviour: Any) -> None:
        """Have the API behave so from now on."""
        self.sandbox.state.behaviour = Behaviour(**behaviour)

    def contents(self, ticket: str = TICKET) -> list[str]:
        """What was posted to a ticket, in the order in which the API took it."""
        return [post["content"] for post in self.sandbox.state.posts if post["ticketId"] == ticket]

    def rows(self) -> list[tuple[str, str, str]]:
        """State, rule and reason of each message, in the order of arrival."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as database:
            return database.execute("SELECT state, rule, reason FROM messages ORDER BY seq").fetchall()

    def ended(self, count: int) -> bool:
        """Whether ``count`` mails were accepted and no worker has to do anything more about them."""
        try:
            states = [state for state, _rule, _reason in self.rows()]
        except sqlite3.OperationalError:  # the worker makes the database just now
            return False
        return len(states) == count and {"queued", "waiting"}.isdisjoint(states)

    def author(self, email: str) -> str:
        """The id of the user with this address."""
        return next(str(user["id"]) for user in self.sandbox.state.users.values() if user["email"] == email)

    def posted(self, text: str) -> int:
        """How often ``text`` was posted, with whatever line breaks."""
        return sum(text in " ".join(post["content"].split()) for post in self.sandbox.state.posts)

    async def ledger(self) -> Ledger:
        async with open_store(self.database_url) as store:
            return await store.ledger(now=time.time())

    async def settled(self, count: int) -> bool:
        """Whether ``count`` mails were accepted, and all of them delivered."""
        ledger = await self.ledger()
        delivered = {state.value: number for state, number in ledger.by_state.items() if number}
        return ledger.holds and delivered == {"delivered": count}


@asynccontextmanager
async def new_world(folder: Path) -> AsyncIterator[World]:
    """A world without a worker; start one. Whatever was started is ended with the block."""
    async with Sandbox(data=DATA) as sandbox:
        world = World(folder, sandbox)
        try:
            yield world
        finally:
            world.stop()
