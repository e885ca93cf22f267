"""Housekeeping on a real store: old waits end, old octets go, the figures are right."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest
from prometheus_client import REGISTRY

from ingest.housekeeping import DAY, FIGURES_SECONDS, Housekeeping
from ingest.model.envelope import Envelope, ReceivedMessage, SourceRef
from ingest.model.outcome import Delivered, Outcome, State, Waiting
from ingest.store import StoreUnavailable
from ingest.store.messages import Store
from ingest.store.opening import open_store

START = 1_700_000_000.0
DELIVERED = Delivered(ticket_id="t1", ticket_message_id="m1")


class LocalAddresses:
    """A store, its housekeeping, and a clock that the test turns."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = START
        self.stopped = False
        self.keeping = Housekeeping(
            store, clock=lambda: self.now, waiting_limit=DAY, retention_days=30, is_stopped=lambda: self.stopped
        )

    async def receive(self, name: str) -> str:
        message = ReceivedMessage(
            envelope=Envelope(mail_from="a@b.example", rcpt_tos=("c@d.example",)),
            content=b"mail",
            source_ref=SourceRef(source="smtp:25"),
            received_at=self.now,
        )
        return await self.store.receive(message, queue_id=name, dedupe_key=name)

    async def take_in(self, name: str, outcome: Outcome) -> str:
        queue_id = await self.receive(name)
        (queued,) = await self.store.claim(limit=1, now=self.now, lease=60)
        assert await self.store.settle(queue_id, queued.lease_token, outcome, now=self.now)
        return queue_id


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[LocalAddresses]:
    async with open_store(f"sqlite:///{tmp_path}/ingest.db") as store:
        yield LocalAddresses(store)


def figure(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def test_a_mail_that_has_waited_too_long_is_left_to_a_person(house: LocalAddresses) -> None:
    queue_id = await house.take_in("Q", Waiting(missing=("x@y.example",)))
    house.now += DAY + 1
    await house.keeping.round()
    record = await house.store.message(queue_id)
    assert record is not None
    assert record.state is State.QUARANTINED


async def test_octets_of_a_delivered_mail_go_after_the_retention_time_and_the_facts_stay(house: LocalAddresses) -> None:
    queue_id = await house.take_in("Q", DELIVERED)
    await house.keeping.round()
    assert await house.store.content(queue_id) == b"mail"
    house.now += 30 * DAY + 1
    await house.keeping.round()
    record = await house.store.message(queue_id)
    assert record is not None
    assert (record.has_content, record.state) == (False, State.DELIVERED)
    assert (await house.store.ledger(now=house.now)).holds


async def test_the_figures_count_states_and_the_age_of_the_oldest(house: LocalAddresses) -> None:
    await house.take_in("Q1", DELIVERED)
    await house.receive("Q2")
    house.now += 10
    await house.receive("Q3")
    house.now += 5
    await house.keeping.refresh()
    assert figure("ingest_messages", state="queued") == 2
    assert figure("ingest_messages", state="delivered") == 1
    assert figure("ingest_oldest_queued_seconds") == 15
    assert figure("ingest_ledger_holds") == 1


async def test_figures_are_counted_again_only_when_they_are_old(house: LocalAddresses) -> None:
    await house.keeping.refresh()
    await house.receive("Q1")
    await house.keeping.refresh()
    assert figure("ingest_messages", state="queued") == 0
    house.now += FIGURES_SECONDS
    await house.keeping.refresh()
    assert figure("ingest_messages", state="queued") == 1


async def test_a_refused_token_shows_at_once(house: LocalAddresses) -> None:
    await house.keeping.refresh()
    assert figure("ingest_sending_stopped") == 0
    house.stopped = True
    await house.keeping.refresh()
    assert figure("ingest_sending_stopped") == 1


async def test_a_ledger_that_does_not_hold_is_an_alarm(
    house: LocalAddresses, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await house.take_in("Q1", DELIVERED)
    connection = apsw.Connection(str(tmp_path / "ingest.db"))
    connection.execute("PRAGMA foreign_keys = OFF; DELETE FROM messages")
    connection.close()
    await house.keeping.round()
    assert figure("ingest_ledger_holds") == 0
    told = capsys.readouterr()
    assert "ledger does not hold" in told.err + told.out


async def test_a_store_that_fails_stops_neither_the_rounds_nor_a_scrape(
    house: LocalAddresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = asyncio.Event()

    async def fail(**_facts: object) -> int:
        failed.set()
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(house.store, "expire_waiting", fail)
    monkeypatch.setattr(house.store, "ledger", fail)
    await house.keeping.refresh()
    running = asyncio.create_task(house.keeping.run())
    failed.clear()
    await asyncio.wait_for(failed.wait(), 10)
    await asyncio.sleep(0)
    assert not running.done()
    running.cancel()
