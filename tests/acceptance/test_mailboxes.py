"""The mailboxes of ``fixtures/mailboxes``, replayed by ``ingest replay``: once, and once more."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ingest.model.outcome import State
from ingest.sandbox import Sandbox
from ingest.store import Ledger, MessageRecord
from ingest.store.opening import open_store
from tests.support.engine import environment, told_by
from tests.support.fixture_mails import FIXTURES, SANDBOX

pytestmark = pytest.mark.xdist_group("mailboxes")

MAILBOXES = FIXTURES / "mailboxes"
NAMES = ("replies.mbox", "maildir")
Told = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What became of all mailboxes together, after they were replayed twice."""

    first: Told
    """What the command said of each mail, in the order of the mailboxes."""
    again: Told
    posts: Told
    """The ticket messages that the API has now, in the order in which they came."""
    posts_after_first: int
    records: Mapping[str, MessageRecord]
    ledger: Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """One of them, and what is expected of it."""

    expected: Told
    told: Told
    records: Sequence[MessageRecord]
    posts: Told


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    return asyncio.run(_replay_twice(tmp_path_factory.mktemp("replayed") / "ingest.db"))


@pytest.fixture(params=NAMES)
def mailbox(request: pytest.FixtureRequest, replayed: Replayed) -> Mailbox:
    told = [item for item in replayed.first if item["path"].startswith(str(MAILBOXES / request.param))]
    records = [replayed.records[item["queue_id"]] for item in told]
    owned = {record.ticket_message_id for record in records}
    return Mailbox(
        expected=json.loads((MAILBOXES / f"{request.param}.json").read_text("utf-8")),
        told=told,
        records=records,
        posts=[post for post in replayed.posts if post["id"] in owned],
    )


async def _replay_twice(database: Path) -> Replayed:
    async with Sandbox(data=SANDBOX) as sandbox:
        settings = environment(sandbox, database)
        paths = [str(MAILBOXES / name) for name in NAMES]
        first = await told_by(settings, "replay", *paths)
        posts_after_first = len(sandbox.state.posts)
        again = await told_by(settings, "replay", *paths)
        async with open_store(settings["INGEST_DATABASE_URL"]) as store:
            found = [await store.message(item["queue_id"]) for item in first]
            ledger = await store.ledger(now=time.time())
        return Replayed(
            first=first,
            again=again,
            posts=[sandbox.state.messages[str(post["id"])] for post in sandbox.state.posts],
            posts_after_first=posts_after_first,
            records={record.queue_id: record for record in found if record is not None},
            ledger=ledger,
        )


def test_a_mailbox_holds_at_least_thirty_replies(mailbox: Mailbox) -> None:
    assert sum(item["state"] == State.DELIVERED for item in mailbox.expected) >= 30


def test_each_mail_ends_in_its_state(mailbox: Mailbox) -> None:
    expected = [(item["state"], item.get("rule"), item["ticket_id"]) for item in mailbox.expected]
    assert expected == [(item["state"], item["rule"], item["ticket_id"]) for item in mailbox.told]
    assert [item["message_id"] for item in mailbox.expected] == [record.message_id for record in mailbox.records]


def test_each_mail_is_told_by_its_place(mailbox: Mailbox) -> None:
    assert [str(MAILBOXES / item["place"]) for item in mailbox.expected] == [item["path"] for item in mailbox.told]


def test_each_reply_is_on_its_ticket_exactly_once(mailbox: Mailbox) -> None:
    wanted = Counter((item["ticket_id"], item["content"]) for item in mailbox.expected if "content" in item)
    assert wanted == Counter((post["ticketId"], post["content"]) for post in mailbox.posts)


def test_each_reply_has_its_author(mailbox: Mailbox) -> None:
    authors = {post["id"]: post["author"]["email"].lower() for post in mailbox.posts}
    for record in _delivered(mailbox):
        assert authors[record.ticket_message_id] == record.sender.lower()


def test_replies_of_a_ticket_keep_their_order(mailbox: Mailbox) -> None:
    """But for the child that had to wait for its parent."""
    waited = {record.ticket_message_id for record in _delivered(mailbox) if _has_waited(record)}
    for ticket_id in {post["ticketId"] for post in mailbox.posts}:
        arrived = [record.ticket_message_id for record in _delivered(mailbox) if record.ticket_id == ticket_id]
        posted = [post["id"] for post in mailbox.posts if post["ticketId"] == ticket_id]
        assert [one for one in arrived if one not in waited] == [one for one in posted if one not in waited]


def test_a_child_waits_for_its_parent_and_follows_it(mailbox: Mailbox) -> None:
    (child,) = (record for record in _delivered(mailbox) if _has_waited(record))
    (parent,) = (record for record in mailbox.records if "-parent@" in (record.message_id or ""))
    order = [post["id"] for post in mailbox.posts]
    assert order.index(parent.ticket_message_id) < order.index(child.ticket_message_id)


def test_a_second_replay_knows_every_mail_and_posts_nothing(replayed: Replayed) -> None:
    assert [item["queue_id"] for item in replayed.again] == [item["queue_id"] for item in replayed.first]
    assert all(item["known"] for item in replayed.again)
    assert len(replayed.posts) == replayed.posts_after_first


def test_the_ledger_holds(replayed: Replayed) -> None:
    assert replayed.ledger.holds
    assert replayed.ledger.accepted == len(replayed.first)


def _delivered(mailbox: Mailbox) -> list[MessageRecord]:
    return [record for record in mailbox.records if record.state is State.DELIVERED]


def _has_waited(record: MessageRecord) -> bool:
    return any(attempt.outcome == "Waiting" for attempt in record.history)
