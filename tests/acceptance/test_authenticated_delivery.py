"""From the DNS to the ticket: what authentication makes of a mail, and how a failing DNS keeps order and comes to an
end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ingest.model.envelope import Envelope, ReceivedMessage, SourceRef
from ingest.model.outcome import Deferred, Delivered, Outcome, Quarantined
from ingest.model.trust import AuthenticationResult
from tests.support.dns_server import DnsServer, Trouble, started, txt
from tests.support.factories import ALICE, DOMAIN
from tests.support.pipeline import Bench, mail, new_bench

CLIENT = "198.51.100.7"
AGENT = "sam.okafor@support.example"


@asynccontextmanager
async def bench(folder: Path, **changed: str) -> AsyncIterator[tuple[Bench, DnsServer]]:
    async with started() as server:
        for domain in ("customer.example", "support.example"):
            server.zone[domain] = txt(f"v=spf1 ip4:{CLIENT} -all")
            server.zone[f"_dmarc.{domain}"] = txt("v=DMARC1; p=reject")
        settings = {"INGEST_DNS_SERVERS": server.address, "INGEST_AUTHENTICATION": "required"} | changed
        async with new_bench(folder, **settings) as here:
            yield here, server


async def receive(here: Bench, content: bytes, *, client: str = CLIENT, mail_from: str = ALICE) -> str:
    here.now += 1
    envelope = Envelope(mail_from=mail_from, rcpt_tos=(f"help+TAI-42@{DOMAIN}",), client=client)
    received = ReceivedMessage(
        envelope=envelope, content=content, source_ref=SourceRef(source="smtp:25"), received_at=here.now
    )
    return await here.engine.receiver.receive(received)


async def attempt(here: Bench) -> Outcome:
    """Process the next message and settle it as the worker does."""
    queued = await here.claim()
    outcome = await here.process(queued)
    wait = (outcome.retry_after or 0.0) if isinstance(outcome, Deferred) else None
    await here.engine.store.settle(
        queued.queue_id,
        queued.lease_token,
        outcome,
        now=here.now,
        next_attempt_at=None if wait is None else here.now + wait,
    )
    return outcome


async def found_of(here: Bench, queue_id: str) -> AuthenticationResult:
    record = await here.engine.store.message(queue_id)
    assert record is not None
    assert record.trust is not None
    return record.trust.authentication.result


async def test_a_proven_customer_is_posted(tmp_path: Path) -> None:
    async with bench(tmp_path) as (here, _):
        queue_id = await receive(here, mail())
        assert isinstance(await attempt(here), Delivered)
        assert await found_of(here, queue_id) is AuthenticationResult.PROVEN
        assert len(here.posts) == 1


async def test_a_forged_agent_is_held(tmp_path: Path) -> None:
    async with bench(tmp_path) as (here, _):
        queue_id = await receive(here, mail(sender=AGENT), client="203.0.113.9", mail_from=AGENT)
        assert isinstance(await attempt(here), Quarantined)
        assert await found_of(here, queue_id) is AuthenticationResult.FAILED
        assert not here.posts


async def test_while_the_dns_fails_a_mail_waits_and_keeps_its_place(tmp_path: Path) -> None:
    async with bench(tmp_path) as (here, server):
        server.zone["customer.example"] = Trouble.SERVFAIL
        await receive(here, mail("first", name="reply-1"))
        assert isinstance(await attempt(here), Deferred)
        server.zone["customer.example"] = txt(f"v=spf1 ip4:{CLIENT} -all")
        await receive(here, mail("second", name="reply-2"))
        assert await here.engine.store.claim(limit=1, now=here.now, lease=300) == ()
        here.now += 61
        assert isinstance(await attempt(here), Delivered)
        assert isinstance(await attempt(here), Delivered)
        assert [post["content"] for post in here.posts] == ["first", "second"]


async def test_when_the_patience_is_over_nothing_is_known(tmp_path: Path) -> None:
    async with bench(tmp_path, INGEST_DNS_PATIENCE="100") as (here, server):
        server.zone["customer.example"] = Trouble.SERVFAIL
        queue_id = await receive(here, mail())
        assert isinstance(await attempt(here), Deferred)
        here.now += 61
        assert isinstance(await attempt(here), Deferred)
        here.now += 61
        assert not isinstance(await attempt(here), Deferred)
        assert await found_of(here, queue_id) is AuthenticationResult.NOTHING_KNOWN


async def test_a_later_attempt_decides_by_what_the_first_one_found(tmp_path: Path) -> None:
    async with bench(tmp_path) as (here, server):
        await receive(here, mail())
        queued = await here.claim()
        await here.process(queued)  # the outcome is lost, as in a crash
        server.zone["customer.example"] = txt("v=spf1 -all")
        here.now += 3700
        asked = server.asked.total()
        again = await here.claim()
        assert again.authentication is not None
        assert again.authentication.result is AuthenticationResult.PROVEN
        await here.process(again)
        assert server.asked.total() == asked
        assert len(here.posts) == 1


@pytest.mark.parametrize("relays", ["", "198.51.100.0/24"])
async def test_behind_a_relay_spf_is_not_asked_for(tmp_path: Path, relays: str) -> None:
    async with bench(tmp_path, **({"INGEST_SMTP_RELAYS": relays} if relays else {})) as (here, server):
        queue_id = await receive(here, mail())
        await attempt(here)
        expected = AuthenticationResult.NOTHING_KNOWN if relays else AuthenticationResult.PROVEN
        assert await found_of(here, queue_id) is expected
        assert ("customer.example TXT" in server.asked) is not bool(relays)
