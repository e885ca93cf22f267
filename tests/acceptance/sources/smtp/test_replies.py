"""The reply-code table of the design, line by line, and nothing about our inside in any reply."""

import asyncio
import re

import pytest
from structlog.testing import capture_logs

from ingest.model.envelope import ReceivedMessage
from ingest.store import StoreUnavailable
from tests.support.smtp import OURS, SECONDS, Inbox, connected, listening, until

ENHANCED = re.compile(r"([245])\d\d \1\.\d{1,3}\.\d{1,3} \S")


async def test_every_reply_that_can_have_one_has_an_enhanced_status_code(inbox: Inbox) -> None:
    commands = (
        "MAIL FROM:<a@b.example>", "EHLO", "RCPT", "RCPT TO:<a@b>", "DATA", "NOOP", "NOOP x", "RSET", "RSET x", "HELP",
        "HELP x", "VRFY", "VRFY a@b", "EXPN list", "AUTH PLAIN", "STARTTLS", "FOO", "", "MAIL", "MAIL TO:<a@b.example>",
    )  # fmt: skip
    after_hello = (
        "MAIL", "MAIL TO:<a@b.example>", "MAIL FROM:a@b.example", "MAIL FROM:<a@b.example> BODY=X",
        "MAIL FROM:<a@b.example> SIZE=x", "MAIL FROM:<a@b.example> SMTPUTF8=1", "MAIL FROM:<a@b.example> FOO=1",
        "MAIL FROM:<a@b.example> SIZE=99999999999999", "MAIL FROM:<a@b.example>", "MAIL FROM:<a@b.example>", "DATA",
        "RCPT TO:<help@ours.example> FOO", "RCPT TO:<x@elsewhere.example>", "RCPT TO:<help@ours.example>", "DATA x",
    )  # fmt: skip
    async with listening(inbox) as source, connected(source) as first, connected(source) as second:
        replies = await first.say_all(*commands)
        await second.say("EHLO client.example")
        replies += await second.say_all(*after_hello, "QUIT")
    assert [reply for reply in replies if not ENHANCED.match(reply)] == []


async def test_commands_out_of_order_are_told_so(inbox: Inbox) -> None:
    async with listening(inbox) as source, connected(source) as client:
        assert (await client.say("MAIL FROM:<a@b.example>")).startswith("503 5.5.1 ")
        await client.say("EHLO client.example")
        assert (await client.say(f"RCPT TO:<{OURS}>")).startswith("503 5.5.1 ")
        assert (await client.say("DATA")).startswith("503 5.5.1 ")
        await client.say("MAIL FROM:<a@b.example>")
        assert (await client.say("MAIL FROM:<a@b.example>")).startswith("503 5.5.1 ")
        assert (await client.say("DATA")).startswith("503 5.5.1 ")


@pytest.mark.parametrize(
    ("recipient", "reply"),
    [
        ("help@ours.example", "250 2.1.5"),
        ("HELP@Ours.Example", "250 2.1.5"),
        ("help+TAI-42@ours.example", "250 2.1.5"),
        ("desk@second.example", "250 2.1.5"),
        ("postmaster@ours.example", "250 2.1.5"),
        ("Postmaster", "250 2.1.5"),
        ("@relay.example:help@ours.example", "250 2.1.5"),
        ('"help"@ours.example', "250 2.1.5"),
        ("nobody@ours.example", "550 5.1.1"),
        ("nobody+help@ours.example", "550 5.1.1"),
        ("help@elsewhere.example", "550 5.7.1"),
        ("help@sub.ours.example", "550 5.7.1"),
        ("help@[127.0.0.1]", "550 5.7.1"),
        ("help%elsewhere.example@ours.example", "550 5.1.1"),
        ("help", "553 5.1.3"),
        ("", "553 5.1.3"),
        ("help@", "553 5.1.3"),
        ("help@größe.example", "553 5.6.7"),
    ],
)
async def test_a_recipient_is_ours_or_refused(inbox: Inbox, recipient: str, reply: str) -> None:
    ours = {"domains": ("ours.example", "second.example"), "recipients": ("help", "desk")}
    async with listening(inbox, **ours) as source, connected(source) as client:
        await client.say_all("EHLO client.example", "MAIL FROM:<a@b.example>")
        assert (await client.say(f"RCPT TO:<{recipient}>")).startswith(f"{reply} ")


async def test_without_a_list_of_recipients_every_name_in_our_domains_exists(inbox: Inbox) -> None:
    async with listening(inbox) as source, connected(source) as client:
        assert (await client.deliver(b"", "anything@ours.example")).startswith("250 ")


ODD_PATHS = [
    b"<@",
    b'"',
    b"<a@[\t",
    b"<a@b.c",
    b"a@b.c",
    b"<a@b.c>>",
    b"<<a@b.c>>",
    b"<a b@c.d>",
    b"<a@b@c.d>",
    b"<a@b.c>x",
    b"<\xff@b.c>",
    b"<a@b.c\x00>",
    b"<a@b.c> SIZE=\xc2\xb2",
    b"<a@b.c> =",
    b"<a\r@b.c>",
    b'<"a@b.c>',
    b"<a@b.c,d@e.f>",
    b"<" + b"a" * 1200 + b"@b.c>",
    b"<a@" + b"." * 1200 + b">",
    b"<>>",
    b"< >",
    b"",
]


@pytest.mark.parametrize("path", ODD_PATHS)
@pytest.mark.parametrize("command", [b"MAIL FROM:", b"RCPT TO:"])
async def test_an_odd_path_is_a_mistake_of_the_client_and_no_fault_of_ours(
    inbox: Inbox, command: bytes, path: bytes
) -> None:
    async with listening(inbox) as source, connected(source) as client:
        await client.say("EHLO client.example")
        if command == b"RCPT TO:":
            await client.say("MAIL FROM:<>")
        assert (await client.say(command + path))[:9] in ("501 5.5.4", "553 5.1.7", "553 5.1.3")
        assert (await client.say("NOOP")).startswith("250 ")


async def test_a_mail_announced_as_too_large_is_refused_before_it_is_sent(inbox: Inbox) -> None:
    async with listening(inbox, max_message_bytes=100_000) as source, connected(source) as client:
        await client.say("EHLO client.example")
        assert (await client.say("MAIL FROM:<a@b.example> SIZE=100001")).startswith("552 5.3.4 ")
        assert (await client.say("MAIL FROM:<a@b.example> SIZE=100000")).startswith("250 2.1.0 ")


async def test_a_mail_that_turns_out_too_large_is_refused_and_the_next_one_is_taken(inbox: Inbox) -> None:
    async with listening(inbox, max_message_bytes=100_000) as source, connected(source) as client:
        assert (await client.deliver(b"x" * 99_999)).startswith("552 5.3.4 ")
        assert (await client.deliver(b"x" * 250_000)).startswith("552 5.3.4 ")
        assert (await client.deliver(b"x" * 99_998)).startswith("250 2.0.0 ")
        assert (await client.deliver(b"..\r\n" * 33_332 + b"xx")).startswith("250 2.0.0 ")
    assert [len(message.content) - message.trace_length for message in inbox.messages] == [100_000, 100_000]


async def test_a_mail_without_an_end_is_given_up(inbox: Inbox) -> None:
    async with listening(inbox, max_message_bytes=100_000) as source, connected(source) as client:
        await client.begin()
        client.send(b"x" * 2_000_000)
        assert (await client.reply()).startswith("552 5.3.4 ")
        assert await client.is_closed()
    assert inbox.messages == []


async def test_recipients_beyond_the_limit_are_for_another_transaction(inbox: Inbox) -> None:
    async with listening(inbox, max_recipients=3) as source, connected(source) as client:
        await client.say_all("EHLO client.example", "MAIL FROM:<a@b.example>")
        replies = await client.say_all(*(f"RCPT TO:<r{number}@ours.example>" for number in range(5)))
        assert [reply[:9] for reply in replies] == ["250 2.1.5"] * 3 + ["452 4.5.3"] * 2
        assert (await client.say("DATA")).startswith("354 ")
        assert (await client.say("text\r\n.")).startswith("250 2.0.0 ")
    assert len(inbox.messages[0].envelope.rcpt_tos) == 3


async def test_a_mail_to_twenty_thousand_recipients_is_taken_for_the_first_hundred(inbox: Inbox) -> None:
    async with listening(inbox) as source, connected(source) as client:
        await client.say_all("EHLO client.example", "MAIL FROM:<a@b.example>")
        client.send(b"".join(b"RCPT TO:<r%d@ours.example>\r\n" % number for number in range(20_000)))
        codes = [(await client.reader.readline())[:3] for _ in range(20_000)]
        assert (codes.count(b"250"), codes.count(b"452")) == (100, 19_900)
        assert (await client.say("DATA")).startswith("354 ")
        assert (await client.say("text\r\n.")).startswith("250 2.0.0 ")


async def test_connections_beyond_the_limit_are_refused_until_one_ends(inbox: Inbox) -> None:
    async with listening(inbox, max_connections=2) as source:
        async with connected(source), connected(source), connected(source, greeted=False) as third:
            assert (await third.reply()).startswith("421 4.7.0 ")
            assert await third.is_closed()
        async with connected(source, greeted=False) as fourth:
            assert (await fourth.reply())[:3] in ("220", "421")


async def test_one_client_cannot_use_up_all_connections(inbox: Inbox) -> None:
    async with (
        listening(inbox, max_connections_per_client=1) as source,
        connected(source) as first,
        connected(source, greeted=False) as second,
    ):
        assert (await second.reply()).startswith("421 4.7.0 ")
        await first.say("QUIT")
        assert await first.is_closed()
        async with connected(source) as third:
            assert (await third.say("NOOP")).startswith("250 ")


async def test_a_client_that_sends_too_fast_is_asked_to_wait(inbox: Inbox) -> None:
    now = 1000.0
    async with (
        listening(inbox, max_messages_per_minute=2, clock=lambda: now) as source,
        connected(source) as client,
    ):
        await client.deliver(b"one")
        await client.deliver(b"two")
        assert (await client.say("MAIL FROM:<a@b.example>")).startswith("450 4.7.1 ")
        now += 30
        assert (await client.deliver(b"three")).startswith("250 ")
        assert (await client.say("MAIL FROM:<a@b.example>")).startswith("450 4.7.1 ")


async def test_no_mail_is_begun_while_none_can_be_stored(inbox: Inbox) -> None:
    async with listening(inbox) as source, connected(source) as client:
        inbox.reason = "disk /secret/path is full"
        await client.say("EHLO client.example")
        reply = await client.say("MAIL FROM:<a@b.example>")
        assert reply.startswith("452 4.3.1 ")
        assert "secret" not in reply
        inbox.reason = None
        assert (await client.deliver(b"")).startswith("250 ")


async def test_a_store_that_does_not_even_say_whether_it_can_is_temporary(inbox: Inbox) -> None:
    async def fail() -> str:
        raise StoreUnavailable("database at /secret/path is locked")

    inbox.refuse = fail
    async with listening(inbox) as source, connected(source) as client:
        await client.say("EHLO client.example")
        reply = await client.say("MAIL FROM:<a@b.example>")
    assert reply.startswith("452 4.3.1 ")
    assert "secret" not in reply


async def test_a_store_that_fails_is_temporary(inbox: Inbox) -> None:
    async def fail(message: ReceivedMessage) -> str:
        raise StoreUnavailable("database at /secret/path is locked")

    inbox.receive = fail
    async with listening(inbox) as source, connected(source) as client:
        reply = await client.deliver(b"text")
        assert reply.startswith("452 4.3.1 ")
        assert "secret" not in reply
        inbox.receive = inbox.keep
        assert (await client.deliver(b"text")).startswith("250 2.0.0 ")


async def test_a_fault_of_ours_is_temporary_and_tells_nothing_about_the_inside(inbox: Inbox) -> None:
    async def fail(message: ReceivedMessage) -> str:
        raise RuntimeError("password=secret host=10.0.0.1")

    inbox.receive = fail
    with capture_logs() as logs:
        async with listening(inbox) as source, connected(source) as client:
            assert await client.deliver(b"text") == "451 4.3.0 Internal error, try again later"
            inbox.receive = inbox.keep
            assert (await client.deliver(b"text")).startswith("250 2.0.0 ")
    assert any(line["log_level"] == "error" and "secret" in repr(line["exc_info"]) for line in logs)


async def test_messages_that_memory_has_no_room_for_are_refused_for_the_time_being(inbox: Inbox) -> None:
    stored, waiting = asyncio.Event(), list[ReceivedMessage]()

    async def wait(message: ReceivedMessage) -> str:
        waiting.append(message)
        await stored.wait()
        return await inbox.keep(message)

    async with (
        listening(inbox, max_message_bytes=100_000, max_bytes=200_000) as source,
        connected(source) as first,
        connected(source) as second,
        connected(source) as third,
    ):
        inbox.receive = wait
        for client in (first, second):
            await client.begin()
            client.send(b"x" * 90_000 + b"\r\n.\r\n")
        await until(lambda: len(waiting) == 2)
        assert (await third.deliver(b"y" * 90_000)).startswith("452 4.3.1 ")
        stored.set()
        assert (await first.reply()).startswith("250 2.0.0 ")
        assert (await second.reply()).startswith("250 2.0.0 ")
        for _ in range(5):
            assert (await third.deliver(b"y" * 90_000)).startswith("250 2.0.0 ")


async def test_a_mail_that_is_only_dropped_takes_no_room_from_others(inbox: Inbox) -> None:
    async with (
        listening(inbox, max_message_bytes=100_000, max_bytes=200_000) as source,
        connected(source) as endless,
        connected(source) as first,
        connected(source) as second,
    ):
        await endless.begin()
        endless.send(b"x" * 150_000)
        await first.begin()
        first.send(b"y" * 90_000)
        async with asyncio.timeout(SECONDS):
            while not (await second.deliver(b"z" * 90_000)).startswith("250 2.0.0 "):
                await asyncio.sleep(0.1)


async def test_strangers_are_refused_where_the_relays_are_known(inbox: Inbox) -> None:
    known = ("10.0.0.0/8", "::1/128")
    async with listening(inbox, smtp_relays=known) as source, connected(source, greeted=False) as client:
        assert (await client.reply()).startswith("554 5.7.1 ")
        assert await client.is_closed()
    async with listening(inbox, smtp_relays=("127.0.0.0/8",)) as source, connected(source) as client:
        assert (await client.deliver(b"")).startswith("250 ")


async def test_a_client_that_makes_many_mistakes_is_sent_away(inbox: Inbox) -> None:
    async with listening(inbox) as source, connected(source) as client:
        replies = await client.say_all(*(["FOO"] * 20))
        assert {reply[:3] for reply in replies} == {"500"}
        assert (await client.say("FOO")).startswith("500 ")
        assert (await client.reply()).startswith("421 4.7.0 ")
        assert await client.is_closed()


@pytest.mark.parametrize("command", ["NOOP", "RSET", "EHLO x", "VRFY x", "HELP"])
async def test_a_client_that_says_nothing_again_and_again_is_sent_away(inbox: Inbox, command: str) -> None:
    async with listening(inbox) as source, connected(source) as client:
        await client.say("HELO client.example")
        client.send(f"{command}\r\n".encode() * 150)
        replies = []
        while reply := await client.reply():
            replies.append(reply)
    assert len(replies) == 101
    assert replies[-1].startswith("421 4.7.0 ")


async def test_a_mail_that_was_taken_restores_patience(inbox: Inbox) -> None:
    async with listening(inbox) as source, connected(source) as client:
        for _ in range(5):
            await client.say_all(*(["FOO"] * 15))
            assert (await client.deliver(b"")).startswith("250 2.0.0 ")


async def test_an_overlong_command_line_is_refused_and_the_next_one_is_heard(inbox: Inbox) -> None:
    async with listening(inbox) as source, connected(source) as client:
        assert (await client.say("NOOP " + "x" * 3_000)).startswith("500 5.5.2 ")
        assert (await client.say("NOOP " + "x" * 300_000)).startswith("500 5.5.2 ")
        assert (await client.say("NOOP " + "x" * 1_000)).startswith("250 2.0.0 ")


async def test_a_command_line_without_end_ends_the_connection(inbox: Inbox) -> None:
    async with listening(inbox) as source, connected(source) as client:
        client.send(b"x" * 3_000_000)
        assert (await client.reply()).startswith("421 4.7.0 ")
        assert await client.is_closed()


async def test_refusals_are_logged_without_whole_addresses(inbox: Inbox) -> None:
    with capture_logs() as logs:
        async with listening(inbox) as source, connected(source) as client:
            await client.say_all("EHLO client.example", "MAIL FROM:<alice@customer.example>", "RCPT TO:<bob@b.example>")
    (line,) = [line for line in logs if line["event"] == "refused"]
    assert line["log_level"] == "info"
    assert line["reply"].startswith("550 5.7.1 ")
    assert line["mail_from"] == "a…@customer.example"
    assert "bob@" not in repr(logs)


async def test_recipients_too_many_do_not_fill_the_log(inbox: Inbox) -> None:
    with capture_logs() as logs:
        async with listening(inbox, max_recipients=1) as source, connected(source) as client:
            await client.say_all("EHLO client.example", "MAIL FROM:<>", *(["RCPT TO:<help@ours.example>"] * 5))
            refused = [line for line in logs if line["event"] == "refused"]
    assert [line["log_level"] for line in refused] == ["debug"] * 4
