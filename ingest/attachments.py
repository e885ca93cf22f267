"""Carrying a message's attachments to its ticket, each once, whatever crashes in between.

    archive     what an earlier attempt left at the API half-made, or at another ticket
    upload      make a place, put the octets there, note it; then the next
    (the POST)  the message says by name and size what could not be brought
    connect     tie what was uploaded to the message; can be repeated

Uploads come before the POST, so that the message can say what is missing; connecting comes after it. A crash after the
POST is seen by the look for the posted message, and connecting is done again.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from typing import Any, Protocol, TypeVar

from ingest import compose, log
from ingest.api import Draft, Refused, Unavailable, UploadTarget
from ingest.model.envelope import QueuedMessage
from ingest.model.message import Attachment, ParsedMessage
from ingest.model.outcome import Deferred, Delivered
from ingest.parse_pool import PoisonMessage
from ingest.store.uploads import Upload

SMALL_BYTES = 2 * 1024 * 1024
SMALL_AT_ONCE = 48
LARGE_AT_ONCE = 4
"""Messages whose octets are in memory for their attachments' sake at the same time: while the API takes its time over
the small ones, that is 96 MiB at most, and the large ones wait for each other."""
PATIENCE_SECONDS = 3600.0
"""For how long a message waits for what it could be posted without, while nothing else fails: attachments that the API
cannot take now, a second reading beside the ticket's conversation."""
KEY = "ingestQueueId"

_log = log.get("attach")
T = TypeVar("T")


def reason_to_skip(queued: QueuedMessage, error: Unavailable, *, now: float) -> str:
    """Why a message goes on without what cannot be had, once it has waited for long enough.

    Raises:
        Unavailable: it has not.
    """
    since = queued.optional_failing_since
    if since is None or now - since < PATIENCE_SECONDS:
        raise Unavailable(replace(error.outcome, optional_step_failed=True)) from error
    return f"not within {PATIENCE_SECONDS / 60:.0f} minutes: {error.outcome.reason}"


class Octets(Protocol):
    """Where the octets of a message are."""

    async def content(self, queue_id: str) -> bytes: ...


class Extractor(Protocol):
    """Who takes parts out of them."""

    async def attachment_bytes(self, content: bytes, part_numbers: Sequence[int]) -> tuple[bytes, ...]: ...


class Books(Protocol):
    """What is remembered of attachments."""

    async def for_message(self, queue_id: str) -> tuple[Upload, ...]: ...
    async def record(self, queue_id: str, lease_token: str, upload: Upload, *, sha256: str, sender: str) -> bool: ...
    async def is_on_ticket(self, *, sha256: str, ticket_id: str, sender: str) -> bool: ...


class Shelf(Protocol):
    """The attachment endpoints of the API; ``Unavailable`` where they do not answer now."""

    async def create(
        self, ticket_id: str, *, filename: str, mime_type: str, metadata: Mapping[str, Any]
    ) -> UploadTarget | Refused: ...
    async def upload(self, place: UploadTarget, content: bytes, mime_type: str) -> Refused | None: ...
    async def connect(
        self, ticket_id: str, attachment_ids: Sequence[str], ticket_message_id: str
    ) -> Refused | None: ...
    async def archive(self, ticket_id: str, attachment_ids: Sequence[str]) -> Refused | None: ...
    async def of_message(self, ticket_id: str, key: str, value: str) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The operator's policy."""

    enabled: bool
    max_bytes: int
    refused_types: tuple[str, ...]
    """Content types and file name patterns, such as ``application/x-msdownload`` and ``*.exe``."""

    def refusal(self, attachment: Attachment) -> str | None:
        """Why this attachment is not brought; ``None`` where it is."""
        if not self.enabled:
            return "attachments are not brought to tickets"
        if attachment.size > self.max_bytes:
            return f"larger than {compose.size(self.max_bytes)}"
        name, kind = attachment.filename.lower(), attachment.content_type.lower()
        if any(fnmatch(name, pattern) or fnmatch(kind, pattern) for pattern in self.refused_types):
            return "files of this type are not brought"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadResult:
    """What became of a message's attachments."""

    ids: tuple[str, ...] = ()
    missing: tuple[compose.Missing, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """The attachments of one message on their way to one ticket."""

    queued: QueuedMessage
    ticket_id: str
    sender: str
    now: float
    done: dict[int, Upload] = field(default_factory=dict)
    """Part number -> what became of it."""

    def upload(self, attachment: Attachment, attachment_id: str | None, reason: str = "") -> Upload:
        return Upload(
            part_number=attachment.part_number, ticket_id=self.ticket_id, attachment_id=attachment_id, reason=reason
        )

    async def patiently(self, asked: Awaitable[T]) -> T | Refused:
        """What was asked for; refused, where the API could not answer for so long that the message goes on without.

        Raises:
            Unavailable: not now.
        """
        try:
            return await asked
        except Unavailable as error:
            return Refused(reason=reason_to_skip(self.queued, error, now=self.now))


class AttachmentUploader:
    """Brings attachments to tickets."""

    def __init__(
        self, *, octets: Octets, extractor: Extractor, books: Books, shelf: Shelf, limits: Limits, seconds: float
    ) -> None:
        """``seconds`` is what the uploads of one message may take in one attempt: less than the lease protects."""
        self._octets = octets
        self._extractor = extractor
        self._books = books
        self._shelf = shelf
        self._limits = limits
        self._seconds = seconds
        self._small, self._large = asyncio.Semaphore(SMALL_AT_ONCE), asyncio.Semaphore(LARGE_AT_ONCE)

    async def bring(self, queued: QueuedMessage, message: ParsedMessage, ticket_id: str, *, now: float) -> UploadResult:
        """Upload what has not been uploaded yet.

        Raises:
            Unavailable: not all could be brought now; what could is remembered.
            StoreUnavailable: the store does not answer.
        """
        noted = await self._books.for_message(queued.queue_id) if queued.attempts > 1 else ()
        job = _Job(queued=queued, ticket_id=ticket_id, sender=_sender(message), now=now)
        job.done.update({upload.part_number: upload for upload in noted if upload.ticket_id == ticket_id})
        if queued.attempts > 1:
            await self._archive_strays(job, noted)
        if wanted := [attachment for attachment in message.attachments if attachment.part_number not in job.done]:
            async with self._small if queued.size <= SMALL_BYTES else self._large:
                await self._bring_all(job, wanted)
        return _brought(message, job.done)

    async def connect(
        self, queued: QueuedMessage, ticket_id: str, brought: UploadResult, posted: Delivered, *, now: float
    ) -> Delivered | Deferred:
        """Tie what was uploaded to the message that was posted; it stays posted, whatever comes of that."""
        if not brought.ids:
            return posted
        connecting = self._tie(ticket_id, brought.ids, posted.ticket_message_id)
        try:
            refused = await _Job(queued=queued, ticket_id=ticket_id, sender="", now=now).patiently(connecting)
        except Unavailable as error:
            return replace(error.outcome, posted=posted)
        if refused is None:
            return posted
        if queued.ticket_message_id is None:  # so fresh that not every server of the API may know it
            return Deferred(reason=refused.reason, posted=posted)
        _log.warning("attachments stay on the ticket, but not with their message", reason=refused.reason)
        loose = f"its attachments are on the ticket, but not tied to it: {refused.reason}"
        return replace(posted, note="; ".join(filter(None, (posted.note, loose))))

    async def _tie(self, ticket_id: str, attachment_ids: Sequence[str], ticket_message_id: str) -> Refused | None:
        """All in one request; where that is refused, each by itself: one that is gone must not keep the others."""
        refused = await self._shelf.connect(ticket_id, attachment_ids, ticket_message_id)
        if refused is None or len(attachment_ids) == 1:
            return refused
        answers = [await self._shelf.connect(ticket_id, [each], ticket_message_id) for each in attachment_ids]
        return next(filter(None, answers), None)

    async def _archive_strays(self, job: _Job, noted: Sequence[Upload]) -> None:
        """Put away what was made and never noted (the worker died, or the upload failed), and what was brought to a
        ticket that is not this message's any more."""
        found = await job.patiently(self._shelf.of_message(job.ticket_id, KEY, job.queued.queue_id))
        known = {upload.attachment_id for upload in job.done.values()}
        strays = {job.ticket_id: [] if isinstance(found, Refused) else [item for item in found if item not in known]}
        for upload in noted:
            if upload.ticket_id != job.ticket_id and upload.attachment_id is not None:
                strays.setdefault(upload.ticket_id, []).append(upload.attachment_id)
        for ticket_id, attachment_ids in strays.items():
            if attachment_ids:
                await job.patiently(self._shelf.archive(ticket_id, attachment_ids))

    async def _bring_all(self, job: _Job, wanted: Sequence[Attachment]) -> None:
        carried = []
        for attachment in wanted:
            if (upload := await self._settled_without_octets(job, attachment)) is None:
                carried.append(attachment)
            else:
                await self._note(job, attachment, upload)
        until = asyncio.get_running_loop().time() + self._seconds
        for attachment, octets in zip(carried, await self._extract(job, carried), strict=True):
            await self._note(job, attachment, await self._bring_one(job, attachment, octets, until))

    async def _note(self, job: _Job, attachment: Attachment, upload: Upload) -> None:
        queued = job.queued
        held = await self._books.record(
            queued.queue_id, queued.lease_token, upload, sha256=attachment.sha256, sender=job.sender
        )
        if not held:
            raise Unavailable(Deferred(reason="the lease was lost: another worker brings the attachments"))
        job.done[attachment.part_number] = upload

    async def _settled_without_octets(self, job: _Job, attachment: Attachment) -> Upload | None:
        """What the operator does not want, and a picture that this sender has shown in this ticket before."""
        if (reason := self._limits.refusal(attachment)) is not None:
            return job.upload(attachment, None, reason)
        if not (attachment.inline and attachment.content_type.startswith("image/")):
            return None
        shown = await self._books.is_on_ticket(sha256=attachment.sha256, ticket_id=job.ticket_id, sender=job.sender)
        return job.upload(attachment, None) if shown else None

    async def _extract(self, job: _Job, carried: Sequence[Attachment]) -> Sequence[bytes | Refused]:
        if not carried:
            return ()
        content = await self._octets.content(job.queued.queue_id)
        try:
            return await self._extractor.attachment_bytes(content, [attachment.part_number for attachment in carried])
        except (PoisonMessage, LookupError) as error:
            return [Refused(reason=f"it could not be read: {error}")] * len(carried)

    async def _bring_one(self, job: _Job, attachment: Attachment, octets: bytes | Refused, until: float) -> Upload:
        brought = octets if isinstance(octets, Refused) else await self._put(job, attachment, octets, until)
        if isinstance(brought, Refused):
            _log.warning("an attachment could not be brought to its ticket", reason=brought.reason)
            return job.upload(attachment, None, brought.reason)
        return job.upload(attachment, brought)

    async def _put(self, job: _Job, attachment: Attachment, octets: bytes, until: float) -> str | Refused:
        metadata = {KEY: job.queued.queue_id, "part": attachment.part_number, "sha256": attachment.sha256}
        place = await job.patiently(
            self._shelf.create(
                job.ticket_id, filename=attachment.filename, mime_type=attachment.content_type, metadata=metadata
            )
        )
        if isinstance(place, Refused):
            return place
        refused = await job.patiently(self._upload(place, octets, attachment.content_type, until))
        if refused is None:
            return place.attachment_id
        await job.patiently(self._shelf.archive(job.ticket_id, [place.attachment_id]))
        return refused

    async def _upload(self, place: UploadTarget, octets: bytes, content_type: str, until: float) -> Refused | None:
        try:
            async with asyncio.timeout_at(until):
                return await self._shelf.upload(place, octets, content_type)
        except TimeoutError:
            raise Unavailable(Deferred(reason=f"uploading took more than {self._seconds:.0f} seconds")) from None


def _sender(message: ParsedMessage) -> str:
    return message.from_[0].addr_spec.lower() if message.from_ else ""


def _brought(message: ParsedMessage, done: Mapping[int, Upload]) -> UploadResult:
    uploads = [(attachment, done[attachment.part_number]) for attachment in message.attachments]
    return UploadResult(
        ids=tuple(upload.attachment_id for _attachment, upload in uploads if upload.attachment_id is not None),
        missing=tuple(compose.Missing(attachment=a, reason=upload.reason) for a, upload in uploads if upload.reason),
    )


def applies(draft: Draft, message: ParsedMessage) -> bool:
    """Whether there is anything to bring: a report's returned mail stays out of the ticket."""
    return bool(message.attachments) and not draft.private
