"""The API client against a server that answers octets which no API should: each ends in a clear outcome, in bounds."""

import asyncio
import gzip
import json
import ssl
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme

from ingest.api import Claims, Draft, TicketApiClient, Unavailable
from ingest.api.http import MAX_RESPONSE_BYTES
from ingest.config.settings import Settings
from ingest.model.outcome import Deferred, Delivered, Outcome, PostEffect

DRAFT = Draft(ticket_id="T1", author_id="U1", content="It works now.")
MESSAGE = json.dumps({"id": "M1", "ticketId": "T1", "authorId": "U1"}).encode()
Answering = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """What a server saw, and how it answers."""

    answer: Answering
    url: str = ""
    connections: int = 0
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                await self._read(reader)
                await self.answer(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(
            (line.split(":")[1] for line in head.lower().splitlines() if line.startswith("content-length")), "0"
        )
        self.heads.append(head)
        self.bodies.append(await reader.readexactly(int(length)))


@asynccontextmanager
async def serving(answer: Answering | bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(answer if callable(answer) else saying(answer))
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{listener.sockets[0].getsockname()[1]}/api"
    async with listener:
        yield server


def saying(octets: bytes, *, then_close: bool = False) -> Answering:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(octets)
        await writer.drain()
        if then_close:
            writer.close()

    return answer


def response(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    head = "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields))
    return head.encode() + b"\r\n\r\n" + body


def client(server: Server, **other: Any) -> TicketApiClient:
    given = {"api_url": server.url, "api_token": "secret", "api_timeout": 5} | other
    return TicketApiClient(Settings.model_validate(given))


async def post_to(answer: Answering | bytes, **other: Any) -> Outcome:
    async with serving(answer) as server, client(server, **other) as api:
        return await api.post_message(DRAFT, idempotency_key="Q1")


def is_in_doubt(outcome: Outcome) -> bool:
    return isinstance(outcome, Deferred) and outcome.post_effect is PostEffect.UNKNOWN


# What we send


async def test_the_request_is_the_documented_one() -> None:
    async with serving(response(MESSAGE)) as server, client(server) as api:
        await api.post_message(DRAFT, idempotency_key="Q1")
    head = server.heads[0].lower()
    assert head.startswith("post /api/ticket-messages http/1.1\r\n")
    for line in ("x-ravenna-api-token: secret", "content-type: application/json", "idempotency-key: q1"):
        assert f"\r\n{line}\r\n" in head
    assert "\r\nauthorization:" not in head
    assert json.loads(server.bodies[0]) == {
        "content": "It works now.",
        "authorId": "U1",
        "ticketId": "T1",
        "source": "EMAIL",
    }


async def test_the_token_is_sent_as_a_bearer_where_the_settings_say_so() -> None:
    async with serving(response(MESSAGE)) as server, client(server, api_bearer=True) as api:
        await api.post_message(DRAFT, idempotency_key="Q1")
    assert "\r\nauthorization: bearer secret\r\n" in server.heads[0].lower()
    assert "x-ravenna-api-token" not in server.heads[0].lower()


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    assert isinstance(await post_to(response(MESSAGE)), Delivered)


async def test_cookies_are_not_kept() -> None:
    async with serving(response(MESSAGE, "Set-Cookie: session=1; Path=/")) as server, client(server) as api:
        for _ in range(2):
            await api.post_message(DRAFT, idempotency_key="Q1")
    assert "cookie" not in server.heads[1].lower()


async def test_a_redirect_does_not_take_the_token_elsewhere() -> None:
    async with serving(response(MESSAGE)) as elsewhere:
        redirect = response(b"", f"Location: {elsewhere.url}/ticket-messages", status="307 Temporary Redirect")
        outcome = await post_to(redirect)
    assert is_in_doubt(outcome)
    assert isinstance(outcome, Deferred)
    assert "change RAVENNA_API_URL" in outcome.reason
    assert elsewhere.connections == 0


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_a_server_whose_certificate_nobody_vouches_for_gets_nothing(tls: ssl.SSLContext) -> None:
    async with serving(response(MESSAGE), tls) as server, client(server) as api:
        outcome = await api.post_message(DRAFT, idempotency_key="Q1")
    assert isinstance(outcome, Deferred)
    assert outcome.post_effect is not PostEffect.UNKNOWN
    assert server.heads == []


async def test_an_authority_of_the_operators_own_is_trusted_by_its_file(
    authority: trustme.CA, tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    async with serving(response(MESSAGE), tls) as server, client(server) as api:
        assert isinstance(await api.post_message(DRAFT, idempotency_key="Q1"), Delivered)


# Connections that end


async def test_a_request_that_was_read_and_never_answered_is_not_sent_again() -> None:
    async with serving(saying(b"", then_close=True)) as server, client(server) as api:
        outcome = await api.post_message(DRAFT, idempotency_key="Q1")
    assert is_in_doubt(outcome)
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "octets",
    [
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + MESSAGE,
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"id"\r\n',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"SMTP ready\r\n\r\n",
        b"HTTP/1.1 huh OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16",
    ],
)
async def test_half_an_answer_or_no_http_at_all_leaves_the_message_in_doubt(octets: bytes) -> None:
    assert is_in_doubt(await post_to(saying(octets, then_close=True)))


async def test_an_idle_connection_that_the_server_closed_is_not_mistaken_for_a_fault() -> None:
    async with serving(saying(response(MESSAGE), then_close=True)) as server, client(server) as api:
        for _ in range(5):
            assert isinstance(await api.post_message(DRAFT, idempotency_key="Q1"), Delivered)
            await asyncio.sleep(0)
    assert len(server.bodies) == 5


async def test_an_answer_that_drips_for_ever_ends_with_the_total_time_out() -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with asyncio.timeout(20):
        outcome = await post_to(drip, api_timeout=0.3)
    assert is_in_doubt(outcome)


# Bodies


async def test_an_answer_without_end_is_cut_off() -> None:
    sent = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536

    assert is_in_doubt(await post_to(flood, api_timeout=60))
    assert sent < 4 * MAX_RESPONSE_BYTES


async def test_an_answer_that_inflates_beyond_all_measure_is_not_inflated() -> None:
    deflater = zlib.compressobj(level=1, wbits=zlib.MAX_WBITS | 16)
    bomb = b"".join(deflater.compress(bytes(MAX_RESPONSE_BYTES)) for _ in range(8)) + deflater.flush()
    tracemalloc.start()
    try:
        assert is_in_doubt(await post_to(response(bomb, "Content-Encoding: gzip")))
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * MAX_RESPONSE_BYTES


async def test_an_answer_compressed_without_our_asking_is_read() -> None:
    outcome = await post_to(response(gzip.compress(MESSAGE), "Content-Encoding: gzip"))
    assert outcome == Delivered(ticket_id="T1", ticket_message_id="M1")


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        pytest.param(b"not gzip", "gzip", id="no gzip"),
        pytest.param(gzip.compress(MESSAGE)[:-9], "gzip", id="half a gzip"),
        pytest.param(MESSAGE, "br", id="an unknown coding"),
        pytest.param(b"[" * 1_000_000, "identity", id="a million brackets"),
        pytest.param(b"9" * 10_000, "identity", id="a number of ten thousand digits"),
        pytest.param(b"\xff\xfe{}", "identity", id="no text"),
        pytest.param(b"<html>", "identity", id="a page"),
        pytest.param(b"", "identity", id="nothing"),
    ],
)
async def test_a_body_that_cannot_be_read_leaves_the_message_in_doubt(body: bytes, coding: str) -> None:
    assert is_in_doubt(await post_to(response(body, f"Content-Encoding: {coding}")))


async def test_ids_with_what_no_database_stores_are_made_storable() -> None:
    body = rb'{"id": "M1", "ticketId": "T1", "emailMessageId": "<a\ud800\u0000@b.example>"}'
    outcome = await post_to(response(body))
    assert outcome == Delivered(ticket_id="T1", ticket_message_id="M1", email_message_id="a?\ufffd@b.example")


@pytest.mark.parametrize("body", [b'{"items": [{"email": "no id"}]}', b'{"totalCount": 0}', b"null", b'"items"'])
async def test_a_list_that_cannot_be_read_is_unavailable_and_not_empty(body: bytes) -> None:
    async with serving(response(body)) as server, client(server) as api:
        with pytest.raises(Unavailable):
            await api.find_user("alice@customer.example")


async def test_a_list_without_an_end_is_unavailable_and_not_incomplete() -> None:
    endless = response(b'{"items": [{"id": "U1", "email": "other@customer.example"}], "nextCursor": "again"}')
    async with serving(endless) as server, client(server) as api:
        with pytest.raises(Unavailable, match="has no end"):
            await api.find_user("alice@customer.example")


async def test_an_api_that_posts_under_its_own_author_is_still_searched_by_content() -> None:
    message = {"id": "M1", "ticketId": "T1", "authorId": "token owner", "content": "It works now.", "source": "EMAIL"}

    async def answer(writer: asyncio.StreamWriter) -> None:
        listing = {"items": [message | {"id": "M2"}], "totalCount": 1}
        head = server.heads[-1]
        body = message if head.startswith("POST") else {"id": "T1"} if "/tickets/" in head else listing
        writer.write(response(json.dumps(body).encode()))

    async def nobody_claims(_ids: object) -> Claims:
        return Claims()

    async with serving(answer) as server, client(server) as api:
        await api.post_message(DRAFT, idempotency_key="Q1")
        found = await api.find_posted(DRAFT, began_at=0.0, find_claims=nobody_claims)
    assert isinstance(found, Delivered)
    assert found.ticket_message_id == "M2"
