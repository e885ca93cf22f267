"""Reads one folder over one connection: finds new and missing messages, has them stored, and waits for more.

The store decides what was taken in: each message is stored with its position, ``<UIDVALIDITY>/<UID>``, in one
transaction. At the start of a session, and every few minutes, the folder is counted: each message that the server
holds past our start and the store does not have is missing, and is taken in. So it does not matter in which order
messages were stored, which of them failed, who else reads, marks, moves or deletes here, or when we were killed.
"""

import asyncio
import datetime
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ingest import log
from ingest.model.imap_folder import Folder
from ingest.sources.imap.after_actions import AfterActions
from ingest.sources.imap.context import FolderContext, LeaseLost
from ingest.sources.imap.diagnosis import FolderMissing, status_kind
from ingest.sources.imap.fetch import Fetcher
from ingest.sources.imap.protocol.client import CommandRefused, ImapConnection
from ingest.sources.imap.protocol.wire import ConnectionLost
from ingest.sources.imap.status import FolderCounted
from ingest.sources.imap.timing import DAY_SECONDS

MAX_CLOCK_SKEW_SECONDS = 3_600.0
"""The server's clock may be this far behind ours; an hour covers a wrong daylight saving time. Mail that came this
long before we first read the folder may be read again, which the worker recognises."""
MIN_WAIT_SECONDS = 0.05
"""Shortest wait between two looks at the folder, so that no error of ours makes a busy loop."""
LOOK_AGAIN_SECONDS = (0.1, 0.5, 2.0)
"""Waits before NOOP and another look, when the server told of new mail and SEARCH does not find it yet: some servers
answer SEARCH from an index that lags behind."""

_log = log.get("imap")


async def open_folder(connection: ImapConnection, folder: FolderContext) -> Folder:
    """Select the folder and return its row in the store. A folder that was never read, or that has another
    UIDVALIDITY now, gets a new row.

    Raises:
        FolderMissing: the server does not open the folder.
        CommandRefused: the server refused for a reason that has nothing to do with the folder.
        ConnectionLost: the connection cannot be used any more.
        StoreUnavailable: the database cannot be asked now.
    """
    account = folder.account
    try:
        await connection.select(folder.name, read_only=account.after == "nothing")
    except CommandRefused as refusal:
        if status_kind(refusal) is not None:
            raise
        raise FolderMissing(f"folder {folder.name!r} cannot be opened ({refusal.status.text})") from refusal
    known = await folder.shared.store.folder(folder.source)
    if not connection.uid_validity:
        connection.uid_validity = await _made_up_validity(known, connection, folder)
    if known is not None and known.uid_validity == connection.uid_validity:
        return known
    record = _renumbered(known, connection, folder) if known else await _first_record(connection, folder)
    await folder.shared.store.save_folder(record)
    return record


async def _made_up_validity(known: Folder | None, connection: ImapConnection, folder: FolderContext) -> int:
    """Return a number to use where the server gives no UIDVALIDITY, or 0: the one of before, unless the server's next
    UID shows that it has numbered its mail anew. Copies are then recognised by Message-ID and content."""
    now = int(folder.shared.clock())
    if known is None:
        return now
    stored = await folder.shared.store.stored_uids(folder.source, known.uid_validity)
    highest = max(stored.whole | stored.partial, default=0)
    is_anew = 0 < connection.uid_next <= highest
    return max(now, known.uid_validity + 1) if is_anew else known.uid_validity


async def _first_record(connection: ImapConnection, folder: FolderContext) -> Folder:
    first = folder.account.first
    if first == "new" and (failing_since := folder.failing_since()) is not None:
        return _record_since(failing_since, connection, folder)
    since = None if isinstance(first, str) else datetime.datetime.combine(first, datetime.time(), datetime.UTC)
    return Folder(
        source=folder.source,
        uid_validity=connection.uid_validity,
        start_uid=await _last_uid(connection) if first == "new" else 0,
        first_read_at=folder.shared.clock(),
        ignored_before=since.timestamp() if since else None,
    )


def _record_since(moment: float, connection: ImapConnection, folder: FolderContext) -> Folder:
    """Return the first row, with ``first = new``, of a folder that could not be opened since ``moment``, such as with a
    wrong first credential: mail that came meanwhile is new, too. INTERNALDATE has whole seconds."""
    return Folder(
        source=folder.source,
        uid_validity=connection.uid_validity,
        start_uid=0,
        first_read_at=folder.shared.clock(),
        ignored_before=float(int(moment)),
    )


async def _last_uid(connection: ImapConnection) -> int:
    if connection.uid_next:
        return connection.uid_next - 1
    return max(await connection.search("ALL"), default=0)


def _renumbered(known: Folder, connection: ImapConnection, folder: FolderContext) -> Folder:
    """Return the row for a folder whose UIDVALIDITY changed, so that every UID now means another message. Everything
    is read again except mail from before we first read the folder; the worker recognises copies of what it has by
    Message-ID and content."""
    _log.warning("the mailbox was numbered anew; reading it again", account=folder.account.name, folder=folder.name)
    since = known.first_read_at - MAX_CLOCK_SKEW_SECONDS if folder.account.first == "new" else known.ignored_before
    return replace(known, uid_validity=connection.uid_validity, start_uid=0, marked_uid=0, ignored_before=since)


class FolderSession:
    """Reads one folder that is open on one connection."""

    def __init__(self, connection: ImapConnection, folder: FolderContext, record: Folder) -> None:
        """``record`` is what ``open_folder`` returned."""
        self._connection, self._folder, self._record = connection, folder, record
        self._shared, self._retries = folder.shared, folder.retries
        self._after_actions = AfterActions(connection, folder.account)
        self._fetcher = Fetcher(connection, folder, record, self._apply_after_action)
        self._highest_uid = record.start_uid
        self._count_at = 0.0
        self._has_idle = "IDLE" in connection.capabilities
        self._is_mail_announced = False

    async def run(self) -> None:
        """Read until the connection ends.

        Raises:
            ConnectionLost: the connection ended, or the server changed UIDVALIDITY.
            CommandRefused: the server refused a command.
            LeaseLost: another worker may read the folder now.
            StoreUnavailable: nothing can be stored now.
        """
        while True:
            await self.catch_up()
            arrivals = self._connection.arrivals
            await self._wait()
            self._is_mail_announced = self._connection.arrivals != arrivals

    async def catch_up(self) -> None:
        """Take in every message that is there and may be fetched now. Raises what ``run`` raises."""
        pauses = iter(LOOK_AGAIN_SECONDS)
        while True:
            self._check_session()
            arrivals = self._connection.arrivals
            found = await self._find_messages()
            if found:
                self._is_mail_announced = False
                await self._fetcher.take(found)
            elif self._connection.arrivals == arrivals and not await self._look_again(pauses):
                return

    async def _look_again(self, pauses: Iterator[float]) -> bool:
        """Send NOOP after the next of ``pauses`` if mail was announced and not found. False: look no more."""
        pause = next(pauses, None) if self._is_mail_announced else None
        if pause is None:
            self._is_mail_announced = False
            return False
        await asyncio.sleep(pause)
        await self._connection.noop()
        return True

    def _check_session(self) -> None:
        if not self._folder.holds_lease():
            raise LeaseLost
        if self._connection.uid_validity != self._record.uid_validity:
            raise ConnectionLost("the server numbered the folder anew while we read it")

    async def _find_messages(self) -> list[int]:
        """Return the UIDs to take in now: if a count or a retry is due all missing ones, else new ones only."""
        now = self._shared.clock()
        retry_at = self._retries.next_due()
        if now >= self._count_at or (retry_at is not None and retry_at <= now):
            found = await self._count()
        else:
            found = await self._search(self._highest_uid + 1)
        self._highest_uid = max([self._highest_uid, *found])
        return [uid for uid in found if self._retries.is_due(uid, now)]

    async def _search(self, first: int) -> list[int]:
        """Return the UIDs from ``first`` on that are ours. ``n:*`` always includes the last message, even if its UID
        is below n."""
        found = await self._connection.search(f"UID {first}:*{self._since_criterion()}")
        return [uid for uid in found if uid >= first and uid not in self._fetcher.older]

    def _since_criterion(self) -> str:
        """Return the SINCE criterion, or ``""``. SINCE compares whole days in a time zone that we do not know, so we
        ask for one day more and check each message's date afterwards."""
        if self._record.ignored_before is None:
            return ""
        day = datetime.datetime.fromtimestamp(self._record.ignored_before - DAY_SECONDS, datetime.UTC)
        return f" SINCE {day.day}-{_MONTHS[day.month - 1]}-{day.year}"

    async def _count(self) -> list[int]:
        """Compare the server's messages with the store's, save the result, and return the missing UIDs in order."""
        on_server = set(await self._search(self._record.start_uid + 1))
        stored = await self._shared.store.stored_uids(self._folder.source, self._record.uid_validity)
        missing = on_server - stored.whole - stored.partial
        self._retries.keep_only(missing)
        self._highest_uid = max([self._record.start_uid, *on_server])
        self._fetcher.witnesses = sorted(on_server & stored.whole)
        marked_uid = await self._apply_owed_after_actions(on_server & stored.whole)
        now = self._shared.clock()
        gap_since = (self._record.gap_since or now) if missing else None
        await self._save(
            replace(
                self._record,
                marked_uid=marked_uid,
                on_server=len(on_server),
                taken_in=len(on_server) - len(missing),
                gap_since=gap_since,
                counted_at=now,
            )
        )
        any_due = any(self._retries.is_due(uid, now) for uid in missing)
        self._count_at = now if any_due else now + self._shared.timing.count_seconds
        return sorted(missing)

    async def _save(self, record: Folder) -> None:
        self._record = record
        self._folder.report(FolderCounted(record))
        await self._shared.store.save_folder(record)

    async def _apply_after_action(self, uids: Iterable[int]) -> None:
        if self._folder.account.after != "nothing":
            await self._after_actions.apply(uids)

    async def _apply_owed_after_actions(self, stored: set[int]) -> int:
        """Apply after-actions that are still owed because they failed or we were killed, and return the new
        ``marked_uid``. A message that is still in the folder was not moved or deleted. One that is not marked as seen
        may have been unmarked by a person, so each message is marked only once."""
        after, marked = self._folder.account.after, self._record.marked_uid
        owed = {uid for uid in stored if uid > marked} if after == "seen" else stored
        if after == "nothing" or not owed or not await self._after_actions.apply(owed):
            return marked
        return max(marked, *owed)

    async def _wait(self) -> None:
        """Wait until there may be something to do: by IDLE if the server has it, else by polling."""
        seconds = max(MIN_WAIT_SECONDS, self._next_due() - self._shared.clock())
        if self._has_idle:
            try:
                return await self._connection.idle(min(seconds, self._shared.timing.idle_seconds))
            except CommandRefused as refusal:
                _log.info("no IDLE, so polling", account=self._folder.account.name, reason=str(refusal))
                self._has_idle = False
        await asyncio.sleep(min(seconds, self._folder.account.poll))
        return await self._connection.noop()

    def _next_due(self) -> float:
        retry_at = self._retries.next_due()
        return self._count_at if retry_at is None else min(self._count_at, retry_at)


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""RFC 3501's month names, which do not depend on the locale as ``strftime`` does."""
