"""SIGKILL at each crash point, and under load: afterwards each accepted mail is at the API exactly once."""

import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ingest.sandbox import Fault
from tests.support.attachments import mail, part
from tests.support.crash_victim import POINTS
from tests.support.sandbox_worker import World, eventually, new_world, reply

MAILS = 120
KILLS = 6
MAILS_WITH_FILES = 30


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with new_world(tmp_path) as made:
        yield made


@pytest.mark.parametrize("point", POINTS)
async def test_a_worker_killed_at_a_crash_point_neither_loses_nor_doubles_the_mail(world: World, point: str) -> None:
    world.start([sys.executable, "-m", "tests.support.crash_victim", point])
    sending = asyncio.create_task(world.deliver(reply("a mail that must survive")))
    assert await world.died() == -signal.SIGKILL
    world.start()
    await sending
    await eventually(lambda: world.settled(1), "the mail is delivered")
    assert world.posted("a mail that must survive") == 1


@pytest.mark.parametrize("has_effect", [True, False], ids=["after the effect", "before the effect"])
async def test_c4_a_worker_killed_in_mid_post_neither_loses_nor_doubles_the_mail(
    world: World, has_effect: bool
) -> None:
    await world.order(Fault(method="POST", path="/api/ticket-messages", effect=has_effect, cut=True, delay=3600))
    world.start()
    await world.deliver(reply("a mail in mid-air"))
    await eventually(world.played, "the POST is on its way")
    await eventually(lambda: world.posted("a mail in mid-air") == has_effect, "the POST has had its effect or not")
    world.kill()
    world.start()
    await eventually(lambda: world.settled(1), "the mail is delivered")
    assert world.posted("a mail in mid-air") == 1


async def test_a_worker_that_reads_otherwise_after_its_death_does_not_double_the_mail(world: World) -> None:
    """A newer version, or other settings, may compose another text out of the same mail."""
    world.environment["INGEST_FALLBACK_AUTHOR_ID"] = world.author("unknown-sender@mail.ravenna.example")
    await world.order(Fault(method="POST", path="/api/ticket-messages", effect=True, cut=True, delay=3600))
    world.start()
    await world.deliver(reply("a mail in mid-air", sender="stranger@elsewhere.example"))
    await eventually(lambda: world.posted("a mail in mid-air") == 1, "the POST has had its effect")
    world.kill()
    world.environment["INGEST_CONTENT_FORMAT"] = "plain"
    world.start()
    await eventually(lambda: world.settled(1), "the mail is delivered")
    assert world.posted("a mail in mid-air") == 1


async def posts_reach(world: World, count: int) -> None:
    await eventually(lambda: len(world.sandbox.state.posts) >= count, f"{count} mails are posted")


async def test_a_worker_killed_again_and_again_under_load_neither_loses_nor_doubles_a_mail(world: World) -> None:
    chance = random.Random(20261123)
    tickets = [ticket for ticket, facts in world.sandbox.state.tickets.items() if not facts["mergedIntoId"]]
    sending = asyncio.gather(
        *(
            world.deliver(
                reply(f"mail number {n:03d}", ticket=tickets[n % len(tickets)]), ticket=tickets[n % len(tickets)]
            )
            for n in range(MAILS)
        )
    )
    for _ in range(KILLS):
        world.start()
        await posts_reach(world, len(world.sandbox.state.posts) + chance.randint(1, MAILS // KILLS - 2))
        world.kill()
    world.start()
    await sending
    await eventually(lambda: world.settled(MAILS), "all mails are delivered")
    assert {n: world.posted(f"mail number {n:03d}") for n in range(MAILS)} == dict.fromkeys(range(MAILS), 1)


async def test_a_worker_killed_again_and_again_brings_each_attachment_once_to_its_own_message(world: World) -> None:
    chance = random.Random(20261127)
    state = world.sandbox.state
    tickets = [ticket for ticket, facts in state.tickets.items() if not facts["mergedIntoId"]]
    files = {n: {f"{n}-{k}.bin": chance.randbytes(20_000 * k) for k in range(n % 5)} for n in range(MAILS_WITH_FILES)}

    async def send(n: int) -> None:
        ticket = tickets[n % len(tickets)]
        parts = [part(octets, "application/octet-stream", name) for name, octets in files[n].items()]
        await world.deliver(mail(f"mail number {n:03d}", *parts, ticket=ticket), ticket=ticket)

    sending = asyncio.gather(*map(send, files))
    for _ in range(KILLS):
        world.start()
        enough = len(state.attachments) + chance.randint(1, 8)
        await eventually(lambda enough=enough: len(state.attachments) >= enough, "more attachments are made")  # type: ignore[misc]
        world.kill()
    world.start()
    await sending
    await eventually(lambda: world.settled(MAILS_WITH_FILES), "all mails are delivered")
    number_of = {post["id"]: int(post["content"][-3:]) for post in state.posts}
    shown = [file for ticket in tickets for file in state.attachments_of(ticket)]
    arrived: dict[int, dict[str, bytes]] = {n: {} for n in number_of.values()}
    for file in shown:
        arrived[number_of[file["ticketMessageId"]]][file["filename"]] = state.uploads[file["id"]]
    assert len(state.posts) == MAILS_WITH_FILES
    assert arrived == files
    assert len(shown) == sum(map(len, files.values()))
