"""What is done now and then, whether mail comes or not: old waits end, old octets go, and the figures are brought up
to date. A law of conservation that does not hold is an alarm in the log and a metric."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from ingest import log, metrics
from ingest.store import Ledger, StoreUnavailable

ROUND_SECONDS = 60.0
FIGURES_SECONDS = 1.0
"""How old the figures may be when they are asked for: counting is cheap, but not free."""
DAY = 86_400.0

_log = log.get("housekeeping")


class Books(Protocol):
    """What housekeeping needs of the store."""

    async def expire_waiting(self, *, now: float, limit: float) -> int: ...
    async def purge(self, *, now: float, older_than: float) -> int: ...
    async def ledger(self, *, now: float) -> Ledger: ...
    async def oldest_queued(self) -> float | None: ...


class Housekeeping:
    """Rounds through the store, for as long as the worker runs."""

    def __init__(
        self,
        books: Books,
        *,
        clock: Callable[[], float],
        waiting_limit: float,
        retention_days: float,
        is_stopped: Callable[[], bool],
    ) -> None:
        """``waiting_limit`` is in seconds. ``is_stopped`` tells whether the API refuses our token."""
        self._books = books
        self._clock = clock
        self._waiting_limit = waiting_limit
        self._retention = retention_days * DAY
        self._is_stopped = is_stopped
        self._counted_at = float("-inf")

    async def run(self) -> None:
        """Go round for ever. A store that does not answer is asked again in the next round."""
        while True:
            try:
                await self.round()
            except StoreUnavailable as error:
                _log.warning("could not keep house; trying again", reason=str(error))
            await asyncio.sleep(ROUND_SECONDS)

    async def round(self) -> None:
        """One round.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        now = self._clock()
        expired = await self._books.expire_waiting(now=now, limit=self._waiting_limit)
        purged = await self._books.purge(now=now, older_than=self._retention)
        if expired or purged:
            _log.info("kept house", quarantined_after_waiting=expired, contents_deleted=purged)
        await self.count()

    async def refresh(self) -> None:
        """Bring the figures up to date, if they are old. A store that does not answer leaves them as they are."""
        metrics.SENDING_STOPPED.set(self._is_stopped())
        if self._clock() - self._counted_at < FIGURES_SECONDS:
            return
        try:
            await self.count()
        except StoreUnavailable as error:
            _log.warning("could not count", reason=str(error))

    async def count(self) -> None:
        """Bring the figures up to date.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        now = self._counted_at = self._clock()
        ledger, oldest = await self._books.ledger(now=now), await self._books.oldest_queued()
        for state, count in ledger.by_state.items():
            metrics.MESSAGES.labels(state).set(count)
        metrics.OLDEST_QUEUED.set(0 if oldest is None else max(0.0, now - oldest))
        metrics.LEDGER_HOLDS.set(ledger.holds)
        if not ledger.holds:
            _log.error(
                "the ledger does not hold: mail was lost, or came from nowhere; see `ingest ledger`",
                accepted=ledger.accepted,
                accounted_for=sum(ledger.by_state.values()),
                missing_content=ledger.missing_content,
            )
