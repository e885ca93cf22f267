"""What has to be done at intervals, whether mail comes or not: long waits end, old content is purged, metrics are set.

If the ledger does not hold (accepted messages are not the sum of all states), that is an error in the log and a metric.
"""

import asyncio
from collections.abc import Callable

from ingest import log, metrics
from ingest.pair_check import PairCheck
from ingest.store import StoreUnavailable
from ingest.store.messages import Store

INTERVAL_SECONDS = 60.0
"""Pause between two rounds. Limits of waiting and retention are days, so a minute more or less does not matter."""
METRICS_MAX_AGE_SECONDS = 1.0
"""The metrics are counted again only if they are older: counting is cheap, but several scrapers may ask at once."""
DAY_SECONDS = 86_400.0

_log = log.get("housekeeping")


class Housekeeping:
    """Does the rounds for as long as the worker runs."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float],
        waiting_limit: float,
        retention_days: float,
        pair_check: PairCheck | None = None,
        facts_days: float = 0.0,
    ) -> None:
        """``waiting_limit`` is in seconds. ``facts_days`` of 0 keeps the facts of finished messages for ever.
        ``pair_check`` looks for messages that are on their ticket twice."""
        self._pair_check = pair_check
        self._stuck: frozenset[str] = frozenset()
        self._store = store
        self._clock = clock
        self.use_limits(waiting_limit=waiting_limit, retention_days=retention_days, facts_days=facts_days)
        self._counted_at = float("-inf")

    def use_limits(self, *, waiting_limit: float, retention_days: float, facts_days: float) -> None:
        """Use these limits from the next round on. Facts are kept at least as long as the content."""
        self._waiting_limit = waiting_limit
        self._retention_seconds = retention_days * DAY_SECONDS
        self._facts_seconds = max(facts_days, retention_days) * DAY_SECONDS if facts_days else None

    async def run(self) -> None:
        """Do a round every ``INTERVAL_SECONDS``, for ever. If the store does not answer, the next round tries again."""
        while True:
            try:
                await self.run_once()
            except StoreUnavailable as error:
                _log.warning("could not keep house; trying again", reason=str(error))
            await asyncio.sleep(INTERVAL_SECONDS)

    async def run_once(self) -> None:
        """Quarantine messages that waited too long, delete content and facts past their time, and set the metrics.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        now = self._clock()
        expired = await self._store.expire_waiting(now=now, limit=self._waiting_limit)
        purged = await self._store.purge(now=now, older_than=self._retention_seconds)
        pruned = 0
        if self._facts_seconds is not None:
            pruned = await self._store.prune(now=now, older_than=self._facts_seconds)
        if expired or purged or pruned:
            _log.info("kept house", quarantined_after_waiting=expired, contents_deleted=purged, facts_deleted=pruned)
        await self._pass_stuck(now)
        if self._pair_check is not None:
            await self._pair_check.run_once()
        await self._set_metrics()

    async def _pass_stuck(self, now: float) -> None:
        """Let the followers of messages go on that have been failing for the order hold, and tell of each once."""
        stuck = frozenset(await self._store.pass_stuck(now=now))
        for queue_id in stuck - self._stuck:
            _log.error(
                "a message keeps failing; later messages of its ticket go on without it",
                queue_id=queue_id,
                to_do="see why with `ingest messages show`, then retry or discard it",
            )
        self._stuck = stuck
        metrics.STUCK.set(len(stuck))

    async def refresh_metrics(self) -> None:
        """Set the metrics anew if they are older than ``METRICS_MAX_AGE_SECONDS``. If the store does not answer, they
        stay as they are."""
        if self._clock() - self._counted_at < METRICS_MAX_AGE_SECONDS:
            return
        try:
            await self._set_metrics()
        except StoreUnavailable as error:
            _log.warning("could not count", reason=str(error))

    async def _set_metrics(self) -> None:
        now = self._counted_at = self._clock()
        ledger, oldest = await self._store.ledger(now=now), await self._store.oldest_queued()
        for state, count in ledger.by_state.items():
            metrics.MESSAGES.labels(state).set(count)
        metrics.OLDEST_QUEUED.set(0 if oldest is None else max(0.0, now - oldest))
        metrics.LEDGER_HOLDS.set(ledger.holds)
        metrics.PAUSED_THREADS.set(await self._store.count_paused_threads())
        if not ledger.holds:
            _log.error(
                "the ledger does not hold: mail was lost, or came from nowhere; see `ingest ledger`",
                accepted=ledger.accepted,
                accounted_for=sum(ledger.by_state.values()) + ledger.pruned,
                missing_content=ledger.missing_content,
            )
