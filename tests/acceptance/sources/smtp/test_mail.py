"""Mail that comes by SMTP is stored octet for octet, whatever it is made of."""

import asyncio
import smtplib
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from typing import ClassVar

import pytest

from ingest.sources.smtp import SmtpSource
from tests.support.smtp import OURS, SENDER, Inbox, connected, listening, until

MAIL = b"From: alice@customer.example\r\nSubject: It works\r\n\r\nThank you.\r\n"


def send_with_smtplib(source: SmtpSource, content: bytes) -> None:
    with smtplib.SMTP("127.0.0.1", source.port, local_hostname="client.example", timeout=10) as client:
        client.sendmail(SENDER, [OURS], content)


async def test_a_mail_sent_with_smtplib_is_stored_octet_for_octet(inbox: Inbox) -> None:
    message = EmailMessage()
    message["Subject"] = "Grüße"
    message.set_content("Zeile\n.Punkt\n..\n.\n\nEnde\n", cte="8bit")
    octets = message.as_bytes().replace(b"\n", b"\r\n")
    async with listening(inbox) as source:
        await asyncio.to_thread(send_with_smtplib, source, octets)
    assert inbox.body() == octets


async def test_the_envelope_is_kept_beside_the_mail(inbox: Inbox) -> None:
    async with listening(inbox, clock=lambda: 1_700_000_000.5) as source, connected(source) as client:
        await client.deliver(MAIL, "help+tai-42@ours.example", "Desk@OURS.example")
    (message,) = inbox.messages
    assert message.envelope.mail_from == SENDER
    assert message.envelope.rcpt_tos == ("help+tai-42@ours.example", "Desk@OURS.example")
    assert message.envelope.helo == "client.example"
    assert message.envelope.client == "127.0.0.1"
    assert not message.envelope.smtputf8
    assert message.source_ref.source == f"smtp:{source.port}" == source.name
    assert message.received_at == 1_700_000_000.5


async def test_the_reply_to_a_stored_mail_names_its_queue_id(inbox: Inbox) -> None:
    async with listening(inbox) as source, connected(source) as client:
        assert await client.deliver(MAIL) == "250 2.0.0 Ok: queued as queue-1"
        assert await client.deliver(MAIL) == "250 2.0.0 Ok: queued as queue-2"
        assert await client.say("QUIT") == "221 2.0.0 Bye"
        assert await client.is_closed()


async def test_ehlo_announces_what_is_supported_and_nothing_else(inbox: Inbox) -> None:
    async with listening(inbox, max_message_bytes=1_000_000) as source, connected(source) as client:
        reply = await client.say("EHLO client.example")
    assert reply.split("\n") == [
        "250-mx.ours.example",
        "250-PIPELINING",
        "250-SIZE 1000000",
        "250-8BITMIME",
        "250-SMTPUTF8",
        "250 ENHANCEDSTATUSCODES",
    ]


async def test_the_trace_field_says_who_sent_the_mail_and_for_whom(inbox: Inbox) -> None:
    async with listening(inbox, clock=lambda: 1_700_000_000.0) as source, connected(source) as client:
        await client.deliver(MAIL)
    head, _, date = inbox.trace().partition("; ")
    assert head == ("Received: from client.example ([127.0.0.1]) by mx.ours.example with ESMTP for <help@ours.example>")
    assert parsedate_to_datetime(date).timestamp() == 1_700_000_000


async def test_the_trace_field_hides_recipients_from_each_other(inbox: Inbox) -> None:
    async with listening(inbox) as source, connected(source) as client:
        await client.deliver(MAIL, "one@ours.example", "two@ours.example")
    assert "@" not in inbox.trace()


async def test_a_client_that_says_helo_is_traced_as_smtp(inbox: Inbox) -> None:
    async with listening(inbox) as source, connected(source) as client:
        await client.deliver(MAIL, hello="HELO old.example")
    assert " with SMTP for " in inbox.trace()


@pytest.mark.parametrize(
    "name",
    [
        "x\rBcc: y",
        "x\x00\x1b[2J",
        "x) by evil.example (y",
        "x\tby evil.example; Mon, 1 Jan 2001 00:00:00 +0000",
        "größe.example",
        "x" * 1500,
    ],
)
async def test_a_client_cannot_bend_the_trace_field_with_its_name(inbox: Inbox, name: str) -> None:
    async with listening(inbox) as source, connected(source) as client:
        await client.deliver(MAIL, hello=f"EHLO {name}")
    trace = inbox.trace()
    assert trace.isascii()
    assert trace.isprintable()
    assert trace.count("(") == trace.count(")") == 1
    assert trace.count(" by ") == trace.count("; ") == 1
    assert len(trace) < 500
    assert inbox.body() == MAIL + b"\r\n"


async def test_the_null_reverse_path_is_an_empty_sender(inbox: Inbox) -> None:
    async with listening(inbox) as source, connected(source) as client:
        await client.deliver(MAIL, sender="")
    assert inbox.messages[0].envelope.mail_from == ""


async def test_an_address_beyond_ascii_comes_with_smtputf8(inbox: Inbox) -> None:
    async with listening(inbox) as source, connected(source) as client:
        await client.say("EHLO client.example")
        assert (await client.say("MAIL FROM:<jürgen@müller.example> SMTPUTF8 BODY=8BITMIME")).startswith("250 2.1.0")
        assert (await client.say("RCPT TO:<hilfe+grüße@ours.example>")).startswith("250 2.1.5")
        assert (await client.say("DATA")).startswith("354")
        await client.say("Grüße\r\n.")
    (message,) = inbox.messages
    assert message.envelope.mail_from == "jürgen@müller.example"
    assert message.envelope.rcpt_tos == ("hilfe+grüße@ours.example",)
    assert message.envelope.smtputf8
    assert " with UTF8SMTP; " in inbox.trace()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no mail at all",
        b"\x00\x01\x02\xff\xfe NUL and beyond \x00",
        b"Subject: caf\xe9\r\n\r\n\x80\x81",
        b"X: " + b"x" * 1_000_000 + b"\r\n\r\nheader of a megabyte",
        b"<p>" + b"a line of HTML " * 20_000 + b"</p>",
        bytes(range(256)) * 1000,
        b"\r\n" * 100_000,
    ],
    ids=["empty", "no mail", "nul", "8-bit header", "long header", "long line", "every octet", "blank lines"],
)
async def test_octets_of_any_kind_are_stored_as_they_came(inbox: Inbox, content: bytes) -> None:
    async with listening(inbox) as source, connected(source) as client:
        assert (await client.deliver(content)).startswith("250 2.0.0 ")
    assert inbox.body() == content + b"\r\n"


async def test_a_message_of_no_lines_at_all_is_stored_as_nothing(inbox: Inbox) -> None:
    async with listening(inbox) as source, connected(source) as client:
        await client.begin()
        assert (await client.say(".")).startswith("250 2.0.0 ")
    assert inbox.body() == b""


@pytest.mark.parametrize(
    "end",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r.\r",
        b"\r\n.\r",
        b"\r.\r\n",
        b"\n.\r",
        b"\r.\n",
        b"\r\n\x00.\r\n",
        b"\r\n.\x00\r\n",
        b"\r\n.\r\r\n",
        b"\r\n. \r\n",
        b"\r\r\n.\r\r\n",
    ],
)
async def test_a_false_end_of_data_smuggles_no_second_mail(inbox: Inbox, end: bytes) -> None:
    smuggled = b"MAIL FROM:<evil@evil.example>\r\nRCPT TO:<help@ours.example>\r\nDATA\r\nsmuggled"
    content = b"Subject: one\r\n\r\ntext" + end + smuggled
    async with listening(inbox) as source, connected(source) as client:
        assert (await client.deliver(content)).startswith("250 2.0.0 ")
        assert (await client.say("NOOP")).startswith("250 2.0.0 ")
    # The only change that RFC 5321 section 4.5.2 asks for is that a line that begins with a dot loses it.
    assert inbox.body() == content.replace(b"\r\n.", b"\r\n") + b"\r\n"


async def test_commands_sent_together_are_answered_in_order_and_together(inbox: Inbox) -> None:
    async with listening(inbox) as source, connected(source) as client:
        client.send(
            b"EHLO client.example\r\nMAIL FROM:<alice@customer.example>\r\nRCPT TO:<nobody@elsewhere.example>\r\n"
            b"RCPT TO:<help@ours.example>\r\nDATA\r\n"
        )
        replies = [await client.reply() for _ in range(5)]
        assert [reply[:3] for reply in replies] == ["250", "250", "550", "250", "354"]
        client.send(b"one\r\n.\r\nRSET\r\nMAIL FROM:<>\r\nRCPT TO:<help@ours.example>\r\nDATA\r\n")
        assert [(await client.reply())[:3] for _ in range(5)] == ["250", "250", "250", "250", "354"]
        client.send(b"two\r\n.\r\nQUIT\r\n")
        assert [(await client.reply())[:3] for _ in range(2)] == ["250", "221"]
    assert [message.content[message.trace_length :] for message in inbox.messages] == [b"one\r\n", b"two\r\n"]


async def test_replies_to_commands_that_came_together_go_out_together(inbox: Inbox) -> None:
    class Watching(asyncio.Protocol):
        received: ClassVar[list[bytes]] = []

        def data_received(self, data: bytes) -> None:
            self.received.append(data)

    async with listening(inbox) as source:
        transport, watching = await asyncio.get_running_loop().create_connection(Watching, "127.0.0.1", source.port)
        await until(lambda: bool(watching.received))
        watching.received.clear()
        transport.write(b"EHLO client.example\r\n" + b"NOOP x\r\n" * 50)
        await until(lambda: b"".join(watching.received).count(b"250 2.0.0 ") == 50)
        transport.close()
    assert len(watching.received) == 1


async def test_a_command_that_comes_in_pieces_is_answered_when_it_is_whole(inbox: Inbox) -> None:
    async with listening(inbox) as source, connected(source) as client:
        client.send(b"NOOP\r\nNO")
        assert (await client.reply()).startswith("250 ")
        client.send(b"OP\r\n")
        assert (await client.reply()).startswith("250 ")


async def test_a_client_that_closes_its_half_after_the_dot_gets_its_reply(inbox: Inbox) -> None:
    async with listening(inbox) as source, connected(source) as client:
        await client.begin()
        client.send(MAIL + b".\r\n")
        client.writer.write_eof()
        assert (await client.reply()).startswith("250 2.0.0 ")
        assert await client.is_closed()
    assert inbox.body() == MAIL


async def test_a_message_cut_before_its_end_is_not_stored(inbox: Inbox) -> None:
    async with listening(inbox) as source, connected(source) as client:
        await client.begin()
        client.send(MAIL + b".\r")
        client.writer.write_eof()
        assert await client.is_closed()
    assert inbox.messages == []


async def test_mails_of_many_clients_at_once_are_not_mixed_up(inbox: Inbox) -> None:
    async with listening(inbox) as source:

        async def send(number: int) -> None:
            async with connected(source) as client:
                for part in range(3):
                    await client.deliver(f"{number}.{part} ".encode() * 5000, sender=f"c{number}@customer.example")

        await asyncio.gather(*(send(number) for number in range(30)))
    assert len(inbox.messages) == 90
    for message in inbox.messages:
        words = set(message.content[message.trace_length :].split())
        assert len(words) == 1
        assert message.envelope.mail_from == f"c{words.pop().partition(b'.')[0].decode()}@customer.example"
