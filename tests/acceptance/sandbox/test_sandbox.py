"""The stand-in for the ticket API: strict, complete, durable, and faulty on order."""

import asyncio
import json
import multiprocessing
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from ingest.config.settings import SANDBOX_TOKEN
from ingest.sandbox import START_DATA, Sandbox, SandboxState, run
from ingest.sandbox.state import UPLOAD_SECONDS, ApiError

DATA = Path(__file__).parents[3] / "fixtures" / "sandbox.json"
TAI_42 = "cm7y0q4kt000q5gneqf0tbspg"
TOKEN = {"x-ravenna-api-token": SANDBOX_TOKEN}
DOCUMENTED = {
    "id", "content", "authorId", "author", "ticketId", "source", "status", "slackChannelId", "slackMessages", "deleted",
    "reactions", "emailMessageId", "emailInReplyTo", "private", "createdAt", "updatedAt", "deletedAt",
}  # fmt: skip


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(data=DATA) as running:
        yield running


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=sandbox.page, headers=TOKEN, trust_env=False) as client:
        yield client


def fields(**other: Any) -> dict[str, Any]:
    """A request body as the documentation has it."""
    alice = SandboxState(DATA).users
    author_id = next(user["id"] for user in alice.values() if user["email"] == "alice@customer.example")
    return {"content": "It works now.", "authorId": author_id, "ticketId": TAI_42, "source": "EMAIL"} | other


def assert_envelope(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status
    body = answer.json()
    assert body["code"] == code
    assert isinstance(body["message"], str)
    assert body.keys() <= {"message", "code", "issues"}


# The start data


def test_the_start_data_is_enough_to_try_everything_out() -> None:
    state = SandboxState(DATA)
    ticket = state.ticket("TAI-42")
    assert len(state.tickets) >= 20
    assert ticket["id"] == TAI_42
    assert state.users[ticket["requesterId"]]["email"] == "alice@customer.example"
    assert [message["emailMessageId"] for message in state.messages_of(TAI_42)] == ["<tai-42-1@mail.ravenna.example>"]
    assert state.domain == "mail.ravenna.example"


def test_the_packaged_start_data_is_the_fixture() -> None:
    assert START_DATA.read_bytes() == DATA.read_bytes()


def test_no_two_outbound_messages_of_the_start_data_share_an_id() -> None:
    ids = [message["emailMessageId"] for message in SandboxState(DATA).messages.values() if message["emailMessageId"]]
    assert len(ids) == len(set(ids))


# Ticket messages


async def test_a_posted_message_is_answered_with_every_documented_key(http: httpx.AsyncClient) -> None:
    answer = await http.post("api/ticket-messages", json=fields())
    assert answer.status_code == 200
    message = answer.json()
    assert message.keys() >= DOCUMENTED
    assert message["author"] == {
        "firstName": "Alice",
        "lastName": "Archer",
        "email": "alice@customer.example",
        "image": None,
    }
    assert message["emailInReplyTo"] == "<tai-42-1@mail.ravenna.example>"
    assert (await http.get(f"api/ticket-messages/{message['id']}")).json() == message


@pytest.mark.parametrize(
    ("other", "gets_one"),
    [({}, True), ({"source": "WEB"}, True), ({"source": "FORM"}, False), ({"private": True}, False)],
)
async def test_only_what_would_be_mailed_gets_an_email_message_id(
    http: httpx.AsyncClient, other: dict[str, Any], gets_one: bool
) -> None:
    message = (await http.post("api/ticket-messages", json=fields(**other))).json()
    assert (message["emailMessageId"] is not None) == gets_one


@pytest.mark.parametrize(
    "other",
    [
        {"emailMessageId": "<a@b.example>"},
        {"surprise": 1},
        {"content": ""},
        {"content": None},
        {"content": 5},
        {"source": "PIGEON"},
        {"private": "yes"},
        {"ticketId": ""},
        {"authorId": "nobody"},
    ],
)
async def test_a_body_that_is_not_as_documented_is_refused_with_its_issues(
    sandbox: Sandbox, http: httpx.AsyncClient, other: dict[str, Any]
) -> None:
    answer = await http.post("api/ticket-messages", json=fields(**other))
    assert_envelope(answer, 400, "BAD_REQUEST")
    assert answer.json()["issues"]
    assert sandbox.state.posts == []


@pytest.mark.parametrize("missing", ["content", "authorId", "ticketId"])
async def test_a_body_without_a_required_field_is_refused(http: httpx.AsyncClient, missing: str) -> None:
    body = {name: value for name, value in fields().items() if name != missing}
    assert_envelope(await http.post("api/ticket-messages", json=body), 400, "BAD_REQUEST")


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="half an object"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"\xff", id="no text"),
        pytest.param(b"[" * 100_000, id="many brackets"),
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(http: httpx.AsyncClient, octets: bytes) -> None:
    kind = {"Content-Type": "application/json"}
    assert_envelope(await http.post("api/ticket-messages", content=octets, headers=kind), 400, "BAD_REQUEST")


async def test_a_body_of_another_type_is_refused(http: httpx.AsyncClient) -> None:
    assert_envelope(await http.post("api/ticket-messages", data=fields()), 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("ticket_id", ["nosuchticket", "TAI-42"])
async def test_a_message_for_what_is_no_ticket_id_is_refused(http: httpx.AsyncClient, ticket_id: str) -> None:
    answer = await http.post("api/ticket-messages", json=fields(ticketId=ticket_id))
    assert_envelope(answer, 404, "NOT_FOUND")


async def test_a_message_for_a_merged_ticket_is_refused(sandbox: Sandbox, http: httpx.AsyncClient) -> None:
    merged = sandbox.state.ticket("HELP-111")["id"]
    assert_envelope(await http.post("api/ticket-messages", json=fields(ticketId=merged)), 400, "BAD_REQUEST")


async def test_messages_are_listed_in_pages_oldest_first(http: httpx.AsyncClient) -> None:
    for number in range(4):
        await http.post("api/ticket-messages", json=fields(content=str(number)))
    params = {"ticketId": TAI_42, "limit": "3"}
    first = (await http.get("api/ticket-messages", params=params)).json()
    second = (await http.get("api/ticket-messages", params=params | {"cursor": first["nextCursor"]})).json()
    assert [item["content"] for item in (first["items"] + second["items"])[1:]] == ["0", "1", "2", "3"]
    assert first["totalCount"] == second["totalCount"] == 5
    assert "nextCursor" not in second


@pytest.mark.parametrize("params", [{}, {"ticketId": TAI_42, "limit": "0"}, {"ticketId": TAI_42, "sortBy": "mood"}])
async def test_a_list_asked_for_wrongly_is_refused(http: httpx.AsyncClient, params: dict[str, str]) -> None:
    assert_envelope(await http.get("api/ticket-messages", params=params), 400, "BAD_REQUEST")


# Tickets and users


@pytest.mark.parametrize("identifier", [TAI_42, "TAI-42", "tai-42", TAI_42[-8:]])
async def test_a_ticket_is_found_by_each_of_its_names(http: httpx.AsyncClient, identifier: str) -> None:
    ticket = (await http.get(f"api/tickets/{identifier}")).json()
    assert (ticket["id"], ticket["queue"]["prefix"], ticket["number"]) == (TAI_42, "TAI", 42)


async def test_a_summary_has_the_five_documented_keys(http: httpx.AsyncClient) -> None:
    summary = (await http.get("api/tickets/summary/TAI-42")).json()
    assert summary.keys() == {"id", "shortId", "number", "queuePrefix", "workspaceId"}


async def test_open_tickets_are_listed_the_last_changed_first(http: httpx.AsyncClient) -> None:
    await http.post("api/ticket-messages", json=fields())
    listed = (await http.get("api/tickets", params={"limit": "100"})).json()["items"]
    everything = (await http.get("api/tickets", params={"openFilter": "false"})).json()["items"]
    assert listed[0]["id"] == TAI_42
    assert {"Done", "Closed"}.isdisjoint(ticket["status"]["label"] for ticket in listed)
    assert len(everything) > len(listed)


async def test_users_are_found_by_a_part_of_their_address_in_any_case(http: httpx.AsyncClient) -> None:
    answer = (await http.get("api/users", params={"email": "ALICE@customer"})).json()
    assert [user["email"] for user in answer["items"]] == ["alice@customer.example", "malice@customer.example.test"]
    user = answer["items"][0]
    assert (await http.get(f"api/users/{user['id']}")).json() == user


@pytest.mark.parametrize(
    "path", ["api/users/nobody", "api/tickets/NO-1", "api/ticket-messages/none", "api/nothing", "x"]
)
async def test_what_does_not_exist_is_not_found_in_the_apis_envelope(http: httpx.AsyncClient, path: str) -> None:
    assert_envelope(await http.get(path), 404, "NOT_FOUND")


async def test_a_method_that_does_not_exist_is_refused_in_the_apis_envelope(http: httpx.AsyncClient) -> None:
    assert_envelope(await http.delete("api/tickets/TAI-42"), 405, "METHOD_NOT_ALLOWED")


@pytest.mark.parametrize("token", ["", "wrong", SANDBOX_TOKEN + "x"])
async def test_without_the_token_nothing_under_api_is_answered(http: httpx.AsyncClient, token: str) -> None:
    headers = {"x-ravenna-api-token": token}
    assert_envelope(await http.get("api/tickets/TAI-42", headers=headers), 401, "UNAUTHORIZED")
    assert_envelope(await http.post("api/ticket-messages", json=fields(), headers=headers), 401, "UNAUTHORIZED")


# Attachments


async def test_an_attachment_is_uploaded_in_two_steps_connected_listed_and_archived(http: httpx.AsyncClient) -> None:
    message = (await http.post("api/ticket-messages", json=fields())).json()
    wanted = {"ticketId": TAI_42, "mimeType": "application/pdf", "filename": "ä b.pdf"}
    made = (await http.post("api/tickets/attachments", json=wanted)).json()
    octets = bytes(range(256))
    assert "metadata" not in made
    assert (await put(made["uploadUrl"], octets, "application/pdf")).status_code == 200
    connect = {"ticketId": TAI_42, "attachmentIds": [made["id"]], "ticketMessageId": message["id"]}
    assert (await http.post("api/tickets/attachments/connect", json=connect)).json() == {}
    (listed,) = (await http.get("api/tickets/attachments", params={"ticketId": TAI_42})).json()
    assert "uploadUrl" not in listed
    assert "Attached: ä b.pdf" in (await http.get("", params={"ticket": "TAI-42"})).text
    assert (listed["filename"], listed["ticketMessageId"], listed["status"]) == ("ä b.pdf", message["id"], "completed")
    assert (await http.get(listed["downloadUrl"])).content == octets
    archive = {"ticketId": TAI_42, "attachmentIds": [made["id"]]}
    await http.post("api/tickets/attachments/archive", json=archive)
    assert (await http.get("api/tickets/attachments", params={"ticketId": TAI_42})).json() == []


async def make_attachment(http: httpx.AsyncClient) -> dict[str, Any]:
    wanted = {"ticketId": TAI_42, "mimeType": "text/plain", "filename": "a.txt"}
    made: dict[str, Any] = (await http.post("api/tickets/attachments", json=wanted)).json()
    return made


async def put(url: str, octets: bytes | AsyncIterator[bytes], kind: str, **fields: str) -> httpx.Response:
    """Put octets as somebody who knows nothing of the token."""
    async with httpx.AsyncClient() as stranger:
        return await stranger.put(url, content=octets, headers={"content-type": kind, **fields})


async def test_an_upload_without_the_right_signature_is_refused(http: httpx.AsyncClient) -> None:
    url = (await make_attachment(http))["uploadUrl"]
    assert_envelope(await put(url + "x", b"x", "text/plain"), 403, "FORBIDDEN")
    assert_envelope(await put(url, b"x", "text/html"), 403, "FORBIDDEN")
    assert_envelope(await put(f"{http.base_url}uploads/none?signature=", b"x", "text/plain"), 403, "FORBIDDEN")


async def test_an_upload_address_takes_octets_once_and_no_token_and_wants_their_length(http: httpx.AsyncClient) -> None:
    async def piecemeal() -> AsyncIterator[bytes]:
        yield b"x"

    url = (await make_attachment(http))["uploadUrl"]
    assert (await put(url, piecemeal(), "text/plain")).status_code == 411
    assert_envelope(await put(url, b"x", "text/plain", **TOKEN), 400, "BAD_REQUEST")
    assert (await put(url, b"x", "text/plain")).status_code == 200
    assert_envelope(await put(url, b"y", "text/plain"), 403, "FORBIDDEN")
    assert (await http.get(url)).content == b"x"


def test_an_upload_address_grows_old() -> None:
    now = 1_800_000_000.0
    state = SandboxState(DATA, clock=lambda: now)
    made = state.create_attachment({"ticketId": TAI_42, "mimeType": "text/plain", "filename": "a.txt"}, "http://x")
    now += UPLOAD_SECONDS + 1
    with pytest.raises(ApiError, match="expired"):
        state.upload(made["id"], made["uploadUrl"].rpartition("=")[2], "text/plain", b"too late")


async def test_only_what_has_arrived_is_connected_to_a_message_of_its_ticket_and_to_no_second_one(
    http: httpx.AsyncClient,
) -> None:
    async def connect(attachment_id: str, message_id: str) -> httpx.Response:
        body = {"ticketId": TAI_42, "attachmentIds": [attachment_id], "ticketMessageId": message_id}
        return await http.post("api/tickets/attachments/connect", json=body)

    first, second = [(await http.post("api/ticket-messages", json=fields())).json()["id"] for _ in range(2)]
    other_ticket = next(str(t["id"]) for t in (await http.get("api/tickets")).json()["items"] if t["id"] != TAI_42)
    elsewhere = (await http.post("api/ticket-messages", json=fields(ticketId=other_ticket))).json()["id"]
    made = await make_attachment(http)
    assert_envelope(await connect(made["id"], first), 400, "BAD_REQUEST")
    await put(made["uploadUrl"], b"x", "text/plain")
    assert_envelope(await connect("not-ours", first), 400, "BAD_REQUEST")
    assert_envelope(await connect(made["id"], elsewhere), 404, "NOT_FOUND")
    assert (await connect(made["id"], first)).status_code == 200
    assert (await connect(made["id"], first)).status_code == 200
    assert_envelope(await connect(made["id"], second), 400, "BAD_REQUEST")


# Faults


async def test_a_fault_comes_with_the_request_it_is_for(sandbox: Sandbox, http: httpx.AsyncClient) -> None:
    fault = {"X-Sandbox-Fault": '{"status": 429, "retry_after": "7"}'}
    answer = await http.post("api/ticket-messages", json=fields(), headers=fault)
    assert_envelope(answer, 429, "TOO_MANY_REQUESTS")
    assert answer.headers["retry-after"] == "7"
    assert sandbox.state.posts == []


async def test_faults_wait_for_the_requests_they_are_for_and_are_used_up_in_order(http: httpx.AsyncClient) -> None:
    faults = [{"method": "POST", "path": "/api/ticket-messages", "status": 503, "times": 2}, {"status": 500}]
    assert (await http.post("sandbox/faults", json=faults)).json() == {"waiting": 3}
    statuses = [(await http.post("api/ticket-messages", json=fields())).status_code for _ in range(4)]
    assert statuses == [503, 503, 500, 200]


async def test_faults_for_other_requests_are_left_waiting_until_they_are_forgotten(http: httpx.AsyncClient) -> None:
    await http.post("sandbox/faults", json=[{"method": "POST", "status": 500}])
    assert (await http.get("api/tickets/TAI-42")).status_code == 200
    assert [fault["status"] for fault in (await http.get("sandbox/faults")).json()] == [500]
    await http.delete("sandbox/faults")
    assert (await http.post("api/ticket-messages", json=fields())).status_code == 200


async def test_a_connection_is_cut_before_or_after_the_effect(sandbox: Sandbox, http: httpx.AsyncClient) -> None:
    await http.post("sandbox/faults", json=[{"cut": True}, {"cut": True, "effect": True}])
    for posts in (0, 1):
        with pytest.raises(httpx.RemoteProtocolError):
            await http.post("api/ticket-messages", json=fields())
        assert len(sandbox.state.posts) == posts


async def test_a_delayed_answer_is_the_true_one(sandbox: Sandbox, http: httpx.AsyncClient) -> None:
    await http.post("sandbox/faults", json=[{"delay": 0.01, "effect": True}])
    answer = await http.post("api/ticket-messages", json=fields())
    assert answer.json()["id"] == sandbox.state.posts[0]["id"]


async def test_a_gateways_page_is_answered_instead_of_the_envelope(http: httpx.AsyncClient) -> None:
    await http.post("sandbox/faults", json=[{"status": 502, "body": "<html>Bad Gateway</html>"}])
    answer = await http.get("api/tickets/TAI-42")
    assert (answer.status_code, answer.text) == (502, "<html>Bad Gateway</html>")
    assert answer.headers["content-type"].startswith("text/html")


async def test_a_fault_with_a_status_that_has_no_body_is_answered_without_one(http: httpx.AsyncClient) -> None:
    await http.post("sandbox/faults", json=[{"status": 204}])
    answer = await http.get("api/tickets/TAI-42")
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("fault", ["{", '{"status": 99}', '{"suprise": 1}'])
async def test_a_fault_that_makes_no_sense_is_refused(http: httpx.AsyncClient, fault: str) -> None:
    assert_envelope(await http.get("api/tickets/TAI-42", headers={"X-Sandbox-Fault": fault}), 400, "BAD_REQUEST")
    assert (await http.post("sandbox/faults", content=f"[{fault}]")).status_code == 400


async def test_what_was_posted_can_be_seen_with_its_idempotency_key(http: httpx.AsyncClient) -> None:
    for key in ("Q1", "Q2"):
        await http.post("api/ticket-messages", json=fields(content=key), headers={"Idempotency-Key": key})
    posts = (await http.get("sandbox/posts", params={"skip": "1"})).json()
    assert [(post["content"], post["idempotencyKey"]) for post in posts] == [("Q2", "Q2")]
    assert (await http.get("sandbox/state")).json()["posts"] == 2


# Durability


@contextmanager
def process(journal: Path) -> Iterator[tuple[str, multiprocessing.process.BaseProcess]]:
    """The sandbox in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    given = {"port": port, "data": DATA, "journal": journal}
    running = multiprocessing.get_context("spawn").Process(target=run, kwargs=given)
    running.start()
    try:
        yield f"http://127.0.0.1:{port}/", running
    finally:
        running.kill()
        running.join()


async def answering(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await client.get("sandbox/state")
            except httpx.TransportError:
                await asyncio.sleep(0.02)
            else:
                return


async def test_what_was_answered_is_still_known_after_kill_9(tmp_path: Path) -> None:
    journal = tmp_path / "var" / "sandbox.jsonl"
    answered: list[str] = []
    body = fields()

    async def post_until_cut(client: httpx.AsyncClient) -> None:
        while True:
            try:
                answer = await client.post("api/ticket-messages", json=body)
            except httpx.TransportError:
                return
            answered.append(answer.json()["id"])

    with process(journal) as (url, running):
        async with httpx.AsyncClient(base_url=url, headers=TOKEN, trust_env=False) as client:
            await answering(client)
            posting = asyncio.gather(*(post_until_cut(client) for _ in range(4)))
            async with asyncio.timeout(30):
                while len(answered) < 50:
                    await asyncio.sleep(0)
            running.kill()
            await posting
    state = SandboxState(DATA, journal)
    assert set(answered) <= state.messages.keys()
    assert [post["id"] for post in state.posts[:10]] == [message["id"] for message in state.messages_of(TAI_42)[1:11]]
    state.close()


async def test_attachments_survive_a_restart(tmp_path: Path) -> None:
    journal = tmp_path / "sandbox.jsonl"
    wanted = {"ticketId": TAI_42, "mimeType": "text/plain", "filename": "a.txt"}
    async with (
        Sandbox(data=DATA, journal=journal) as sandbox,
        httpx.AsyncClient(base_url=sandbox.page, headers=TOKEN) as http,
    ):
        made = (await http.post("api/tickets/attachments", json=wanted)).json()
        await put(made["uploadUrl"], b"octets", "text/plain")
    state = SandboxState(DATA, journal)
    assert state.uploads == {made["id"]: b"octets"}
    assert state.attachments[made["id"]]["status"] == "completed"
    state.close()


def test_a_line_of_the_journal_that_a_kill_cut_short_is_dropped_and_written_over(tmp_path: Path) -> None:
    journal = tmp_path / "sandbox.jsonl"
    given = fields(private=False)
    first = SandboxState(DATA, journal)
    first.post_message(given, "Q1")
    first.close()
    with journal.open("ab") as cut_short:
        cut_short.write(b'{"event": "message", "fact": {"mess')
    second = SandboxState(DATA, journal)
    second.post_message(given, "Q2")
    second.close()
    third = SandboxState(DATA, journal)
    assert [post["idempotencyKey"] for post in third.posts] == ["Q1", "Q2"]
    third.close()


def test_a_journal_about_tickets_that_are_no_more_does_not_keep_the_sandbox_from_starting(tmp_path: Path) -> None:
    journal, data = tmp_path / "sandbox.jsonl", tmp_path / "data.json"
    state = SandboxState(DATA, journal)
    state.post_message(fields(private=False), "Q1")
    state.close()
    start = json.loads(DATA.read_text("utf-8"))
    start |= {name: [item for item in start[name] if TAI_42 not in item.values()] for name in ("tickets", "messages")}
    data.write_text(json.dumps(start), "utf-8")
    state = SandboxState(data, journal)
    assert state.posts == []
    state.close()


async def test_without_a_journal_all_is_forgotten(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    await http.post("api/ticket-messages", json=fields())
    async with Sandbox(data=DATA) as another:
        assert another.state.posts == []


async def test_an_address_in_use_is_told_at_once(sandbox: Sandbox) -> None:
    port = httpx.URL(sandbox.url).port
    assert port is not None
    with pytest.raises(OSError, match="in use"):
        await Sandbox(port=port, data=DATA).start()


# The page


async def test_the_page_shows_the_tickets_and_the_messages_of_the_chosen_one(http: httpx.AsyncClient) -> None:
    await http.post("api/ticket-messages", json=fields(content="It works now, 謝謝."))
    page = (await http.get("", params={"ticket": "TAI-42"})).text
    assert "It works now, 謝謝." in page
    assert "Alice Archer" in page
    assert page.count('href="/?ticket=') >= 20


async def test_the_page_shows_the_ticket_that_changed_last_unasked(http: httpx.AsyncClient) -> None:
    await http.post("api/ticket-messages", json=fields())
    assert "It works now." in (await http.get("")).text


async def test_nothing_in_a_message_becomes_markup_and_nothing_foreign_is_loaded(http: httpx.AsyncClient) -> None:
    await http.post("api/ticket-messages", json=fields(content="<script>alert(1)</script> \"'& $nonce"))
    answer = await http.get("", params={"ticket": "TAI-42"})
    assert "<script>alert(1)" not in answer.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &quot;&#x27;&amp; $nonce" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "http://" not in answer.text
    assert "https://" not in answer.text


@pytest.mark.parametrize("ticket", ["NO-1", "<script>", "%00"])
async def test_the_page_of_an_unknown_ticket_is_still_a_page(http: httpx.AsyncClient, ticket: str) -> None:
    answer = await http.get("", params={"ticket": ticket})
    assert answer.status_code == 200
    assert "<script>" not in answer.text
