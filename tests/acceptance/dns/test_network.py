"""Look-ups over real UDP and TCP: what is answered, remembered, and told apart when it fails."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ingest.dns import DnsFailure, NoResolver
from ingest.dns import network as dns_network
from ingest.dns.name_server import MAX_ANSWER_BYTES
from ingest.dns.network import (
    ABSENCE_SECONDS,
    FAILURE_SECONDS,
    LASTING_SECONDS,
    LONGEST_MEMORY_SECONDS,
    MAX_VALUES,
    SHORTEST_MEMORY_SECONDS,
    TRIAL_SECONDS,
    AbsentResolver,
    NetworkResolver,
)
from ingest.model.dns_records import DnsAnswer, Question, RecordType
from tests.support.dns_server import DnsServer, Trouble, Zone, running, started, txt
from tests.support.sandbox_worker import eventually

NAME = "customer.example"
QUESTION = Question(NAME, RecordType.TXT)
OTHER = Question("other.example", RecordType.TXT)
ZONE: Zone = {NAME: txt("v=spf1 -all")}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def asking(server: DnsServer, clock: Clock | None = None) -> AsyncIterator[NetworkResolver]:
    resolver = NetworkResolver([server.address], clock=clock or Clock())
    try:
        yield resolver
    finally:
        await resolver.close()


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on loopback answers at once, or never."""
    monkeypatch.setattr(dns_network, "TRY_SECONDS", 0.5)
    monkeypatch.setattr(dns_network, "QUESTION_SECONDS", 0.5)


async def fails(resolver: NetworkResolver, question: Question = QUESTION) -> DnsFailure:
    with pytest.raises(DnsFailure) as caught:
        await resolver.query(question)
    return caught.value


@pytest.mark.parametrize(
    ("record_type", "records", "values"),
    [
        (RecordType.TXT, txt("v=spf1 -all", "x" * 600), {"v=spf1 -all", "x" * 600}),
        (RecordType.A, {"A": ["192.0.2.1", "192.0.2.2"]}, {"192.0.2.1", "192.0.2.2"}),
        (RecordType.AAAA, {"AAAA": ["2001:db8::1"]}, {"2001:db8::1"}),
        (RecordType.MX, {"MX": ["10 mx.example."]}, {"10 mx.example"}),
        (RecordType.PTR, {"PTR": ["host.example."]}, {"host.example"}),
    ],
)
async def test_each_type_has_its_values(
    record_type: RecordType, records: dict[str, list[str]], values: set[str]
) -> None:
    async with started({NAME: records}) as server, asking(server) as resolver:
        assert set((await resolver.query(Question(NAME, record_type))).values) == values


async def test_no_record_and_no_name_are_answers() -> None:
    async with started(ZONE) as server, asking(server) as resolver:
        assert await resolver.query(Question(NAME, RecordType.A)) == DnsAnswer()
        assert await resolver.query(OTHER) == DnsAnswer(exists=False)


async def test_aliases_are_followed() -> None:
    async with started({**ZONE, "alias.example": {"CNAME": [f"{NAME}."]}}) as server, asking(server) as resolver:
        answer = await resolver.query(Question("alias.example", RecordType.TXT))
        assert answer.values == ("v=spf1 -all",)


@pytest.mark.parametrize(
    "zone",
    [
        {"a.example": {"CNAME": ["a.example."]}},
        {"a.example": {"CNAME": ["b.example."]}, "b.example": {"CNAME": ["a.example."]}},
        {f"{name}.example": {"CNAME": [f"{chr(ord(name) + 1)}.example."]} for name in "abcdefghijklmnopqrstuvwx"},
    ],
    ids=["itself", "circle", "chain"],
)
async def test_aliases_that_lead_nowhere_are_no_record(zone: Zone) -> None:
    async with started(zone) as server, asking(server) as resolver:
        assert (await resolver.query(Question("a.example", RecordType.TXT))).values == ()


async def test_what_is_cut_off_is_fetched_by_tcp() -> None:
    async with started(ZONE) as server, asking(server) as resolver:
        server.truncates = True
        assert (await resolver.query(QUESTION)).values == ("v=spf1 -all",)
        assert server.asked_by_tcp == 1


async def test_of_many_records_some_are_read() -> None:
    async with started({NAME: txt(*(str(n) for n in range(MAX_VALUES + 10)))}) as server, asking(server) as resolver:
        server.truncates = True
        assert len((await resolver.query(QUESTION)).values) == MAX_VALUES


async def test_an_answer_that_is_too_large_is_no_record() -> None:
    async with started({NAME: txt("v=spf1 -all", "x" * MAX_ANSWER_BYTES)}) as server, asking(server) as resolver:
        server.truncates = True
        assert (await resolver.query(QUESTION)).values == ()
        assert server.asked_by_tcp == 1


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "a..example", "é.example", ".".join(["a" * 60] * 6), ""])
async def test_a_name_that_cannot_be_is_not_asked_for(name: str) -> None:
    async with started() as server, asking(server) as resolver:
        assert await resolver.query(Question(name, RecordType.TXT)) == DnsAnswer(exists=False)
        assert not server.asked


async def test_an_answer_is_remembered_as_long_as_it_says() -> None:
    clock = Clock()
    async with started(ZONE) as server, asking(server, clock) as resolver:
        await resolver.query(QUESTION)
        clock.now += server.ttl - 1
        await resolver.query(QUESTION)
        assert server.asked[f"{NAME} TXT"] == 1
        clock.now += 2
        await resolver.query(QUESTION)
        assert server.asked[f"{NAME} TXT"] == 2


@pytest.mark.parametrize(("ttl", "seconds"), [(0, SHORTEST_MEMORY_SECONDS), (10**6, LONGEST_MEMORY_SECONDS)])
async def test_the_time_to_live_has_bounds(ttl: int, seconds: float) -> None:
    clock = Clock()
    async with started(ZONE) as server, asking(server, clock) as resolver:
        server.ttl = ttl
        await resolver.query(QUESTION)
        clock.now += seconds - 1
        await resolver.query(QUESTION)
        assert server.asked[f"{NAME} TXT"] == 1
        clock.now += 2
        await resolver.query(QUESTION)
        assert server.asked[f"{NAME} TXT"] == 2


async def test_absence_is_remembered_too() -> None:
    clock = Clock()
    async with started() as server, asking(server, clock) as resolver:
        await resolver.query(QUESTION)
        clock.now += ABSENCE_SECONDS - 1
        await resolver.query(QUESTION)
        assert server.asked[f"{NAME} TXT"] == 1


async def test_many_who_ask_the_same_at_once_cost_one_question() -> None:
    async with started(ZONE) as server, asking(server) as resolver:
        await asyncio.gather(*(resolver.query(QUESTION) for _ in range(50)))
        assert server.asked[f"{NAME} TXT"] == 1


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_network, "MAX_REMEMBERED", 3)
    async with started() as server, asking(server) as resolver:
        for n in range(5):
            await resolver.query(Question(f"{n}.example", RecordType.TXT))
        await resolver.query(Question("4.example", RecordType.TXT))
        await resolver.query(Question("0.example", RecordType.TXT))
        assert (server.asked["4.example TXT"], server.asked["0.example TXT"]) == (1, 2)


@pytest.mark.parametrize("trouble", [Trouble.SERVFAIL, Trouble.SILENCE, Trouble.REFUSED, Trouble.GARBAGE])
async def test_a_broken_domain_is_its_own_fault(trouble: Trouble) -> None:
    async with started({NAME: trouble, "other.example": txt("here")}) as server, asking(server) as resolver:
        assert not isinstance(await fails(resolver), NoResolver)
        assert (await resolver.query(OTHER)).values == ("here",)


async def test_a_failure_is_remembered_for_a_short_time() -> None:
    clock = Clock()
    async with started({NAME: Trouble.SERVFAIL}) as server, asking(server, clock) as resolver:
        await fails(resolver)
        await fails(resolver)
        assert server.asked[f"{NAME} TXT"] == 1
        clock.now += FAILURE_SECONDS + 1
        server.zone = ZONE
        assert (await resolver.query(QUESTION)).values


@pytest.mark.parametrize("trouble", [Trouble.SILENCE, Trouble.SERVFAIL, Trouble.REFUSED])
async def test_a_resolver_that_never_answers_is_no_resolver(trouble: Trouble) -> None:
    async with started() as server, asking(server) as resolver:
        server.trouble = trouble
        error = await fails(resolver)
        assert isinstance(error, NoResolver)
        assert error.is_lasting


async def test_without_a_resolver_nothing_more_is_asked() -> None:
    async with started() as server, asking(server) as resolver:
        server.trouble = Trouble.SILENCE
        await fails(resolver)
        asked = server.asked.total()
        for n in range(20):
            await fails(resolver, Question(f"{n}.example", RecordType.TXT))
        assert server.asked.total() == asked


async def test_a_resolver_that_has_only_just_gone_is_waited_for() -> None:
    clock = Clock()
    async with started(ZONE) as server, asking(server, clock) as resolver:
        await resolver.query(QUESTION)
        server.trouble = Trouble.SILENCE
        clock.now += 1
        error = await fails(resolver, OTHER)
        assert isinstance(error, NoResolver)
        assert not error.is_lasting
        clock.now += LASTING_SECONDS + 1
        error = await fails(resolver, OTHER)
        assert isinstance(error, NoResolver)
        assert error.is_lasting


async def test_a_resolver_that_comes_back_is_found() -> None:
    clock = Clock()
    async with started(ZONE) as server, asking(server, clock) as resolver:
        server.trouble = Trouble.SILENCE
        await fails(resolver)
        server.trouble = None
        clock.now += TRIAL_SECONDS + 1

        async def answers() -> bool:
            try:
                return bool((await resolver.query(QUESTION)).values)
            except NoResolver:
                return False

        await eventually(answers, "the resolver is there again")


async def test_what_is_remembered_helps_while_the_resolver_is_away() -> None:
    clock = Clock()
    async with started(ZONE) as server, asking(server, clock) as resolver:
        await resolver.query(QUESTION)
        server.trouble = Trouble.SILENCE
        clock.now += 1
        await fails(resolver, OTHER)
        assert (await resolver.query(QUESTION)).values == ("v=spf1 -all",)


async def test_a_port_where_nobody_listens_is_no_resolver() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    resolver = NetworkResolver([f"127.0.0.1:{port}"], clock=Clock())
    error = await fails(resolver)
    assert isinstance(error, NoResolver)
    assert error.is_lasting
    await resolver.close()


@pytest.mark.parametrize("text", [None, "", "# nothing\nsearch example.com\n"])
async def test_without_a_name_server_in_resolv_conf_there_is_no_resolver(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "resolv.conf"
    if text is not None:
        path.write_text(text)
    resolver = NetworkResolver(clock=Clock(), resolv_conf=str(path))
    error = await fails(resolver)
    assert isinstance(error, NoResolver)
    assert error.is_lasting
    await resolver.close()


async def test_no_resolver_is_told_once(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    async with started() as server, asking(server) as resolver:
        server.trouble = Trouble.SILENCE
        for n in range(3):
            await fails(resolver, Question(f"{n}.example", RecordType.TXT))
    captured = capsys.readouterr()
    assert (caplog.text + captured.out + captured.err).count("the DNS answers nothing") == 1


async def test_two_servers_help_each_other_out() -> None:
    async with started(ZONE) as first, running(DnsServer(ZONE)) as second:
        first.trouble = Trouble.SERVFAIL
        resolver = NetworkResolver([first.address, second.address], clock=Clock())
        assert (await resolver.query(QUESTION)).values == ("v=spf1 -all",)
        await resolver.close()


async def test_where_the_operator_wants_no_dns_there_is_none() -> None:
    resolver = AbsentResolver()
    with pytest.raises(NoResolver) as caught:
        await resolver.query(QUESTION)
    assert caught.value.is_lasting
    await resolver.close()
