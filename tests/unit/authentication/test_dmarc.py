"""DMARC: records, the tree walk, alignment, and whose policy applies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.authentication.dmarc import (
    DmarcRecord,
    Policy,
    can_align,
    find_policy,
    is_aligned,
    organizational_domain,
    parse_record,
    tree_walk,
)

NO_RECORDS: dict[str, DmarcRecord | None] = {}
RECORD = DmarcRecord(policy=Policy.REJECT)
OWN = DmarcRecord(is_public_suffix=False)
REGISTRY = DmarcRecord(policy=Policy.REJECT, is_public_suffix=True)


@pytest.mark.parametrize(
    ("domain", "walk"),
    [
        ("example.com", ("example.com", "com")),
        ("a.mail.example.com", ("a.mail.example.com", "mail.example.com", "example.com", "com")),
        (
            "a.b.c.d.e.f.g.h.i.j.mail.example.com",
            (
                "a.b.c.d.e.f.g.h.i.j.mail.example.com",
                "g.h.i.j.mail.example.com",
                "h.i.j.mail.example.com",
                "i.j.mail.example.com",
                "j.mail.example.com",
                "mail.example.com",
                "example.com",
                "com",
            ),
        ),
    ],
)
def test_the_tree_walk_asks_eight_times_at_most(domain: str, walk: tuple[str, ...]) -> None:
    assert tree_walk(domain) == walk


@pytest.mark.parametrize(
    ("text", "record"),
    [
        ("v=DMARC1; p=reject", DmarcRecord(policy=Policy.REJECT)),
        ("v = DMARC1 ;p = Quarantine;", DmarcRecord(policy=Policy.QUARANTINE)),
        (
            "v=DMARC1; p=none; sp=quarantine; np=reject; adkim=s; aspf=s; psd=n; t=y; pct=50; x=y; junk",
            DmarcRecord(
                subdomain_policy=Policy.QUARANTINE,
                absent_policy=Policy.REJECT,
                strict_dkim=True,
                strict_spf=True,
                is_public_suffix=False,
                is_test=True,
            ),
        ),
        ("v=DMARC1", DmarcRecord()),
        ("v=DMARC1; p=refuse; sp=reject", DmarcRecord()),
        ("v=DMARC1; p=reject; sp=refuse", DmarcRecord()),
        ("v=DMARC1; p=reject; pct=0", DmarcRecord(policy=Policy.REJECT)),
    ],
)
def test_a_record_is_read_leniently_below_its_version(text: str, record: DmarcRecord) -> None:
    assert parse_record([text]) == record


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["v=spf1 -all"],
        ["v=dmarc1; p=reject"],
        ["p=reject; v=DMARC1"],
        ["v=DMARC10; p=reject"],
        ["v=DMARC1; p=reject", "v=DMARC1; p=none"],
        ["v=DMARC1; p=reject;" + " " * 3000],
    ],
)
def test_what_is_no_record_or_one_too_many_is_ignored(texts: list[str]) -> None:
    assert parse_record(texts) is None


def test_other_text_beside_the_record_does_not_matter() -> None:
    assert parse_record(["v=spf1 -all", "v=DMARC1; p=reject"]) == RECORD


@pytest.mark.parametrize(
    ("domain", "records", "organization"),
    [
        ("a.example.com", {}, "a.example.com"),
        ("a.example.com", {"example.com": RECORD}, "example.com"),
        ("a.b.example.com", {"b.example.com": RECORD, "example.com": RECORD}, "example.com"),
        (
            "a.b.example.com",
            {"b.example.com": OWN, "example.com": RECORD},
            "b.example.com",
        ),
        ("a.b.bank", {"bank": REGISTRY}, "b.bank"),
        ("a.b.bank", {"bank": REGISTRY, "a.b.bank": RECORD}, "b.bank"),
        ("a.b.co.uk", {"co.uk": REGISTRY}, "b.co.uk"),
        ("bank", {"bank": REGISTRY}, "bank"),
    ],
)
def test_the_organizational_domain(domain: str, records: dict[str, DmarcRecord], organization: str) -> None:
    assert organizational_domain(domain, records) == organization


@pytest.mark.parametrize("registry", ["com", "co.uk", "gov.uk", "com.au", "ne.jp", "bank"])
def test_a_record_of_a_registry_that_forgot_to_say_so_aligns_nobody(registry: str) -> None:
    records = {registry: RECORD}
    assert not is_aligned(f"attacker.{registry}", f"customer.{registry}", records, strict=False)
    assert not is_aligned(registry, f"customer.{registry}", records, strict=False)
    assert find_policy(f"customer.{registry}", records, exists=True) is None


@pytest.mark.parametrize("registry", ["com", "co.uk", "bank"])
@pytest.mark.parametrize("records", [{}, {"com": REGISTRY, "co.uk": REGISTRY, "bank": REGISTRY}])
def test_nobody_aligns_by_a_public_suffix(registry: str, records: dict[str, DmarcRecord | None]) -> None:
    assert not is_aligned(f"attacker.{registry}", f"customer.{registry}", records, strict=False)
    assert not is_aligned(registry, f"customer.{registry}", records, strict=False)
    assert not is_aligned(f"customer.{registry}", registry, records, strict=False)


def test_relaxed_alignment_is_by_the_organization_and_strict_by_the_name() -> None:
    records = {"example.com": RECORD}
    assert is_aligned("mail.example.com", "news.example.com", records, strict=False)
    assert not is_aligned("mail.example.com", "news.example.com", records, strict=True)
    assert is_aligned("news.example.com", "news.example.com", records, strict=True)


def test_without_a_record_only_equal_domains_align() -> None:
    assert is_aligned("example.com", "example.com", NO_RECORDS, strict=False)
    assert not is_aligned("mail.example.com", "example.com", NO_RECORDS, strict=False)


@pytest.mark.parametrize("domain", ["my-customer.com", "customer.com.evil.net", "xcustomer.com", "customer.co"])
def test_a_similar_name_is_another_domain(domain: str) -> None:
    assert not is_aligned(domain, "customer.com", {"customer.com": RECORD, "com": REGISTRY}, strict=False)


@pytest.mark.parametrize(
    ("domain", "possible"), [("mail.example.com", True), ("example.com", True), ("other.com", False)]
)
def test_what_cannot_align_need_not_be_asked_for(domain: str, possible: bool) -> None:
    assert can_align(domain, "news.example.com") is possible


@pytest.mark.parametrize(
    ("records", "exists", "policy"),
    [
        ({"a.example.com": DmarcRecord(policy=Policy.QUARANTINE), "example.com": RECORD}, True, Policy.QUARANTINE),
        ({"example.com": RECORD}, True, Policy.REJECT),
        ({"example.com": DmarcRecord(policy=Policy.REJECT, subdomain_policy=Policy.NONE)}, True, Policy.NONE),
        ({"example.com": DmarcRecord(policy=Policy.NONE, absent_policy=Policy.REJECT)}, False, Policy.REJECT),
        ({"example.com": DmarcRecord(policy=Policy.NONE, absent_policy=Policy.REJECT)}, True, Policy.NONE),
        ({"example.com": DmarcRecord(policy=Policy.REJECT, is_test=True)}, True, Policy.NONE),
        ({"com": REGISTRY}, True, Policy.REJECT),
        ({"com": REGISTRY, "example.com": DmarcRecord()}, True, Policy.NONE),
    ],
)
def test_the_nearest_policy_applies(records: dict[str, DmarcRecord | None], exists: bool, policy: Policy) -> None:
    found = find_policy("a.example.com", records, exists=exists)
    assert found is not None
    assert found.policy is policy


def test_without_any_record_there_is_no_policy() -> None:
    assert find_policy("a.example.com", {"a.example.com": None, "example.com": None, "com": None}, exists=True) is None


@given(st.text(max_size=200))
def test_no_text_makes_reading_a_record_raise(text: str) -> None:
    parse_record([text])
    parse_record([f"v=DMARC1;{text}"])
