"""Claim, process, settle: the loop that takes messages through the pipeline, and the only place that settles outcomes.

Being worked on is a lease. A worker that dies leaves its leases to run out; a worker that comes back too late finds
its lease gone, and its result is dropped (C3 to C5). After settle nothing is left to do (C6).
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from ingest import log, metrics
from ingest.model.envelope import QueuedMessage
from ingest.model.outcome import Deferred, Delivered, Failed, Outcome, Quarantined, Waiting
from ingest.pipeline import Pipeline
from ingest.retry import DAY, Schedule
from ingest.store import StoreUnavailable
from ingest.store.messages import Store

MAX_CLAIMED_AT_ONCE = 64
"""At most this many messages are claimed in one transaction: a longer one would delay mail that arrives meanwhile."""
POLL_SECONDS = 1.0
"""An idle worker looks this often for work that another process has made (the command line, another replica)."""
STORE_RETRY_SECONDS = 1.0
"""A store that does not answer is asked again after this time: a disk that is full for long fills no log."""
ARRIVAL_ORDER_SECONDS = 5.0
"""A message waits this long for older ones that are still being decided. One that takes longer must not hold back the
tickets of others; far above the time that deciding usually takes."""
WORK_SHARE_OF_LEASE = 0.8
"""The share of its lease that a message may use. What takes longer is given up while the lease still protects it; the
rest of the lease is for settling the outcome."""

_log = log.get("worker")


class ArrivalOrder:
    """One message's turn in the order of arrival.

    Entering waits until every earlier message has left, or for ``ARRIVAL_ORDER_SECONDS``.
    """

    def __init__(self, earlier: "ArrivalOrder | None") -> None:
        self._earlier = earlier
        self._left = asyncio.Event()

    async def __aenter__(self) -> None:
        if self._earlier is not None and not self._earlier._left.is_set():
            try:
                async with asyncio.timeout(ARRIVAL_ORDER_SECONDS):
                    await self._earlier._left.wait()
            except TimeoutError:
                _log.debug("an earlier message takes long to read; going on without it")
        self._earlier = None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Let the next message enter. Also to be called for a message that ends without entering."""
        self._earlier = None
        self._left.set()


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
        jitter: Callable[[], float] = random.random,
        held_for: Callable[[], float] = lambda: 0.0,
        on_waiting: Callable[[], None] = lambda: None,
    ) -> None:
        """Create a worker; ``run`` starts it.

        ``clock`` returns the Unix time, and ``lease`` is for how many seconds a claimed message is this worker's. A
        message during whose attempts a worker died ``max_unfinished`` times is failed. ``jitter`` (0 to 1) spreads
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
        self._jitter = jitter
        self._held_for = held_for
        self._on_waiting = on_waiting
        self._wake = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._latest: ArrivalOrder | None = None
        self._draining = False

    def wake(self) -> None:
        """Look for work at once: something was stored, resumed or finished."""
        self._wake.set()

    async def run(self) -> None:
        """Work until ``drain`` is called. A store that fails is asked again; it never ends the worker."""
        while not self._draining:
            self._wake.clear()
            if (held := self._held_for()) > 0:
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
        free = min(self._capacity - len(self._running), MAX_CLAIMED_AT_ONCE)
        if free <= 0:
            return 0
        claimed = await self._store.claim(limit=free, now=self._clock(), lease=self._lease_seconds)
        for queued in claimed:
            self._latest = ArrivalOrder(self._latest)
            task = asyncio.create_task(self._handle(queued, self._latest))
            self._running.add(task)
            task.add_done_callback(self._finished)
        return len(claimed)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()

    async def _idle(self) -> None:
        """Sleep until something is stored or finished, or the next deferred message is due."""
        due = await self._store.next_due(now=self._clock()) if len(self._running) < self._capacity else None
        wait = POLL_SECONDS if due is None else min(POLL_SECONDS, max(0.0, due - self._clock()))
        await self._sleep(wait)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _handle(self, queued: QueuedMessage, arrival_order: ArrivalOrder) -> None:
        with structlog.contextvars.bound_contextvars(queue_id=queued.queue_id):
            try:
                outcome = await self._attempt(queued, arrival_order)
            finally:
                arrival_order.leave()
            await self._settle(queued, outcome)

    async def _attempt(self, queued: QueuedMessage, arrival_order: ArrivalOrder) -> Outcome:
        """Return the outcome of one attempt. An error that is not understood is temporary: no bug of ours loses a mail.

        Where the attempt may have ended in the middle of a POST, the outcome says ``unconfirmed``.
        """
        if queued.unfinished_attempts >= self._max_unfinished:
            return Failed(
                reason=f"the worker died {queued.unfinished_attempts} times while it had this message;"
                " look at it with `ingest messages raw`, then retry or discard it"
            )
        try:
            async with asyncio.timeout(self._lease_seconds * WORK_SHARE_OF_LEASE):
                return await self._pipeline.process(queued, arrival_order=arrival_order)
        except StoreUnavailable as error:
            return Deferred(reason=f"the store does not answer: {error}")
        except TimeoutError:
            return Deferred(reason="it took too long", unconfirmed=True)
        except asyncio.CancelledError:
            return Deferred(reason="the worker stopped", retry_after=0.0, unconfirmed=True)
        except Exception as error:
            _log.exception("unexpected error; the message is tried again")
            return Deferred(reason=f"unexpected {type(error).__name__}; see the log", unconfirmed=True)

    async def _settle(self, queued: QueuedMessage, outcome: Outcome) -> None:
        """Write what became of the message: once, under its lease.

        A store that fails meanwhile is asked again for as long as the lease lasts; after that the next claimer looks at
        the API before it posts.
        """
        now = self._clock()
        outcome = self._give_up(queued, outcome, now)
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
                        queued.queue_id, queued.lease_token, outcome, now=now, next_attempt_at=next_attempt_at
                    )
        except StoreUnavailable as error:
            _log.error("the outcome could not be written; the lease will run out", reason=str(error))
            return
        self._report(queued, outcome, held, now)

    def _give_up(self, queued: QueuedMessage, outcome: Outcome, now: float) -> Outcome:
        """Replace a deferral by the end of the message, once its retry window is over.

        A message that is only blocked by another one is not given up for that."""
        if not isinstance(outcome, Deferred) or not self._schedule.is_exhausted(queued.retry_window_start, now):
            return outcome
        if outcome.blocked_by is not None:
            return outcome
        if outcome.posted is not None:
            return replace(outcome.posted, note=f"given up after it was posted: {outcome.reason}")
        days = self._schedule.max_age / DAY
        return Failed(reason=f"not delivered within {days:g} days; the last answer: {outcome.reason}")

    def _next_attempt(self, queued: QueuedMessage, outcome: Outcome, now: float) -> float | None:
        """Return the Unix time of the next attempt; ``None`` where there is none."""
        if not isinstance(outcome, Deferred):
            return None
        if outcome.blocked_by is not None or outcome.retry_after == 0.0:
            return now
        return now + self._schedule.delay(queued.attempts, outcome.retry_after, self._jitter())

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
        level = _log.warning if isinstance(outcome, Failed | Quarantined) else _log.info
        level(name, rule=getattr(outcome, "rule", None), reason=getattr(outcome, "reason", None))
        if isinstance(outcome, Waiting):
            self._on_waiting()
