"""However many messages there are, the worker's statements find their rows by an index."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import pytest

from ingest.model.loops import LoopLimits
from ingest.model.outcome import Deferred, Delivered, Waiting
from ingest.model.teachers import Teacher
from ingest.store import Database, Row, Transaction
from ingest.store.messages import Store
from tests.support.store import START, claim, claim_one, identify, receive, receive_all

T = TypeVar("T")
NOW = START + 1000


class Explained:
    """A transaction that asks SQLite for the plan of each statement before it runs it."""

    def __init__(self, transaction: Transaction, plans: list[str]) -> None:
        self._transaction = transaction
        self._plans = plans

    def execute(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        steps = self._transaction.execute(f"EXPLAIN QUERY PLAN {sql}", parameters or {})
        self._plans += [f"{step[-1]} in {' '.join(sql.split())}" for step in steps]
        return self._transaction.execute(sql, parameters or {})

    def execute_many(self, sql: str, parameters: Sequence[Mapping[str, object]]) -> None:
        for each in parameters:
            self.execute(sql, each)


class Explaining:
    """A database that notes the plan of everything it is asked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.claim_lock = database.claim_lock
        self.plans: list[str] = []

    async def write(self, work: Callable[[Transaction], T]) -> T:
        return await self._database.write(lambda tx: work(Explained(tx, self.plans)))

    async def read(self, work: Callable[[Transaction], T]) -> T:
        return await self._database.read(lambda tx: work(Explained(tx, self.plans)))

    async def migrate(self) -> tuple[str, ...]:
        return await self._database.migrate()

    async def close(self) -> None:
        await self._database.close()

    def free_bytes(self) -> int | None:
        return self._database.free_bytes()

    def loss(self) -> str | None:
        return self._database.loss()

    def full_scans(self) -> list[str]:
        """Steps that read or sort a whole table or state. Sorting those who wait for one id is fine."""
        return [plan for plan in self.plans if is_full(plan) and "waiting_for" not in plan]


def is_full(plan: str) -> bool:
    whole_state = "messages_by_state (state=?)" in plan and "count(*)" not in plan and "LIMIT 1" not in plan
    return plan.startswith("SCAN messages") or "TEMP B-TREE" in plan or whole_state


@pytest.fixture
def explaining(database: Database) -> Explaining:
    return Explaining(database)


async def test_no_step_in_the_life_of_a_message_looks_through_all_messages(explaining: Explaining) -> None:
    store = Store(explaining, loop_limits=LoopLimits())
    await receive_all(store, 1, 2, 3)
    first, second, third = await claim(store)
    for queued in (first, second, third):
        await identify(
            store, queued, message_id="m@x", ticket_id="T1", words_key="w", written_at=NOW, report_keys=["r"]
        )
    await store.settle(third.queue_id, third.lease_token, Deferred(reason="order", blocked_by="Q2"), now=NOW)
    await store.settle(second.queue_id, second.lease_token, Waiting(missing=("p@x",)), now=NOW)
    delivered = Delivered(ticket_id="T1", ticket_message_id="M1", email_message_id="api@x")
    await store.settle(first.queue_id, first.lease_token, delivered, now=NOW)
    await store.learn("p@x", "T1", learned_from=Teacher.API, now=NOW)
    await claim_one(store)
    assert await store.content("Q1")
    assert explaining.full_scans() == []


async def test_no_regular_look_at_the_queue_looks_through_all_messages(explaining: Explaining) -> None:
    store = Store(explaining)
    await receive(store)
    await claim(store, limit=0)
    await store.next_due(now=NOW)
    await store.oldest_queued()
    await store.backlog()
    await store.owners(["M1"])
    await store.post_claims("Q1", ["M1"], ["aa"])
    await store.tickets_of(["m@x"])
    await store.expire_waiting(now=NOW, limit=1)
    await store.purge(now=NOW, older_than=1)
    await store.list_messages(limit=1, before="Q1")
    assert explaining.full_scans() == []


async def test_a_start_looks_through_the_queue_only_to_release_leases(explaining: Explaining) -> None:
    """There is no index on leases, and none is worth its cost; what was delivered for years is passed over."""
    store = Store(explaining)
    await receive(store)
    explaining.plans.clear()
    await store.release_leases(now=5_000.0)
    assert all("messages_by_state (state=?)" in plan for plan in explaining.plans)
    assert explaining.plans
