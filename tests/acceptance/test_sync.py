"""Learning the Message-IDs of outbound mail from the ticket API: real store, real client, the sandbox's API."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from ingest.api import TicketApiClient, Unavailable
from ingest.config.settings import Settings
from ingest.model.outcome import State, Waiting
from ingest.sandbox import Sandbox
from ingest.store.messages import Store
from ingest.store.opening import open_store
from ingest.sync import ThreadSync
from tests.support.fixture_mails import SANDBOX
from tests.support.store import START, claim_one, receive

TAI_42 = "cm7y0q4kt000q5gneqf0tbspg"
OUTBOUND = "tai-42-1@mail.ravenna.example"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(data=SANDBOX) as sandbox:
        yield sandbox


@pytest.fixture
async def api(sandbox: Sandbox) -> AsyncIterator[TicketApiClient]:
    settings = Settings.model_validate({"api_url": sandbox.url, "api_token": sandbox.token})
    async with TicketApiClient(settings) as api:
        yield api


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path}/ingest.db") as store:
        yield store


async def count_requests(sandbox: Sandbox) -> int:
    """Return how many requests the API has answered."""
    async with httpx.AsyncClient() as client:
        counts = (await client.get(f"{sandbox.page}sandbox/state")).json()
    return sum(counts["requests"].values())


async def test_a_look_learns_the_ids_of_the_messages_of_changed_tickets(store: Store, api: TicketApiClient) -> None:
    sync = ThreadSync(api, store, clock=lambda: START, interval=60)
    assert await sync.look() > 0
    assert await store.tickets_of([OUTBOUND]) == {OUTBOUND: TAI_42}
    [thread] = await store.list_threads(message_id=OUTBOUND)
    assert (thread.learned_from, thread.learned_at) == ("sync", START)


async def test_a_message_that_waits_for_an_outbound_mail_resumes_once_its_id_is_learned(
    store: Store, api: TicketApiClient
) -> None:
    queue_id = await receive(store)
    queued = await claim_one(store)
    await store.settle(queue_id, queued.lease_token, Waiting(missing=(OUTBOUND,)), now=START)
    learned = asyncio.Event()
    sync = ThreadSync(api, store, clock=lambda: START, interval=3600, on_learned=learned.set)
    sync.trigger()
    async with asyncio.timeout(30):
        running = asyncio.create_task(sync.run())
        await learned.wait()
    running.cancel()
    record = await store.message(queue_id)
    assert record is not None
    assert record.state is State.QUEUED


async def test_the_messages_of_a_ticket_are_listed_once_until_it_changes(
    store: Store, api: TicketApiClient, sandbox: Sandbox
) -> None:
    sync = ThreadSync(api, store, clock=lambda: START, interval=60)
    await sync.look()
    before = await count_requests(sandbox)
    assert await sync.look() == 0
    assert await count_requests(sandbox) == before + 1


async def test_a_look_that_the_api_refuses_says_so(store: Store, sandbox: Sandbox) -> None:
    settings = Settings.model_validate({"api_url": sandbox.url, "api_token": "another one"})
    async with TicketApiClient(settings) as api:
        with pytest.raises(Unavailable):
            await ThreadSync(api, store, clock=lambda: START, interval=60).look()
