"""A DNS server on loopback, over UDP and TCP, that answers from a table and can make trouble."""

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from enum import Enum
from typing import cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

ROOT = "."


class Trouble(Enum):
    """What a server does in place of an answer."""

    SILENCE = "silence"
    SERVFAIL = "servfail"
    REFUSED = "refused"
    GARBAGE = "garbage"


Records = Mapping[str, Sequence[str]]
Zone = dict[str, Records | Trouble]
"""Name (no final dot) -> type -> values in the form of zone files, or the trouble that the name makes."""


def txt(*texts: str) -> dict[str, list[str]]:
    """TXT records, each in strings of at most 255 bytes as the DNS wants them."""
    return {"TXT": [" ".join(f'"{text[at : at + 255]}"' for at in range(0, max(1, len(text)), 255)) for text in texts]}


class DnsServer:
    """Answers from ``zone``, which tests may change. Names that are not in it do not exist."""

    def __init__(self, zone: Zone | None = None) -> None:
        self.zone: Zone = zone or {}
        self.trouble: Trouble | None = None
        """Trouble that all names make."""
        self.truncates = False
        """Answers over UDP are cut off, so that the client has to come by TCP."""
        self.ttl = 300
        self.asked: Counter[str] = Counter()
        """How often each name was asked for, as ``name type``."""
        self.asked_by_tcp = 0
        self.port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def answer(self, wire: bytes, *, is_tcp: bool) -> bytes | None:
        query = dns.message.from_wire(wire)
        [question] = query.question
        name, record_type = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked[f"{name} {record_type}"] += 1
        self.asked_by_tcp += is_tcp
        found = self.trouble or self.zone.get(name)
        if found is Trouble.SILENCE:
            return None
        if found is Trouble.GARBAGE:
            return wire[:2] + b"\xff" * 20
        response = dns.message.make_response(query, recursion_available=True)
        if isinstance(found, Trouble):
            response.set_rcode(dns.rcode.SERVFAIL if found is Trouble.SERVFAIL else dns.rcode.REFUSED)
        elif self.truncates and not is_tcp:
            response.flags |= dns.flags.TC
        else:
            self._fill(response, name, record_type)
        return response.to_wire(max_size=65_535)

    def _fill(self, response: dns.message.Message, name: str, record_type: str) -> None:
        for _ in range(30):  # a chain of aliases may be a circle
            records = self.zone.get(name)
            if records is None:
                is_above = any(below.endswith(f".{name}") for below in self.zone) or name == ROOT
                response.set_rcode(dns.rcode.NOERROR if is_above else dns.rcode.NXDOMAIN)
                return
            assert not isinstance(records, Trouble)
            wanted = record_type if record_type in records or "CNAME" not in records else "CNAME"
            if wanted in records:
                response.answer.append(dns.rrset.from_text(f"{name}.", self.ttl, "IN", wanted, *records[wanted]))
            if wanted != "CNAME":
                return
            name = records["CNAME"][0].rstrip(".")


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._server.answer(data, is_tcp=False)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)


@asynccontextmanager
async def running(server: DnsServer) -> AsyncIterator[DnsServer]:
    """Let ``server`` listen on a port of the system's choice, the same for UDP and TCP."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            [length] = struct.unpack("!H", await reader.readexactly(2))
            answer = server.answer(await reader.readexactly(length), is_tcp=True)
            if answer is not None:
                writer.write(struct.pack("!H", len(answer)) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    tcp = await asyncio.start_server(serve, "127.0.0.1", 0)
    server.port = tcp.sockets[0].getsockname()[1]
    udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Udp(server), local_addr=("127.0.0.1", server.port)
    )
    try:
        async with tcp:
            yield server
    finally:
        udp.close()


@asynccontextmanager
async def started(zone: Zone | None = None) -> AsyncIterator[DnsServer]:
    """A running server."""
    async with running(DnsServer(zone)) as server:
        yield server
