"""Claim, process, settle: the loop that moves messages, and the one place that writes what became of them.

Being worked on is a lease. A worker that dies leaves its leases to run out; a worker that comes back too late finds
its lease gone, and its result is dropped (C3 to C5). After settle nothing is left to do (C6).
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from types import TracebackType
from typing import Protocol

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from ingest import log, metrics
from ingest.model.envelope import QueuedMessage
from ingest.model.outcome import Deferred, Delivered, Failed, Outcome, Quarantined
from ingest.retry import Schedule
from ingest.store import StoreUnavailable

CLAIM_AT_MOST = 64
POLL_SECONDS = 1.0
"""How long an idle worker trusts that nobody else (the command line, another replica) has made work."""
UNAVAILABLE_SECONDS = 1.0
TURN_SECONDS = 5.0
STUCK_SHARE = 0.8
"""The share of its lease that a message may use; past it the work is given up while the lease still protects it."""

_log = log.get("worker")


class Queue(Protocol):
    """What the worker needs of the store."""

    async def claim(self, *, limit: int, now: float, lease: float) -> tuple[QueuedMessage, ...]: ...
    async def next_due(self, *, now: float) -> float | None: ...
    async def settle(
        self,
        queue_id: str,
        lease_token: str,
        outcome: Outcome,
        *,
        now: float,
        next_attempt_at: float | None = None,
    ) -> bool: ...


class Story(Protocol):
    """What the worker does with a message between claim and settle."""

    async def process(self, queued: QueuedMessage, *, turn: AbstractAsyncContextManager[None]) -> Outcome: ...


class ArrivalOrder:
    """A place in the order of arrival: entered when all earlier ones have passed, or after ``TURN_SECONDS``, since
    one message that takes long must not hold back the tickets of others."""

    def __init__(self, before: "ArrivalOrder | None") -> None:
        self._before = before
        self._passed = asyncio.Event()

    async def __aenter__(self) -> None:
        if self._before is not None and not self._before._passed.is_set():
            try:
                async with asyncio.timeout(TURN_SECONDS):
                    await self._before._passed.wait()
            except TimeoutError:
                _log.debug("an earlier message takes long to read; going on without it")
        self._before = None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pass_on()

    def pass_on(self) -> None:
        """Let the next one enter. Also for a message that ends without entering."""
        self._before = None
        self._passed.set()


class Worker:
    """Works off the queue, up to ``capacity`` messages at the same time, in the order in which they came."""

    def __init__(
        self,
        queue: Queue,
        story: Story,
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
        """``lease`` is in seconds. ``held_for`` tells for how many seconds the API wants to hear nothing: claiming
        meanwhile would only use up attempts. ``on_waiting`` is called when a message waits for a parent that nobody
        knows, so that somebody can go and look for it."""
        self._queue = queue
        self._story = story
        self._schedule = schedule
        self._clock = clock
        self._capacity = capacity
        self._lease = lease
        self._max_unfinished = max_unfinished
        self._jitter = jitter
        self._held_for = held_for
        self._on_waiting = on_waiting
        self._wake = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._last_turn: ArrivalOrder | None = None
        self._draining = False

    def wake(self) -> None:
        """There may be work now: something was stored, resumed or finished."""
        self._wake.set()

    @property
    def in_progress(self) -> int:
        """Messages being worked on now."""
        return len(self._running)

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
                await self._sleep(UNAVAILABLE_SECONDS)

    async def run_until_idle(self) -> None:
        """Work until nothing is due and nothing is in progress. What is deferred stays deferred.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        while await self._claim() or self._running:
            if self._running:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)

    async def drain(self, seconds: float) -> None:
        """Claim nothing more, and give what is in progress up to ``seconds``. What is still running then is
        cancelled; its message settles as deferred, or its lease runs out."""
        self._draining = True
        self._wake.set()
        if self._running:
            _done, late = await asyncio.wait(self._running, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _claim(self) -> int:
        free = min(self._capacity - len(self._running), CLAIM_AT_MOST)
        if free <= 0:
            return 0
        claimed = await self._queue.claim(limit=free, now=self._clock(), lease=self._lease)
        for queued in claimed:
            turn = self._last_turn = ArrivalOrder(self._last_turn)
            task = asyncio.create_task(self._handle(queued, turn))
            self._running.add(task)
            task.add_done_callback(self._finished)
        return len(claimed)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()

    async def _idle(self) -> None:
        """Sleep until something is stored or finished, or the next deferred message is due."""
        due = await self._queue.next_due(now=self._clock()) if len(self._running) < self._capacity else None
        wait = POLL_SECONDS if due is None else min(POLL_SECONDS, max(0.0, due - self._clock()))
        await self._sleep(wait)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _handle(self, queued: QueuedMessage, turn: ArrivalOrder) -> None:
        with structlog.contextvars.bound_contextvars(queue_id=queued.queue_id):
            try:
                outcome = await self._process(queued, turn)
            finally:
                turn.pass_on()
            await self._settle(queued, outcome)

    async def _process(self, queued: QueuedMessage, turn: ArrivalOrder) -> Outcome:
        """The outcome of one attempt. Whatever we do not understand is temporary: a bug of ours loses no mail."""
        if queued.unfinished_attempts >= self._max_unfinished:
            return Failed(
                reason=f"the worker died {queued.unfinished_attempts} times while it had this message;"
                " look at it with `ingest messages raw`, then retry or discard it"
            )
        try:
            async with asyncio.timeout(self._lease * STUCK_SHARE):
                return await self._story.process(queued, turn=turn)
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
        """Write what became of the message: once, under its lease. A store that fails meanwhile is asked again for
        as long as the lease lasts; after that the next claimer looks at the API before it posts."""
        now = self._clock()
        outcome = self._give_up(queued, outcome, now)
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(StoreUnavailable),
            wait=wait_random_exponential(multiplier=0.1, max=5),
            stop=stop_after_delay(self._lease * (1 - STUCK_SHARE)),
            reraise=True,
        )
        next_attempt_at = self._next_attempt(queued, outcome, now)
        try:
            async for attempt in retrying:
                with attempt:
                    held = await self._queue.settle(
                        queued.queue_id, queued.lease_token, outcome, now=now, next_attempt_at=next_attempt_at
                    )
        except StoreUnavailable as error:
            _log.error("the outcome could not be written; the lease will run out", reason=str(error))
            return
        self._tell(queued, outcome, held, now)

    def _give_up(self, queued: QueuedMessage, outcome: Outcome, now: float) -> Outcome:
        if not isinstance(outcome, Deferred) or not self._schedule.is_exhausted(queued.retry_window_start, now):
            return outcome
        if outcome.blocked_by is not None:
            return outcome
        if outcome.posted is not None:
            return replace(outcome.posted, note=f"given up after it was posted: {outcome.reason}")
        days = self._schedule.max_age / 86_400
        return Failed(reason=f"not delivered within {days:g} days; the last answer: {outcome.reason}")

    def _next_attempt(self, queued: QueuedMessage, outcome: Outcome, now: float) -> float | None:
        if not isinstance(outcome, Deferred):
            return None
        if outcome.blocked_by is not None:
            return now
        if outcome.retry_after == 0.0:
            return now
        return now + self._schedule.delay(queued.attempts, outcome.retry_after, self._jitter())

    def _tell(self, queued: QueuedMessage, outcome: Outcome, held: bool, now: float) -> None:
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
        if outcome.state == "waiting":
            self._on_waiting()
