"""Reads mail from IMAP mailboxes: any number of accounts and folders, each independent of the others.

Start reading at ``folder.py``, which tells how a folder is read. It uses ``fetch`` (messages into the store),
``after_actions`` (marks, moves, deletes) and ``protocol`` (commands and responses). It is driven by ``supervisor``
(connects again for ever), beside ``leases`` and ``alarms``. ``diagnosis`` turns errors into a line for the operator,
and ``auth`` has passwords, tokens and log-in.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import httpx

from ingest import log
from ingest.config.imap_accounts import ImapAccount
from ingest.sources import Receive, Refusal
from ingest.sources.imap.alarms import GapAlarm
from ingest.sources.imap.auth.credentials import Credential, credential_for
from ingest.sources.imap.context import MemoryBudget, ReaderContext
from ingest.sources.imap.leases import Leases
from ingest.sources.imap.status import FolderStatus
from ingest.sources.imap.supervisor import FolderSupervisor
from ingest.sources.imap.timing import MiB, Timing
from ingest.store.imap import ImapStore

__all__ = ["ImapSource", "Timing"]

FINISH_SECONDS = 1.0
"""Credentials are given the whole drain time, and this much to tell that it was not enough."""

_log = log.get("imap")


class ImapSource:
    """Reads all folders of ``accounts``. An account that fails never stops another one or the worker: the failure is
    logged, shown in ``statuses``, and the account is tried again for ever."""

    name = "imap"

    def __init__(
        self,
        accounts: Sequence[ImapAccount],
        receive: Receive,
        *,
        refusal: Refusal,
        store: ImapStore,
        max_message_bytes: int = 35 * MiB,
        only_worker: bool = True,
        clock: Callable[[], float] = time.time,
        timing: Timing | None = None,
    ) -> None:
        """``only_worker``: no other process reads these mailboxes, so leases that a dead process left are void."""
        timing = timing or Timing()
        self._shared = ReaderContext(
            receive=receive,
            refusal=refusal,
            store=store,
            clock=clock,
            timing=timing,
            max_message_bytes=max_message_bytes,
            memory=MemoryBudget(timing.bytes_in_flight),
        )
        self._accounts, self._only_worker = accounts, only_worker
        self._supervisors: list[FolderSupervisor] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._credentials: dict[str, Credential] = {}
        self._http: httpx.AsyncClient | None = None

    @property
    def statuses(self) -> tuple[FolderStatus, ...]:
        """How each folder does now, in the order of the accounts and their folders; empty before ``start``."""
        return tuple(supervisor.status for supervisor in self._supervisors)

    async def start(self) -> None:
        """Begin to read and return at once. A failing account does not make it fail.

        Raises:
            StoreUnavailable: the database cannot be asked now.
        """
        shared = self._shared
        if self._only_worker:
            await shared.store.release_all_leases()
        self._http = http = httpx.AsyncClient(trust_env=False)
        credentials = {a.name: credential_for(a, shared.store, http, shared.clock) for a in self._accounts}
        self._credentials = credentials
        leases = Leases(shared.store, shared.clock, shared.timing)
        self._supervisors = [
            FolderSupervisor(shared, account, folder, credentials[account.name], leases)
            for account in self._accounts
            for folder in account.folders
        ]
        alarm = GapAlarm(lambda: self.statuses, credentials, shared.clock, shared.timing)
        jobs = [*(supervisor.run for supervisor in self._supervisors), leases.run, alarm.run]
        self._tasks = [asyncio.create_task(_run_for_ever(job, shared.timing.max_retry_seconds)) for job in jobs]

    async def drain(self, seconds: float) -> None:
        """Fetch no more mail, wait up to ``seconds`` for messages that are being stored and for refresh tokens that are
        on their way, and close everything. What was not stored is still on its server; a new refresh token is not."""
        for task in self._tasks:
            task.cancel()
        finishing = [asyncio.create_task(credential.finish(seconds)) for credential in self._credentials.values()]
        if ending := [*self._tasks, *finishing]:
            await asyncio.wait(ending, timeout=seconds + FINISH_SECONDS)
        if self._http is not None:
            await self._http.aclose()


async def _run_for_ever(job: Callable[[], Awaitable[None]], pause: float) -> None:
    """Run a job that should never end, and start it again ``pause`` seconds after it did: a bug of ours must not leave
    a folder unread."""
    while True:
        try:
            await job()
        except Exception:
            _log.exception("a part of the mailbox reader ended unexpectedly; starting it again", seconds=pause)
        await asyncio.sleep(pause)
