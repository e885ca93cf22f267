"""Connections end: by silence, by age, by the client's leaving, by our own shutting down. No mail is lost by it."""

import asyncio

import pytest

from ingest.metrics import CONNECTIONS
from ingest.model.envelope import ReceivedMessage
from ingest.sources import SourceError
from tests.support.smtp import SECONDS, Inbox, connected, listening, smtp_source, until


class SlowStore:
    """Holds each mail until it is let go."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.waiting = 0
        self.go = asyncio.Event()
        inbox.receive = self.receive

    async def receive(self, message: ReceivedMessage) -> str:
        self.waiting += 1
        await self.go.wait()
        return await self.inbox.keep(message)


def open_connections() -> float:
    (metric,) = CONNECTIONS.collect()
    return metric.samples[0].value


async def test_a_silent_client_is_sent_away(inbox: Inbox) -> None:
    async with listening(inbox, smtp_idle=0.05) as source, connected(source) as client:
        assert (await client.reply()).startswith("421 4.4.2 ")
        assert await client.is_closed()


async def test_a_client_that_falls_silent_in_data_is_sent_away(inbox: Inbox) -> None:
    async with listening(inbox, smtp_idle=0.1) as source, connected(source) as client:
        await client.begin()
        client.send(b"Subject: ")
        assert (await client.reply()).startswith("421 4.4.2 ")
        assert await client.is_closed()
    assert inbox.messages == []


async def test_octets_that_come_slowly_are_not_silence_within_a_mail(inbox: Inbox) -> None:
    async with listening(inbox, smtp_idle=0.4) as source, connected(source) as client:
        loop = asyncio.get_running_loop()
        await client.begin()
        began = loop.time()
        while loop.time() < began + 1.0:
            client.send(b"x")
            await asyncio.sleep(0.05)
        client.send(b"\r\n.\r\n")
        assert (await client.reply()).startswith("250 2.0.0 ")


async def test_octets_that_come_slowly_do_not_make_a_command(inbox: Inbox) -> None:
    async with listening(inbox, smtp_idle=0.2) as source, connected(source) as client:
        reply = asyncio.ensure_future(client.reply())
        while not reply.done():
            client.send(b"x")
            await asyncio.sleep(0.02)
        assert reply.result().startswith("421 4.4.2 ")


async def test_no_connection_lasts_for_ever(inbox: Inbox) -> None:
    async with listening(inbox, smtp_session=0.3) as source, connected(source) as client:
        await client.begin()
        replies = asyncio.ensure_future(client.reply())
        while not replies.done():
            client.send(b"x")
            await asyncio.sleep(0.02)
        assert replies.result().startswith("421 4.4.2 ")
        assert inbox.messages == []


async def test_time_that_the_store_takes_is_not_the_clients_silence(inbox: Inbox) -> None:
    store = SlowStore(inbox)
    async with listening(inbox, smtp_idle=0.05) as source, connected(source) as client:
        await client.begin()
        client.send(b"text\r\n.\r\n")
        await until(lambda: store.waiting == 1)
        await asyncio.sleep(0.2)
        store.go.set()
        assert (await client.reply()).startswith("250 2.0.0 ")


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_a_mail_is_stored_although_its_client_leaves_meanwhile(inbox: Inbox, how: str) -> None:
    store = SlowStore(inbox)
    async with listening(inbox) as source:
        before = open_connections()
        async with connected(source) as client:
            await client.begin()
            client.send(b"text\r\n.\r\n")
            await until(lambda: store.waiting == 1)
            getattr(client.writer.transport, how)()
            await asyncio.sleep(0.05)
            store.go.set()
            await until(lambda: bool(inbox.messages))
        await until(lambda: open_connections() == before)
    assert inbox.body() == b"text\r\n"


async def test_a_connection_counts_until_it_ends(inbox: Inbox) -> None:
    async with listening(inbox, max_connections=1) as source:
        before = open_connections()
        for _ in range(3):
            async with connected(source) as client:
                assert open_connections() == before + 1
                await client.say("NOOP")
            await until(lambda: open_connections() == before)


async def test_draining_sends_idle_clients_away_and_listens_no_more(inbox: Inbox) -> None:
    async with listening(inbox) as source, connected(source) as silent, connected(source) as greeted:
        await greeted.say("EHLO client.example")
        await asyncio.wait_for(source.drain(SECONDS), SECONDS)
        for client in (silent, greeted):
            assert (await client.reply()).startswith("421 4.3.2 ")
            assert await client.is_closed()
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", source.port)


async def test_draining_lets_a_mail_that_has_begun_be_finished(inbox: Inbox) -> None:
    store = SlowStore(inbox)
    async with listening(inbox) as source, connected(source) as reading, connected(source) as storing:
        await reading.begin()
        await storing.begin()
        storing.send(b"one\r\n.\r\n")
        await until(lambda: store.waiting == 1)
        drained = asyncio.create_task(source.drain(SECONDS))
        await asyncio.sleep(0)
        reading.send(b"two\r\n.\r\n")
        await until(lambda: store.waiting == 2)
        store.go.set()
        for client in (reading, storing):
            assert (await client.reply()).startswith("250 2.0.0 ")
            assert (await client.reply()).startswith("421 4.3.2 ")
        await asyncio.wait_for(drained, SECONDS)
    assert len(inbox.messages) == 2


async def test_draining_ends_in_time_whatever_clients_do(inbox: Inbox) -> None:
    async with listening(inbox) as source, connected(source) as client:
        await client.begin()
        client.send(b"no end")
        await asyncio.wait_for(source.drain(0.05), SECONDS)
        assert await client.is_closed()
    assert inbox.messages == []


async def test_draining_ends_in_time_while_the_store_hangs_and_the_store_goes_on(inbox: Inbox) -> None:
    store = SlowStore(inbox)
    async with listening(inbox) as source, connected(source) as client:
        await client.begin()
        client.send(b"text\r\n.\r\n")
        await until(lambda: store.waiting == 1)
        await asyncio.wait_for(source.drain(0.05), SECONDS)
        assert await client.is_closed()
        store.go.set()
        await until(lambda: bool(inbox.messages))


async def test_a_source_that_never_started_can_be_drained(inbox: Inbox) -> None:
    await smtp_source(inbox).drain(0)


async def test_an_address_in_use_is_named_in_the_error(inbox: Inbox) -> None:
    async with listening(inbox) as source:
        with pytest.raises(SourceError, match=f"cannot listen on 127.0.0.1:{source.port}"):
            async with listening(inbox, listen=f"127.0.0.1:{source.port}"):
                pass
