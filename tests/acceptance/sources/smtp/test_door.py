"""What strangers may take: connections, time, mails a minute; and what their programs say that we did not offer."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.support.smtp import OURS, Client, Inbox, connected, listening

PROXY = ("127.0.0.0/8",)
MAIL = b"Subject: x\r\n\r\nx"


async def from_address(client: Client, address: str) -> None:
    family = "TCP6" if ":" in address else "TCP4"
    ours = "::1" if ":" in address else "127.0.0.1"
    client.send(f"PROXY {family} {address} {ours} 1000 25\r\n".encode())
    assert (await client.reply()).startswith("220 ")
    await client.say("EHLO client.example")


@pytest.mark.parametrize(
    "parameters",
    [
        "SIZE=1 AUTH=<>",
        "body=7bit XOORG=contoso.example",
        "RET=HDRS ENVID=x-1",
        "BODY=8BITMIME MT-PRIORITY=3 HOLDFOR=1",
        "XSHADOW",
        "auth=<>  ret=full",
    ],
)
async def test_parameters_of_other_servers_are_taken_and_ignored(inbox: Inbox, parameters: str) -> None:
    async with listening(inbox) as source, connected(source) as client:
        greeting = await client.say_all("EHLO client.example")
        assert "DSN" not in greeting[0]
        assert (await client.say(f"MAIL FROM:<a@b.example> {parameters}")).startswith("250 ")
        asked = f"RCPT TO:<{OURS}> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;{OURS}"
        assert (await client.say(asked)).startswith("250 ")
        assert (await client.say("DATA")).startswith("354 ")
        client.send(MAIL + b"\r\n.\r\n")
        assert (await client.reply()).startswith("250 ")


@pytest.mark.parametrize("parameter", ["REQUIRETLS", "BODY=BINARYMIME", "SIZE=x", "NONSENSE"])
async def test_a_demand_that_we_do_not_meet_is_refused(inbox: Inbox, parameter: str) -> None:
    async with listening(inbox) as source, connected(source) as client:
        await client.say("EHLO client.example")
        assert (await client.say(f"MAIL FROM:<a@b.example> {parameter}"))[:1] == "5"


async def test_recipients_that_do_not_exist_do_not_cost_the_one_that_does_its_mail(inbox: Inbox) -> None:
    async with listening(inbox, recipients=("help",)) as source, connected(source) as client:
        unknown = [f"gone{number}@ours.example" for number in range(60)]
        assert (await client.deliver(MAIL, *unknown, OURS)).startswith("250 ")


@pytest.mark.parametrize(
    "request_line", ["GET / HTTP/1.1", "POST / HTTP/1.1", "CONNECT ours.example:25 HTTP/1.0", "get /"]
)
async def test_an_http_request_is_hung_up_on(inbox: Inbox, request_line: str) -> None:
    async with listening(inbox) as source, connected(source) as client:
        client.send(f"{request_line}\r\nHost: x\r\n\r\nEHLO x\r\nMAIL FROM:<a@b.example>\r\n".encode())
        assert (await client.reply()).startswith("500 5.5.2 ")
        assert await client.is_closed()


async def test_one_sender_has_a_rate_whoever_delivers_the_mail(inbox: Inbox) -> None:
    async with listening(inbox, max_messages_per_sender=2) as source, AsyncExitStack() as stack:
        answers: list[str] = []
        for number in range(3):
            client = await stack.enter_async_context(connected(source))
            await client.say("EHLO client.example")
            answers.append(await client.say(f"MAIL FROM:<{'A' if number else 'a'}@b.example>"))
        assert [answer[:9] for answer in answers] == ["250 2.1.0", "250 2.1.0", "450 4.7.1"]
        assert (await client.say("MAIL FROM:<other@b.example>")).startswith("250 ")


async def test_one_domain_has_a_rate_whoever_sends(inbox: Inbox) -> None:
    async with listening(inbox, max_messages_per_domain=2) as source, connected(source) as client:
        await client.say("EHLO client.example")
        answers = [await client.say_all(f"MAIL FROM:<{name}@b.example>", "RSET") for name in "abc"]
        assert [mail[:9] for mail, _ in answers] == ["250 2.1.0", "250 2.1.0", "450 4.7.1"]
        assert (await client.say("MAIL FROM:<a@c.example>")).startswith("250 ")


async def test_addresses_of_one_ipv6_network_are_one_client(inbox: Inbox) -> None:
    async with listening(inbox, smtp_proxies=PROXY, max_messages_per_minute=1) as source, AsyncExitStack() as stack:
        answers: list[str] = []
        for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"):
            client = await stack.enter_async_context(connected(source, greeted=False))
            await from_address(client, address)
            answers.append((await client.say(f"MAIL FROM:<a@{len(answers)}.example>"))[:3])
        assert answers == ["250", "450", "250"]


async def test_a_relay_has_no_rate_of_its_own(inbox: Inbox) -> None:
    settings = {"smtp_proxies": PROXY, "smtp_relays": ("192.0.2.0/24",), "max_messages_per_minute": 1}
    async with (
        listening(inbox, **settings, max_messages_per_sender=1) as source,
        connected(source, greeted=False) as client,
    ):
        await from_address(client, "192.0.2.1")
        senders = [f"a@{number}.example" for number in range(5)]
        assert [(await client.deliver(MAIL, sender=sender))[:3] for sender in senders] == ["250"] * 5
        assert (await client.say("MAIL FROM:<a@0.example>")).startswith("450 4.7.1 ")


async def test_a_stranger_has_a_rate_without_any_setting(inbox: Inbox) -> None:
    async with listening(inbox, smtp_proxies=PROXY) as source, AsyncExitStack() as stack:
        answers: list[str] = []
        for _ in range(2):
            client = await stack.enter_async_context(connected(source, greeted=False))
            await from_address(client, "192.0.2.1")
            answers += [(await client.say_all("MAIL FROM:<a@b.example>", "RSET"))[0][:3] for _ in range(70)]
        assert answers.count("250") in range(120, 130)
        assert "450" in answers


async def test_a_program_on_this_machine_has_no_rate_unless_it_is_set(inbox: Inbox) -> None:
    async with listening(inbox) as source, AsyncExitStack() as stack:
        for _ in range(2):
            client = await stack.enter_async_context(connected(source))
            await client.say("EHLO client.example")
            answers = [(await client.say_all("MAIL FROM:<a@b.example>", "RSET"))[0][:3] for _ in range(70)]
            assert set(answers) == {"250"}


async def test_silent_connections_do_not_shut_others_out(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.sources.smtp.connection.MIN_SILENCE_SECONDS", 0.0)
    limits = {"max_connections": 200, "max_connections_per_client": 200}
    async with listening(inbox, **limits) as source, AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(connected(source)) for _ in range(200)]
        for _ in range(5):
            client = await stack.enter_async_context(connected(source))
            assert (await client.deliver(MAIL)).startswith("250 ")
        assert (await silent[0].reply()).startswith("421 4.7.0 ")
        assert (await silent[-1].say("NOOP")).startswith("250 ")


async def test_who_is_within_a_transaction_keeps_the_connection(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.sources.smtp.connection.MIN_SILENCE_SECONDS", 0.0)
    async with listening(inbox, max_connections=2) as source, AsyncExitStack() as stack:
        busy, idle = [await stack.enter_async_context(connected(source)) for _ in range(2)]
        await busy.begin()
        late = await stack.enter_async_context(connected(source))
        assert (await late.say("NOOP")).startswith("250 ")
        assert await idle.is_closed()
        busy.send(MAIL + b"\r\n.\r\n")
        assert (await busy.reply()).startswith("250 ")


async def test_silence_is_allowed_for_a_shorter_time_while_most_connections_are_in_use(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.sources.smtp.limits.MIN_IDLE_SECONDS", 0.05)
    monkeypatch.setattr("ingest.sources.smtp.connection.IDLE_CHECK_SECONDS", 0.02)
    async with listening(inbox, max_connections=10, smtp_idle=60.0) as source, AsyncExitStack() as stack:
        first = [await stack.enter_async_context(connected(source)) for _ in range(4)]
        assert (await first[0].say("NOOP")).startswith("250 ")
        rest = [await stack.enter_async_context(connected(source)) for _ in range(6)]
        replies = [asyncio.create_task(client.reply()) for client in (*first, *rest)]
        done, waiting = await asyncio.wait(replies, timeout=5.0, return_when=asyncio.FIRST_COMPLETED)
        assert next(iter(done)).result().startswith("421 4.4.2 ")
        for task in waiting:
            task.cancel()
