"""Leases: one worker reads a folder at a time.

A lease that is lost by a slow clock or a stalled process does no harm: if two workers read the same message, it is
stored once, because each message is known by its source and position.
"""

import asyncio
import secrets
from collections.abc import Callable

from ingest import log
from ingest.sources.imap.timing import Timing
from ingest.store.imap import ImapStore

_log = log.get("imap")


class Leases:
    """The folder leases of this process."""

    def __init__(self, store: ImapStore, clock: Callable[[], float], timing: Timing) -> None:
        self._store, self._clock, self._timing = store, clock, timing
        self._holder = secrets.token_hex(8)
        self._until: dict[str, float] = {}

    async def acquire(self, source: str) -> None:
        """Wait until this process holds the lease of ``source``.

        Raises:
            StoreUnavailable: the database cannot be asked now.
        """
        waiting = False
        while not await self._take(source):
            if not waiting:
                _log.info("another worker reads the folder; standing by", source=source)
                waiting = True
            await asyncio.sleep(self._timing.renew_seconds)

    async def _take(self, source: str) -> bool:
        now = self._clock()
        until = now + self._timing.lease_seconds
        if await self._store.take_lease(source, self._holder, now=now, until=until):
            self._until[source] = until
            return True
        return False

    def holds(self, source: str) -> bool:
        """Return whether the lease of ``source`` is ours and has not expired."""
        return self._until.get(source, 0.0) > self._clock()

    async def run(self) -> None:
        """Renew all leases every ``renew_seconds``. Never returns; cancel it. While the store fails, leases expire."""
        while True:
            await asyncio.sleep(self._timing.renew_seconds)
            try:
                await self._renew()
            except Exception as error:
                _log.warning("leases of mailboxes are not renewed", reason=f"{type(error).__name__}: {error}")

    async def _renew(self) -> None:
        now = self._clock()
        until = now + self._timing.lease_seconds
        held = await self._store.renew_leases(self._holder, now=now, until=until)
        self._until = {source: until for source in self._until if source in held}

    async def release(self, source: str) -> None:
        """Let another worker read ``source`` at once. If the store cannot record that, the lease expires by itself."""
        if self._until.pop(source, None) is None:
            return
        try:
            await self._store.release_lease(source, self._holder)
        except Exception as error:
            _log.debug("lease not released", source=source, reason=f"{type(error).__name__}: {error}")
