"""Carrying a message's attachments to its ticket, each once, whatever crashes in between.

    archive     what an earlier attempt left at the API half-made
    upload      make a place, put the octets there, note it; then the next
    (the POST)  the message says by name and size what could not be brought
    connect     tie what was uploaded to the message; can be repeated

Uploads come before the POST, so that the message can say what is missing; connecting comes after it. A crash after the
POST is seen by the look for the posted message, and connecting is done again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any, Protocol

from ingest import log
from ingest.api import Draft, Place, Refused, Unavailable
from ingest.children import Poisoned
from ingest.envelope import QueuedMessage
from ingest.message import Attachment, ParsedMessage
from ingest.store.uploads import Upload

SMALL_BYTES = 2 * 1024 * 1024
SMALL_AT_ONCE = 48
LARGE_AT_ONCE = 4
"""Messages whose octets are in memory for their attachments' sake at the same time: while the API takes its time over
the small ones, that is 96 MiB at most, and the large ones wait for each other."""
PATIENCE_SECONDS = 3600.0
"""How old a message may grow before it is posted without what it could be posted without: attachments that the API
cannot take now, a second reading beside the ticket's conversation."""
KEY = "ingestQueueId"

_log = log.get("attach")


class Octets(Protocol):
    """Where the octets of a message are."""

    async def content(self, queue_id: str) -> bytes: ...


class Extractor(Protocol):
    """Who takes a part out of them."""

    async def attachment(self, content: bytes, part: int) -> bytes: ...


class Books(Protocol):
    """What is remembered of attachments."""

    async def of(self, queue_id: str, ticket_id: str) -> dict[int, Upload]: ...
    async def note(self, queue_id: str, upload: Upload, *, sha256: str, ticket_id: str, sender: str) -> None: ...
    async def is_shown(self, queue_id: str, *, sha256: str, ticket_id: str, sender: str) -> bool: ...


class Shelf(Protocol):
    """The attachment endpoints of the API; ``Unavailable`` where they do not answer now."""

    async def create(
        self, ticket_id: str, *, filename: str, mime_type: str, metadata: Mapping[str, Any]
    ) -> Place | Refused: ...
    async def upload(self, place: Place, content: bytes, mime_type: str) -> Refused | None: ...
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
            return f"larger than {self.max_bytes} octets"
        name, kind = attachment.filename.lower(), attachment.content_type.lower()
        if any(fnmatch(name, pattern) or fnmatch(kind, pattern) for pattern in self.refused_types):
            return "files of this type are not brought"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """An attachment that the ticket will not have."""

    attachment: Attachment
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What became of a message's attachments."""

    ids: tuple[str, ...] = ()
    missing: tuple[Missing, ...] = ()


class Carrier:
    """Brings attachments to tickets."""

    def __init__(self, *, octets: Octets, extractor: Extractor, books: Books, shelf: Shelf, limits: Limits) -> None:
        self._octets = octets
        self._extractor = extractor
        self._books = books
        self._shelf = shelf
        self._limits = limits
        self._small, self._large = asyncio.Semaphore(SMALL_AT_ONCE), asyncio.Semaphore(LARGE_AT_ONCE)

    async def bring(self, queued: QueuedMessage, message: ParsedMessage, ticket_id: str, *, now: float) -> Brought:
        """Upload what has not been uploaded yet.

        Raises:
            Unavailable: not all could be brought now; what could is remembered.
            StoreUnavailable: the store does not answer.
        """
        done = await self._books.of(queued.queue_id, ticket_id)
        if queued.attempts > 1:
            await self._archive_strays(queued.queue_id, ticket_id, done)
        wanted = [attachment for attachment in message.attachments if attachment.part not in done]
        if wanted:
            async with self._small if queued.size <= SMALL_BYTES else self._large:
                job = _Job(queued=queued, ticket_id=ticket_id, sender=_sender(message), now=now)
                await self._bring_all(job, wanted, done)
        return _brought(message, done)

    async def connect(self, ticket_id: str, brought: Brought, ticket_message_id: str) -> None:
        """Tie what was uploaded to the posted message.

        Raises:
            Unavailable: try again later.
        """
        refused = await self._shelf.connect(ticket_id, brought.ids, ticket_message_id) if brought.ids else None
        if refused is not None:
            _log.warning("attachments stay on the ticket, but not with their message", reason=refused.reason)

    async def _archive_strays(self, queue_id: str, ticket_id: str, done: Mapping[int, Upload]) -> None:
        """Put away what was made and never noted: the worker died, or the upload failed."""
        known = {upload.attachment_id for upload in done.values()}
        left = await self._shelf.of_message(ticket_id, KEY, queue_id)
        if strays := [found for found in left if found not in known]:
            await self._shelf.archive(ticket_id, strays)

    async def _bring_all(self, job: "_Job", wanted: Sequence[Attachment], done: dict[int, Upload]) -> None:
        content = b""
        for attachment in wanted:
            upload = await self._settled_without_octets(job, attachment)
            if upload is None:
                content = content or await self._octets.content(job.queued.queue_id)
                upload = await self._bring_one(job, attachment, content)
            await self._books.note(
                job.queued.queue_id, upload, sha256=attachment.sha256, ticket_id=job.ticket_id, sender=job.sender
            )
            done[attachment.part] = upload

    async def _settled_without_octets(self, job: "_Job", attachment: Attachment) -> Upload | None:
        """What the operator does not want, and a picture that this sender has shown in this ticket before."""
        if (reason := self._limits.refusal(attachment)) is not None:
            return Upload(part=attachment.part, attachment_id=None, reason=reason)
        if not (attachment.inline and attachment.content_type.startswith("image/")):
            return None
        shown = await self._books.is_shown(
            job.queued.queue_id, sha256=attachment.sha256, ticket_id=job.ticket_id, sender=job.sender
        )
        return Upload(part=attachment.part, attachment_id=None) if shown else None

    async def _bring_one(self, job: "_Job", attachment: Attachment, content: bytes) -> Upload:
        try:
            brought: str | Refused = await self._put(
                job, attachment, await self._extractor.attachment(content, attachment.part)
            )
        except Poisoned as error:
            brought = Refused(reason=f"it could not be read: {error}")
        except Unavailable as error:
            if job.now - job.queued.received_at < PATIENCE_SECONDS:
                raise
            brought = Refused(reason=f"not within {PATIENCE_SECONDS / 60:.0f} minutes: {error.outcome.reason}")
        if isinstance(brought, Refused):
            _log.warning("an attachment could not be brought to its ticket", reason=brought.reason)
            return Upload(part=attachment.part, attachment_id=None, reason=brought.reason)
        return Upload(part=attachment.part, attachment_id=brought)

    async def _put(self, job: "_Job", attachment: Attachment, octets: bytes) -> str | Refused:
        metadata = {KEY: job.queued.queue_id, "part": attachment.part, "sha256": attachment.sha256}
        place = await self._shelf.create(
            job.ticket_id, filename=attachment.filename, mime_type=attachment.content_type, metadata=metadata
        )
        if isinstance(place, Refused):
            return place
        refused = await self._shelf.upload(place, octets, attachment.content_type)
        if refused is None:
            return place.attachment_id
        await self._shelf.archive(job.ticket_id, [place.attachment_id])
        return refused


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    queued: QueuedMessage
    ticket_id: str
    sender: str
    now: float


def appendix(missing: Sequence[Missing]) -> str:
    """What could not be brought, by name and size; ``""`` where all was."""
    lines = [f"- {_shown(item.attachment.filename)} ({_size(item.attachment.size)}): {item.reason}" for item in missing]
    return "\n".join(["Attachments that could not be added:", "", *lines]) if lines else ""


def _shown(name: str) -> str:
    return f"`{name.replace('`', chr(0x2019))}`"


def _size(octets: int) -> str:
    return f"{octets / 1_000_000:.1f} MB" if octets >= 1_000_000 else f"{max(1, octets // 1000)} KB"


def _sender(message: ParsedMessage) -> str:
    return message.from_[0].addr_spec.lower() if message.from_ else ""


def _brought(message: ParsedMessage, done: Mapping[int, Upload]) -> Brought:
    uploads = [(attachment, done[attachment.part]) for attachment in message.attachments]
    return Brought(
        ids=tuple(upload.attachment_id for _attachment, upload in uploads if upload.attachment_id is not None),
        missing=tuple(Missing(attachment=a, reason=upload.reason) for a, upload in uploads if upload.reason),
    )


def applies(draft: Draft, message: ParsedMessage) -> bool:
    """Whether there is anything to bring: a report's returned mail stays out of the ticket."""
    return bool(message.attachments) and not draft.private
