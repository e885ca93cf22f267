"""Fetches messages and has them stored.

Messages are fetched in batches of some megabytes. Each is handed to ``receive`` as soon as it has arrived, and the next
batch is fetched while the last one is being stored. A message that the server does not deliver is fetched again alone
a few times (``FetchRetries``); a failure counts as far as the server delivers others (``DeliveryEvidence``). Then it is
recorded as quarantined with what is known of it.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ingest import log
from ingest.model.imap_folder import Folder
from ingest.sources.imap.context import FolderContext, LeaseLost
from ingest.sources.imap.delivery_evidence import DeliveryEvidence
from ingest.sources.imap.diagnosis import may_concern_one_message
from ingest.sources.imap.mail import is_exchange_placeholder, parse_internal_date, placeholder_content, received_message
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
HEADER_REQUESTS = (
    f"(UID BODY.PEEK[HEADER]<0.{MAX_HEADER_BYTES}>)",
    "(UID BODY.PEEK[HEADER.FIELDS (FROM TO CC SUBJECT DATE MESSAGE-ID IN-REPLY-TO REFERENCES)])",
)
"""How the header of such a message is asked for. Servers keep the fields of the second in an index, and can often give
them although they cannot open the message."""
WITNESS_REQUEST = "(UID BODY.PEEK[]<0.1024>)"
"""The first kilobyte of a message shows that the server can deliver, whatever its size."""
MAX_WITNESSES = 3
"""Most stored messages to ask for, to learn whether the server delivers anything."""

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
    refusal: CommandRefused | None = None
    """The server's answer, if it refused the command."""

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
        self._evidence = DeliveryEvidence(folder.retries, folder.shared.clock)
        self._described: set[int] = set()
        self._notices: dict[int, bytes] = {}
        self.witnesses: Sequence[int] = ()
        """UIDs of messages that are on the server and were stored before: they could be fetched once."""
        self.older: set[int] = set()
        """UIDs of messages that the server dates before our start; they are not ours to take in."""

    async def take(self, uids: Sequence[int]) -> None:
        """Fetch and store ``uids``: in batches, and then, each alone, those that failed before.

        Raises:
            ConnectionLost, CommandRefused, LeaseLost: the session has to end. What was stored stays stored.
            StoreUnavailable: the same, and nothing can be stored now.
        """
        self._evidence.begin_pass()
        untroubled = [uid for uid in uids if uid not in self._retries]
        for start in range(0, len(untroubled), MAX_UIDS_PER_COMMAND):
            sizes = await self._sizes(untroubled[start : start + MAX_UIDS_PER_COMMAND])
            await self._take_batches(self._batches(sizes))
        for uid in sorted(uids, key=self._retries.attempts):
            if uid in self._retries:
                await self._take_alone(uid)

    async def _sizes(self, uids: Sequence[int]) -> dict[int, int]:
        """Return the sizes in bytes of the messages that are ours. A size that the server does not state is assumed
        to be the largest that we accept."""
        sizes = dict.fromkeys(uids, self._shared.max_message_bytes)
        described: set[int] = set()
        refused: CommandRefused | None = None

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
            if not may_concern_one_message(refusal):
                raise
            refused = refusal
        finally:
            self._described |= described
            for uid in set(uids) - described:
                self._retries.isolate(uid)
        if refused and not described:
            self._evidence.refused(refused)
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
        """Fetch one message that failed before. If it fails again, no other message can be the cause; whether the
        server is the cause, another message shows. That one is asked for first if the last failure may have ended the
        session, but not each time: some servers end each session after a number of commands."""
        is_exhausted = self._retries.is_exhausted(uid)
        if is_exhausted or self._retries.is_unproven(uid):
            await self._find_witness()
        if is_exhausted:
            return await self._give_up(uid, self._retries.reason(uid), None)
        if await self._is_older_alone(uid):
            return self._retries.remove(uid)
        return await self._take_batches(self._batches({uid: self._shared.max_message_bytes}))

    async def _find_witness(self) -> None:
        """Ask for a little of some messages that could be fetched before.

        Raises:
            CommandRefused: the server refuses them now, too, so it is in trouble and no message is to blame.
        """
        if self._evidence.has_delivered:
            return
        refused: CommandRefused | None = None
        for uid in random.sample(self.witnesses, min(MAX_WITNESSES, len(self.witnesses))):
            try:
                await self._fetch([uid], WITNESS_REQUEST, self._note_witness)
            except CommandRefused as refusal:
                refused = refusal
            if self._evidence.has_delivered:
                return
        if refused:
            raise refused

    async def _note_witness(self, message: FetchedMessage) -> None:
        if message.body is not None:
            self._evidence.delivered()

    async def _is_older_alone(self, uid: int) -> bool:
        """Return whether a message whose date is not known yet, because it failed before, was there before our start.
        It is not, as far as the server does not say."""
        if self._record.ignored_before is None or uid in self._described or self._retries.attempts(uid):
            return False
        try:
            await self._sizes([uid])
        except ConnectionLost as error:
            self._evidence.failed(uid, str(error))
            raise
        return uid in self.older

    async def _fetch_batch(self, batch: FetchBatch) -> None:
        """Fetch the messages of ``batch`` and start to store each when it has arrived."""
        await self._until_mail_is_taken()
        if batch.too_large:
            return
        granted = await self._shared.memory.reserve(batch.size)
        try:
            await self._fetch(batch.uids, "(UID BODY.PEEK[])", lambda message: self._arrived(batch, message))
        except CommandRefused as refusal:
            batch.failed |= dict.fromkeys(batch.missing(), str(refusal))
            batch.refusal = refusal
            if not may_concern_one_message(refusal):
                self._record_failures(batch.failed)
                raise
        except ConnectionLost as error:
            suspects = batch.missing()[:1] if batch.storing else batch.missing()
            self._record_failures(dict.fromkeys(suspects, str(error)))
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
            self._evidence.delivered()
        elif isinstance(body, bytes) and is_exchange_placeholder(body):
            self._notices[uid] = body
            batch.failed[uid] = "Exchange cannot give it by IMAP and sent a notice of its own in its place"
        elif isinstance(body, bytes) and body:
            batch.storing[uid] = asyncio.create_task(self._store(uid, body))
            self._evidence.delivered()
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
        reasons = {uid: batch.failed.get(uid, "the server did not send it") for uid in missing if uid in on_server}
        self._record_failures(reasons, is_answered=batch.refusal is None)
        if reasons and batch.refusal and not batch.storing:
            if len(batch.uids) == 1:
                await self._find_witness()
            self._evidence.refused(batch.refusal)

    def _record_failures(self, reasons: Mapping[int, str], *, is_answered: bool = False) -> None:
        for uid, reason in reasons.items():
            self._evidence.failed(uid, reason, is_answered=is_answered)

    async def _give_up(self, uid: int, reason: str, size: int | None) -> None:
        """Record a message that cannot be fetched, with what is known of it; the mail itself stays in the mailbox."""
        location = f"{self._folder.source} {position(self._record.uid_validity, uid)}"
        notice = self._notices.pop(uid, None)
        headers = await self._fetch_headers(uid) if notice is None and self._retries.may_ask_headers(uid) else None
        text = f"{reason}; the mail itself is still in the mailbox ({location})"
        await self._store(uid, notice or placeholder_content(location, size, headers), incomplete=text)
        self._retries.remove(uid)
        _log.error("mail recorded without its content", account=self._folder.account.name, uid=uid, reason=text)

    async def _fetch_headers(self, uid: int) -> bytes | None:
        found: list[bytes | None] = []

        async def note(message: FetchedMessage) -> None:
            header = message.header
            found.append(header.octets if isinstance(header, Literal) else None)

        for request in HEADER_REQUESTS:
            try:
                await self._fetch([uid], request, note)
            except CommandRefused:
                continue
            if header := next((header for header in found if header and header.strip()), None):
                return header
        return None

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
