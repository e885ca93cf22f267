"""Each mail is posted once, also where the API finishes a POST late, shows it late, or shows it otherwise.

Where the message that an earlier attempt posted cannot be told any more, the mail is held as perhaps posted."""

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ingest.sandbox import Fault
from tests.support.sandbox_worker import INGEST, TICKET, World, eventually, free_port, reply

POSTS = "/api/ticket-messages"
OTHER_TICKET = "cm7t6rnt9rbxhyutrhkf5hsft"
TOKEN_USER = "cm6u79ar4ootxgz07yhl7irat"
STEPPED = [sys.executable, "-m", "tests.support.stepped_clock"]


async def deliver_to_many_tickets(world: World, count: int) -> list[str]:
    """Deliver ``count`` mails to as many tickets as there are, and return their texts."""
    tickets = [ticket for ticket, facts in world.sandbox.state.tickets.items() if not facts["mergedIntoId"]]
    texts = [f"mail number {n:03d}" for n in range(count)]
    for n, text in enumerate(texts):
        ticket = tickets[n % len(tickets)]
        await world.deliver(reply(text, ticket=ticket), ticket=ticket)
    return texts


async def was_hit(world: World, times: int) -> bool:
    return await world.faults() >= times


def doubled(world: World, texts: list[str]) -> dict[str, int]:
    """The texts that were not posted exactly once, each with how often it was."""
    return {text: times for text in texts if (times := world.posted(text)) != 1}


def assert_delivered_or_held(world: World) -> None:
    assert {(state, rule) for state, rule, _reason in world.rows()} <= {
        ("delivered", ""),
        ("quarantined", "perhaps-posted"),
    }


async def test_posts_that_outlive_a_killed_worker_are_not_doubled(world: World) -> None:
    await world.order(Fault(method="POST", path=POSTS, effect_after=3, times=None))
    world.environment |= {"INGEST_API_TIMEOUT": "4"}
    world.start()
    texts = await deliver_to_many_tickets(world, 20)
    await eventually(lambda: was_hit(world, 4), "POSTs are on their way")
    world.kill()
    world.start()
    await eventually(lambda: world.settled(20), "all mails are delivered")
    assert doubled(world, texts) == {}


async def test_an_effect_that_comes_after_our_time_out_is_not_doubled(world: World) -> None:
    world.environment |= {"INGEST_API_TIMEOUT": "1", "INGEST_SETTLE": "3"}
    await world.order(Fault(method="POST", path=POSTS, effect_after=3))
    world.start()
    await world.deliver(reply("a mail"))
    await eventually(lambda: world.ended(1), "it is delivered")
    assert doubled(world, ["a mail"]) == {}
    assert [(state, rule) for state, rule, _reason in world.rows()] == [("delivered", "")]


async def test_a_list_that_shows_a_message_late_doubles_nothing(world: World) -> None:
    world.environment |= {"INGEST_API_TIMEOUT": "1", "INGEST_SETTLE": "0.5", "INGEST_SECOND_LOOK": "4"}
    world.behave(list_after=3)
    await world.order(Fault(method="POST", path=POSTS, effect=True, cut=True))
    world.start()
    await world.deliver(reply("a mail"))
    await eventually(lambda: world.ended(1), "it is delivered")
    assert doubled(world, ["a mail"]) == {}


@pytest.mark.parametrize("seconds", [-3600, 3600])
async def test_a_clock_that_steps_during_a_post_doubles_nothing(world: World, tmp_path: Path, seconds: int) -> None:
    step = tmp_path / "step"
    step.write_text("0")
    await world.order(Fault(method="POST", path=POSTS, effect=True, delay=3600))
    world.start([*STEPPED, str(step)])
    await world.deliver(reply("a mail"))
    await eventually(lambda: world.posted("a mail") == 1, "the POST has its effect")
    step.write_text(str(seconds))
    await eventually(lambda: world.ended(1), "it is delivered")
    assert doubled(world, ["a mail"]) == {}
    assert_delivered_or_held(world)


@pytest.mark.parametrize("seconds", [-3600, 3600])
async def test_a_clock_that_steps_while_the_worker_is_dead_doubles_nothing(
    world: World, tmp_path: Path, seconds: int
) -> None:
    step = tmp_path / "step"
    step.write_text("0")
    await world.order(Fault(method="POST", path=POSTS, effect=True, delay=3600))
    world.start([*STEPPED, str(step)])
    await world.deliver(reply("a mail"))
    await eventually(lambda: world.posted("a mail") == 1, "the POST has its effect")
    world.kill()
    step.write_text(str(seconds))
    world.start([*STEPPED, str(step)])
    await eventually(lambda: world.ended(1), "it is delivered")
    assert doubled(world, ["a mail"]) == {}
    assert_delivered_or_held(world)


BEHAVIOURS: list[dict[str, Any]] = [
    {"content": "paragraphs"},
    {"content": "reflowed"},
    {"content": "escaped"},
    {"source": "INTEGRATION"},
    {"author_id": TOKEN_USER},
    {"clock_offset": 600},
    {"clock_offset": -600},
    {"clock_offset": -600, "date_offset": -600},
    {"ascending": True},
    {"page_limit": 1},
    {"author_id": TOKEN_USER, "content": "paragraphs", "source": "INTEGRATION", "clock_offset": -600, "page_limit": 2},
]


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=str)
@pytest.mark.parametrize("knows_the_api", [False, True], ids=["fresh", "after a first mail"])
async def test_a_post_in_doubt_is_recognised_whatever_the_api_makes_of_it(
    world: World, behaviour: dict[str, Any], knows_the_api: bool
) -> None:
    world.behave(**behaviour)
    world.start()
    first = 0
    if knows_the_api:
        await world.deliver(reply("the first mail", ticket=OTHER_TICKET), ticket=OTHER_TICKET)
        await eventually(lambda: world.settled(1), "the first mail is delivered")
        first = 1
    await world.order(Fault(method="POST", path=POSTS, effect=True, cut=True, times=5))
    texts = await deliver_to_many_tickets(world, 5)
    await eventually(lambda: world.ended(first + 5), "no mail is left to do")
    assert doubled(world, texts) == {}
    assert_delivered_or_held(world)


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=str)
async def test_a_fresh_worker_recognises_a_post_whatever_the_api_makes_of_it(
    world: World, behaviour: dict[str, Any]
) -> None:
    world.behave(**behaviour)
    await world.order(Fault(method="POST", path=POSTS, effect=True, delay=3600, times=None))
    world.start()
    texts = await deliver_to_many_tickets(world, 5)
    await eventually(lambda: len(world.sandbox.state.posts) == 5, "the POSTs have had their effects")
    world.kill()
    await world.forget()
    world.start()
    await eventually(lambda: world.ended(5), "no mail is left to do")
    assert doubled(world, texts) == {}
    assert_delivered_or_held(world)


def _edited(world: World, message_id: str) -> None:
    world.sandbox.state.edit_message(message_id, {"content": "an agent shortened this"})


def _deleted(world: World, message_id: str) -> None:
    world.sandbox.state.edit_message(message_id, {"deleted": True})


def _emptied(world: World, message_id: str) -> None:
    world.sandbox.state.edit_message(message_id, {"deleted": True, "content": ""})


def _merged(world: World, _message_id: str) -> None:
    world.sandbox.state.merge(TICKET, OTHER_TICKET)


def _moved(world: World, _message_id: str) -> None:
    world.sandbox.state.merge(TICKET, OTHER_TICKET, move_messages=True)


@pytest.mark.parametrize("act", [_edited, _deleted, _emptied, _merged, _moved])
@pytest.mark.parametrize("dies", [True, False], ids=["killed", "timed out"])
async def test_what_an_agent_does_with_a_posted_message_doubles_nothing(
    world: World, act: Callable[[World, str], None], dies: bool
) -> None:
    await world.order(Fault(method="POST", path=POSTS, effect=True, delay=3600))
    world.start()
    await world.deliver(reply("a mail"))
    await eventually(lambda: world.posted("a mail") == 1, "the POST has its effect")
    act(world, world.sandbox.state.posts[0]["id"])
    if dies:
        world.kill()
        world.start()
    await eventually(lambda: world.ended(1), "no mail is left to do")
    assert doubled(world, ["a mail"]) == {}
    assert_delivered_or_held(world)


async def test_a_ticket_of_many_messages_is_searched_from_its_end(world: World) -> None:
    message = {"ticketId": TICKET, "authorId": TOKEN_USER, "content": "old", "source": "EMAIL", "private": False}
    world.behave(clock_offset=-86_400)
    for _ in range(10_000):
        world.sandbox.state.post_message(message, "")
    world.behave()
    await world.order(Fault(method="POST", path=POSTS, effect=True, cut=True))
    world.start()
    await world.deliver(reply("a mail"))
    await eventually(lambda: world.ended(1), "it is delivered")
    assert doubled(world, ["a mail"]) == {}
    assert [(state, rule) for state, rule, _reason in world.rows()] == [("delivered", "")]
    assert (await world.requests())["GET /api/ticket-messages"] <= 4


async def test_a_429_that_had_its_effect_is_not_posted_again_also_where_the_list_is_late(world: World) -> None:
    world.environment["INGEST_SETTLE"] = "2"
    world.behave(list_after=1)
    await world.order(Fault(method="POST", path=POSTS, status=429, retry_after="0", effect=True))
    world.start()
    await world.deliver(reply("a mail"))
    await eventually(lambda: world.ended(1), "it is delivered")
    assert doubled(world, ["a mail"]) == {}


async def test_a_look_that_fails_posts_nothing(world: World) -> None:
    await world.order(Fault(method="POST", path=POSTS, effect=True, cut=True))
    await world.order(Fault(method="GET", path=POSTS, status=500, times=3))
    world.start()
    await world.deliver(reply("a mail"))
    await eventually(lambda: world.ended(1), "it is delivered")
    assert doubled(world, ["a mail"]) == {}


@pytest.mark.parametrize("has_id", [True, False], ids=["with Message-ID", "without"])
async def test_one_mail_by_two_of_our_addresses_is_posted_once(world: World, has_id: bool) -> None:
    mail = reply("a mail to two addresses")
    if not has_id:
        mail = b"".join(line for line in mail.splitlines(keepends=True) if not line.startswith(b"Message-ID"))
    world.environment["INGEST_RETRY_FIRST"] = "2"
    await world.order(Fault(method="GET", path="/api/", status=500))
    world.start()
    await world.deliver(mail)
    await eventually(world.played, "the first copy's look-up fails")
    world.submit(mail, recipient=f"support+TAI-{TICKET}@mail.ravenna.example")
    await eventually(lambda: world.ended(2), "no mail is left to do")
    assert doubled(world, ["a mail to two addresses"]) == {}
    assert sorted((state, rule) for state, rule, _reason in world.rows()) == [
        ("delivered", ""),
        ("discarded", "duplicate"),
    ]


@pytest.mark.parametrize(("window", "posts"), [("0.001", 2), ("14400", 1)])
async def test_equal_mails_without_date_and_message_id_are_two_after_a_time(
    world: World, window: str, posts: int
) -> None:
    mail = b"From: <alice@customer.example>\r\nSubject: still broken\r\n\r\nit is still broken\r\n"
    world.environment["INGEST_DUPLICATE_WINDOW"] = window
    world.start()
    await world.deliver(mail)
    await eventually(lambda: world.ended(1), "the first is delivered")
    world.submit(mail)
    await eventually(lambda: all(state != "queued" for state, _rule, _reason in world.rows()), "nothing is left to do")
    assert world.posted("it is still broken") == posts


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as database, closing(sqlite3.connect(target)) as copy:
        database.backup(copy)


async def test_a_backup_restored_after_its_queued_mail_was_delivered_doubles_nothing(
    world: World, tmp_path: Path
) -> None:
    await world.order(Fault(status=503, times=None))
    world.start()
    texts = await deliver_to_many_tickets(world, 10)
    _copy(world.database, tmp_path / "backup.db")
    await world.forget()
    await eventually(lambda: world.settled(10), "all mails are delivered")
    world.stop()
    for name in ("ingest.db", "ingest.db-wal", "ingest.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "backup.db").rename(world.database)
    world.start()
    await eventually(lambda: world.ended(10), "no mail is left to do")
    assert doubled(world, texts) == {}
    assert_delivered_or_held(world)


async def test_a_second_worker_without_the_lock_file_doubles_nothing(world: World, tmp_path: Path) -> None:
    await world.order(Fault(method="POST", path=POSTS, effect_after=1.5, times=None))
    world.environment["INGEST_API_TIMEOUT"] = "5"
    world.start()
    texts = await deliver_to_many_tickets(world, 8)
    await eventually(lambda: was_hit(world, 4), "POSTs are on their way")
    (tmp_path / "ingest.db.lock").unlink()
    first = world.worker
    world.environment["INGEST_SMTP_LISTEN"] = f"127.0.0.1:{free_port()}"
    world.start(INGEST)
    second, world.worker = world.worker, first
    assert second is not None
    try:
        await eventually(lambda: world.ended(8), "no mail is left to do")
        assert doubled(world, texts) == {}
        assert_delivered_or_held(world)
    finally:
        second.kill()
        second.wait()
