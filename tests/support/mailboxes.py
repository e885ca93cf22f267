"""A worker's intake of mailboxes for tests: the real source, receiver and store; nothing delivers what is stored."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from ingest.config.imap_accounts import ImapAccount
from ingest.receive import Receiver
from ingest.sources.imap import ImapSource, Timing
from ingest.store import MessageRecord
from ingest.store.imap import ImapStore
from ingest.store.messages import Store
from ingest.store.sqlite import SqliteDatabase
from tests.support.dovecot import PASSWORD

SECONDS = 20.0
"""How long a test waits for anything before it fails."""
FAST = Timing(
    timeout_seconds=3.0,
    count_seconds=3600.0,
    first_retry_seconds=0.05,
    max_retry_seconds=0.2,
    refused_retry_seconds=3600.0,
    credential_poll_seconds=0.05,
    message_retry_seconds=(0.0, 0.02, 0.02),
    paused_poll_seconds=0.05,
    watch_seconds=0.05,
)


async def eventually(condition: Callable[[], Awaitable[bool] | bool], what: str) -> None:
    """Return when ``condition`` holds; fail, naming ``what``, when it does not come to hold."""
    until = time.monotonic() + SECONDS
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        assert time.monotonic() < until, f"waited {SECONDS:.0f} s in vain: {what}"
        await asyncio.sleep(0.01)


class Listening(Protocol):
    """A server on the loopback."""

    port: int


def account(server: Listening, user: str, **changed: Any) -> ImapAccount:
    """An account of ``server`` in clear, which reads everything; ``changed`` says what is different."""
    facts: dict[str, Any] = {
        "name": user.partition("@")[0],
        "host": "127.0.0.1",
        "port": server.port,
        "security": "none",
        "user": user,
        "password": PASSWORD,
        "recipients": ["help@mail.ravenna.example"],
        "first": "all",
    }
    return ImapAccount.model_validate(facts | changed)


def mail(name: str, text: str = "It works now.") -> bytes:
    """A mail that ``name`` tells from others."""
    return (
        f"Return-Path: <alice@customer.example>\r\nFrom: Alice <alice@customer.example>\r\n"
        f"To: help@mail.ravenna.example\r\nSubject: {name}\r\nMessage-ID: <{name}@customer.example>\r\n\r\n{text}\r\n"
    ).encode()


class Intake:
    """What was taken in, and the source that does it."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.store = Store(database)
        self.mailboxes = ImapStore(database)
        self.receiver = Receiver(self.store, clock=time.time, max_backlog=100_000, min_free_bytes=0)
        self.refused: str | None = None
        self.source: ImapSource | None = None

    async def refusal(self) -> str | None:
        return self.refused

    async def records(self) -> tuple[MessageRecord, ...]:
        """The rows of the store, the oldest first."""
        return tuple(reversed(await self.store.list_messages(limit=10_000)))

    async def contents(self) -> list[bytes]:
        """Return the bytes of all that was taken in, the oldest first."""
        return [await self.store.content(record.queue_id) for record in await self.records()]

    async def has(self, *mails: bytes) -> None:
        """Wait until ``mails`` are taken in; fail where anything else is, or one is there twice."""

        async def enough() -> bool:
            return len(await self.records()) >= len(mails)

        await eventually(enough, f"{len(mails)} mails taken in")
        assert sorted(await self.contents()) == sorted(mails)

    async def start(self, *accounts: ImapAccount, timing: Timing = FAST, **changed: Any) -> ImapSource:
        """Begin to read ``accounts``."""
        self.source = ImapSource(
            accounts, self.receiver.receive, refusal=self.refusal, store=self.mailboxes, timing=timing, **changed
        )
        await self.source.start()
        return self.source

    async def stop(self) -> None:
        if self.source is not None:
            await self.source.drain(5)
            self.source = None


@asynccontextmanager
async def intake(folder: Path) -> AsyncIterator[Intake]:
    """An intake with a store in ``folder``, stopped at the end."""
    database = SqliteDatabase(folder / "ingest.db")
    await database.migrate()
    taken = Intake(database)
    try:
        yield taken
    finally:
        await taken.stop()
        await database.close()


def faster(**changed: Any) -> Timing:
    """The pace of tests, with some figures of its own."""
    return replace(FAST, **changed)


def numbered(prefix: str, count: int) -> Sequence[bytes]:
    """Mails ``prefix``-1 to ``prefix``-``count``."""
    return [mail(f"{prefix}-{number}") for number in range(1, count + 1)]
