"""The whole way: a reply delivered to a mailbox of a real Dovecot is a message of its ticket, and once."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ingest.model.outcome import State
from tests.support.dovecot import PASSWORD, Dovecot, dovecot
from tests.support.sandbox_worker import DOMAIN, World, eventually, new_world, reply

USER = f"help@{DOMAIN}"
SETTINGS = """
[[imap]]
name = "support"
host = "127.0.0.1"
port = {port}
security = "none"
user = "{user}"
password = "{password}"
first = "all"
after = "seen"
"""


@pytest.fixture
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


@pytest.fixture
async def world(server: Dovecot, tmp_path: Path) -> AsyncIterator[World]:
    settings = tmp_path / "mailboxes.toml"
    settings.write_text(SETTINGS.format(port=server.port, user=USER, password=PASSWORD))
    async with new_world(tmp_path) as running:
        running.environment["INGEST_CONFIG"] = str(settings)
        yield running


async def test_a_reply_in_a_mailbox_becomes_a_message_of_its_ticket(server: Dovecot, world: World) -> None:
    world.start()
    server.deliver(USER, reply("written before the start"))
    await eventually(lambda: world.posted("written before the start") == 1, "the first reply is posted")
    server.deliver(USER, reply("written while it waits"))
    await eventually(lambda: world.posted("written while it waits") == 1, "the second reply is posted")


async def test_a_killed_worker_and_a_mailbox_numbered_anew_post_each_reply_once(server: Dovecot, world: World) -> None:
    texts = [f"reply number {number}." for number in range(12)]
    server.deliver(USER, *(reply(text) for text in texts[:6]))
    world.start()
    await eventually(lambda: world.posted("reply number") >= 2, "some are posted")
    world.kill()
    before = (await world.ledger()).accepted
    server.stop()
    server.renew_uid_validity(USER)
    server.start()
    server.deliver(USER, *(reply(text) for text in texts[6:]))
    world.start()

    async def all_settled() -> bool:
        ledger = await world.ledger()
        known = {state: number for state, number in ledger.by_state.items() if number}
        return known == {State.DELIVERED: len(texts), State.DISCARDED: before}

    await eventually(all_settled, "each reply is delivered, and what came twice is discarded as a duplicate")
    assert [world.posted(text) for text in texts] == [1] * len(texts)
