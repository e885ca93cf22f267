"""``ingest loops``: what is paused, and that an operator resumes it with one command."""

import asyncio
import json
from pathlib import Path

import pytest

from ingest.model.loops import LoopLimits
from ingest.model.outcome import Delivered, Quarantined, RuleName, State
from ingest.store.messages import Store
from ingest.store.opening import open_database
from tests.support.commands import Shell
from tests.support.store import START, claim_one, identify, receive

LIMITS = LoopLimits(equal_posts=2)


@pytest.fixture
def ingest(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    url = f"sqlite:///{tmp_path}/ingest.db"
    asyncio.run(a_loop(url))
    return Shell(capsys, {"INGEST_DATABASE_URL": url})


async def a_loop(url: str) -> None:
    """Three mails with the same words: one is posted, two are held."""
    async with open_database(url) as database:
        store = Store(database, loop_limits=LIMITS)
        for number in (1, 2, 3):
            await receive(store, number)
            now = START + 2000 + number
            queued = await claim_one(store, now=now)
            found = await identify(
                store,
                queued,
                ticket_id="T1",
                words_key="away",
                written_at=START + number,
                content_digest=str(number),
                ticket_names={"TAI-1": "T1"},
            )
            held = Quarantined(rule=RuleName.PAUSED, reason="a loop is likely")
            outcome = held if found.pause else Delivered(ticket_id="T1", ticket_message_id=f"M{number}")
            await store.settle(queued.queue_id, queued.lease_token, outcome, now=now)


def states(ingest: Shell) -> dict[str, str]:
    rows = map(json.loads, ingest("messages", "list", "--json").out.splitlines())
    return {row["queue_id"]: row["state"] for row in rows}


def test_list_says_what_is_paused_and_how_many_mails_wait(ingest: Shell) -> None:
    [row] = map(json.loads, ingest("loops", "list", "--json").out.splitlines())
    assert (row["ticket_id"], row["sender"], row["held"]) == ("T1", "alice@customer.example", 2)
    assert "equal words" in ingest("loops", "list").out


@pytest.mark.parametrize(
    ("option", "state"), [("--release", State.QUEUED), ("--discard", State.DISCARDED), ("", State.QUARANTINED)]
)
def test_resume_ends_the_pause_and_settles_what_waited(ingest: Shell, option: str, state: State) -> None:
    ingest("loops", "resume", "TAI-1", *filter(None, [option]))
    assert ingest("loops", "list", "--json").out == ""
    assert states(ingest) == {"Q1": "delivered", "Q2": state, "Q3": state}


def test_resume_of_a_ticket_that_is_not_paused_says_so(ingest: Shell) -> None:
    assert ingest("loops", "resume", "T2").code != 0
