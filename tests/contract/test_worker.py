"""The worker on a real store: claim, process, settle, and what survives."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from ingest.model.envelope import QueuedMessage, ReceivedMessage, SourceRef
from ingest.model.outcome import DeferCause, Deferred, Delivered, Discarded, Failed, Outcome, RuleName, State, Waiting
from ingest.model.teachers import Teacher
from ingest.pipeline import Pipeline
from ingest.receive import Receiver
from ingest.retry import DAY_SECONDS, Schedule
from ingest.store import Findings, StoreUnavailable
from ingest.store.messages import Store
from ingest.store.sqlite import SqliteDatabase
from ingest.worker import Worker
from tests.support.factories import envelope
from tests.support.work import work_until_idle

START = 1_000_000.0
DELIVERED = Delivered(ticket_id="T1", ticket_message_id="M1")
Answer = Callable[[QueuedMessage], Awaitable[Outcome]]


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Script(Pipeline):
    """A pipeline that does what the test says, and notes what it was asked: only the worker is tested here."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def process(self, queued: QueuedMessage) -> Outcome:
        self.asked.append(queued.queue_id)
        return await self.answer(queued)


def always(outcome: Outcome) -> Answer:
    async def answer(_queued: QueuedMessage) -> Outcome:
        return outcome

    return answer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    database = SqliteDatabase(tmp_path / "ingest.db")
    await database.migrate()
    yield Store(database)
    await database.close()


def worker(
    store: Store,
    script: Script,
    clock: Clock,
    *,
    capacity: int = 10,
    lease: float = 300,
    held_for: Callable[[], float] = lambda: 0.0,
) -> Worker:
    return Worker(
        store,
        script,
        schedule=Schedule(first=10, cap=100, max_age=5 * DAY_SECONDS),
        clock=clock,
        capacity=capacity,
        lease=lease,
        max_unfinished=3,
        held_for=held_for,
        jitter=lambda: 0.0,
    )


async def send(store: Store, clock: Clock, text: str) -> str:
    receiver = Receiver(store, clock=clock, max_backlog=100, min_free_bytes=0)
    message = ReceivedMessage(
        envelope=envelope(), content=text.encode(), source_ref=SourceRef(source="smtp:25"), received_at=clock()
    )
    return await receiver.receive(message)


async def state_of(store: Store, queue_id: str) -> State:
    record = await store.message(queue_id)
    assert record is not None
    return record.state


async def test_a_message_that_is_stored_is_worked_on(store: Store, clock: Clock) -> None:
    queue_id = await send(store, clock, "hello")
    await work_until_idle(worker(store, Script(always(DELIVERED)), clock))
    assert await state_of(store, queue_id) is State.DELIVERED


async def test_messages_are_taken_in_the_order_in_which_they_came(store: Store, clock: Clock) -> None:
    sent = [await send(store, clock, f"mail {n}") for n in range(25)]
    script = Script(always(DELIVERED))
    await work_until_idle(worker(store, script, clock))
    assert script.asked == sent


async def test_a_deferred_message_comes_back_when_it_is_due_and_not_before(store: Store, clock: Clock) -> None:
    await send(store, clock, "hello")
    script = Script(always(Deferred(reason="not now")))
    at_work = worker(store, script, clock)
    await work_until_idle(at_work)
    clock.now += 4.9
    await work_until_idle(at_work)
    assert len(script.asked) == 1
    clock.now += 0.2
    await work_until_idle(at_work)
    assert len(script.asked) == 2


async def test_an_unexpected_error_is_temporary(store: Store, clock: Clock) -> None:
    async def fail(_queued: QueuedMessage) -> Outcome:
        raise ZeroDivisionError("a bug of ours")

    queue_id = await send(store, clock, "hello")
    await work_until_idle(worker(store, Script(fail), clock))
    record = await store.message(queue_id)
    assert record is not None
    assert (record.state, record.attempts) == (State.QUEUED, 1)
    assert "ZeroDivisionError" in record.history[0].detail


async def test_after_an_unexpected_error_a_post_is_in_doubt(store: Store, clock: Clock) -> None:
    seen: list[bool] = []

    async def fail_once(queued: QueuedMessage) -> Outcome:
        seen.append(queued.post_began_at is not None)
        if len(seen) == 1:
            await store.begin_post(queued.queue_id, queued.lease_token, now=clock())
            raise OSError("cut off")
        return DELIVERED

    await send(store, clock, "hello")
    at_work = worker(store, Script(fail_once), clock)
    await work_until_idle(at_work)
    clock.now += 60
    await work_until_idle(at_work)
    assert seen == [False, True]


async def test_a_message_that_cannot_be_delivered_for_days_is_failed(store: Store, clock: Clock) -> None:
    queue_id = await send(store, clock, "hello")
    at_work = worker(store, Script(always(Deferred(reason="the API answered 500"))), clock)
    clock.now += 5 * DAY_SECONDS + 1
    await work_until_idle(at_work)
    record = await store.message(queue_id)
    assert record is not None
    assert record.state is State.FAILED
    assert "the API answered 500" in record.reason


async def test_a_message_that_an_operator_retries_gets_its_days_anew(store: Store, clock: Clock) -> None:
    queue_id = await send(store, clock, "hello")
    at_work = worker(store, Script(always(Deferred(reason="the API answered 500"))), clock)
    clock.now += 5 * DAY_SECONDS + 1
    await work_until_idle(at_work)
    await store.retry(queue_id, by="ann", now=clock())
    await work_until_idle(at_work)
    assert await state_of(store, queue_id) is State.QUEUED


async def test_a_message_whose_worker_died_is_claimed_again_after_its_lease(store: Store, clock: Clock) -> None:
    queue_id = await send(store, clock, "hello")
    assert await store.claim(limit=1, now=clock(), lease=300)
    script = Script(always(DELIVERED))
    at_work = worker(store, script, clock)
    await work_until_idle(at_work)
    assert script.asked == []
    clock.now += 301
    await work_until_idle(at_work)
    assert await state_of(store, queue_id) is State.DELIVERED


async def test_the_result_of_a_worker_that_lost_its_lease_is_dropped(store: Store, clock: Clock) -> None:
    async def be_slow(queued: QueuedMessage) -> Outcome:
        if len(slow.asked) == 1:
            clock.now += 301
            other = worker(store, Script(always(DELIVERED)), clock)
            await work_until_idle(other)
        return Discarded(rule=RuleName.LOOP, reason="too late to say so")

    queue_id = await send(store, clock, "hello")
    slow = Script(be_slow)
    await work_until_idle(worker(store, slow, clock))
    assert await state_of(store, queue_id) is State.DELIVERED


async def test_a_younger_message_of_a_ticket_waits_for_the_older_one(store: Store, clock: Clock) -> None:
    posted: list[str] = []

    async def post(queued: QueuedMessage) -> Outcome:
        identified = await store.identify(
            queued.queue_id,
            queued.lease_token,
            Findings(
                message_id=queued.queue_id,
                content_digest=queued.queue_id,
                ticket_id="T1",
                subject="",
                sender="",
                evidence=(),
            ),
            now=clock(),
        )
        if identified.blocked_by:
            return Deferred(reason="behind", blocked_by=identified.blocked_by)
        if queued.queue_id == older and queued.attempts == 1:
            return Deferred(reason="not now")
        posted.append(queued.queue_id)
        return Delivered(ticket_id="T1", ticket_message_id=f"M{len(posted)}")

    older = await send(store, clock, "older")
    younger = await send(store, clock, "younger")
    at_work = worker(store, Script(post), clock)
    await work_until_idle(at_work)
    assert posted == []
    clock.now += 10
    await work_until_idle(at_work)
    assert posted == [older, younger]


async def test_a_waiting_message_resumes_when_its_parent_is_learned(store: Store, clock: Clock) -> None:
    async def wait_once(queued: QueuedMessage) -> Outcome:
        return Waiting(missing=("parent@x.example",)) if queued.attempts == 1 else DELIVERED

    queue_id = await send(store, clock, "hello")
    at_work = worker(store, Script(wait_once), clock)
    await work_until_idle(at_work)
    assert await state_of(store, queue_id) is State.WAITING
    await store.learn("parent@x.example", "T1", learned_from=Teacher.API, now=clock())
    await work_until_idle(at_work)
    assert await state_of(store, queue_id) is State.DELIVERED


async def test_a_message_stored_while_the_worker_is_idle_wakes_it(store: Store, clock: Clock) -> None:
    at_work = worker(store, Script(always(DELIVERED)), clock)
    running = asyncio.create_task(at_work.run())
    queue_id = await send(store, clock, "hello")
    at_work.wake()
    async with asyncio.timeout(30):
        while await state_of(store, queue_id) is not State.DELIVERED:
            await asyncio.sleep(0)
    await at_work.drain(5)
    await running


async def test_nothing_is_claimed_while_the_api_wants_to_hear_nothing(store: Store, clock: Clock) -> None:
    queue_id, held, asked = await send(store, clock, "hello"), [0.001], []

    def held_for() -> float:
        asked.append(held[0])
        return held[0]

    script = Script(always(DELIVERED))
    at_work = worker(store, script, clock, held_for=held_for)
    running = asyncio.create_task(at_work.run())
    async with asyncio.timeout(30):
        while len(asked) < 5:
            await asyncio.sleep(0)
        assert script.asked == []
        held[0] = 0.0
        while await state_of(store, queue_id) is not State.DELIVERED:
            await asyncio.sleep(0)
    await at_work.drain(5)
    await running


async def test_a_drain_lets_work_in_progress_finish(store: Store, clock: Clock) -> None:
    begun, finish = asyncio.Event(), asyncio.Event()

    async def take_long(_queued: QueuedMessage) -> Outcome:
        begun.set()
        await finish.wait()
        return DELIVERED

    queue_id = await send(store, clock, "hello")
    at_work = worker(store, Script(take_long), clock)
    running = asyncio.create_task(at_work.run())
    await begun.wait()
    draining = asyncio.create_task(at_work.drain(30))
    finish.set()
    await asyncio.gather(draining, running)
    assert await state_of(store, queue_id) is State.DELIVERED


async def test_what_a_drain_cuts_off_is_queued_at_once_and_in_doubt(store: Store, clock: Clock) -> None:
    begun = asyncio.Event()

    async def hang(queued: QueuedMessage) -> Outcome:
        await store.begin_post(queued.queue_id, queued.lease_token, now=clock())
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    await send(store, clock, "hello")
    at_work = worker(store, Script(hang), clock)
    running = asyncio.create_task(at_work.run())
    await begun.wait()
    await at_work.drain(0)
    await running
    [again] = await store.claim(limit=1, now=clock(), lease=300)
    assert again.post_began_at is not None


async def test_a_store_that_fails_at_settle_is_asked_again(store: Store, clock: Clock) -> None:
    queue_id = await send(store, clock, "hello")
    settle, calls = store.settle, 0

    async def fail_twice(*args: object, **kwargs: object) -> bool:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise StoreUnavailable("the disk is full")
        return await settle(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they came

    store.settle = fail_twice  # type: ignore[method-assign]  # the disk is full for a while
    await work_until_idle(worker(store, Script(always(DELIVERED)), clock))
    assert await state_of(store, queue_id) is State.DELIVERED


async def test_a_failed_message_does_not_hold_back_its_ticket(store: Store, clock: Clock) -> None:
    first = await send(store, clock, "first")
    second = await send(store, clock, "second")

    async def refuse_the_first(queued: QueuedMessage) -> Outcome:
        return Failed(reason="the API answered 400") if queued.queue_id == first else DELIVERED

    await work_until_idle(worker(store, Script(refuse_the_first), clock))
    assert (await state_of(store, first), await state_of(store, second)) == (State.FAILED, State.DELIVERED)


async def test_no_more_messages_are_worked_on_than_the_capacity(store: Store, clock: Clock) -> None:
    for n in range(12):
        await send(store, clock, f"mail {n}")
    most, now_running = 0, 0

    async def count(_queued: QueuedMessage) -> Outcome:
        nonlocal most, now_running
        now_running += 1
        most = max(most, now_running)
        await asyncio.sleep(0)
        now_running -= 1
        return DELIVERED

    await work_until_idle(worker(store, Script(count), clock, capacity=3))
    assert most <= 3
    assert (await store.ledger(now=clock())).by_state[State.DELIVERED] == 12


async def test_what_takes_too_long_is_ended_within_its_lease_and_in_doubt(store: Store, clock: Clock) -> None:
    seen: list[bool] = []
    loop, lease = asyncio.get_running_loop(), 0.5

    async def hang_once(queued: QueuedMessage) -> Outcome:
        seen.append(queued.post_began_at is not None)
        if len(seen) == 1:
            await store.begin_post(queued.queue_id, queued.lease_token, now=clock())
            await asyncio.Event().wait()
        return DELIVERED

    await send(store, clock, "hello")
    at_work = worker(store, Script(hang_once), clock, lease=lease)
    begun = loop.time()
    claimed = await at_work._claim()
    await asyncio.wait(at_work._running)
    assert (claimed, loop.time() - begun < lease) == (1, True)
    clock.now += 60
    await work_until_idle(at_work)
    assert seen == [False, True]


async def test_a_message_that_is_blocked_for_days_is_not_given_up_for_that(store: Store, clock: Clock) -> None:
    queue_id = await send(store, clock, "hello")
    clock.now += 6 * DAY_SECONDS
    [queued] = await store.claim(limit=1, now=clock(), lease=300)
    at_work = worker(store, Script(always(DELIVERED)), clock)
    await at_work._settle(
        queued, Deferred(reason="an older one has to go first", blocked_by="Q0", cause=DeferCause.WAIT)
    )
    assert await state_of(store, queue_id) is State.QUEUED


async def crash(store: Store, clock: Clock, *, held: int) -> None:
    """The worker dies while it holds ``held`` messages, and another one starts."""
    assert len(await store.claim(limit=held, now=clock(), lease=300)) == held
    clock.now += 1
    await store.release_leases(now=clock())


async def test_a_message_that_keeps_killing_the_worker_ends_in_front_of_a_person(store: Store, clock: Clock) -> None:
    killing = await send(store, clock, "the worker dies of this one")
    for _ in range(3):
        await crash(store, clock, held=1)
    script = Script(always(DELIVERED))
    await work_until_idle(worker(store, script, clock))
    assert script.asked == []
    assert await state_of(store, killing) is State.FAILED


async def test_messages_that_were_held_together_at_crashes_are_not_to_blame(store: Store, clock: Clock) -> None:
    sent = [await send(store, clock, f"mail {n}") for n in range(5)]
    for _ in range(2):
        await crash(store, clock, held=5)
    script = Script(always(DELIVERED))
    await work_until_idle(worker(store, script, clock))
    assert [await state_of(store, queue_id) for queue_id in sent] == [State.DELIVERED] * 5


async def test_messages_that_were_there_at_many_crashes_are_worked_on_one_at_a_time(store: Store, clock: Clock) -> None:
    sent = [await send(store, clock, f"mail {n}") for n in range(5)]
    for _ in range(4):
        await crash(store, clock, held=5) if _ < 3 else None
    running = 0

    async def alone(_queued: QueuedMessage) -> Outcome:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0)
        running -= 1
        return DELIVERED

    await work_until_idle(worker(store, Script(alone), clock))
    assert [await state_of(store, queue_id) for queue_id in sent] == [State.DELIVERED] * 5


async def test_an_outage_uses_up_no_attempt_and_keeps_the_order(store: Store, clock: Clock) -> None:
    sent = [await send(store, clock, f"mail {n}") for n in range(8)]
    is_down = True

    async def answer(_queued: QueuedMessage) -> Outcome:
        return Deferred(reason="no answer", cause=DeferCause.API_FAILURE) if is_down else DELIVERED

    script = Script(answer)
    at_work = worker(store, script, clock)
    for _ in range(20):
        await work_until_idle(at_work)
        clock.now += 40
    assert len(script.asked) < 8 + 25
    is_down = False
    script.asked.clear()
    await work_until_idle(at_work)
    assert sorted(script.asked) == sorted(sent)
    record = await store.message(sent[0])
    assert record is not None
    assert record.state is State.DELIVERED


async def test_a_message_that_is_posted_to_an_api_that_hangs_is_not_blamed_for_kills(
    store: Store, clock: Clock
) -> None:
    probing = await send(store, clock, "hello")
    for _ in range(5):
        [queued] = await store.claim(limit=1, now=clock(), lease=300)
        await store.begin_post(queued.queue_id, queued.lease_token, now=clock())
        await store.release_leases(now=clock())
    await work_until_idle(worker(store, Script(always(DELIVERED)), clock))
    assert await state_of(store, probing) is State.DELIVERED
