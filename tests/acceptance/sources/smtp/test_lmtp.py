"""LMTP (RFC 2033): greeted with LHLO, answered once for each recipient."""

import asyncio
import smtplib

from ingest.model.envelope import ReceivedMessage
from ingest.store import StoreUnavailable
from tests.support.smtp import Inbox, connected, listening

LHLO = "LHLO client.example"
TWO = ("one@ours.example", "two@ours.example")


async def test_a_mail_sent_with_smtplib_by_lmtp_is_stored(inbox: Inbox) -> None:
    def send(port: int) -> None:
        with smtplib.LMTP("127.0.0.1", port) as client:
            client.sendmail("alice@customer.example", ["help@ours.example"], b"Subject: x\r\n\r\ntext\r\n")

    async with listening(inbox, lmtp=True) as source:
        await asyncio.to_thread(send, source.port)
    assert inbox.body() == b"Subject: x\r\n\r\ntext\r\n"
    assert inbox.messages[0].source_ref.source == f"lmtp:{source.port}" == source.name
    assert " with LMTP for <help@ours.example>; " in inbox.trace()


async def test_the_greeting_says_lmtp(inbox: Inbox) -> None:
    async with listening(inbox, lmtp=True) as source, connected(source, greeted=False) as client:
        assert await client.reply() == "220 mx.ours.example LMTP"


async def test_lhlo_announces_what_rfc_2033_asks_for(inbox: Inbox) -> None:
    async with listening(inbox, lmtp=True) as source, connected(source) as client:
        reply = await client.say(LHLO)
    assert {"PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME"} <= {line[4:] for line in reply.split("\n")}


async def test_helo_and_ehlo_are_unknown_in_lmtp_and_lhlo_in_smtp(inbox: Inbox) -> None:
    async with listening(inbox, lmtp=True) as source, connected(source) as client:
        assert (await client.say("HELO client.example")).startswith("500 5.5.2 ")
        assert (await client.say("EHLO client.example")).startswith("500 5.5.2 ")
    async with listening(inbox) as source, connected(source) as client:
        assert (await client.say(LHLO)).startswith("500 5.5.2 ")


async def test_each_accepted_recipient_gets_a_reply_after_data(inbox: Inbox) -> None:
    async with listening(inbox, lmtp=True) as source, connected(source) as client:
        await client.begin(TWO[0], "x@elsewhere.example", TWO[1], hello=LHLO)
        replies = [await client.say("text\r\n."), await client.reply()]
        assert replies == ["250 2.0.0 Ok: queued as queue-1"] * 2
        assert (await client.say("NOOP")).startswith("250 2.0.0 OK")
    assert inbox.messages[0].envelope.rcpt_tos == TWO


async def test_refusals_after_data_are_also_told_for_each_recipient(inbox: Inbox) -> None:
    async def unavailable(message: ReceivedMessage) -> str:
        raise StoreUnavailable("locked")

    async def broken(message: ReceivedMessage) -> str:
        raise RuntimeError("bug")

    async with listening(inbox, lmtp=True, max_message_bytes=100_000) as source, connected(source) as client:
        for receive, content, code in (
            (unavailable, b"text", "452 4.3.1"),
            (broken, b"text", "451 4.3.0"),
            (inbox.keep, b"x" * 200_000, "552 5.3.4"),
        ):
            inbox.receive = receive
            replies = [await client.deliver(content, *TWO, hello=LHLO), await client.reply()]
            assert [reply[:9] for reply in replies] == [code] * 2
        assert (await client.say("NOOP")).startswith("250 2.0.0 OK")


async def test_data_without_an_accepted_recipient_is_refused(inbox: Inbox) -> None:
    async with listening(inbox, lmtp=True) as source, connected(source) as client:
        assert (await client.begin("x@elsewhere.example", hello=LHLO)).startswith("503 5.5.1 ")
