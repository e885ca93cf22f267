"""The mailboxes of ``fixtures/mailboxes``, replayed into a worker: once, and once more."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ingest.app import Engine
from ingest.outcome import State
from ingest.sandbox import Sandbox
from ingest.sources import replay
from ingest.store import Ledger, MessageRecord
from tests.engines import started
from tests.fixture_mails import FIXTURES

MAILBOXES = FIXTURES / "mailboxes"
MiB = 1024 * 1024
Expected = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a mailbox became, after it was replayed twice."""

    expected: Expected
    records: Sequence[MessageRecord]
    """In the order of the mailbox."""
    again: Sequence[str]
    """The queue ids that the second replay was answered with."""
    posts: Sequence[Mapping[str, Any]]
    posts_after_first: int
    ledger: Ledger


@pytest.fixture(scope="module", params=["replies.mbox", "maildir"])
def replayed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    mailbox = MAILBOXES / request.param
    expected = json.loads((MAILBOXES / f"{request.param}.json").read_text("utf-8"))
    return asyncio.run(_replay_twice(mailbox, expected, tmp_path_factory.mktemp("replayed") / "ingest.db"))


async def _replay_twice(mailbox: Path, expected: Expected, database: Path) -> Replayed:
    async with started(database) as (engine, sandbox):
        first = await _replay(engine, mailbox)
        posts_after_first = len(sandbox.desk.posts)
        again = await _replay(engine, mailbox)
        records = [record for queue_id in first if (record := await engine.store.message(queue_id)) is not None]
        return Replayed(
            expected=expected,
            records=records,
            again=again,
            posts=_posted(sandbox),
            posts_after_first=posts_after_first,
            ledger=await engine.store.ledger(now=time.time()),
        )


async def _replay(engine: Engine, mailbox: Path) -> list[str]:
    """Take all of it in before anything is worked on, as a worker that was down for the night would find it."""
    queue_ids = []
    for mail in replay.read([mailbox], limit=MiB):
        assert isinstance(mail, replay.StoredMail), mail
        queue_ids.append(await engine.receiver.receive(replay.received(mail, received_at=time.time())))
    await engine.worker.run_until_idle()
    return queue_ids


def _posted(sandbox: Sandbox) -> list[Mapping[str, Any]]:
    return [sandbox.desk.messages[str(post["id"])] for post in sandbox.desk.posts]


def test_a_mailbox_holds_at_least_thirty_replies(replayed: Replayed) -> None:
    assert sum(item["state"] == State.DELIVERED for item in replayed.expected) >= 30


def test_each_mail_ends_in_its_state(replayed: Replayed) -> None:
    expected = [
        (item["message_id"], item["state"], item.get("rule", ""), item["ticket_id"]) for item in replayed.expected
    ]
    assert expected == [(record.message_id, record.state, record.rule, record.ticket_id) for record in replayed.records]


def test_each_reply_is_on_its_ticket_exactly_once(replayed: Replayed) -> None:
    wanted = Counter(
        (item["ticket_id"], item["content"]) for item in replayed.expected if item["state"] == State.DELIVERED
    )
    assert wanted == Counter((post["ticketId"], post["content"]) for post in replayed.posts)


def test_each_reply_has_its_author(replayed: Replayed) -> None:
    posts = {post["id"]: post for post in replayed.posts}
    for record in replayed.records:
        if record.state is State.DELIVERED:
            author = posts[record.ticket_message_id]["author"]
            assert author["email"].lower() == record.sender.lower()


def test_replies_of_a_ticket_keep_their_order(replayed: Replayed) -> None:
    """But for the child that had to wait for its parent."""
    waited = {record.ticket_message_id for record in replayed.records if _has_waited(record)}
    tickets = {str(post["ticketId"]) for post in replayed.posts}
    for ticket_id in tickets:
        wanted = [record.ticket_message_id for record in _delivered(replayed) if record.ticket_id == ticket_id]
        found = [post["id"] for post in replayed.posts if post["ticketId"] == ticket_id]
        assert [posted for posted in wanted if posted not in waited] == [
            posted for posted in found if posted not in waited
        ]


def test_a_child_waits_for_its_parent_and_follows_it(replayed: Replayed) -> None:
    (child,) = (record for record in _delivered(replayed) if _has_waited(record))
    (parent,) = (record for record in replayed.records if "-parent@" in (record.message_id or ""))
    order = [post["id"] for post in replayed.posts]
    assert order.index(parent.ticket_message_id) < order.index(child.ticket_message_id)


def _delivered(replayed: Replayed) -> list[MessageRecord]:
    return [record for record in replayed.records if record.state is State.DELIVERED]


def _has_waited(record: MessageRecord) -> bool:
    return any(attempt.outcome == "Waiting" for attempt in record.history)


def test_a_second_replay_meets_the_same_rows_and_posts_nothing(replayed: Replayed) -> None:
    assert list(replayed.again) == [record.queue_id for record in replayed.records]
    assert len(replayed.posts) == replayed.posts_after_first


def test_the_ledger_holds(replayed: Replayed) -> None:
    assert replayed.ledger.holds
    assert replayed.ledger.accepted == len(replayed.expected)
