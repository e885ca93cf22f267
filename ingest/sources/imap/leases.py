"""One worker reads a folder at a time. A lease that is lost by a slow clock or a stalled process does no harm: what
two workers read is stored once, since each message is known by its place."""

import asyncio
import secrets
from collections.abc import Callable

from ingest import log
from ingest.sources.imap.state import LeaseMemory
from ingest.sources.imap.timing import Timing

_log = log.get("imap")


class Leases:
    """The leases of this process."""

    def __init__(self, memory: LeaseMemory, clock: Callable[[], float], pace: Timing) -> None:
        self._memory, self._clock, self._pace = memory, clock, pace
        self._holder = secrets.token_hex(8)
        self._until: dict[str, float] = {}

    async def acquire(self, source: str) -> None:
        """Wait until this process may read ``source``."""
        waiting = False
        while not await self._take(source):
            if not waiting:
                _log.info("another worker reads the folder; standing by", source=source)
                waiting = True
            await asyncio.sleep(self._pace.renew)

    async def _take(self, source: str) -> bool:
        now = self._clock()
        until = now + self._pace.lease
        if await self._memory.take_lease(source, self._holder, now=now, until=until):
            self._until[source] = until
            return True
        return False

    def holds(self, source: str) -> bool:
        """Whether this process may go on reading ``source``."""
        return self._until.get(source, 0.0) > self._clock()

    async def renew_for_ever(self) -> None:
        """Extend what is held, as long as the store lets us."""
        while True:
            await asyncio.sleep(self._pace.renew)
            try:
                await self._renew()
            except Exception as error:
                _log.warning("leases of mailboxes are not renewed", reason=f"{type(error).__name__}: {error}")

    async def _renew(self) -> None:
        now = self._clock()
        until = now + self._pace.lease
        held = await self._memory.renew_leases(self._holder, now=now, until=until)
        self._until = {source: until for source in self._until if source in held}

    async def release(self, source: str) -> None:
        """Let another worker read ``source`` at once; where the store can't note it, the lease ends by itself."""
        if self._until.pop(source, None) is None:
            return
        try:
            await self._memory.release_lease(source, self._holder)
        except Exception as error:
            _log.debug("lease not released", source=source, reason=f"{type(error).__name__}: {error}")
