"""Housekeeping on a real store: long waits end, old content is purged, the metrics are right."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest
from prometheus_client import REGISTRY

from ingest.housekeeping import DAY_SECONDS, METRICS_MAX_AGE_SECONDS, Housekeeping
from ingest.model.envelope import Envelope, ReceivedMessage, SourceRef
from ingest.model.outcome import Delivered, Outcome, State, Waiting
from ingest.store import StoreUnavailable
from ingest.store.messages import Store
from ingest.store.opening import open_store

START = 1_700_000_000.0
DELIVERED = Delivered(ticket_id="t1", ticket_message_id="m1")


class KeptStore:
    """A store, its housekeeping, and a clock that the test sets."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = START
        self.housekeeping = Housekeeping(store, clock=lambda: self.now, waiting_limit=DAY_SECONDS, retention_days=30)

    async def receive(self, name: str) -> str:
        message = ReceivedMessage(
            envelope=Envelope(mail_from="a@b.example", rcpt_tos=("c@d.example",)),
            content=b"mail",
            source_ref=SourceRef(source="smtp:25"),
            received_at=self.now,
        )
        return await self.store.receive(message, queue_id=name, dedupe_key=name)

    async def settle(self, name: str, outcome: Outcome) -> str:
        queue_id = await self.receive(name)
        (queued,) = await self.store.claim(limit=1, now=self.now, lease=60)
        assert await self.store.settle(queue_id, queued.lease_token, outcome, now=self.now)
        return queue_id


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[KeptStore]:
    async with open_store(f"sqlite:///{tmp_path}/ingest.db") as store:
        yield KeptStore(store)


def metric(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def test_a_mail_that_has_waited_too_long_is_left_to_a_person(kept: KeptStore) -> None:
    queue_id = await kept.settle("Q", Waiting(missing=("x@y.example",)))
    kept.now += DAY_SECONDS + 1
    await kept.housekeeping.run_once()
    record = await kept.store.message(queue_id)
    assert record is not None
    assert record.state is State.QUARANTINED


async def test_content_of_a_delivered_mail_goes_after_the_retention_time_and_the_facts_stay(
    kept: KeptStore,
) -> None:
    queue_id = await kept.settle("Q", DELIVERED)
    await kept.housekeeping.run_once()
    assert await kept.store.content(queue_id) == b"mail"
    kept.now += 30 * DAY_SECONDS + 1
    await kept.housekeeping.run_once()
    record = await kept.store.message(queue_id)
    assert record is not None
    assert (record.has_content, record.state) == (False, State.DELIVERED)
    assert (await kept.store.ledger(now=kept.now)).holds


async def test_the_metrics_count_states_and_the_age_of_the_oldest(kept: KeptStore) -> None:
    await kept.settle("Q1", DELIVERED)
    await kept.receive("Q2")
    kept.now += 10
    await kept.receive("Q3")
    kept.now += 5
    await kept.housekeeping.refresh_metrics()
    assert metric("ingest_messages", state="queued") == 2
    assert metric("ingest_messages", state="delivered") == 1
    assert metric("ingest_oldest_queued_seconds") == 15
    assert metric("ingest_ledger_holds") == 1


async def test_metrics_are_counted_again_only_when_they_are_old(kept: KeptStore) -> None:
    await kept.housekeeping.refresh_metrics()
    await kept.receive("Q1")
    await kept.housekeeping.refresh_metrics()
    assert metric("ingest_messages", state="queued") == 0
    kept.now += METRICS_MAX_AGE_SECONDS
    await kept.housekeeping.refresh_metrics()
    assert metric("ingest_messages", state="queued") == 1


async def test_a_ledger_that_does_not_hold_is_an_alarm(
    kept: KeptStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await kept.settle("Q1", DELIVERED)
    connection = apsw.Connection(str(tmp_path / "ingest.db"))
    connection.execute("PRAGMA foreign_keys = OFF; DELETE FROM messages")
    connection.close()
    await kept.housekeeping.run_once()
    assert metric("ingest_ledger_holds") == 0
    told = capsys.readouterr()
    assert "ledger does not hold" in told.err + told.out


async def test_a_store_that_fails_stops_neither_the_rounds_nor_a_scrape(
    kept: KeptStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = asyncio.Event()

    async def fail(**_facts: object) -> int:
        failed.set()
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(kept.store, "expire_waiting", fail)
    monkeypatch.setattr(kept.store, "ledger", fail)
    await kept.housekeeping.refresh_metrics()
    running = asyncio.create_task(kept.housekeeping.run())
    failed.clear()
    await asyncio.wait_for(failed.wait(), 10)
    await asyncio.sleep(0)
    assert not running.done()
    running.cancel()


async def test_facts_go_after_their_own_time_and_not_before_the_content(kept: KeptStore) -> None:
    kept.housekeeping.use_limits(waiting_limit=DAY_SECONDS, retention_days=30, facts_days=1)
    await kept.settle("Q", DELIVERED)
    kept.now += 29 * DAY_SECONDS
    await kept.housekeeping.run_once()
    assert await kept.store.message("Q") is not None
    kept.now += 2 * DAY_SECONDS
    await kept.housekeeping.run_once()
    assert await kept.store.message("Q") is None
    assert metric("ingest_ledger_holds") == 1


async def test_facts_stay_for_ever_unless_a_time_is_set(kept: KeptStore) -> None:
    await kept.settle("Q", DELIVERED)
    kept.now += 10_000 * DAY_SECONDS
    await kept.housekeeping.run_once()
    assert await kept.store.message("Q") is not None
