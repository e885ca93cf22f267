"""The PROXY protocol: believed from our load balancers, and from nobody else."""

import asyncio
import socket
import struct

import pytest

from tests.support.smtp import Inbox, connected, listening

PROXIES = ("127.0.0.0/8",)
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 4321 25\r\n"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def version_2(family: int, addresses: bytes, command: int = 0x21) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(addresses)) + addresses


V2_IPV4 = version_2(0x11, socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.1") + b"\x10\xe1\x00\x19")
V2_IPV6 = version_2(
    0x21, socket.inet_pton(socket.AF_INET6, "2001:db8::7") + socket.inet_pton(socket.AF_INET6, "::1") + b"\0\1\0\2"
)


@pytest.mark.parametrize(
    ("header", "client_address", "literal"),
    [
        (V1, "192.0.2.7", "[192.0.2.7]"),
        (V2_IPV4, "192.0.2.7", "[192.0.2.7]"),
        (V2_IPV6, "2001:db8::7", "[IPv6:2001:db8::7]"),
        (b"PROXY TCP6 2001:db8::7 ::1 4321 25\r\n", "2001:db8::7", "[IPv6:2001:db8::7]"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1", "[127.0.0.1]"),
        (version_2(0x00, b"", command=0x20), "127.0.0.1", "[127.0.0.1]"),
        (version_2(0x31, b"/run/socket".ljust(216, b"\0")), "127.0.0.1", "[127.0.0.1]"),
    ],
    ids=[
        "version 1",
        "version 2",
        "version 2 IPv6",
        "version 1 IPv6",
        "version 1 unknown",
        "version 2 local",
        "version 2 Unix",
    ],
)
async def test_the_client_behind_a_trusted_proxy_is_the_client(
    inbox: Inbox, header: bytes, client_address: str, literal: str
) -> None:
    async with listening(inbox, smtp_proxies=PROXIES) as source, connected(source, greeted=False) as client:
        client.send(header)
        assert (await client.reply()).startswith("220 ")
        assert (await client.deliver(b"text")).startswith("250 ")
    assert inbox.messages[0].envelope.client == client_address
    assert f"({literal})" in inbox.trace()


async def test_commands_behind_the_proxy_header_are_not_lost(inbox: Inbox) -> None:
    async with listening(inbox, smtp_proxies=PROXIES) as source, connected(source, greeted=False) as client:
        client.send(V1 + b"NOOP\r\n")
        assert (await client.reply()).startswith("220 ")
        assert (await client.reply()).startswith("250 ")


@pytest.mark.parametrize(
    "header",
    [
        b"EHLO client.example\r\n",
        b"PROXY TCP4 192.0.2.7\r\n",
        b"PROXY TCP4 x y 1 2\r\n",
        b"PROXY " + b"x" * 200 + b"\r\n",
        SIGNATURE[:8] + b"XXXXXXXXXXXX",
        SIGNATURE + b"\xff\xff\xff\xff",
    ],
)
async def test_a_trusted_proxy_that_says_nonsense_is_not_served(inbox: Inbox, header: bytes) -> None:
    async with listening(inbox, smtp_proxies=PROXIES) as source, connected(source, greeted=False) as client:
        client.send(header)
        assert await client.reply() == ""


async def test_nobody_else_can_name_another_address(inbox: Inbox) -> None:
    async with listening(inbox, smtp_proxies=("10.0.0.0/8",)) as source, connected(source) as client:
        client.send(V1)
        assert (await client.reply()).startswith("500 5.5.2 ")
        await client.deliver(b"text")
    assert inbox.messages[0].envelope.client == "127.0.0.1"


async def test_limits_count_the_client_and_not_the_proxy(inbox: Inbox) -> None:
    async with (
        listening(inbox, smtp_proxies=PROXIES, smtp_relays=("192.0.2.0/24",), max_connections_per_client=1) as source,
        connected(source, greeted=False) as first,
        connected(source, greeted=False) as other,
        connected(source, greeted=False) as again,
        connected(source, greeted=False) as stranger,
    ):
        replies = []
        for client, address in (
            (first, b"192.0.2.7"),
            (other, b"192.0.2.8"),
            (again, b"192.0.2.7"),
            (stranger, b"8.8.8.8"),
        ):
            client.send(V1.replace(b"192.0.2.7", address))
            replies.append((await client.reply())[:3])
        assert replies == ["220", "220", "421", "554"]


async def test_a_proxy_that_leaves_before_its_header_leaves_nothing_behind(inbox: Inbox) -> None:
    async with listening(inbox, smtp_proxies=PROXIES) as source:
        async with connected(source, greeted=False) as client:
            client.send(b"PRO")
            client.writer.write_eof()
            assert await client.is_closed()
        await asyncio.wait_for(source.drain(0), 1)
