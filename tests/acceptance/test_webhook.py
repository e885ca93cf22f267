"""The API's webhook: who may call it, and what it teaches."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from ingest.model.teachers import Teacher
from ingest.sandbox import Fault
from ingest.store.messages import Store
from ingest.webhook import MAX_BODY_BYTES, MAX_REQUESTS_PER_MINUTE, PATH, TicketMessageWebhook, named_messages
from tests.support.pipeline import Bench, new_bench
from tests.support.sandbox_worker import eventually, free_port, new_world, reply

SECRET = "a-secret-of-the-webhook"
TICKET = "cm7y0q4kt000q5gneqf0tbspg"
MESSAGE = "cm7m1jopc4f6j72myrn4wl0qv"
"""A message of that ticket, of which the API knows the Message-ID."""
EMAIL_ID = "tai-42-1@mail.ravenna.example"
GIVEN = {"X-Ingest-Webhook-Secret": SECRET}
TOLD = json.dumps({"type": "Message", "data": {"id": MESSAGE, "ticketId": "a lie", "emailMessageId": "<lie@x>"}})


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with new_bench(tmp_path) as made:
        yield made


def client(bench: Bench, woken: list[bool] | None = None) -> httpx.AsyncClient:
    webhook = TicketMessageWebhook(
        bench.engine.api,
        bench.engine.store,
        secret=SECRET,
        clock=lambda: bench.now,
        on_learned=lambda: (woken or []).append(True),
    )
    app = Starlette(routes=webhook.routes())
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://worker")


async def known(store: Store) -> list[tuple[str, str | None, str]]:
    return [(each.message_id, each.ticket_id, each.learned_from) for each in await store.list_threads()]


async def test_what_the_api_says_of_the_message_is_learned_and_not_what_the_request_says(bench: Bench) -> None:
    woken: list[bool] = [False]
    async with client(bench, woken) as worker:
        answer = await worker.post(PATH, content=TOLD, headers=GIVEN)
    assert (answer.status_code, answer.json()) == (200, {"result": "learned"})
    assert await known(bench.engine.store) == [(EMAIL_ID, TICKET, Teacher.WEBHOOK)]
    assert woken == [False, True]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"{PATH}/{SECRET}", {}),
        (PATH, {"Authorization": f"Bearer {SECRET}"}),
        (PATH, GIVEN),
    ],
)
async def test_the_secret_may_stand_in_the_path_or_in_a_field(bench: Bench, path: str, headers: dict[str, str]) -> None:
    async with client(bench) as worker:
        assert (await worker.post(path, content=TOLD, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (PATH, {}),
        (f"{PATH}/wrong", {}),
        (PATH, {"X-Ingest-Webhook-Secret": SECRET[:-1]}),
        (PATH, {"X-Ingest-Webhook-Secret": ""}),
        (PATH, {"Authorization": SECRET}),
        (f"{PATH}/%C3%A9", {}),
    ],
)
async def test_without_the_secret_nothing_is_read(bench: Bench, path: str, headers: dict[str, str]) -> None:
    async with client(bench) as worker:
        assert (await worker.post(path, content=TOLD, headers=headers)).status_code == 401
    assert await known(bench.engine.store) == []


async def test_a_request_is_repeated_later_while_the_api_does_not_answer(bench: Bench) -> None:
    await bench.order(Fault(method="GET", path="/api/ticket-messages/", status=503, times=99))
    async with client(bench) as worker:
        answer = await worker.post(PATH, content=TOLD, headers=GIVEN)
    assert answer.status_code == 503
    assert await known(bench.engine.store) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"type": "Ticket", "data": {"id": "cm7y0q4kt000q5gneqf0tbspg"}}',
        b'{"messageId": "../users"}',
        b'{"messageId": "no-such-message"}',
        b'{"messageId": 7}',
    ],
)
async def test_what_names_no_message_of_the_api_teaches_nothing(bench: Bench, content: bytes) -> None:
    async with client(bench) as worker:
        assert (await worker.post(PATH, content=content, headers=GIVEN)).status_code == 200
    assert await known(bench.engine.store) == []


async def test_a_request_that_is_too_large_is_not_read_to_its_end(bench: Bench) -> None:
    async with client(bench) as worker:
        answer = await worker.post(PATH, content=b" " * (MAX_BODY_BYTES + 1), headers=GIVEN)
    assert answer.status_code == 413


async def test_too_many_requests_a_minute_are_told_to_come_later(bench: Bench) -> None:
    async with client(bench) as worker:
        for _ in range(MAX_REQUESTS_PER_MINUTE):
            assert (await worker.post(PATH, content=b"{}", headers=GIVEN)).status_code == 200
        refused = await worker.post(PATH, content=b"{}", headers=GIVEN)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
        bench.now += 60
        assert (await worker.post(PATH, content=b"{}", headers=GIVEN)).status_code == 200


@pytest.mark.parametrize(("settings", "status"), [({"INGEST_WEBHOOK_SECRET": SECRET}, 200), ({}, 404)])
async def test_the_worker_has_the_endpoint_only_where_a_secret_is_set(
    tmp_path: Path, settings: dict[str, str], status: int
) -> None:
    async with new_world(tmp_path) as world:
        port = free_port()
        world.environment |= {"INGEST_HTTP_LISTEN": f"127.0.0.1:{port}", **settings}
        world.start()
        await world.deliver(reply("One"))
        await eventually(lambda: world.posted("One") == 1, "the worker is there")
        async with httpx.AsyncClient() as api:
            answer = await api.post(f"http://127.0.0.1:{port}{PATH}/{SECRET}", content=TOLD)
    assert answer.status_code == status


@pytest.mark.parametrize(
    "told",
    [
        {"id": "M1", "ticketId": "T1"},
        {"data": {"id": "M1", "ticketId": "T1"}},
        {"event": "message.created", "payload": {"message": {"id": "M1"}}},
        {"ticketMessage": {"id": "M1"}},
        {"messageId": "M1", "id": "evt", "ticketId": "T1"},
        {"ticketMessageId": "M1"},
    ],
)
def test_the_message_is_found_wherever_a_request_names_it(told: object) -> None:
    assert named_messages(json.dumps(told).encode())[0] == "M1"
