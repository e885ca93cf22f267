"""Claim, process, settle: the loop that takes messages through the pipeline, and the only place that settles outcomes.

Being worked on is a lease. A worker that dies leaves its leases to run out; a worker that comes back too late finds
its lease gone, and its result is dropped (C3 to C5). After settle nothing is left to do (C6).
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from ingest import log, metrics
from ingest.concurrency import ConcurrencyLimit
from ingest.model.envelope import QueuedMessage
from ingest.model.outcome import (
    DeferCause,
    Deferred,
    Delivered,
    Discarded,
    Failed,
    Outcome,
    PostEffect,
    Quarantined,
    Waiting,
)
from ingest.pipeline import Pipeline
from ingest.retry import DAY_SECONDS, Schedule
from ingest.store import StoreUnavailable
from ingest.store.messages import Store

MAX_CLAIMED_AT_ONCE = 64
"""At most this many messages are claimed in one transaction: a longer one would delay mail that arrives meanwhile."""
POLL_SECONDS = 1.0
"""An idle worker looks this often for work that another process has made (the command line, another replica)."""
STORE_RETRY_SECONDS = 1.0
"""A store that does not answer is asked again after this time: a disk that is full for long fills no log."""
MAX_OUTAGE_WAIT_SECONDS = 30.0
"""After an outage a message is due again within this time, whatever the API asked for: its pause holds all sending
anyway, and an operator who lifts the pause must not have to wait for the message."""
WORK_SHARE_OF_LEASE = 0.8
"""The share of its lease that a message may use. What takes longer is given up while the lease still protects it; the
rest of the lease is for settling the outcome."""

_log = log.get("worker")


class Worker:
    """Works off the queue, up to ``capacity`` messages at the same time, in the order in which they arrived."""

    def __init__(
        self,
        store: Store,
        pipeline: Pipeline,
        *,
        schedule: Schedule,
        clock: Callable[[], float],
        capacity: int,
        lease: float,
        max_unfinished: int,
        pair_check_seconds: float = 0.0,
        jitter: Callable[[], float] = random.random,
        held_for: Callable[[], float] = lambda: 0.0,
        on_waiting: Callable[[], None] = lambda: None,
    ) -> None:
        """Create a worker; ``run`` starts it.

        ``clock`` returns the Unix time, and ``lease`` is for how many seconds a claimed message is this worker's. A
        message that was held alone at ``max_unfinished`` crashes of a worker is failed. ``pair_check_seconds`` is the
        time after which a message that was posted after doubt must show on its ticket. ``jitter`` (0 to 1) spreads
        retries. ``held_for`` returns for how many seconds the API wants no requests: claiming meanwhile would only use
        up attempts. ``on_waiting`` is called when a message waits for a mail that nobody knows, to have it looked for.
        """
        self._store = store
        self._pipeline = pipeline
        self._schedule = schedule
        self._clock = clock
        self._capacity = capacity
        self._lease_seconds = lease
        self._max_unfinished = max_unfinished
        self._pair_check_seconds = pair_check_seconds
        self._jitter = jitter
        self._held_for = held_for
        self._on_waiting = on_waiting
        self._wake = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._concurrency = ConcurrencyLimit(capacity, clock)
        self._draining = False

    def use_schedule(self, schedule: Schedule) -> None:
        """Compute the next attempts by this schedule. Those that are set already stay as they are."""
        self._schedule = schedule

    def wake(self) -> None:
        """Look for work at once: something was stored, resumed or finished."""
        self._wake.set()

    async def run(self) -> None:
        """Work until ``drain`` is called. A store that fails is asked again; it never ends the worker."""
        while not self._draining:
            self._wake.clear()
            if (held := max(self._held_for(), self._concurrency.wait_seconds)) > 0:
                await self._sleep(min(held, POLL_SECONDS))
                continue
            try:
                if not await self._claim():
                    await self._idle()
            except StoreUnavailable as error:
                _log.error("the store does not answer; trying again", reason=str(error))
                await self._sleep(STORE_RETRY_SECONDS)

    async def drain(self, seconds: float) -> None:
        """Claim nothing more, and give what is in progress up to ``seconds``.

        What is still running then is cancelled: its message settles as deferred, or its lease runs out.
        """
        self._draining = True
        self._wake.set()
        if self._running:
            _done, late = await asyncio.wait(self._running, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _claim(self) -> int:
        """Claim messages for the free capacity and begin to work on them; return how many."""
        free = min(self._concurrency.free(len(self._running)), MAX_CLAIMED_AT_ONCE)
        if free <= 0:
            return 0
        if not self._running and (suspect := await self._claim_suspect()) is not None:
            await self._handle(suspect)
            return 1
        claimed = await self._store.claim(limit=free, now=self._clock(), lease=self._lease_seconds)
        for queued in claimed:
            task = asyncio.create_task(self._handle(queued))
            self._running.add(task)
            task.add_done_callback(self._finished)
        return len(claimed)

    async def _claim_suspect(self) -> QueuedMessage | None:
        """Claim a message that was there at several crashes; the caller works on it while nothing else is in progress,
        so that one more crash tells whether it is to blame."""
        return await self._store.claim_suspect(now=self._clock(), lease=self._lease_seconds)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()

    async def _idle(self) -> None:
        """Sleep until something is stored or finished, or the next deferred message is due."""
        due = await self._store.next_due(now=self._clock()) if self._concurrency.free(len(self._running)) > 0 else None
        wait = POLL_SECONDS if due is None else min(POLL_SECONDS, max(0.0, due - self._clock()))
        await self._sleep(wait)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _handle(self, queued: QueuedMessage) -> None:
        with structlog.contextvars.bound_contextvars(queue_id=queued.queue_id):
            outcome = await self._attempt(queued)
            self._note_api_state(queued, outcome)
            await self._settle(queued, outcome)

    def _note_api_state(self, queued: QueuedMessage, outcome: Outcome) -> None:
        """Tell the concurrency limit whether the API was there. An outcome without the API says nothing."""
        match outcome:
            case Delivered() | Failed(post_effect=PostEffect.NONE):
                self._concurrency.succeeded()
            case Deferred(cause=DeferCause.API_FAILURE | DeferCause.OUTAGE):
                self._concurrency.failed(queued.queue_id)

    async def _attempt(self, queued: QueuedMessage) -> Outcome:
        """Return the outcome of one attempt. An error that is not understood is temporary: no bug of ours loses a mail.

        Whether it ended in the middle of a POST is in the store: ``begin_post`` was called, and the outcome proves
        nothing.
        """
        if queued.lone_crashes >= self._max_unfinished:
            return Failed(
                reason=f"the worker died {queued.lone_crashes} times while it had this message;"
                " look at it with `ingest messages raw`, then retry or discard it"
            )
        try:
            async with asyncio.timeout(self._lease_seconds * WORK_SHARE_OF_LEASE):
                return await self._pipeline.process(queued)
        except StoreUnavailable as error:
            return Deferred(reason=f"the store does not answer: {error}")
        except TimeoutError:
            return Deferred(reason="it took too long")
        except asyncio.CancelledError:
            return Deferred(reason="the worker stopped", retry_after=0.0, cause=DeferCause.WAIT)
        except Exception as error:
            _log.exception("unexpected error; the message is tried again")
            return Deferred(reason=f"unexpected {type(error).__name__}; see the log")

    async def _settle(self, queued: QueuedMessage, outcome: Outcome) -> None:
        """Write what became of the message: once, under its lease.

        A store that fails meanwhile is asked again for as long as the lease lasts; after that the next claimer looks at
        the API before it posts.
        """
        now = self._clock()
        outcome = self._give_up(queued, self._blame(outcome), now)
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(StoreUnavailable),
            wait=wait_random_exponential(multiplier=0.1, max=5),
            stop=stop_after_delay(self._lease_seconds * (1 - WORK_SHARE_OF_LEASE)),
            reraise=True,
        )
        next_attempt_at = self._next_attempt(queued, outcome, now)
        try:
            async for attempt in retrying:
                with attempt:
                    held = await self._store.settle(
                        queued.queue_id,
                        queued.lease_token,
                        outcome,
                        now=now,
                        next_attempt_at=next_attempt_at,
                        pair_check_at=self._pair_check(outcome, now),
                    )
        except StoreUnavailable as error:
            _log.error("the outcome could not be written; the lease will run out", reason=str(error))
            return
        self._report(queued, outcome, held, now)

    def _blame(self, outcome: Outcome) -> Outcome:
        """Decide whether a failure of the API was an outage, which blames nobody, or may be this message's fault."""
        if not isinstance(outcome, Deferred) or outcome.cause is not DeferCause.API_FAILURE:
            return outcome
        return replace(outcome, cause=DeferCause.OUTAGE if self._concurrency.is_outage else DeferCause.FAULT)

    def _pair_check(self, outcome: Outcome, now: float) -> float | None:
        """Return when to look whether a message that was posted after doubt is on its ticket twice."""
        is_due = isinstance(outcome, Delivered) and outcome.posted_after_doubt
        return now + self._pair_check_seconds if is_due else None

    def _give_up(self, queued: QueuedMessage, outcome: Outcome, now: float) -> Outcome:
        """Replace a deferral by the end of the message, once its retry window is over.

        A message that only has to wait, or that the API takes no more than any other, is not given up for that."""
        if not isinstance(outcome, Deferred) or not self._schedule.is_exhausted(queued.retry_window_start, now):
            return outcome
        if outcome.cause in (DeferCause.WAIT, DeferCause.OUTAGE):
            return outcome
        if outcome.posted is not None:
            return replace(outcome.posted, note=f"given up after it was posted: {outcome.reason}")
        days = self._schedule.max_age / DAY_SECONDS
        return Failed(reason=f"not delivered within {days:g} days; the last answer: {outcome.reason}")

    def _next_attempt(self, queued: QueuedMessage, outcome: Outcome, now: float) -> float | None:
        """Return the Unix time of the next attempt; ``None`` where there is none."""
        if not isinstance(outcome, Deferred):
            return None
        if outcome.blocked_by is not None:
            return now
        if outcome.cause is DeferCause.OUTAGE:
            return now + min(outcome.retry_after or 0.0, MAX_OUTAGE_WAIT_SECONDS)
        if outcome.cause is DeferCause.WAIT:
            return now + (outcome.retry_after or 0.0)
        return now + self._schedule.delay(queued.failures + 1, outcome.retry_after, self._jitter())

    def _report(self, queued: QueuedMessage, outcome: Outcome, held: bool, now: float) -> None:
        """Count and log an outcome that was settled (``held``), or dropped because the lease was lost."""
        name = type(outcome).__name__.lower()
        metrics.SETTLED.labels(name if held else "lease-lost").inc()
        if not held:
            _log.warning("another worker has the message now; this result is dropped", outcome=name)
            return
        if isinstance(outcome, Delivered):
            metrics.DELIVERY_SECONDS.observe(now - queued.received_at)
            _log.info("delivered", ticket=outcome.ticket_id, ticket_message=outcome.ticket_message_id)
            return
        if isinstance(outcome, Discarded):
            metrics.DISCARDED.labels(outcome.rule).inc()
        level = _log.warning if isinstance(outcome, Failed | Quarantined) else _log.info
        level(name, rule=getattr(outcome, "rule", None), reason=getattr(outcome, "reason", None))
        if isinstance(outcome, Waiting):
            self._on_waiting()
