"""Attachments on their way to a ticket, where the trouble is of a kind that no sandbox plays on order: hours that pass,
uploads that never end, a lease that is lost, a mail that goes to another ticket than the last time."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from ingest import compose
from ingest.api import AttachmentRefused, Unavailable, UploadTarget
from ingest.attachments import PATIENCE_SECONDS, AttachmentLimits, AttachmentUploader, UploadResult
from ingest.model.envelope import QueuedMessage
from ingest.model.message import Attachment
from ingest.model.outcome import Deferred, Delivered
from ingest.store.uploads import Upload
from tests.support.factories import parsed, queued

SCAN = Attachment(filename="scan.pdf", content_type="application/pdf", size=4, sha256="a" * 64, part_number=2)
NOTES = Attachment(filename="notes.txt", content_type="text/plain", size=2, sha256="b" * 64, part_number=3)
MAIL = parsed(attachments=(SCAN, NOTES))
POSTED = Delivered(ticket_id="T1", ticket_message_id="M1")
NOW = 1_000_000.0


class Around:
    """A store, a parser and an API with one fault: ``down`` fails now, ``slow`` never ends, ``lost`` is the lease."""

    def __init__(self, *faults: str, noted: Sequence[Upload] = ()) -> None:
        self.faults = faults
        self.noted = {upload.part_number: upload for upload in noted}
        self.made: list[str] = []
        self.archived: list[tuple[str, str]] = []
        self.connected: list[str] = []

    async def content(self, queue_id: str) -> bytes:
        return b""

    async def attachment_bytes(self, content: bytes, part_numbers: Sequence[int]) -> tuple[bytes, ...]:
        if "unreadable" in self.faults:
            raise LookupError("the message has no part 3")
        return tuple(b"%PDF" for _ in part_numbers)

    async def for_message(self, queue_id: str) -> tuple[Upload, ...]:
        return tuple(self.noted.values())

    async def record(self, queue_id: str, lease_token: str, upload: Upload, *, sha256: str, sender: str) -> bool:
        if "lost" not in self.faults:
            self.noted[upload.part_number] = upload
        return "lost" not in self.faults

    async def create(
        self, ticket_id: str, *, filename: str, mime_type: str, metadata: Mapping[str, Any]
    ) -> UploadTarget | AttachmentRefused:
        self.made.append(filename)
        return UploadTarget(attachment_id=f"{filename}-{len(self.made)}", upload_url="")

    async def upload(self, target: UploadTarget, content: bytes, mime_type: str) -> AttachmentRefused | None:
        if "slow" in self.faults:
            await asyncio.Event().wait()
        if "down" in self.faults:
            raise Unavailable(Deferred(reason="the upload address answered 503"))
        return None

    async def find_by_metadata(self, ticket_id: str, key: str, value: str) -> tuple[str, ...]:
        if "down" in self.faults:
            raise Unavailable(Deferred(reason="the API answered 503"))
        return ("stray", *(upload.attachment_id or "" for upload in self.noted.values()))

    async def archive(self, ticket_id: str, attachment_ids: Sequence[str]) -> AttachmentRefused | None:
        self.archived += [(ticket_id, attachment_id) for attachment_id in attachment_ids]
        return None

    async def connect(
        self, ticket_id: str, attachment_ids: Sequence[str], ticket_message_id: str
    ) -> AttachmentRefused | None:
        if "down" in self.faults:
            raise Unavailable(Deferred(reason="the API answered 503"))
        if "refused" in self.faults or "gone" in attachment_ids:
            return AttachmentRefused(reason="the API answered 400")
        self.connected += attachment_ids
        return None


def uploader(around: Around) -> AttachmentUploader:
    things: Any = around
    limits = AttachmentLimits(enabled=True, max_bytes=100, refused_types=())
    return AttachmentUploader(store=things, parse_pool=things, uploads=things, api=things, limits=limits, seconds=0.01)


async def upload_all(around: Around, mail: QueuedMessage, ticket_id: str = "T1") -> UploadResult:
    return await uploader(around).upload_all(mail, MAIL, ticket_id, now=NOW)


@pytest.mark.parametrize("fault", ["down", "slow"])
async def test_a_mail_of_any_age_waits_for_its_attachments_from_when_they_first_fail(fault: str) -> None:
    """It may be hours old because the API was down for hours; the first hiccup after that must not cost the scan."""
    old = queued(received_at=NOW - 9 * PATIENCE_SECONDS)
    with pytest.raises(Unavailable) as caught:
        await upload_all(Around(fault), old)
    assert caught.value.outcome.optional_step_failed


@pytest.mark.parametrize("fault", ["down", "slow"])
async def test_a_mail_whose_attachments_fail_for_long_goes_without_them_and_leaves_nothing_half_made(
    fault: str,
) -> None:
    around = Around(fault)
    uploaded = await upload_all(around, queued(optional_failing_since=NOW - PATIENCE_SECONDS, attempts=9))
    assert [missing.attachment for missing in uploaded.missing] == [SCAN, NOTES]
    assert {("T1", "scan.pdf-1"), ("T1", "notes.txt-2")} <= set(around.archived)


async def test_what_cannot_be_taken_out_of_a_mail_is_missing_and_not_tried_for_ever() -> None:
    uploaded = await upload_all(Around("unreadable"), queued())
    assert [missing.attachment for missing in uploaded.missing] == [SCAN, NOTES]


async def test_a_worker_that_has_lost_its_lease_uploads_nothing_more() -> None:
    around = Around("lost")
    with pytest.raises(Unavailable, match="the lease was lost"):
        await upload_all(around, queued())
    assert around.made == ["scan.pdf"]


async def test_what_was_uploaded_to_another_ticket_is_put_away_there_and_uploaded_to_this_one() -> None:
    around = Around(noted=[Upload(part_number=2, ticket_id="T0", attachment_id="A0")])
    uploaded = await upload_all(around, queued(attempts=2))
    assert ("T0", "A0") in around.archived
    assert uploaded.ids == ("scan.pdf-1", "notes.txt-2")


async def test_what_was_uploaded_before_is_neither_put_away_nor_uploaded_again() -> None:
    around = Around(noted=[Upload(part_number=2, ticket_id="T1", attachment_id="A0")])
    uploaded = await upload_all(around, queued(attempts=2))
    assert around.archived == [("T1", "stray")]
    assert uploaded.ids == ("A0", "notes.txt-1")


async def test_a_message_whose_attachments_cannot_be_tied_to_it_now_is_known_to_be_posted() -> None:
    end = await uploader(Around("down")).connect(queued(), "T1", UploadResult(ids=("A1",)), POSTED, now=NOW)
    assert isinstance(end, Deferred)
    assert (end.posted, end.optional_step_failed) == (POSTED, True)


@pytest.mark.parametrize(("fault", "since"), [("down", NOW - PATIENCE_SECONDS), ("refused", None)])
async def test_a_message_whose_attachments_cannot_be_tied_to_it_at_all_is_delivered_and_says_so(
    fault: str, since: float | None
) -> None:
    mail = queued(optional_failing_since=since, ticket_message_id="M1")
    end = await uploader(Around(fault)).connect(mail, "T1", UploadResult(ids=("A1",)), POSTED, now=NOW)
    assert isinstance(end, Delivered)
    assert "not tied to it" in end.note


async def test_a_refusal_right_after_the_post_is_not_the_last_word() -> None:
    """The server that is asked may not have heard yet of a message that another one took a moment ago."""
    end = await uploader(Around("refused")).connect(queued(), "T1", UploadResult(ids=("A1",)), POSTED, now=NOW)
    assert end == Deferred(reason="the API answered 400", posted=POSTED)


async def test_an_attachment_that_the_api_has_lost_does_not_keep_the_others_from_their_message() -> None:
    around, mail = Around(), queued(ticket_message_id="M1")
    end = await uploader(around).connect(mail, "T1", UploadResult(ids=("A1", "gone", "A2")), POSTED, now=NOW)
    assert isinstance(end, Delivered)
    assert "not tied to it" in end.note
    assert around.connected == ["A1", "A2"]


def test_what_is_missing_is_said_by_name_size_and_reason_in_few_lines() -> None:
    missing = [
        compose.MissingAttachment(
            attachment=Attachment(filename=name, content_type="text/plain", size=size, sha256="", part_number=2),
            reason="no",
        )
        for name, size in [("empty.txt", 0), ("a`b.txt", 1_500), ("film.mov", 31_400_000), *[("x.txt", 1)] * 500]
    ]
    lines = compose.compose_appendix(missing).splitlines()
    assert lines[2:5] == [
        "- `empty.txt` (0 bytes): no",
        "- `a\u2019b.txt` (1 KB): no",
        "- `film.mov` (31.4 MB): no",
    ]
    assert lines[-1] == "- and 403 more"
    assert compose.compose_appendix([]) == ""
