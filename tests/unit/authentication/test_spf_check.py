"""SPF: with answers of a table, as the DNS would give them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.authentication.spf_check import (
    MAX_SPF_QUESTIONS,
    SpfCheck,
    SpfResult,
    evaluate,
    identity,
    known_client,
)
from ingest.model.dns_records import NO_SUCH_NAME, DnsAnswer, Question, RecordType
from tests.support.complexity import ENDS_WITHIN_SECONDS

CLIENT = "198.51.100.7"
ZONE = {
    ("client.example", "A"): (CLIENT,),
    ("client.example", "AAAA"): ("2001:db8::7",),
    ("mx.example", "MX"): ("10 other.example", "20 client.example"),
    ("other.example", "A"): ("203.0.113.1",),
    ("7.100.51.198.in-addr.arpa", "PTR"): ("client.example",),
    ("included.example", "TXT"): (f"v=spf1 ip4:{CLIENT} -all",),
    ("everybody.example", "TXT"): ("v=spf1 +all",),
    ("loop.example", "TXT"): ("v=spf1 include:loop2.example -all",),
    ("loop2.example", "TXT"): ("v=spf1 include:loop.example -all",),
    (f"{CLIENT}._spf.customer.example", "A"): ("127.0.0.2",),
}


def check(record: str, *, client: str = CLIENT, mail_from: str = "alice@customer.example", helo: str = "") -> SpfCheck:
    zone = ZONE | {("customer.example", "TXT"): (record,)}
    answers: dict[Question, DnsAnswer | None] = {}
    while isinstance(found := evaluate(client, identity(mail_from, helo), answers), Question):
        values = zone.get((found.name, found.record_type))
        answers[found] = NO_SUCH_NAME if values is None else DnsAnswer(values)
    return found


@pytest.mark.parametrize(
    "record",
    [
        f"v=spf1 ip4:{CLIENT} -all",
        "V=SPF1 ip4:198.51.100.0/24 ~all",
        "v=spf1 a:client.example -all",
        "v=spf1 mx:mx.example -all",
        "v=spf1 ptr:client.example -all",
        "v=spf1 include:included.example -all",
        "v=spf1 redirect=included.example",
        "v=spf1 exists:%{i}._spf.%{d} -all",
        f"v=spf1 ip4:{CLIENT} exp=nowhere.example -all",
    ],
)
def test_a_client_that_the_domain_permits_passes(record: str) -> None:
    assert check(record).result is SpfResult.PASS


@pytest.mark.parametrize(
    ("record", "word"),
    [
        ("v=spf1 -all", "fail"),
        ("v=spf1 ~all", "softfail"),
        ("v=spf1 ?all", "neutral"),
        ("v=spf1 ip4:203.0.113.0/24", "neutral"),
        (f"v=spf1 -ip4:{CLIENT} +all", "fail"),
        ("no record", "none"),
        ("v=spf10 +all", "none"),
        ("v=spf1 nonsense", "permerror"),
        ("v=spf1 ip4:999.1.1.1 -all", "permerror"),
        ("v=spf1 include:nowhere.example -all", "permerror"),
        ("v=spf1 include:loop.example -all", "permerror"),
        ("v=spf1 a:n1.example a:n2.example a:n3.example +ip4:198.51.100.7", "permerror"),
        (f"v=spf1 {' '.join(f'a:h{n}.example' for n in range(12))} ip4:{CLIENT}", "permerror"),
        ("v=spf1 a:%{x}.example -all", "permerror"),
        (f"v=spf1 ip4:{CLIENT} {'x' * 3000}", "none"),
    ],
)
def test_what_does_not_permit_the_client_is_no_pass(record: str, word: str) -> None:
    found = check(record)
    assert (found.result, found.detail) == (SpfResult.NO_PASS, word)


@pytest.mark.parametrize(
    "record",
    ["v=spf1 +all", "v=spf1 all", "v=spf1 ip4:0.0.0.0/0 -all", "v=spf1 ip4:0.0.0.0/1 ip4:128.0.0.0/1 -all",
     "v=spf1 include:everybody.example -all", "v=spf1 redirect=everybody.example",
     "v=spf1 exists:client.example -all"],
)  # fmt: skip
def test_a_domain_that_permits_everybody_proves_nothing(record: str) -> None:
    assert check(record).result is SpfResult.PERMITS_ALL


def test_ipv6_is_checked_too() -> None:
    assert check("v=spf1 a:client.example -all", client="2001:db8::7").result is SpfResult.PASS
    assert check("v=spf1 ip6:2001:db8::/32 -all", client="2001:db8::7").result is SpfResult.PASS
    assert check("v=spf1 ip6::: /0 -all", client="2001:db8::7").result is SpfResult.NO_PASS


def test_a_null_reverse_path_is_judged_by_the_name_in_helo() -> None:
    assert check(f"v=spf1 ip4:{CLIENT} -all", mail_from="", helo="Customer.Example").result is SpfResult.PASS


def test_the_domain_is_what_stands_behind_the_last_at() -> None:
    assert (
        check(f"v=spf1 ip4:{CLIENT} -all", mail_from='"x@evil.example"@customer.example').domain == "customer.example"
    )


def test_a_failure_of_the_dns_is_told() -> None:
    question = Question("customer.example", RecordType.TXT)
    found = evaluate(CLIENT, identity("alice@customer.example", ""), {question: None})
    assert isinstance(found, SpfCheck)
    assert found.result is SpfResult.UNANSWERED


@pytest.mark.timeout(ENDS_WITHIN_SECONDS)
@pytest.mark.no_cover
def test_a_record_made_to_cost_time_ends_soon() -> None:
    terms = " ".join(f"mx:{n}.m.example" for n in range(10))
    answers: dict[Question, DnsAnswer | None] = {}
    while isinstance(found := evaluate(CLIENT, identity("a@customer.example", ""), answers), Question):
        if found.record_type is RecordType.TXT:
            answers[found] = DnsAnswer((f"v=spf1 {terms} {'ip4:203.0.113.1 ' * 100}",))
        elif found.record_type is RecordType.MX:
            answers[found] = DnsAnswer(tuple(f"10 {n}.{found.name}" for n in range(10)))
        else:
            answers[found] = DnsAnswer(("203.0.113.1",))
    assert found.result is SpfResult.NO_PASS
    assert len(answers) <= MAX_SPF_QUESTIONS


@pytest.mark.parametrize(
    "client",
    ["", "unknown", "127.0.0.1", "::1", "10.1.2.3", "172.20.0.1", "192.168.1.1", "100.64.0.1", "fe80::1%eth0",
     "fd00::1", "0.0.0.0", "224.0.0.1", "::ffff:10.0.0.1"],
)  # fmt: skip
def test_a_client_inside_a_network_is_not_the_senders_server(client: str) -> None:
    assert known_client(client) == ""


@pytest.mark.parametrize(
    ("client", "known"),
    [("198.51.100.7", "198.51.100.7"), ("2001:DB8::7", "2001:db8::7"), ("::ffff:198.51.100.7", "198.51.100.7")],
)
def test_any_other_client_is(client: str, known: str) -> None:
    assert known_client(client) == known


def test_loopback_counts_where_it_is_tried_out() -> None:
    assert known_client("127.0.0.1", with_loopback=True) == "127.0.0.1"
    assert known_client("::1", with_loopback=True) == "::1"
    assert known_client("10.0.0.1", with_loopback=True) == ""


TERMS = ["a", "mx", "ptr", "all", "include:x.example", "exists:%{i}", "redirect=y.example", "ip4:1", "ip6:::1", "exp=z"]


@given(st.lists(st.sampled_from(TERMS) | st.text(max_size=20), max_size=12), st.sampled_from(["+", "-", "~", "?", ""]))
def test_no_record_makes_the_check_raise(terms: list[str], sign: str) -> None:
    record = " ".join(["v=spf1", *(sign + term for term in terms)])
    assert check(record.encode("latin-1", "replace").decode("latin-1")).result in SpfResult


@given(st.text(max_size=80), st.text(max_size=40))
def test_no_reverse_path_and_no_helo_make_the_check_raise(mail_from: str, helo: str) -> None:
    who = identity(mail_from, helo)
    if who.domain:
        evaluate(CLIENT, who, {})
