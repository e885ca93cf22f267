"""What ``ingest check`` tells about the DNS."""

from pathlib import Path

import pytest

from ingest.cli.check_dns import dns_results
from ingest.cli.check_result import CheckResult
from ingest.config.settings import Settings, load
from ingest.dns import network as dns_network
from tests.support.dns_server import Trouble, started, txt

ZONE = Path(__file__).parents[3] / "fixtures" / "sandbox.json"
DOMAIN = "ours.example"


def settings(**given: str) -> Settings:
    return load({"INGEST_DOMAINS": DOMAIN} | given)


async def told(wanted: Settings) -> CheckResult:
    [found] = [result async for result in dns_results(wanted)]
    assert found.what == "dns"
    return found


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_network, "TRY_SECONDS", 0.3)
    monkeypatch.setattr(dns_network, "QUESTION_SECONDS", 0.3)


async def test_a_resolver_that_answers_is_fine() -> None:
    async with started({DOMAIN: txt("v=spf1 -all")}) as server:
        assert (await told(settings(INGEST_DNS_SERVERS=server.address))).level == "ok"


async def test_without_a_resolver_it_says_what_to_set() -> None:
    async with started() as server:
        server.trouble = Trouble.SILENCE
        found = await told(settings(INGEST_DNS_SERVERS=server.address))
    assert found.level == "warning"
    assert server.address in found.text
    assert "INGEST_DNS_SERVERS" in found.text


async def test_a_failure_of_our_own_domain_is_told() -> None:
    async with started({DOMAIN: Trouble.SERVFAIL}) as server:
        found = await told(settings(INGEST_DNS_SERVERS=server.address))
    assert found.level == "warning"
    assert DOMAIN in found.text


async def test_that_no_dns_is_wanted_and_that_a_file_stands_for_it_are_told() -> None:
    assert "none" in (await told(settings(INGEST_DNS_SERVERS="none"))).text
    assert str(ZONE) in (await told(settings(INGEST_DNS_ZONE=str(ZONE)))).text


async def test_a_file_that_is_no_zone_is_an_error(tmp_path: Path) -> None:
    assert (await told(settings(INGEST_DNS_ZONE=str(tmp_path / "nowhere.json")))).level == "error"
