"""A pipeline on a real store, a real parse pool and a real HTTP API (the sandbox), with a clock that the test sets."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from ingest.app import Engine, start_engine
from ingest.config.settings import load
from ingest.model.envelope import Envelope, QueuedMessage, ReceivedMessage, SourceRef
from ingest.model.outcome import Outcome
from ingest.sandbox import Fault, Sandbox
from tests.support.engine import environment
from tests.support.factories import ALICE, DOMAIN
from tests.support.fixture_mails import SANDBOX

LEASE_SECONDS = 300.0


@dataclass(kw_only=True)
class Bench:
    """Everything between a stored mail and its ticket, without the loop of the worker."""

    engine: Engine
    sandbox: Sandbox
    now: float

    @property
    def posts(self) -> Sequence[dict[str, Any]]:
        """What was posted, in order."""
        return self.sandbox.state.posts

    async def receive(self, content: bytes, to: str = f"help+TAI-42@{DOMAIN}", *, mail_from: str = ALICE) -> str:
        """Store a mail; return its queue id."""
        self.now += 1
        message = ReceivedMessage(
            envelope=Envelope(mail_from=mail_from, rcpt_tos=(to,)),
            content=content,
            source_ref=SourceRef(source="smtp:25"),
            received_at=self.now,
        )
        return await self.engine.receiver.receive(message)

    async def claim(self) -> QueuedMessage:
        """Claim the oldest message that is due."""
        [queued] = await self.engine.store.claim(limit=1, now=self.now, lease=LEASE_SECONDS)
        return queued

    async def process(self, queued: QueuedMessage) -> Outcome:
        """Take a claimed message through the pipeline. The outcome is not settled, as after a crash."""
        return await self.engine.pipeline.process(queued)

    async def settle(self, queued: QueuedMessage, outcome: Outcome) -> None:
        assert await self.engine.store.settle(queued.queue_id, queued.lease_token, outcome, now=self.now)

    async def outcome_of(self, content: bytes, to: str = f"help+TAI-42@{DOMAIN}", *, mail_from: str = ALICE) -> Outcome:
        """Receive a mail, process it and settle what became of it."""
        await self.receive(content, to, mail_from=mail_from)
        queued = await self.claim()
        outcome = await self.process(queued)
        await self.settle(queued, outcome)
        return outcome

    async def released(self, queue_id: str, ticket: str | None = None, author: str | None = None) -> Outcome:
        """Release a message as an operator does, and process it."""
        await self.engine.store.release(queue_id, by="olga", now=self.now, ticket=ticket, author=author)
        return await self.process(await self.claim())

    async def order(self, fault: Fault) -> None:
        """Have the API make trouble."""
        async with httpx.AsyncClient() as client:
            await client.post(f"{self.sandbox.page}sandbox/faults", content=f"[{fault.model_dump_json()}]")

    def user_id(self, email: str) -> str:
        """The id of the user with this address."""
        return next(str(user["id"]) for user in self.sandbox.state.users.values() if user["email"] == email)

    async def requests(self, *kinds: str) -> int:
        """How many requests of these kinds, such as ``GET /api/ticket-messages``, the API has answered."""
        async with httpx.AsyncClient() as client:
            counted = (await client.get(f"{self.sandbox.page}sandbox/state")).json()["requests"]
        return sum(counted.get(kind, 0) for kind in kinds)

    async def say(
        self, author: str, content: str, ticket_id: str, *, source: str = "WEB", private: bool = False
    ) -> None:
        """Have the user with the address ``author`` write on a ticket."""
        author_id = self.user_id(author)
        body = {
            "ticketId": ticket_id,
            "authorId": author_id,
            "content": content,
            "private": private,
            "source": source,
        }
        async with httpx.AsyncClient(headers={"x-ravenna-api-token": self.sandbox.token}) as client:
            (await client.post(f"{self.sandbox.url}/ticket-messages", json=body)).raise_for_status()


@asynccontextmanager
async def new_bench(folder: Path, **changed: str) -> AsyncIterator[Bench]:
    """A bench with its data in ``folder``; ``changed`` are settings."""
    started_at = time.time()
    benches: list[Bench] = []

    def clock() -> float:
        return benches[0].now if benches else started_at

    async with Sandbox(data=SANDBOX) as sandbox:
        settings = load(environment(sandbox, folder / "ingest.db") | changed)
        async with start_engine(settings, clock=clock) as engine:
            benches.append(Bench(engine=engine, sandbox=sandbox, now=started_at))
            yield benches[0]


def mail(
    text: str = "It works now.",
    *,
    name: str = "reply-1",
    sender: str = ALICE,
    subject: str = "Re: Lost Password",
    fields: Sequence[str] = (),
) -> bytes:
    """A mail to the help desk; ``name`` makes its Message-ID, ``fields`` are more header fields."""
    head = (
        f"From: <{sender}>",
        f"To: <help@{DOMAIN}>",
        f"Subject: {subject}",
        f"Message-ID: <{name}@customer.example>",
        *fields,
    )
    return "\r\n".join([*head, "", text.replace("\n", "\r\n"), ""]).encode()
