"""Reading one folder over one connection: what is new, what is missing, and the wait for more.

The truth about what was taken in is the store: each message is stored with its place, ``<UIDVALIDITY>/<UID>``, in one
transaction. At the start of a session, and every few minutes, the folder is counted: what the server holds past our
start and the store has not is missing, and is taken in. So it does not matter in which order messages were stored,
which of them failed, who else reads, marks, moves or deletes here, or when we were killed.
"""

import asyncio
import datetime
from collections.abc import Iterable
from dataclasses import replace

from ingest import log
from ingest.model.imap_folder import Folder
from ingest.sources.imap.after_actions import AfterActions
from ingest.sources.imap.diagnosis import FolderMissing, status_kind
from ingest.sources.imap.fetch import Fetcher
from ingest.sources.imap.protocol.client import Connection, NotImap, Refused
from ingest.sources.imap.protocol.wire import ConnectionLost
from ingest.sources.imap.reading import FolderStatus, LeaseLost

DAY = 86_400.0
CLOCKS_DIFFER = 3_600.0
"""Seconds by which the server's clock may be behind ours."""
SOON = 0.05

_log = log.get("imap")


async def open_folder(connection: Connection, reading: FolderStatus) -> Folder:
    """Select the folder and recall it, or meet it for the first time.

    Raises:
        FolderMissing, NotImap, ConnectionLost: as their names say.
    """
    account = reading.account
    try:
        await connection.select(reading.name, read_only=account.after == "nothing")
    except Refused as refusal:
        if status_kind(refusal) is not None:
            raise
        raise FolderMissing(f"folder {reading.name!r} cannot be opened ({refusal.status.text})") from refusal
    if not connection.uid_validity:
        raise NotImap("the server does not number its mail (it gives no UIDVALIDITY)")
    known = await reading.house.memory.folder(reading.source)
    if known is not None and known.uid_validity == connection.uid_validity:
        return known
    record = _renumbered(known, connection, reading) if known else await _met(connection, reading)
    await reading.house.memory.save_folder(record)
    return record


async def _met(connection: Connection, reading: FolderStatus) -> Folder:
    first = reading.account.first
    since = None if isinstance(first, str) else datetime.datetime.combine(first, datetime.time(), datetime.UTC)
    return Folder(
        source=reading.source,
        uid_validity=connection.uid_validity,
        start_uid=await _last_uid(connection) if first == "new" else 0,
        first_read_at=reading.house.clock(),
        ignored_before=since.timestamp() if since else None,
    )


async def _last_uid(connection: Connection) -> int:
    if connection.uid_next:
        return connection.uid_next - 1
    return max(await connection.search("ALL"), default=0)


def _renumbered(known: Folder, connection: Connection, reading: FolderStatus) -> Folder:
    """All UIDs mean something else now. Everything is read again, but for what was there before us; the worker knows
    the copies of what it had by Message-ID and content."""
    _log.warning("the mailbox was numbered anew; reading it again", account=reading.account.name, folder=reading.name)
    since = known.first_read_at - CLOCKS_DIFFER if reading.account.first == "new" else known.ignored_before
    return replace(known, uid_validity=connection.uid_validity, start_uid=0, marked_uid=0, ignored_before=since)


class FolderSession:
    """One folder, open on one connection. ``record`` is what ``open_folder`` gave."""

    def __init__(self, connection: Connection, reading: FolderStatus, record: Folder) -> None:
        self._connection, self._reading, self._record = connection, reading, record
        self._house, self._trials = reading.house, reading.trials
        self._courtesy = AfterActions(connection, reading.account)
        self._fetcher = Fetcher(connection, reading, record, self._see_to)
        self._high = record.start_uid
        self._count_at = 0.0
        self._has_idle = "IDLE" in connection.capabilities
        reading.record = record

    async def run(self) -> None:
        """Read until the connection ends.

        Raises:
            ConnectionLost, Refused, LeaseLost, StoreUnavailable: the session has ended, and why.
        """
        while True:
            await self.catch_up()
            await self._wait()

    async def catch_up(self) -> None:
        """Take in all that is there and may be taken now."""
        while True:
            self._check()
            arrivals = self._connection.arrivals
            found = await self._look()
            if found:
                await self._fetcher.take(found)
            elif self._connection.arrivals == arrivals:
                return

    def _check(self) -> None:
        if not self._reading.still_ours():
            raise LeaseLost
        if self._connection.uid_validity != self._record.uid_validity:
            raise ConnectionLost("the server numbered the folder anew while we read it")

    async def _look(self) -> list[int]:
        """What is to be taken in now: what is missing, if a count is due, else what is new."""
        now = self._house.clock()
        trial_at = self._trials.next_due()
        if now >= self._count_at or (trial_at is not None and trial_at <= now):
            found = await self._count()
        else:
            found = await self._search(self._high + 1)
        self._high = max([self._high, *found])
        return [uid for uid in found if self._trials.is_due(uid, now)]

    async def _search(self, first: int) -> list[int]:
        """The UIDs from ``first`` on that are ours. ``n:*`` always names the last message, even one below n."""
        found = await self._connection.search(f"UID {first}:*{self._criterion()}")
        return [uid for uid in found if uid >= first and uid not in self._fetcher.older]

    def _criterion(self) -> str:
        """SINCE is by the day, in a time zone that we don't know: ask for a day more, and look at each date."""
        if self._record.ignored_before is None:
            return ""
        day = datetime.datetime.fromtimestamp(self._record.ignored_before - DAY, datetime.UTC)
        return f" SINCE {day.day}-{_MONTHS[day.month - 1]}-{day.year}"

    async def _count(self) -> list[int]:
        """Compare what the server holds with what was taken in; the missing UIDs, in order."""
        there = set(await self._search(self._record.start_uid + 1))
        taken = await self._house.memory.stored_uids(self._reading.source, self._record.uid_validity)
        missing = there - taken.whole - taken.partial
        self._trials.keep_only(missing)
        self._high = max([self._record.start_uid, *there])
        marked_uid = await self._see_to_all(there & taken.whole)
        now = self._house.clock()
        gap_since = (self._record.gap_since or now) if missing else None
        await self._note(
            replace(
                self._record,
                marked_uid=marked_uid,
                on_server=len(there),
                taken_in=len(there) - len(missing),
                gap_since=gap_since,
                counted_at=now,
            )
        )
        to_do = any(self._trials.is_due(uid, now) for uid in missing)
        self._count_at = now if to_do else now + self._house.pace.count
        return sorted(missing)

    async def _note(self, record: Folder) -> None:
        self._record = self._reading.record = record
        await self._house.memory.save_folder(record)

    async def _see_to(self, uids: Iterable[int]) -> None:
        if self._reading.account.after != "nothing":
            await self._courtesy.do(uids)

    async def _see_to_all(self, taken: set[int]) -> int:
        """Courtesies that are still owed, because they failed or we were killed. A message that is still here was not
        moved; one that is not marked as seen may have been unmarked by a person, so it is marked once only."""
        after, marked = self._reading.account.after, self._record.marked_uid
        owed = {uid for uid in taken if uid > marked} if after == "seen" else taken
        if after == "nothing" or not owed or not await self._courtesy.do(owed):
            return marked
        return max(marked, *owed)

    async def _wait(self) -> None:
        """Until there may be something to do: by IDLE where the server has it, else by asking now and then."""
        seconds = max(SOON, self._due_at() - self._house.clock())
        if self._has_idle:
            try:
                return await self._connection.idle(min(seconds, self._house.pace.idle))
            except Refused as refusal:
                _log.info("no IDLE, so polling", account=self._reading.account.name, reason=str(refusal))
                self._has_idle = False
        await asyncio.sleep(min(seconds, self._reading.account.poll))
        return await self._connection.noop()

    def _due_at(self) -> float:
        trial_at = self._trials.next_due()
        return self._count_at if trial_at is None else min(self._count_at, trial_at)


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
