"""Mail from IMAP mailboxes: any number of accounts, each on its own.

Start reading at ``folder.py``, which tells how a folder is read. Below it: ``fetch`` (messages into the store),
``courtesy`` (marks and moves), ``client`` (commands), ``grammar`` and ``wire`` (what servers send). Above it:
``keeper`` (connections, for ever), ``leases``, ``watch`` (alarms), and ``trouble``, which explains what goes wrong.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import httpx

from ingest import log
from ingest.config.imap_accounts import ImapAccount
from ingest.sources import Receive
from ingest.sources.imap.alarms import GapAlarm
from ingest.sources.imap.auth.credentials import credential
from ingest.sources.imap.budget import Budget
from ingest.sources.imap.fetch_retries import FetchRetries
from ingest.sources.imap.leases import Leases
from ingest.sources.imap.reading import FolderStatus, ReaderContext, Refusal
from ingest.sources.imap.state import ImapState
from ingest.sources.imap.supervisor import FolderSupervisor
from ingest.sources.imap.timing import MiB, Timing

__all__ = ["ImapSource", "Timing"]

_log = log.get("imap")


class ImapSource:
    """Reads all folders of ``accounts``. An account that does not work never keeps another, or the worker, from
    working: it is told in the log and by ``readings``, and tried again for ever."""

    name = "imap"

    def __init__(
        self,
        accounts: Sequence[ImapAccount],
        receive: Receive,
        *,
        refusal: Refusal,
        memory: ImapState,
        max_message_bytes: int = 35 * MiB,
        only_worker: bool = True,
        clock: Callable[[], float] = time.time,
        pace: Timing | None = None,
    ) -> None:
        """``refusal`` says why no mail can be taken now. ``only_worker``: no other process reads these mailboxes, so
        leases that a dead one left are void."""
        pace = pace or Timing()
        house = ReaderContext(
            receive=receive,
            refusal=refusal,
            memory=memory,
            clock=clock,
            pace=pace,
            max_message_bytes=max_message_bytes,
            budget=Budget(pace.octets_in_flight),
        )
        self._accounts, self._house, self._only_worker = accounts, house, only_worker
        self.readings = [
            FolderStatus(house=house, account=account, name=folder, trials=FetchRetries(pace.message_waits))
            for account in accounts
            for folder in account.folders
        ]
        """How each folder does, for the operator."""
        self._tasks: list[asyncio.Task[None]] = []
        self._http: httpx.AsyncClient | None = None

    async def start(self) -> None:
        """Begin to read; returns at once, and does not fail for the sake of an account.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        house = self._house
        if self._only_worker:
            await house.memory.release_all_leases()
        self._http = http = httpx.AsyncClient(trust_env=False)
        credentials = {a.name: credential(a, house.memory, http, house.clock) for a in self._accounts}
        leases = Leases(house.memory, house.clock, house.pace)
        keepers = [FolderSupervisor(reading, credentials[reading.account.name], leases) for reading in self.readings]
        watch = GapAlarm(self.readings, credentials, house.clock, house.pace)
        parts = [*(keeper.run for keeper in keepers), leases.renew_for_ever, watch.for_ever]
        self._tasks = [asyncio.create_task(_for_ever(part, house.pace.retry_cap)) for part in parts]

    async def drain(self, seconds: float) -> None:
        """Ask for no more mail, wait up to ``seconds`` for what is being stored, and close everything. What was not
        stored is still on its server."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        if self._http is not None:
            await self._http.aclose()


async def _for_ever(part: Callable[[], Awaitable[None]], pause: float) -> None:
    """Run what should never end. If a bug of ours ends it, the folder must not stay unread for the sake of it."""
    while True:
        try:
            await part()
        except Exception:
            _log.exception("a part of the mailbox reader ended by itself; it begins anew", seconds=pause)
        await asyncio.sleep(pause)
