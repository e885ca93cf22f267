"""Getting messages and having them stored.

Messages are asked for in batches of some megabytes; each is handed to ``receive`` as soon as it has arrived, and while
the last of a batch are still on their way to the disk, the next batch is asked for. What the server does not deliver
is tried again alone, a few times (``trials``), and then recorded as quarantined with what is known of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ingest import log
from ingest.model.imap_folder import Folder
from ingest.sources.imap.diagnosis import status_kind
from ingest.sources.imap.mail import date_of, received, what_is_known
from ingest.sources.imap.protocol.client import UIDS_A_COMMAND, Connection, Message, Refused
from ingest.sources.imap.protocol.uids import position, ranges
from ingest.sources.imap.protocol.wire import ConnectionLost, Literal
from ingest.sources.imap.reading import FolderStatus, LeaseLost

NOOP_EVERY = 60.0
HEADER_OCTETS = 256 * 1024

_log = log.get("imap")


@dataclass(slots=True)
class Batch:
    """Messages asked for together, and what came."""

    uids: Sequence[int]
    octets: int
    storing: dict[int, asyncio.Task[str]] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    """Why a message did not come, where the server said something."""
    too_large: dict[int, int] = field(default_factory=dict)
    """The sizes of those that are above our limit."""

    def unanswered(self) -> list[int]:
        """Those that nothing has come of."""
        return [uid for uid in self.uids if uid not in self.storing and uid not in self.too_large]


class Fetcher:
    """Gets messages of one folder over one connection. ``on_stored`` is told which are safe."""

    def __init__(
        self,
        connection: Connection,
        reading: FolderStatus,
        record: Folder,
        on_stored: Callable[[list[int]], Awaitable[None]],
    ) -> None:
        self._connection, self._reading, self._record = connection, reading, record
        self._house, self._trials = reading.house, reading.trials
        self._on_stored = on_stored
        self.older: set[int] = set()
        """Messages that the server dates before our start."""

    async def take(self, uids: Sequence[int]) -> None:
        """Take in ``uids``, those that made no trouble first.

        Raises:
            ConnectionLost, Refused, LeaseLost: the session has to end. What was stored is stored.
            StoreUnavailable: as above; the store takes nothing now.
        """
        well = [uid for uid in uids if uid not in self._trials]
        for start in range(0, len(well), UIDS_A_COMMAND):
            sizes = await self._sizes(well[start : start + UIDS_A_COMMAND])
            await self._take_batches(self._batches(sizes))
        for uid in uids:
            if uid in self._trials:
                await self._take_alone(uid)

    async def _sizes(self, uids: Sequence[int]) -> dict[int, int]:
        """The sizes of messages that are ours. One whose size the server does not tell gets the largest."""
        sizes = dict.fromkeys(uids, self._house.max_message_bytes)
        told: set[int] = set()

        async def note(message: Message) -> None:
            if message.uid in sizes:
                told.add(message.uid)
                if self._is_older(message):
                    self.older.add(message.uid)
                elif message.size is not None:
                    sizes[message.uid] = message.size

        try:
            await self._fetch(uids, "(UID RFC822.SIZE INTERNALDATE)", note)
        except Refused as refusal:
            if status_kind(refusal) is not None:
                raise
        finally:
            for uid in set(uids) - told:
                self._trials.suspect(uid)
        return {uid: sizes[uid] for uid in uids if uid in told and uid not in self.older}

    def _is_older(self, message: Message) -> bool:
        if self._record.ignored_before is None:
            return False
        date = date_of(message.internal_date)
        return date is not None and date < self._record.ignored_before

    def _batches(self, sizes: dict[int, int]) -> Iterator[Batch]:
        pace, batch = self._house.pace, Batch([], 0)
        for uid, size in sizes.items():
            if size > self._house.max_message_bytes:
                yield Batch([uid], 0, too_large={uid: size})
                continue
            if batch.uids and (batch.octets + size > pace.batch_octets or len(batch.uids) >= pace.batch_messages):
                yield batch
                batch = Batch([], 0)
            batch = Batch([*batch.uids, uid], batch.octets + size)
        if batch.uids:
            yield batch

    async def _take_batches(self, batches: Iterator[Batch]) -> None:
        """One batch is stored while the next one is fetched."""
        before: Batch | None = None
        batch: Batch | None = None
        try:
            for batch in batches:
                await self._get(batch)
                await self._finish(before)
                before = batch
            await self._finish(before)
        finally:
            await _settled(before, batch)

    async def _take_alone(self, uid: int) -> None:
        """One message that made trouble before: what goes wrong now is its own fault."""
        if self._trials.is_hopeless(uid):
            return await self._give_up(uid, self._trials.reason(uid), None)
        return await self._take_batches(self._batches({uid: self._house.max_message_bytes}))

    async def _get(self, batch: Batch) -> None:
        """Have the messages of ``batch`` sent, and their storing begun."""
        await self._until_there_is_room()
        if batch.too_large:
            return
        granted = await self._house.budget.take(batch.octets)
        try:
            await self._fetch(batch.uids, "(UID BODY.PEEK[])", lambda message: self._arrived(batch, message))
        except Refused as refusal:
            if status_kind(refusal) is not None:
                raise
            batch.failed |= dict.fromkeys(batch.unanswered(), str(refusal))
        except ConnectionLost as error:
            self._blame(dict.fromkeys(batch.unanswered()[:1], str(error)))
            raise
        finally:
            _when_stored(batch, lambda: self._house.budget.give_back(granted))

    async def _fetch(self, uids: Sequence[int], items: str, on_message: Callable[[Message], Awaitable[None]]) -> None:
        if not self._reading.still_ours():
            raise LeaseLost
        await self._connection.fetch(uids, items, on_message)

    async def _arrived(self, batch: Batch, message: Message) -> None:
        """A FETCH response: one of ours, or about flags that somebody else has changed."""
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
        message = received(
            self._reading.account,
            self._reading.name,
            self._record.uid_validity,
            uid,
            content,
            now=self._house.clock(),
            incomplete=incomplete,
        )
        return await self._house.receive(message)

    async def _finish(self, batch: Batch | None) -> None:
        """Wait until the messages of ``batch`` are safe, and see to those that did not come."""
        if batch is None:
            return
        await asyncio.gather(*batch.storing.values())
        for uid in batch.storing:
            self._trials.end(uid)
        self._reading.stored += len(batch.storing)
        if batch.storing:
            await self._on_stored(list(batch.storing))
        for uid, size in batch.too_large.items():
            limit = self._house.max_message_bytes
            await self._give_up(uid, f"it has {size} octets, and INGEST_MAX_MESSAGE_BYTES allows {limit}", size)
        await self._see_to_missing(batch)

    async def _see_to_missing(self, batch: Batch) -> None:
        """Those that did not come may be gone: somebody else deletes and moves, too."""
        missing = batch.unanswered()
        if not missing:
            return
        there = set(await self._connection.search(f"UID {ranges(missing)}"))
        for uid in set(missing) - there:
            self._trials.end(uid)
        self._blame({uid: batch.failed.get(uid, "the server did not send it") for uid in missing if uid in there})

    def _blame(self, reasons: Mapping[int, str]) -> None:
        """A message that was asked for among others is suspected; one that was asked for alone has failed."""
        for uid, reason in reasons.items():
            if uid in self._trials:
                self._trials.fail(uid, reason, self._house.clock())
            else:
                self._trials.suspect(uid)

    async def _give_up(self, uid: int, reason: str, size: int | None) -> None:
        """Record a message that cannot be read with what is known of it; the mail itself stays where it is."""
        place = f"{self._reading.source} {position(self._record.uid_validity, uid)}"
        headers = await self._headers(uid) if self._trials.may_ask_headers(uid) else None
        text = f"{reason}; the mail itself is still in the mailbox ({place})"
        await self._store(uid, what_is_known(place, size, headers), incomplete=text)
        self._trials.end(uid)
        _log.error("mail recorded without its content", account=self._reading.account.name, uid=uid, reason=text)

    async def _headers(self, uid: int) -> bytes | None:
        found: list[bytes | None] = []

        async def note(message: Message) -> None:
            header = message.header
            found.append(header.octets if isinstance(header, Literal) else None)

        try:
            await self._fetch([uid], f"(UID BODY.PEEK[HEADER]<0.{HEADER_OCTETS}>)", note)
        except Refused:
            return None
        return next((header for header in found if header), None)

    async def _until_there_is_room(self) -> None:
        """Backpressure: while the worker takes no mail, the mail stays on the server."""
        house, reading = self._house, self._reading
        waited = 0.0
        while reason := await house.refusal():
            if reason != reading.paused:
                _log.warning("reading pauses", account=reading.account.name, folder=reading.name, reason=reason)
                reading.paused = reason
            await asyncio.sleep(house.pace.paused)
            waited += house.pace.paused
            if waited >= NOOP_EVERY:
                waited = 0.0
                await self._connection.noop()
        reading.paused = ""


def _when_stored(batch: Batch, then: Callable[[], Awaitable[None]]) -> None:
    """Call ``then`` when the storing of ``batch`` has ended, well or not."""

    async def wait() -> None:
        await _settled(batch)
        await then()

    task = asyncio.create_task(wait())
    _waiting.add(task)
    task.add_done_callback(_waiting.discard)


_waiting: set[asyncio.Task[None]] = set()
"""The event loop itself holds tasks weakly."""


async def _settled(*batches: Batch | None) -> None:
    storing = [task for batch in batches if batch for task in batch.storing.values()]
    await asyncio.gather(*storing, return_exceptions=True)
