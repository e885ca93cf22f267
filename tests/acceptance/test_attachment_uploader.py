"""The uploader on a real store, with a real parser process, against the sandbox over HTTP: hours that pass, uploads
that never end, a lease that is lost, a mail that goes to another ticket than the last time."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from ingest import attachments
from ingest.api import TicketApiClient, Unavailable
from ingest.attachments import METADATA_KEY, PATIENCE_SECONDS, AttachmentLimits, AttachmentUploader, UploadResult
from ingest.config.settings import Settings
from ingest.model.envelope import QueuedMessage
from ingest.model.message import ParsedMessage
from ingest.model.outcome import Deferred, Delivered
from ingest.parse_pool import ParsePool
from ingest.sandbox import Fault, Sandbox
from ingest.store.messages import Store
from ingest.store.opening import open_database
from ingest.store.uploads import Uploads
from tests.support.attachments import mail, part
from tests.support.fixture_mails import SANDBOX
from tests.support.sandbox_worker import TICKET
from tests.support.store import START, claim_one, receive

OTHER_TICKET = "cm7t6rnt9rbxhyutrhkf5hsft"
PDF = b"%PDF-1.4\r\n\x00\xff"
LOGO = b"\x89PNG\r\n\x1a\n" + bytes(64)
SCANS = mail("two files", part(PDF, "application/pdf", "scan.pdf"), part(b"hi", "text/plain", "notes.txt"))
NO_FILES = mail("no file")
NOW = START + 1000
UPLOADS_FAIL = Fault(method="PUT", path="/uploads/", status=503, times=9)
UPLOADS_HANG = Fault(method="PUT", path="/uploads/", delay=3600, times=9)
CONNECT: dict[str, Any] = {"method": "POST", "path": "/api/tickets/attachments/connect"}


@dataclass(kw_only=True)
class Bench:
    """An uploader and everything that it talks to."""

    sandbox: Sandbox
    store: Store
    api: TicketApiClient
    pool: ParsePool
    uploader: AttachmentUploader

    async def claimed(self, content: bytes = SCANS, number: int = 1) -> tuple[QueuedMessage, ParsedMessage]:
        """Store a mail and claim it; return it with what is parsed of it."""
        await receive(self.store, number, content=content)
        message, _reply = await self.pool.parse_and_extract(content)
        return await claim_one(self.store), message

    async def claimed_again(self) -> QueuedMessage:
        """Claim the message as the next attempt does after a crash of the worker."""
        await self.store.release_leases(now=5_000.0)
        return await claim_one(self.store)

    async def upload_all(self, queued: QueuedMessage, message: ParsedMessage, ticket: str = TICKET) -> UploadResult:
        return await self.uploader.upload_all(queued, message, ticket, now=NOW)

    async def posted(self, content: str = "two files") -> Delivered:
        """Have the ticket message at the API that attachments are connected to."""
        given = {"ticketId": TICKET, "authorId": next(iter(self.sandbox.state.users)), "content": content}
        posted = self.sandbox.state.post_message(given | {"private": False, "source": "EMAIL"}, "")
        return Delivered(ticket_id=TICKET, ticket_message_id=posted["id"])

    async def order(self, *faults: Fault) -> None:
        """Have the API make trouble."""
        async with httpx.AsyncClient() as client:
            body = f"[{','.join(fault.model_dump_json() for fault in faults)}]"
            (await client.post(f"{self.sandbox.page}sandbox/faults", content=body)).raise_for_status()

    def shown(self, ticket: str = TICKET) -> list[str]:
        """The names of the ticket's attachments that are not archived."""
        return [found["filename"] for found in self.sandbox.state.attachments_of(ticket)]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with (
        Sandbox(data=SANDBOX) as sandbox,
        open_database(f"sqlite:///{tmp_path / 'ingest.db'}") as database,
        TicketApiClient(
            Settings.model_validate({"api_url": sandbox.url, "api_token": sandbox.token, "api_timeout": 5})
        ) as api,
    ):
        pool = ParsePool(processes=1, seconds=20.0, memory_bytes=1024 * 1024 * 1024)
        await pool.start()
        store = Store(database)
        uploader = AttachmentUploader(
            store=store,
            parse_pool=pool,
            uploads=Uploads(database),
            api=api.attachments,
            limits=AttachmentLimits(enabled=True, max_bytes=100_000, refused_types=()),
            seconds=0.5,
        )
        try:
            yield Bench(sandbox=sandbox, store=store, api=api, pool=pool, uploader=uploader)
        finally:
            await pool.stop()


def missing_names(result: UploadResult) -> list[str]:
    return [missing.attachment.filename for missing in result.missing]


@pytest.mark.parametrize("fault", [UPLOADS_FAIL, UPLOADS_HANG], ids=["down", "slow"])
async def test_a_mail_of_any_age_waits_for_its_attachments_from_when_they_first_fail(
    bench: Bench, fault: Fault
) -> None:
    """It may be hours old because the API was down for hours; the first hiccup after that must not cost the scan."""
    queued, message = await bench.claimed()
    await bench.order(fault)
    with pytest.raises(Unavailable) as caught:
        await bench.upload_all(replace(queued, received_at=NOW - 9 * PATIENCE_SECONDS), message)
    assert caught.value.outcome.optional_step_failed


@pytest.mark.parametrize("fault", [UPLOADS_FAIL, UPLOADS_HANG], ids=["down", "slow"])
async def test_a_mail_whose_attachments_fail_for_long_goes_without_them_and_leaves_nothing_half_made(
    bench: Bench, fault: Fault
) -> None:
    queued, message = await bench.claimed()
    await bench.order(fault, Fault(method="GET", path="/api/tickets/attachments", status=503, times=3))
    given_up = replace(queued, optional_failing_since=NOW - PATIENCE_SECONDS, attempts=9)
    result = await bench.upload_all(given_up, message)
    assert missing_names(result) == ["scan.pdf", "notes.txt"]
    assert len(bench.sandbox.state.attachments) == 2
    assert bench.shown() == []


async def test_a_mail_waits_for_its_attachments_until_the_last_second(bench: Bench) -> None:
    queued, message = await bench.claimed()
    await bench.order(UPLOADS_FAIL)
    with pytest.raises(Unavailable):
        await bench.upload_all(replace(queued, optional_failing_since=NOW - PATIENCE_SECONDS + 1), message)


async def test_what_cannot_be_taken_out_of_a_mail_is_missing_and_not_tried_for_ever(bench: Bench) -> None:
    _scans, message = await bench.claimed(SCANS, 1)
    without, _parsed = await bench.claimed(NO_FILES, 2)
    result = await bench.upload_all(without, message)
    assert missing_names(result) == ["scan.pdf", "notes.txt"]


async def test_a_worker_that_has_lost_its_lease_uploads_nothing_more(bench: Bench) -> None:
    queued, message = await bench.claimed()
    await bench.claimed_again()
    with pytest.raises(Unavailable, match="the lease was lost"):
        await bench.upload_all(queued, message)
    assert bench.shown() == ["scan.pdf"]


async def test_what_was_uploaded_to_another_ticket_is_archived_there_and_uploaded_to_this_one(bench: Bench) -> None:
    queued, message = await bench.claimed()
    await bench.upload_all(queued, message, OTHER_TICKET)
    again = await bench.claimed_again()
    result = await bench.upload_all(again, message)
    assert bench.shown(OTHER_TICKET) == []
    assert bench.shown() == ["scan.pdf", "notes.txt"]
    assert [found["id"] for found in bench.sandbox.state.attachments_of(TICKET)] == list(result.ids)


async def test_what_was_uploaded_before_is_neither_archived_nor_uploaded_again(bench: Bench) -> None:
    queued, message = await bench.claimed()
    first = await bench.upload_all(queued, message)
    await bench.api.attachments.create(
        TICKET, filename="stray", mime_type="text/plain", metadata={METADATA_KEY: queued.queue_id}
    )
    assert await bench.upload_all(await bench.claimed_again(), message) == first
    assert bench.shown() == ["scan.pdf", "notes.txt"]


async def test_a_message_whose_attachments_cannot_be_connected_now_is_known_to_be_posted(bench: Bench) -> None:
    queued, message = await bench.claimed()
    uploaded, posted = await bench.upload_all(queued, message), await bench.posted()
    await bench.order(Fault(status=503, times=9, **CONNECT))
    end = await bench.uploader.connect(queued, TICKET, uploaded, posted, now=NOW)
    assert isinstance(end, Deferred)
    assert (end.posted, end.optional_step_failed) == (posted, True)


@pytest.mark.parametrize(("status", "since"), [(503, NOW - PATIENCE_SECONDS), (400, None)])
async def test_a_message_whose_attachments_cannot_be_connected_at_all_is_delivered_and_says_so(
    bench: Bench, status: int, since: float | None
) -> None:
    queued, message = await bench.claimed()
    uploaded, posted = await bench.upload_all(queued, message), await bench.posted()
    await bench.order(Fault(status=status, times=9, **CONNECT))
    known = replace(queued, optional_failing_since=since, ticket_message_id=posted.ticket_message_id)
    end = await bench.uploader.connect(known, TICKET, uploaded, posted, now=NOW)
    assert isinstance(end, Delivered)
    assert "not connected to it" in end.note


async def test_a_refusal_right_after_the_post_is_not_the_last_word(bench: Bench) -> None:
    """The server that is asked may not have heard yet of a message that another one took a moment ago."""
    queued, message = await bench.claimed()
    uploaded, posted = await bench.upload_all(queued, message), await bench.posted()
    await bench.order(Fault(status=400, times=9, **CONNECT))
    end = await bench.uploader.connect(queued, TICKET, uploaded, posted, now=NOW)
    assert isinstance(end, Deferred)
    assert (end.posted, end.optional_step_failed) == (posted, False)


@pytest.mark.parametrize(
    "content", [SCANS, mail("one file", part(PDF, "application/pdf", "scan.pdf"))], ids=["of two", "of one"]
)
async def test_an_attachment_that_the_api_has_lost_does_not_keep_the_others_from_their_message(
    bench: Bench, content: bytes
) -> None:
    queued, message = await bench.claimed(content)
    uploaded, posted = await bench.upload_all(queued, message), await bench.posted()
    with_lost = UploadResult(ids=(uploaded.ids[0], "gone", *uploaded.ids[1:]))
    known = replace(queued, ticket_message_id=posted.ticket_message_id)
    end = await bench.uploader.connect(known, TICKET, with_lost, posted, now=NOW)
    assert isinstance(end, Delivered)
    assert "not connected to it" in end.note
    tied = {found["id"]: found["ticketMessageId"] for found in bench.sandbox.state.attachments_of(TICKET)}
    assert tied == dict.fromkeys(uploaded.ids, posted.ticket_message_id)


@pytest.mark.parametrize(
    ("fields", "uploads"), [((), 2), (("Content-ID: <logo@customer.example>",), 1)], ids=["attached", "inline"]
)
async def test_only_an_inline_picture_is_left_out_the_second_time(
    bench: Bench, fields: tuple[str, ...], uploads: int
) -> None:
    """A logo comes with every mail; a picture that somebody attached twice was meant twice."""
    for number, text in enumerate(("first", "second"), start=1):
        queued, message = await bench.claimed(mail(text, part(LOGO, "image/png", "logo.png", *fields)), number)
        await bench.upload_all(queued, message)
        await bench.store.settle(queued.queue_id, queued.lease_token, await bench.posted(text), now=NOW)
    assert bench.shown() == ["logo.png"] * uploads


async def test_few_large_messages_are_uploaded_at_once_and_small_ones_do_not_wait_for_them(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachments, "SMALL_BYTES", 2_000)
    large = [await bench.claimed(mail(f"large {n}", part(bytes(3_000), "image/tiff", "a")), n) for n in range(1, 7)]
    small, small_message = await bench.claimed(mail("small", part(b"hi", "text/plain", "b")), 9)
    bench.uploader._seconds = 60
    await bench.order(Fault(method="PUT", path="/uploads/", delay=3600, times=6))
    uploads = [asyncio.create_task(bench.upload_all(*each)) for each in large]
    async with asyncio.timeout(20):
        while len(bench.shown()) < attachments.LARGE_MESSAGES_AT_ONCE:
            await asyncio.sleep(0.01)
        async with httpx.AsyncClient() as client:
            await client.delete(f"{bench.sandbox.page}sandbox/faults")
        await bench.upload_all(small, small_message)
    assert sorted(bench.shown()) == ["a"] * attachments.LARGE_MESSAGES_AT_ONCE + ["b"]
    for upload in uploads:
        upload.cancel()
    await asyncio.gather(*uploads, return_exceptions=True)
