"""Uploads a message's attachments to its ticket, each once, wherever a crash falls.

    archive     what an earlier attempt left at the API unfinished, or on another ticket
    upload      create an attachment at the API, send its bytes, note it in the store; then the next one
    (the POST)  the ticket message names what could not be uploaded, with its size
    connect     tie what was uploaded to the ticket message; this can be repeated

Uploads come before the POST, so that the ticket message can say what is missing; connecting comes after it. After a
crash behind the POST, the next attempt finds the posted message and connects again.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from typing import TypeVar

from ingest import compose, log
from ingest.api import AttachmentApi, AttachmentRefused, Unavailable, UploadTarget
from ingest.authentication.author import author_address
from ingest.model.envelope import QueuedMessage
from ingest.model.message import Attachment, ParsedMessage
from ingest.model.outcome import Deferred, Delivered
from ingest.parse_pool import ParsePool, PoisonMessage
from ingest.store.messages import Store
from ingest.store.uploads import Upload, Uploads

SMALL_BYTES = 2 * 1024 * 1024
"""A message up to this size is small: fifty of them fit in memory beside everything else."""
SMALL_MESSAGES_AT_ONCE = 48
LARGE_MESSAGES_AT_ONCE = 4
"""At most this many messages hold attachment bytes in memory at once. Small ones: 48 x 2 MiB = 96 MiB. Large ones wait
for one of 4 slots."""
PATIENCE_SECONDS = 600.0
"""How long a message waits for an optional step (its attachments, the ticket's conversation) while nothing else fails.
The words matter more than the files: the next messages of the ticket wait meanwhile, too. Longer than most hiccups of
one endpoint."""
METADATA_KEY = "ingestQueueId"
"""The key of an attachment's metadata at the API under which our queue id stands."""

_log = log.get("attachments")
T = TypeVar("T")


def reason_to_skip(queued: QueuedMessage, error: Unavailable, *, now: float) -> str:
    """Return the reason to continue without an optional step that has been failing for ``PATIENCE_SECONDS``.

    Raises:
        Unavailable: the patience has not run out; the message is tried again.
    """
    since = queued.optional_failing_since
    if since is None or now - since < PATIENCE_SECONDS:
        raise Unavailable(replace(error.outcome, optional_step_failed=True)) from error
    return f"not within {PATIENCE_SECONDS / 60:.0f} minutes: {error.outcome.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentLimits:
    """Which attachments the operator lets through."""

    enabled: bool
    """False: no attachment is uploaded; the ticket message names them."""
    max_bytes: int
    """Size of the largest attachment that is uploaded, in bytes."""
    refused_types: tuple[str, ...]
    """Content types and file name patterns, such as ``application/x-msdownload`` and ``*.exe``."""

    def refusal(self, attachment: Attachment) -> str | None:
        """Return why this attachment is not uploaded; ``None`` if it is."""
        if not self.enabled:
            return "attachments are not uploaded to tickets"
        if attachment.size > self.max_bytes:
            return f"larger than {compose.human_size(self.max_bytes)}"
        name, kind = attachment.filename.lower(), attachment.content_type.lower()
        if any(fnmatch(name, pattern) or fnmatch(kind, pattern) for pattern in self.refused_types):
            return "files of this type are not uploaded"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadResult:
    """What became of a message's attachments."""

    ids: tuple[str, ...] = ()
    """Ids of the uploaded attachments at the API."""
    missing: tuple[compose.MissingAttachment, ...] = ()
    """Those that were not uploaded and that somebody would miss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _UploadJob:
    """The upload of one message's attachments to one ticket."""

    queued: QueuedMessage
    ticket_id: str
    sender: str
    now: float
    done: dict[int, Upload] = field(default_factory=dict)
    """Part number -> what became of that part."""

    def upload(self, attachment: Attachment, attachment_id: str | None, reason: str = "") -> Upload:
        """Return the record of one attachment: uploaded as ``attachment_id``, or not, with the reason."""
        return Upload(
            part_number=attachment.part_number, ticket_id=self.ticket_id, attachment_id=attachment_id, reason=reason
        )

    async def result_or_refusal(self, request: Awaitable[T]) -> T | AttachmentRefused:
        """Return the result of a request to the API. If the API has not answered for ``PATIENCE_SECONDS``, treat the
        attachment as refused, so that the message goes on without it.

        Raises:
            Unavailable: the patience has not run out.
        """
        try:
            return await request
        except Unavailable as error:
            return AttachmentRefused(reason=reason_to_skip(self.queued, error, now=self.now))


class AttachmentUploader:
    """Uploads attachments to tickets and connects them to ticket messages."""

    def __init__(
        self,
        *,
        store: Store,
        parse_pool: ParsePool,
        uploads: Uploads,
        api: AttachmentApi,
        limits: AttachmentLimits,
        seconds: float,
    ) -> None:
        """``seconds`` is what the uploads of one message may take in one attempt: less than the lease protects."""
        self._store = store
        self._parse_pool = parse_pool
        self._uploads = uploads
        self._api = api
        self._limits = limits
        self._seconds = seconds
        self._small, self._large = asyncio.Semaphore(SMALL_MESSAGES_AT_ONCE), asyncio.Semaphore(LARGE_MESSAGES_AT_ONCE)

    async def upload_all(
        self, queued: QueuedMessage, message: ParsedMessage, ticket_id: str, *, now: float
    ) -> UploadResult:
        """Upload the attachments that have not been uploaded yet.

        Raises:
            Unavailable: not all could be uploaded now; what was uploaded is noted and not sent again.
            StoreUnavailable: the store does not answer.
        """
        noted = await self._uploads.for_message(queued.queue_id) if queued.attempts > 1 else ()
        job = _UploadJob(queued=queued, ticket_id=ticket_id, sender=_sender(message), now=now)
        job.done.update({upload.part_number: upload for upload in noted if upload.ticket_id == ticket_id})
        if queued.attempts > 1:
            await self._archive_unconnected(job, noted)
        if wanted := [attachment for attachment in message.attachments if attachment.part_number not in job.done]:
            async with self._small if queued.size <= SMALL_BYTES else self._large:
                await self._upload_wanted(job, wanted)
        return _result(message, job.done)

    async def uploaded_before(self, queued: QueuedMessage) -> UploadResult:
        """Return what earlier attempts have uploaded to the message's ticket."""
        noted = await self._uploads.for_message(queued.queue_id)
        here = [upload.attachment_id for upload in noted if upload.ticket_id == queued.ticket_id]
        return UploadResult(ids=tuple(attachment_id for attachment_id in here if attachment_id is not None))

    async def connect(
        self, queued: QueuedMessage, ticket_id: str, uploaded: UploadResult, posted: Delivered, *, now: float
    ) -> Delivered | Deferred:
        """Connect what was uploaded to the ticket message. The message stays delivered, whatever the API answers."""
        if not uploaded.ids:
            return posted
        connecting = self._connect_all(ticket_id, uploaded.ids, posted.ticket_message_id)
        try:
            refused = await _UploadJob(queued=queued, ticket_id=ticket_id, sender="", now=now).result_or_refusal(
                connecting
            )
        except Unavailable as error:
            return replace(error.outcome, posted=posted)
        if refused is None:
            return posted
        if queued.ticket_message_id is None:  # so fresh that not every server of the API may know it
            return Deferred(reason=refused.reason, posted=posted)
        _log.warning("attachments stay on the ticket, but not with their message", reason=refused.reason)
        loose = f"its attachments are on the ticket, but not connected to it: {refused.reason}"
        return replace(posted, note="; ".join(filter(None, (posted.note, loose))))

    async def _connect_all(
        self, ticket_id: str, attachment_ids: Sequence[str], ticket_message_id: str
    ) -> AttachmentRefused | None:
        """Connect all in one request; if that is refused, each in a request of its own: one that is gone must not keep
        the others from the message."""
        refused = await self._api.connect(ticket_id, attachment_ids, ticket_message_id)
        if refused is None or len(attachment_ids) == 1:
            return refused
        refusals = [await self._api.connect(ticket_id, [each], ticket_message_id) for each in attachment_ids]
        return next(filter(None, refusals), None)

    async def _archive_unconnected(self, job: _UploadJob, noted: Sequence[Upload]) -> None:
        """Archive at the API what was created and never noted (the worker died, or the upload failed), and what was
        uploaded to a ticket that is no longer this message's."""
        found = await job.result_or_refusal(
            self._api.find_by_metadata(job.ticket_id, METADATA_KEY, job.queued.queue_id)
        )
        known = {upload.attachment_id for upload in job.done.values()}
        unconnected = {
            job.ticket_id: [] if isinstance(found, AttachmentRefused) else [item for item in found if item not in known]
        }
        for upload in noted:
            if upload.ticket_id != job.ticket_id and upload.attachment_id is not None:
                unconnected.setdefault(upload.ticket_id, []).append(upload.attachment_id)
        for ticket_id, attachment_ids in unconnected.items():
            if attachment_ids:
                await job.result_or_refusal(self._api.archive(ticket_id, attachment_ids))

    async def _upload_wanted(self, job: _UploadJob, wanted: Sequence[Attachment]) -> None:
        to_send = []
        for attachment in wanted:
            if (upload := await self._decided_without_bytes(job, attachment)) is None:
                to_send.append(attachment)
            else:
                await self._note(job, attachment, upload)
        until = asyncio.get_running_loop().time() + self._seconds
        for attachment, content in zip(to_send, await self._extract(job, to_send), strict=True):
            await self._note(job, attachment, await self._upload_one(job, attachment, content, until))

    async def _note(self, job: _UploadJob, attachment: Attachment, upload: Upload) -> None:
        queued = job.queued
        held = await self._uploads.record(
            queued.queue_id, queued.lease_token, upload, sha256=attachment.sha256, sender=job.sender
        )
        if not held:
            raise Unavailable(Deferred(reason="the lease was lost: another worker uploads the attachments"))
        job.done[attachment.part_number] = upload

    async def _decided_without_bytes(self, job: _UploadJob, attachment: Attachment) -> Upload | None:
        """Decide about an attachment whose bytes need not be read: one that the operator refuses, and a picture that
        this sender has shown on this ticket before (a logo). ``None``: it has to be sent."""
        if (reason := self._limits.refusal(attachment)) is not None:
            return job.upload(attachment, None, reason)
        if not (attachment.inline and attachment.content_type.startswith("image/")):
            return None
        shown = await self._uploads.is_on_ticket(sha256=attachment.sha256, ticket_id=job.ticket_id, sender=job.sender)
        return job.upload(attachment, None) if shown else None

    async def _extract(self, job: _UploadJob, wanted: Sequence[Attachment]) -> Sequence[bytes | AttachmentRefused]:
        if not wanted:
            return ()
        content = await self._store.content(job.queued.queue_id)
        try:
            return await self._parse_pool.attachment_bytes(content, [attachment.part_number for attachment in wanted])
        except (PoisonMessage, LookupError) as error:
            return [AttachmentRefused(reason=f"it could not be read: {error}")] * len(wanted)

    async def _upload_one(
        self, job: _UploadJob, attachment: Attachment, content: bytes | AttachmentRefused, until: float
    ) -> Upload:
        uploaded = (
            content if isinstance(content, AttachmentRefused) else await self._put(job, attachment, content, until)
        )
        if isinstance(uploaded, AttachmentRefused):
            _log.warning("an attachment could not be uploaded to its ticket", reason=uploaded.reason)
            return job.upload(attachment, None, uploaded.reason)
        return job.upload(attachment, uploaded)

    async def _put(
        self, job: _UploadJob, attachment: Attachment, content: bytes, until: float
    ) -> str | AttachmentRefused:
        metadata = {METADATA_KEY: job.queued.queue_id, "part": attachment.part_number, "sha256": attachment.sha256}
        target = await job.result_or_refusal(
            self._api.create(
                job.ticket_id, filename=attachment.filename, mime_type=attachment.content_type, metadata=metadata
            )
        )
        if isinstance(target, AttachmentRefused):
            return target
        refused = await job.result_or_refusal(self._send_bytes(target, content, attachment.content_type, until))
        if refused is None:
            return target.attachment_id
        await job.result_or_refusal(self._api.archive(job.ticket_id, [target.attachment_id]))
        return refused

    async def _send_bytes(
        self, target: UploadTarget, content: bytes, content_type: str, until: float
    ) -> AttachmentRefused | None:
        try:
            async with asyncio.timeout_at(until):
                return await self._api.upload(target, content, content_type)
        except TimeoutError:
            raise Unavailable(Deferred(reason=f"uploading took more than {self._seconds:.0f} seconds")) from None


def _sender(message: ParsedMessage) -> str:
    return author_address(message).lower()


def _result(message: ParsedMessage, done: Mapping[int, Upload]) -> UploadResult:
    uploads = [(attachment, done[attachment.part_number]) for attachment in message.attachments]
    return UploadResult(
        ids=tuple(upload.attachment_id for _attachment, upload in uploads if upload.attachment_id is not None),
        missing=tuple(
            compose.MissingAttachment(attachment=a, reason=upload.reason) for a, upload in uploads if upload.reason
        ),
    )


def has_uploads(message: ParsedMessage) -> bool:
    """Whether there is anything to upload. The returned mail of a delivery report stays out of the ticket."""
    return bool(message.attachments) and message.delivery_report is None
