"""The stand-in for the ticket API behaves on order as APIs really do: late, otherwise, and with agents at work."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from ingest.sandbox import Behaviour, Sandbox, SandboxState
from tests.support.sandbox_worker import DATA, TICKET, eventually

OTHER_TICKET = "cm7t6rnt9rbxhyutrhkf5hsft"
ALICE = "cm6u3pl6fccys8rbhtf4sz63y"
TOKEN_USER = "cm6u79ar4ootxgz07yhl7irat"
MESSAGE = {"content": "It works *now*.\n\nThank you", "authorId": ALICE, "ticketId": TICKET, "source": "EMAIL"}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(data=DATA) as running:
        yield running


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    token = {"x-ravenna-api-token": sandbox.token}
    async with httpx.AsyncClient(base_url=sandbox.page, headers=token, trust_env=False) as client:
        yield client


async def post(http: httpx.AsyncClient, **other: Any) -> dict[str, Any]:
    answer = await http.post("api/ticket-messages", json=MESSAGE | other)
    assert answer.status_code == 200, answer.text
    posted: dict[str, Any] = answer.json()
    return posted


async def listed(http: httpx.AsyncClient, ticket: str = TICKET, **params: str) -> list[dict[str, Any]]:
    """The messages in the first page of a ticket, without the one of the start data."""
    answer = await http.get("api/ticket-messages", params={"ticketId": ticket, **params})
    return [item for item in answer.json()["items"] if "tai-42-1" not in (item["emailMessageId"] or "")]


# Faults


async def test_an_effect_comes_although_the_client_has_gone(sandbox: Sandbox, http: httpx.AsyncClient) -> None:
    await http.post("sandbox/faults", json=[{"effect_after": 0.3}])
    with pytest.raises(httpx.ReadTimeout):
        await http.post("api/ticket-messages", json=MESSAGE, timeout=0.05)
    assert sandbox.state.posts == []
    await eventually(lambda: len(sandbox.state.posts) == 1, "the effect comes")


async def test_the_true_answer_waits_for_an_effect_that_comes_later(sandbox: Sandbox, http: httpx.AsyncClient) -> None:
    await http.post("sandbox/faults", json=[{"effect_after": 0.01}])
    assert (await post(http))["id"] == sandbox.state.posts[0]["id"]


@pytest.mark.parametrize("ends", [{"status": 503}, {"cut": True}])
async def test_a_false_answer_does_not_wait_for_the_effect(
    sandbox: Sandbox, http: httpx.AsyncClient, ends: dict[str, Any]
) -> None:
    await http.post("sandbox/faults", json=[{"effect_after": 0.2, **ends}])
    try:
        assert (await http.post("api/ticket-messages", json=MESSAGE)).status_code == 503
    except httpx.RemoteProtocolError:
        assert "cut" in ends
    assert sandbox.state.posts == []
    await eventually(lambda: len(sandbox.state.posts) == 1, "the effect comes")


async def test_a_request_that_never_arrived_whole_has_no_late_effect(sandbox: Sandbox, http: httpx.AsyncClient) -> None:
    await http.post("sandbox/faults", json=[{"effect_after": 0}])
    host, port = sandbox.page.removeprefix("http://").rstrip("/").split(":")
    _reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /api/ticket-messages HTTP/1.1\r\nHost: x\r\nx-ravenna-api-token: {sandbox.token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{".encode()
    )
    await writer.drain()
    await eventually(lambda: _none_waits(http), "the request has begun")
    writer.close()
    await post(http, content="the next one")
    assert [item["content"] for item in sandbox.state.posts] == ["the next one"]


async def _none_waits(http: httpx.AsyncClient) -> bool:
    return bool((await http.get("sandbox/faults")).json() == [])


async def test_a_429_may_have_had_its_effect(sandbox: Sandbox, http: httpx.AsyncClient) -> None:
    await http.post("sandbox/faults", json=[{"status": 429, "retry_after": "1", "effect": True}])
    assert (await http.post("api/ticket-messages", json=MESSAGE)).status_code == 429
    assert len(sandbox.state.posts) == 1


async def test_one_get_is_answered_with_an_error_and_the_next_is_not(http: httpx.AsyncClient) -> None:
    await http.post("sandbox/faults", json=[{"method": "GET", "status": 500}])
    assert [(await http.get("api/tickets/TAI-42")).status_code for _ in range(2)] == [500, 200]


async def test_only_the_requests_about_one_ticket_hang(http: httpx.AsyncClient) -> None:
    await http.post("sandbox/faults", json=[{"method": "GET", "about": TICKET, "delay": 3600, "times": None}])
    for path in (f"api/tickets/{TICKET}", f"api/ticket-messages?ticketId={TICKET}"):
        with pytest.raises(httpx.ReadTimeout):
            await http.get(path, timeout=0.05)
    assert (await http.get(f"api/tickets/{OTHER_TICKET}")).status_code == 200
    assert (await http.get("api/ticket-messages", params={"ticketId": OTHER_TICKET})).status_code == 200


async def test_a_fault_for_all_requests_stays_until_it_is_forgotten(http: httpx.AsyncClient) -> None:
    await http.post("sandbox/faults", json=[{"status": 503, "times": None}])
    assert {(await http.get("api/tickets/TAI-42")).status_code for _ in range(3)} == {503}
    assert (await http.get("sandbox/state")).json()["faults"] == 3
    await http.delete("sandbox/faults")
    assert (await http.get("api/tickets/TAI-42")).status_code == 200


async def test_a_rate_of_failures_is_the_same_again_for_the_same_seed(http: httpx.AsyncClient) -> None:
    async def statuses(seed: int) -> list[int]:
        await http.delete("sandbox/faults")
        fault = {"status": 500, "chance": 0.5, "times": None}
        await http.post("sandbox/faults", params={"seed": str(seed)}, json=[fault])
        return [(await http.get("api/tickets/TAI-42")).status_code for _ in range(30)]

    assert set(first := await statuses(7)) == {200, 500}
    assert await statuses(7) == first
    assert await statuses(8) != first


# Behaviour


async def behave(http: httpx.AsyncClient, **behaviour: Any) -> None:
    answer = await http.put("sandbox/behaviour", json=behaviour)
    assert answer.json() == (await http.get("sandbox/behaviour")).json() == Behaviour(**behaviour).model_dump()


async def test_a_posted_message_is_listed_late(http: httpx.AsyncClient) -> None:
    await behave(http, list_after=3600)
    posted = await post(http)
    assert await listed(http) == []
    assert (await http.get(f"api/ticket-messages/{posted['id']}")).status_code == 200
    await behave(http)
    assert [item["id"] for item in await listed(http)] == [posted["id"]]


@pytest.mark.parametrize("author", [{"authorId": ALICE}, {"authorId": "nobody"}, {"authorId": None}])
async def test_messages_are_posted_under_the_tokens_user(http: httpx.AsyncClient, author: dict[str, Any]) -> None:
    await behave(http, author_id=TOKEN_USER)
    posted = await post(http, **author)
    assert (posted["authorId"], posted["author"]["email"]) == (TOKEN_USER, "sam.okafor@support.example")


async def test_another_source_is_stored(http: httpx.AsyncClient) -> None:
    await behave(http, source="INTEGRATION")
    posted = await post(http)
    assert posted["source"] == "INTEGRATION"
    assert posted["emailMessageId"]


@pytest.mark.parametrize(
    ("form", "stored"),
    [
        ("kept", "It works *now*.\n\nThank you"),
        ("paragraphs", "<p>It works *now*.</p><p>Thank you</p>"),
        ("reflowed", "It\nworks\n*now*.\nThank\nyou\n"),
        ("escaped", r"It works \*now\*\." + "\n\nThank you"),
    ],
)
async def test_posted_text_is_stored_in_another_form(http: httpx.AsyncClient, form: str, stored: str) -> None:
    await behave(http, content=form)
    assert (await post(http))["content"] == stored
    assert [item["content"] for item in await listed(http)] == [stored]


@pytest.mark.parametrize("offset", [-3600.0, 600.0])
async def test_the_clock_of_messages_is_off(http: httpx.AsyncClient, offset: float) -> None:
    await behave(http, clock_offset=offset)
    created = datetime.fromisoformat((await post(http))["createdAt"])
    assert abs(created - datetime.now(UTC) - timedelta(seconds=offset)) < timedelta(minutes=5)


@pytest.mark.parametrize("path", ["api/tickets/TAI-42", "api/nothing", "sandbox/state"])
async def test_the_clock_of_the_date_field_is_off_by_itself(http: httpx.AsyncClient, path: str) -> None:
    await behave(http, date_offset=-7200)
    answer = await http.get(path)
    (date,) = answer.headers.get_list("date")
    assert abs(parsedate_to_datetime(date) - datetime.now(UTC) + timedelta(hours=2)) < timedelta(minutes=5)
    await behave(http)
    true = (await http.get(path)).headers["date"]
    assert abs(parsedate_to_datetime(true) - datetime.now(UTC)) < timedelta(minutes=5)


async def test_lists_are_sorted_as_asked_or_always_oldest_first(http: httpx.AsyncClient) -> None:
    newest_first = {"sortBy": "createdAt", "sortDirection": "desc", "limit": "1000"}
    for hour in range(3):
        await behave(http, clock_offset=3600.0 * hour)
        await post(http, content=str(hour))
    assert [item["content"] for item in await listed(http, **newest_first)] == ["2", "1", "0"]
    await behave(http, ascending=True)
    assert [item["content"] for item in await listed(http, **newest_first)] == ["0", "1", "2"]


async def test_pages_are_smaller_than_asked(http: httpx.AsyncClient) -> None:
    await behave(http, page_limit=2)
    for number in range(3):
        await post(http, content=str(number))
    page = (await http.get("api/ticket-messages", params={"ticketId": TICKET, "limit": "1000"})).json()
    assert (len(page["items"]), page["totalCount"], page["nextCursor"]) == (2, 4, "2")


async def test_a_behaviour_that_does_not_exist_is_refused(http: httpx.AsyncClient) -> None:
    assert (await http.put("sandbox/behaviour", json={"moody": True})).status_code == 400


# Agents


async def test_an_agent_edits_a_message(http: httpx.AsyncClient) -> None:
    posted = await post(http)
    answer = await http.patch(f"sandbox/messages/{posted['id']}", json={"content": "shortened"})
    assert answer.json()["content"] == "shortened"
    assert [(item["content"], item["deleted"]) for item in await listed(http)] == [("shortened", False)]


@pytest.mark.parametrize(("change", "text"), [({"deleted": True}, MESSAGE["content"]), ({"content": ""}, "")])
async def test_a_deleted_message_stays_in_the_list_with_or_without_its_text(
    http: httpx.AsyncClient, change: dict[str, Any], text: str
) -> None:
    posted = await post(http)
    await http.patch(f"sandbox/messages/{posted['id']}", json={"deleted": True, **change})
    (item,) = await listed(http)
    assert (item["deleted"], item["content"], item["deletedAt"] is not None) == (True, text, True)


async def test_what_does_not_exist_is_neither_edited_nor_merged(http: httpx.AsyncClient) -> None:
    assert (await http.patch("sandbox/messages/none", json={"deleted": True})).status_code == 404
    assert (await http.post("sandbox/tickets/none/merge", json={"into": TICKET})).status_code == 404
    assert (await http.post(f"sandbox/tickets/{TICKET}/merge", json={"into": "none"})).status_code == 404


@pytest.mark.parametrize("moves", [True, False])
async def test_a_merged_ticket_keeps_its_messages_or_gives_them_away(http: httpx.AsyncClient, moves: bool) -> None:
    posted = await post(http)
    answer = await http.post(f"sandbox/tickets/{TICKET}/merge", json={"into": OTHER_TICKET, "moveMessages": moves})
    assert answer.json()["mergedIntoId"] == OTHER_TICKET
    there = {ticket: [item["id"] for item in await listed(http, ticket)] for ticket in (TICKET, OTHER_TICKET)}
    assert [ticket for ticket, ids in there.items() if posted["id"] in ids] == [OTHER_TICKET if moves else TICKET]
    refused = await http.post("api/ticket-messages", json=MESSAGE)
    assert (refused.status_code, "merged" in refused.text) == (400, True)


def test_edits_and_merges_are_still_known_after_a_new_start(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    state = SandboxState(DATA, journal)
    posted = state.post_message(MESSAGE | {"private": False}, "")
    state.edit_message(posted["id"], {"deleted": True})
    state.merge(TICKET, OTHER_TICKET, move_messages=True)
    state.close()
    again = SandboxState(DATA, journal)
    assert again.messages == state.messages
    assert again.tickets == state.tickets
    assert posted in again.messages_of(OTHER_TICKET)
    again.close()
