"""Fetches messages and has them stored.

Messages are fetched in batches of some megabytes. Each is handed to ``receive`` as soon as it has arrived, and the next
batch is fetched while the last one is being stored. A message that the server does not deliver is fetched again alone
a few times (``FetchRetries``), and then recorded as quarantined with what is known of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ingest import log
from ingest.model.imap_folder import Folder
from ingest.sources.imap.context import FolderContext, LeaseLost
from ingest.sources.imap.diagnosis import status_kind
from ingest.sources.imap.mail import parse_internal_date, placeholder_content, received_message
from ingest.sources.imap.protocol.client import (
    MAX_UIDS_PER_COMMAND,
    CommandRefused,
    FetchedMessage,
    ImapConnection,
    OnMessage,
)
from ingest.sources.imap.protocol.uids import position, sequence_set
from ingest.sources.imap.protocol.wire import ConnectionLost, Literal
from ingest.sources.imap.status import MessagesStored, ReadingPaused, ReadingResumed

NOOP_EVERY_SECONDS = 60.0
"""Interval of NOOP while reading pauses. Servers may drop a client after 30 minutes without a command (RFC 3501
section 5.4), and some do so earlier."""
MAX_HEADER_BYTES = 256 * 1024
"""Most header bytes to ask for of a message that cannot be fetched whole; header sections of real mail are smaller."""

_log = log.get("imap")


@dataclass(slots=True)
class FetchBatch:
    """Messages that are fetched by one command, and what came of each."""

    uids: Sequence[int]
    size: int
    """Bytes of all of them, as the server stated before."""
    storing: dict[int, asyncio.Task[str]] = field(default_factory=dict)
    """The tasks that store the messages that came, by UID."""
    failed: dict[int, str] = field(default_factory=dict)
    """Why a message did not come, if the server said something, by UID."""
    too_large: dict[int, int] = field(default_factory=dict)
    """The sizes in bytes of messages above our limit, by UID."""

    def missing(self) -> list[int]:
        """Return the UIDs of messages that neither came nor are too large."""
        return [uid for uid in self.uids if uid not in self.storing and uid not in self.too_large]


class Fetcher:
    """Fetches messages of one folder over one connection."""

    def __init__(
        self,
        connection: ImapConnection,
        folder: FolderContext,
        record: Folder,
        on_stored: Callable[[list[int]], Awaitable[None]],
    ) -> None:
        """``on_stored`` is called with the UIDs of messages that have been stored whole."""
        self._connection, self._folder, self._record = connection, folder, record
        self._shared, self._retries = folder.shared, folder.retries
        self._on_stored = on_stored
        self.older: set[int] = set()
        """UIDs of messages that the server dates before our start; they are not ours to take in."""

    async def take(self, uids: Sequence[int]) -> None:
        """Fetch and store ``uids``: in batches, and then, each alone, those that failed before.

        Raises:
            ConnectionLost, CommandRefused, LeaseLost: the session has to end. What was stored stays stored.
            StoreUnavailable: the same, and nothing can be stored now.
        """
        untroubled = [uid for uid in uids if uid not in self._retries]
        for start in range(0, len(untroubled), MAX_UIDS_PER_COMMAND):
            sizes = await self._sizes(untroubled[start : start + MAX_UIDS_PER_COMMAND])
            await self._take_batches(self._batches(sizes))
        for uid in uids:
            if uid in self._retries:
                await self._take_alone(uid)

    async def _sizes(self, uids: Sequence[int]) -> dict[int, int]:
        """Return the sizes in bytes of the messages that are ours. A size that the server does not state is assumed
        to be the largest that we accept."""
        sizes = dict.fromkeys(uids, self._shared.max_message_bytes)
        described: set[int] = set()

        async def note(message: FetchedMessage) -> None:
            if message.uid in sizes:
                described.add(message.uid)
                if self._is_older(message):
                    self.older.add(message.uid)
                elif message.size is not None:
                    sizes[message.uid] = message.size

        try:
            await self._fetch(uids, "(UID RFC822.SIZE INTERNALDATE)", note)
        except CommandRefused as refusal:
            if status_kind(refusal) is not None:
                raise
        finally:
            for uid in set(uids) - described:
                self._retries.isolate(uid)
        return {uid: sizes[uid] for uid in uids if uid in described and uid not in self.older}

    def _is_older(self, message: FetchedMessage) -> bool:
        if self._record.ignored_before is None:
            return False
        date = parse_internal_date(message.internal_date)
        return date is not None and date < self._record.ignored_before

    def _batches(self, sizes: dict[int, int]) -> Iterator[FetchBatch]:
        timing, batch = self._shared.timing, FetchBatch([], 0)
        for uid, size in sizes.items():
            if size > self._shared.max_message_bytes:
                yield FetchBatch([uid], 0, too_large={uid: size})
                continue
            if batch.uids and (batch.size + size > timing.batch_bytes or len(batch.uids) >= timing.batch_messages):
                yield batch
                batch = FetchBatch([], 0)
            batch = FetchBatch([*batch.uids, uid], batch.size + size)
        if batch.uids:
            yield batch

    async def _take_batches(self, batches: Iterator[FetchBatch]) -> None:
        """Fetch each batch while the one before it is being stored."""
        before: FetchBatch | None = None
        batch: FetchBatch | None = None
        try:
            for batch in batches:
                await self._fetch_batch(batch)
                await self._finish(before)
                before = batch
            await self._finish(before)
        finally:
            await _storing_ended(before, batch)

    async def _take_alone(self, uid: int) -> None:
        """Fetch one message that failed before. If it fails again, no other message can be the cause."""
        if self._retries.is_exhausted(uid):
            return await self._give_up(uid, self._retries.reason(uid), None)
        return await self._take_batches(self._batches({uid: self._shared.max_message_bytes}))

    async def _fetch_batch(self, batch: FetchBatch) -> None:
        """Fetch the messages of ``batch`` and start to store each when it has arrived."""
        await self._until_mail_is_taken()
        if batch.too_large:
            return
        granted = await self._shared.memory.reserve(batch.size)
        try:
            await self._fetch(batch.uids, "(UID BODY.PEEK[])", lambda message: self._arrived(batch, message))
        except CommandRefused as refusal:
            if status_kind(refusal) is not None:
                raise
            batch.failed |= dict.fromkeys(batch.missing(), str(refusal))
        except ConnectionLost as error:
            self._record_failures(dict.fromkeys(batch.missing()[:1], str(error)))
            raise
        finally:
            _after_storing(batch, lambda: self._shared.memory.release(granted))

    async def _fetch(self, uids: Sequence[int], items: str, on_message: OnMessage) -> None:
        if not self._folder.holds_lease():
            raise LeaseLost
        await self._connection.fetch(uids, items, on_message)

    async def _arrived(self, batch: FetchBatch, message: FetchedMessage) -> None:
        """Handle a FETCH response: a message of ours, or flags that somebody else has changed."""
        uid = message.uid
        if uid is None and len(batch.uids) == 1 and message.body is not None:
            uid = batch.uids[0]  # a server that leaves the UID out can mean only this one
        if uid is None or uid not in batch.uids or uid in batch.storing:
            return
        body = message.body.octets if isinstance(message.body, Literal) else message.body
        if isinstance(message.body, Literal) and body is None:
            batch.too_large[uid] = message.body.size
        elif isinstance(body, bytes) and body:
            batch.storing[uid] = asyncio.create_task(self._store(uid, body))
        else:
            batch.failed[uid] = "the server sent no content for it"

    async def _store(self, uid: int, content: bytes, incomplete: str = "") -> str:
        message = received_message(
            self._folder.account,
            self._folder.name,
            self._record.uid_validity,
            uid,
            content,
            now=self._shared.clock(),
            incomplete=incomplete,
        )
        return await self._shared.receive(message)

    async def _finish(self, batch: FetchBatch | None) -> None:
        """Wait until the messages of ``batch`` are stored, then handle those that did not come."""
        if batch is None:
            return
        await asyncio.gather(*batch.storing.values())
        for uid in batch.storing:
            self._retries.remove(uid)
        self._folder.report(MessagesStored(len(batch.storing)))
        if batch.storing:
            await self._on_stored(list(batch.storing))
        for uid, size in batch.too_large.items():
            limit = self._shared.max_message_bytes
            await self._give_up(uid, f"it has {size} bytes, and INGEST_MAX_MESSAGE_BYTES allows {limit}", size)
        await self._handle_missing(batch)

    async def _handle_missing(self, batch: FetchBatch) -> None:
        """Record the failure of messages that did not come, unless somebody else has deleted or moved them."""
        missing = batch.missing()
        if not missing:
            return
        on_server = set(await self._connection.search(f"UID {sequence_set(missing)}"))
        for uid in set(missing) - on_server:
            self._retries.remove(uid)
        self._record_failures(
            {uid: batch.failed.get(uid, "the server did not send it") for uid in missing if uid in on_server}
        )

    def _record_failures(self, reasons: Mapping[int, str]) -> None:
        """Record a failure for messages that were fetched alone. Those that were fetched among others are only isolated
        for now, because another message may have been the cause."""
        for uid, reason in reasons.items():
            if uid in self._retries:
                self._retries.fail(uid, reason, self._shared.clock())
            else:
                self._retries.isolate(uid)

    async def _give_up(self, uid: int, reason: str, size: int | None) -> None:
        """Record a message that cannot be fetched, with what is known of it; the mail itself stays in the mailbox."""
        location = f"{self._folder.source} {position(self._record.uid_validity, uid)}"
        headers = await self._fetch_headers(uid) if self._retries.may_ask_headers(uid) else None
        text = f"{reason}; the mail itself is still in the mailbox ({location})"
        await self._store(uid, placeholder_content(location, size, headers), incomplete=text)
        self._retries.remove(uid)
        _log.error("mail recorded without its content", account=self._folder.account.name, uid=uid, reason=text)

    async def _fetch_headers(self, uid: int) -> bytes | None:
        found: list[bytes | None] = []

        async def note(message: FetchedMessage) -> None:
            header = message.header
            found.append(header.octets if isinstance(header, Literal) else None)

        try:
            await self._fetch([uid], f"(UID BODY.PEEK[HEADER]<0.{MAX_HEADER_BYTES}>)", note)
        except CommandRefused:
            return None
        return next((header for header in found if header), None)

    async def _until_mail_is_taken(self) -> None:
        """Wait while the worker takes no mail. This is our backpressure: the mail stays on the server."""
        pause = self._shared.timing.paused_poll_seconds
        waited = 0.0
        while reason := await self._shared.refusal():
            self._folder.report(ReadingPaused(reason))
            await asyncio.sleep(pause)
            waited += pause
            if waited >= NOOP_EVERY_SECONDS:
                waited = 0.0
                await self._connection.noop()
        self._folder.report(ReadingResumed())


def _after_storing(batch: FetchBatch, then: Callable[[], Awaitable[None]]) -> None:
    """Call ``then`` in a task of its own when all messages of ``batch`` are stored or have failed to be."""

    async def wait() -> None:
        await _storing_ended(batch)
        await then()

    task = asyncio.create_task(wait())
    _waiting.add(task)
    task.add_done_callback(_waiting.discard)


_waiting: set[asyncio.Task[None]] = set()
"""Keeps those tasks alive: the event loop itself holds only weak references to tasks."""


async def _storing_ended(*batches: FetchBatch | None) -> None:
    storing = [task for batch in batches if batch for task in batch.storing.values()]
    await asyncio.gather(*storing, return_exceptions=True)
