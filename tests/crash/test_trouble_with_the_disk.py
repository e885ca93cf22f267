"""A full disk and a locked database: the sender is asked to keep the mail (452), and all goes on by itself."""

import resource
import smtplib
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from tests.support.sandbox_worker import World, eventually, new_world, reply

BIG = "x" * 70 + "\r\n"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with new_world(tmp_path) as made:
        yield made


def refusal(world: World, content: bytes) -> int:
    """The code by which a mail is refused; 250 where it is not."""
    try:
        world.submit(content)
    except smtplib.SMTPResponseException as error:
        return error.smtp_code
    except smtplib.SMTPRecipientsRefused as error:
        return next(iter(error.recipients.values()))[0]
    return 250


async def test_mail_is_put_off_while_the_disk_is_full_and_taken_when_there_is_room_again(world: World) -> None:
    world.start()
    await world.deliver(reply("before the disk was full"))
    await eventually(lambda: world.settled(1), "the first mail is delivered")
    assert world.worker is not None
    limit = resource.prlimit(world.worker.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(world.worker.pid, resource.RLIMIT_FSIZE, (world.database.stat().st_size, limit[1]))
    assert refusal(world, reply("while the disk was full\r\n" + BIG * 20_000)) == 452
    resource.prlimit(world.worker.pid, resource.RLIMIT_FSIZE, limit)
    await world.deliver(reply("while the disk was full\r\n" + BIG * 20_000, name="full"))
    await eventually(lambda: world.settled(2), "the second mail is delivered")
    assert world.posted("while the disk was full") == 1


async def test_mail_is_put_off_while_the_database_is_locked_and_taken_when_it_is_free(world: World) -> None:
    world.start()
    await world.deliver(reply("before the lock"))
    await eventually(lambda: world.settled(1), "the first mail is delivered")
    other = apsw.Connection(str(world.database))
    other.execute("BEGIN IMMEDIATE")
    assert refusal(world, reply("while it was locked")) == 452
    other.execute("ROLLBACK")
    other.close()
    await world.deliver(reply("while it was locked"))
    await eventually(lambda: world.settled(2), "the second mail is delivered")
    assert world.posted("while it was locked") == 1
