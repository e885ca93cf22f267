"""Authentication as a whole: a DNS server on loopback, a real parser process, mails signed for the test."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.api import Unavailable
from ingest.authenticate import RETRY_SECONDS, AuthenticationSettings, DnsAuthenticator
from ingest.dns import network as dns_network
from ingest.dns.network import AbsentResolver, NetworkResolver
from ingest.dns.zone import load_zone
from ingest.model.envelope import Envelope, SourceRef
from ingest.model.outcome import DeferCause
from ingest.model.trust import Authentication, AuthenticationResult
from ingest.parse import parse
from ingest.parse_pool import ParsePool, PoisonMessage
from ingest.parse_process import do_job
from tests.support.complexity import ENDS_WITHIN_SECONDS
from tests.support.dns_server import DnsServer, Trouble, Zone, started, txt
from tests.support.factories import ALICE, queued
from tests.support.signing import CUSTOMER, SELECTOR, ed25519_key, rsa_key, signed

FIXTURES = Path(__file__).parents[2] / "fixtures"
CLIENT = "198.51.100.7"
NOW = time.time()
MAIL = f"From: Alice <{ALICE}>\r\nTo: help@mail.ravenna.example\r\nSubject: Re: printer\r\n\r\nIt works.\r\n".encode()
KEY = f"{SELECTOR}._domainkey.{CUSTOMER}"
PROVEN, UNKNOWN, FAILED = (
    AuthenticationResult.PROVEN,
    AuthenticationResult.NOTHING_KNOWN,
    AuthenticationResult.FAILED,
)


def zone(**more: object) -> Zone:
    return {
        CUSTOMER: txt(f"v=spf1 ip4:{CLIENT} -all"),
        f"_dmarc.{CUSTOMER}": txt("v=DMARC1; p=reject"),
        KEY: txt(rsa_key().record),
        f"ed.{KEY.partition('.')[2]}": txt(ed25519_key().record),
    }


class Bench:
    """An authenticator with a server that it asks."""

    def __init__(self, server: DnsServer, authenticator: DnsAuthenticator) -> None:
        self.server = server
        self.authenticator = authenticator
        self.now = NOW

    async def find(self, content: bytes = MAIL, **changed: object) -> Authentication:
        facts: dict[str, object] = {"client": "", "mail_from": ALICE, "helo": "", "source": "smtp:25"} | changed
        envelope = Envelope(
            mail_from=str(facts["mail_from"]), rcpt_tos=(), client=str(facts["client"]), helo=str(facts["helo"])
        )
        message = queued(
            envelope=envelope,
            source_ref=SourceRef(source=str(facts["source"])),
            received_at=NOW,
            optional_failing_since=facts.get("failing_since"),
            authentication=facts.get("authentication"),
        )
        return await self.authenticator.authenticate(message, parse(content), content)

    async def result(self, content: bytes = MAIL, **changed: object) -> AuthenticationResult:
        found = await self.find(content, **changed)
        assert found.reason
        assert "@" not in found.reason
        return found.result


class InlinePool(ParsePool):
    """Does the job of the parser process in this one: the tests need no start of a process each."""

    def __init__(self) -> None:
        super().__init__(processes=0, seconds=1, memory_bytes=1)

    async def _run_job(self, *job: object) -> object:
        return do_job(*job)  # type: ignore[arg-type]


@pytest.fixture
def pool() -> ParsePool:
    return InlinePool()


@asynccontextmanager
async def bench(parse_pool: ParsePool, **settings: object) -> AsyncIterator[Bench]:
    async with started(zone()) as server:
        resolver = NetworkResolver([server.address], clock=lambda: made[0].now if made else NOW)
        made: list[Bench] = []
        authenticator = DnsAuthenticator(
            resolver,
            parse_pool,
            replace(AuthenticationSettings(), **settings),  # type: ignore[arg-type]
            clock=lambda: made[0].now if made else NOW,
        )
        made.append(Bench(server, authenticator))
        yield made[0]
        await resolver.close()


async def test_a_mail_from_a_server_that_the_domain_permits_is_proven(pool: ParsePool) -> None:
    async with bench(pool) as here:
        assert await here.result(client=CLIENT) is PROVEN


@pytest.mark.parametrize("key", ["rsa", "ed25519"])
async def test_a_signed_mail_is_proven_whoever_brings_it(pool: ParsePool, key: str) -> None:
    mail = signed(MAIL) if key == "rsa" else signed(MAIL, key=ed25519_key(), selector="ed")
    async with bench(pool) as here:
        for client in ("203.0.113.9", "127.0.0.1", ""):
            assert await here.result(mail, client=client) is PROVEN


@pytest.mark.parametrize(
    "author",
    [
        "from:alice@customer.example",
        "From:   Alice\r\n\t Archer \r\n <alice@customer.example>  ",
        "From: =?utf-8?q?Zo=C3=AB?= =?utf-8?q?_B=C3=A9ranger?= <alice@Customer.Example>",
        "FROM: Zoë Béranger <alice@customer.example>",
        'From: "Archer, Alice" <alice@customer.example>',
    ],
)
@pytest.mark.parametrize("form", ["simple/simple", "relaxed/relaxed"])
async def test_an_author_may_be_written_in_every_way_that_is_clear(pool: ParsePool, author: str, form: str) -> None:
    mail = author.encode() + MAIL[MAIL.index(b"\r\n") :]
    trace = b"Received: from client by us; Mon, 05 Oct 2026 11:00:00 +0200\r\n"
    async with bench(pool) as here:
        assert await here.result(trace + signed(mail, form=form), client="203.0.113.9") is PROVEN
        assert await here.result(signed(mail, form=form).replace(b"\r\n", b"\n"), client="203.0.113.9") is PROVEN


async def test_a_mail_from_elsewhere_has_failed(pool: ParsePool) -> None:
    async with bench(pool) as here:
        found = await here.find(client="203.0.113.9")
        assert (found.result, found.domain, found.is_lasting) == (FAILED, CUSTOMER, True)
        assert await here.result(signed(MAIL).replace(b"It works", b"It fails"), client="203.0.113.9") is FAILED


async def test_behind_a_relay_spf_might_have_passed(pool: ParsePool) -> None:
    async with bench(pool, behind_relays=True) as here:
        assert await here.result(client="203.0.113.9") is UNKNOWN
        assert await here.result(client=CLIENT) is UNKNOWN
        assert await here.result(client="203.0.113.9", mail_from="") is UNKNOWN


async def test_behind_a_relay_a_reverse_path_of_another_domain_could_not_have_proven_it(pool: ParsePool) -> None:
    async with bench(pool, behind_relays=True) as here:
        assert await here.result(client="203.0.113.9", mail_from="x@attacker.test") is FAILED


@pytest.mark.parametrize(("client", "source"), [("", "imap:a/INBOX"), ("10.0.0.1", "smtp:25"), (CLIENT, "lmtp:24")])
async def test_where_the_sending_server_is_not_known_spf_might_have_passed(
    pool: ParsePool, client: str, source: str
) -> None:
    async with bench(pool) as here:
        assert await here.result(client=client, source=source) is UNKNOWN


async def test_loopback_counts_only_where_it_is_tried_out(pool: ParsePool) -> None:
    async with bench(pool, with_loopback=True) as here:
        here.server.zone[CUSTOMER] = txt("v=spf1 ip4:127.0.0.1 -all")
        assert await here.result(client="127.0.0.1") is PROVEN
    async with bench(pool) as here:
        here.server.zone[CUSTOMER] = txt("v=spf1 ip4:127.0.0.1 -all")
        assert await here.result(client="127.0.0.1") is UNKNOWN


async def test_a_passing_domain_that_is_not_the_authors_proves_nothing(pool: ParsePool) -> None:
    async with bench(pool) as here:
        here.server.zone["attacker.example"] = txt("v=spf1 ip4:203.0.113.9 -all")
        here.server.zone["s1._domainkey.attacker.example"] = txt(rsa_key().record)
        mail = signed(MAIL, domain="attacker.example")
        assert await here.result(mail, client="203.0.113.9", mail_from="x@attacker.example") is FAILED


@pytest.mark.parametrize("domain", ["example", "com", "co.uk"])
async def test_a_signature_of_a_public_suffix_proves_nothing(pool: ParsePool, domain: str) -> None:
    async with bench(pool) as here:
        here.server.zone[f"s1._domainkey.{domain}"] = txt(rsa_key().record)
        here.server.zone[f"_dmarc.{domain}"] = txt("v=DMARC1; p=none")
        mail = MAIL.replace(CUSTOMER.encode(), f"customer.{domain}".encode())
        here.server.zone[f"_dmarc.customer.{domain}"] = txt("v=DMARC1; p=reject")
        assert await here.result(signed(mail, domain=domain), client="203.0.113.9", mail_from="x@a.test") is FAILED


async def test_a_subdomain_proves_its_organization_and_the_other_way_round(pool: ParsePool) -> None:
    async with bench(pool) as here:
        here.server.zone[f"s1._domainkey.mail.{CUSTOMER}"] = txt(rsa_key().record)
        assert await here.result(signed(MAIL, domain=f"mail.{CUSTOMER}"), client="203.0.113.9") is PROVEN
        mail = MAIL.replace(CUSTOMER.encode(), b"news.customer.example")
        assert await here.result(signed(mail), client="203.0.113.9") is PROVEN


async def test_a_domain_that_does_not_exist_has_the_policy_for_such(pool: ParsePool) -> None:
    async with bench(pool) as here:
        here.server.zone[f"_dmarc.{CUSTOMER}"] = txt("v=DMARC1; p=none; np=reject")
        mail = MAIL.replace(CUSTOMER.encode(), b"nowhere.customer.example")
        assert await here.result(mail, client="203.0.113.9") is FAILED
        here.server.zone["nowhere.customer.example"] = {"A": ["192.0.2.1"]}
        here.now += 7200
        assert await here.result(mail, client="203.0.113.9") is UNKNOWN


async def test_a_domain_without_records_is_unknown(pool: ParsePool) -> None:
    async with bench(pool) as here:
        here.server.zone.clear()
        assert await here.result(client=CLIENT) is UNKNOWN


@pytest.mark.parametrize(
    "author",
    [
        b"From: a@customer.example, b@customer.example\r\n",
        b"From: a@customer.example\r\nFrom: b@customer.example\r\n",
        b"From: nobody\r\n",
        b"From: root@localhost\r\n",
        b"From: a@[192.0.2.1]\r\n",
        b"",
    ],
)
async def test_a_mail_without_exactly_one_author_is_unknown_and_asks_nothing(pool: ParsePool, author: bytes) -> None:
    async with bench(pool) as here:
        mail = author + MAIL.partition(b"\r\n")[2]
        assert await here.result(mail, client=CLIENT) is UNKNOWN
        assert not here.server.asked


async def test_an_international_domain_is_looked_up_by_its_a_labels(pool: ParsePool) -> None:
    async with bench(pool) as here:
        here.server.zone["xn--bcher-kva.example"] = txt(f"v=spf1 ip4:{CLIENT} -all")
        mail = MAIL.replace(CUSTOMER.encode(), "bücher.example".encode())
        assert await here.result(mail, client=CLIENT, mail_from="x@bücher.example") is PROVEN


async def test_nothing_is_asked_that_cannot_matter(pool: ParsePool) -> None:
    async with bench(pool) as here:
        mail = signed(MAIL, domain="mailer.test")
        await here.find(mail, client=CLIENT, mail_from="bounces@mailer.test")
        assert set(here.server.asked) == {f"_dmarc.{CUSTOMER} TXT", "_dmarc.example TXT"}


async def test_what_an_earlier_attempt_found_stays_and_asks_nothing(pool: ParsePool) -> None:
    earlier = Authentication(result=PROVEN, domain=CUSTOMER, reason="then")
    async with bench(pool) as here:
        assert await here.find(client="203.0.113.9", authentication=earlier) is earlier
        assert not here.server.asked


# The DNS fails


@pytest.mark.parametrize("name", [CUSTOMER, f"_dmarc.{CUSTOMER}", KEY])
async def test_a_failure_of_the_dns_puts_the_mail_off_and_then_nothing_is_known(pool: ParsePool, name: str) -> None:
    mail = signed(MAIL).replace(b"works", b"fails")
    async with bench(pool, patience_seconds=3600.0) as here:
        here.server.zone[name] = Trouble.SERVFAIL
        with pytest.raises(Unavailable) as caught:
            await here.find(mail, client="203.0.113.9")
        outcome = caught.value.outcome
        assert (outcome.cause, outcome.retry_after, outcome.optional_step_failed) == (
            DeferCause.WAIT,
            RETRY_SECONDS,
            True,
        )
        with pytest.raises(Unavailable):
            await here.find(mail, client="203.0.113.9", failing_since=NOW - 3500)
        found = await here.find(mail, client="203.0.113.9", failing_since=NOW - 3601)
        assert (found.result, found.is_lasting) == (UNKNOWN, False)


async def test_without_patience_nothing_is_put_off(pool: ParsePool) -> None:
    async with bench(pool, patience_seconds=0.0) as here:
        here.server.zone[CUSTOMER] = Trouble.SERVFAIL
        assert await here.result(client="203.0.113.9") is UNKNOWN


async def test_proof_needs_not_every_answer(pool: ParsePool) -> None:
    async with bench(pool) as here:
        here.server.zone[CUSTOMER] = Trouble.SERVFAIL
        here.server.zone[f"_dmarc.{CUSTOMER}"] = Trouble.SERVFAIL
        assert await here.result(signed(MAIL), client="203.0.113.9") is PROVEN


async def test_without_any_resolver_mail_goes_on_at_once(pool: ParsePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_network, "TRY_SECONDS", 0.3)
    monkeypatch.setattr(dns_network, "QUESTION_SECONDS", 0.3)
    async with bench(pool) as here:
        here.server.trouble = Trouble.SILENCE
        found = await here.find(signed(MAIL), client=CLIENT)
        assert (found.result, found.is_lasting) == (UNKNOWN, False)
        asked = here.server.asked.total()
        assert await here.result(MAIL.replace(CUSTOMER.encode(), b"other.example"), client=CLIENT) is UNKNOWN
        assert here.server.asked.total() == asked


async def test_where_no_dns_is_wanted_nothing_is_known(pool: ParsePool) -> None:
    authenticator = DnsAuthenticator(AbsentResolver(), pool, AuthenticationSettings(), clock=time.time)
    found = await authenticator.authenticate(queued(), parse(MAIL), MAIL)
    assert found.result is UNKNOWN


@pytest.mark.parametrize(
    "spf", ["v=spf1 include:customer.example -all", "v=spf1 redirect=loop.example", "v=spf1 a:c.example"]
)
async def test_records_that_loop_end_in_a_clear_result(pool: ParsePool, spf: str) -> None:
    async with bench(pool) as here:
        here.server.zone[CUSTOMER] = txt(spf)
        here.server.zone["loop.example"] = txt("v=spf1 redirect=loop.example")
        here.server.zone["c.example"] = {"CNAME": ["c.example."]}
        here.server.zone[KEY] = {"CNAME": [f"{KEY}."]}
        assert await here.result(signed(MAIL), client=CLIENT) is FAILED


class DyingPool(InlinePool):
    """Stands for a parser process that dies of every job."""

    async def _run_job(self, *job: object) -> object:
        raise PoisonMessage("time", "took more than 20 seconds")


async def test_signatures_that_could_not_be_verified_are_neither_proof_nor_refusal() -> None:
    async with bench(DyingPool()) as here:
        assert await here.result(signed(MAIL), client="203.0.113.9") is UNKNOWN
        assert await here.result(client="203.0.113.9") is FAILED


# Bounds


@pytest.mark.timeout(ENDS_WITHIN_SECONDS)
@pytest.mark.no_cover
async def test_mail_made_to_cost_time_ends_soon() -> None:
    processes = ParsePool(processes=1, seconds=20, memory_bytes=1 << 30)
    await processes.start()
    try:
        async with bench(processes) as here:
            assert await here.result(signed(MAIL), client="203.0.113.9") is PROVEN
            signature = signed(MAIL)[: -len(MAIL)]  # dkimpy itself would take half a minute to sign the first of these
            for mail in (signed(MAIL) + b" " * 80_000, signature * 1000 + MAIL, signature * 300 + MAIL):
                await here.find(mail, client="203.0.113.9")
    finally:
        await processes.stop()


# The sandbox's zone


async def test_the_signed_mail_of_the_fixtures_is_proven_by_the_zone_of_the_sandbox(pool: ParsePool) -> None:
    mail = (FIXTURES / "mails" / "dkim-signed.eml").read_bytes()
    zone_of_sandbox = load_zone(FIXTURES / "sandbox.json")
    authenticator = DnsAuthenticator(zone_of_sandbox, pool, AuthenticationSettings(), clock=time.time)
    for content, result in ((mail, PROVEN), (mail.replace(b"sauber", b"nicht"), FAILED)):
        found = await authenticator.authenticate(queued(received_at=NOW), parse(content), content)
        assert found.result is result
