"""What DKIM, SPF and DMARC together say: each row of the table."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from ingest.authentication.dmarc import DmarcRecord, Policy
from ingest.authentication.results import ToldPass
from ingest.authentication.spf_check import SpfCheck, SpfResult
from ingest.authentication.verdict import AuthenticationFindings, conclude, domains_to_align
from ingest.model.signatures import DkimKeyName, DkimSignature, DkimVerdict
from ingest.model.trust import AuthenticationResult

DOMAIN = "customer.example"
PROVEN, UNKNOWN, FAILED = (
    AuthenticationResult.PROVEN,
    AuthenticationResult.NOTHING_KNOWN,
    AuthenticationResult.FAILED,
)
NO_RECORD: dict[str, DmarcRecord | None] = {DOMAIN: None, "example": None}
POLICIES = {policy: NO_RECORD | {DOMAIN: DmarcRecord(policy=policy)} for policy in Policy}


def spf(result: SpfResult, domain: str = DOMAIN) -> SpfCheck:
    return SpfCheck(result=result, domain=domain)


def dkim(verdict: DkimVerdict, domain: str = DOMAIN) -> DkimSignature:
    return DkimSignature(key_name=DkimKeyName(domain, "s1"), verdict=verdict, detail=verdict)


def findings(
    records: dict[str, DmarcRecord | None], spf_result: SpfResult, signatures: Sequence[DkimSignature] = ()
) -> AuthenticationFindings:
    return AuthenticationFindings(author_domain=DOMAIN, records=records, spf=spf(spf_result), signatures=signatures)


def result(found: AuthenticationFindings) -> AuthenticationResult:
    conclusion = conclude(found)
    assert conclusion.authentication.reason
    assert conclusion.authentication.domain == DOMAIN
    return conclusion.authentication.result


@pytest.mark.parametrize("records", [NO_RECORD, *POLICIES.values()])
@pytest.mark.parametrize("other", [SpfResult.NO_PASS, SpfResult.CLIENT_UNKNOWN, SpfResult.UNANSWERED])
def test_a_signature_of_the_domain_proves_it_whatever_else_there_is(
    records: dict[str, DmarcRecord | None], other: SpfResult
) -> None:
    assert result(findings(records, other, [dkim(DkimVerdict.BROKEN), dkim(DkimVerdict.PASS)])) is PROVEN


@pytest.mark.parametrize("records", [NO_RECORD, *POLICIES.values()])
def test_spf_of_the_domain_proves_it_whatever_else_there_is(records: dict[str, DmarcRecord | None]) -> None:
    assert result(findings(records, SpfResult.PASS, [dkim(DkimVerdict.BROKEN)])) is PROVEN


@pytest.mark.parametrize("verdict", [None, DkimVerdict.BROKEN, DkimVerdict.NO_KEY, DkimVerdict.NO_PROOF])
@pytest.mark.parametrize(
    ("policy", "spf_result", "expected"),
    [
        (None, SpfResult.NO_PASS, UNKNOWN),
        (Policy.NONE, SpfResult.NO_PASS, UNKNOWN),
        (Policy.QUARANTINE, SpfResult.NO_PASS, FAILED),
        (Policy.REJECT, SpfResult.NO_PASS, FAILED),
        (Policy.REJECT, SpfResult.NOT_ALIGNED, FAILED),
        (Policy.REJECT, SpfResult.CLIENT_UNKNOWN, UNKNOWN),
        (Policy.QUARANTINE, SpfResult.CLIENT_UNKNOWN, UNKNOWN),
        (Policy.REJECT, SpfResult.PERMITS_ALL, UNKNOWN),
        (None, SpfResult.PERMITS_ALL, UNKNOWN),
    ],
)
def test_where_nothing_passed_the_policy_and_what_could_be_checked_decide(
    verdict: DkimVerdict | None, policy: Policy | None, spf_result: SpfResult, expected: AuthenticationResult
) -> None:
    records = NO_RECORD if policy is None else POLICIES[policy]
    signatures = [dkim(verdict)] if verdict else []
    assert result(findings(records, spf_result, signatures)) is expected


def test_a_domain_that_only_tests_its_policy_asks_for_nothing() -> None:
    records = {**NO_RECORD, DOMAIN: DmarcRecord(policy=Policy.REJECT, is_test=True)}
    assert result(findings(records, SpfResult.NO_PASS)) is UNKNOWN


def test_another_name_of_the_organization_proves_it_where_the_record_is_relaxed() -> None:
    records = {**NO_RECORD, DOMAIN: DmarcRecord(policy=Policy.REJECT), "mail.customer.example": None}
    found = findings(records, SpfResult.NO_PASS, [dkim(DkimVerdict.PASS, "mail.customer.example")])
    assert domains_to_align(found) == ("mail.customer.example",)
    assert result(found) is PROVEN


@pytest.mark.parametrize("is_dkim", [True, False])
def test_strict_alignment_wants_the_very_name(is_dkim: bool) -> None:
    record = DmarcRecord(policy=Policy.REJECT, strict_dkim=is_dkim, strict_spf=not is_dkim)
    records = {**NO_RECORD, DOMAIN: record, "mail.customer.example": None}
    found = findings(records, SpfResult.NO_PASS)
    if is_dkim:
        found = replace(found, signatures=[dkim(DkimVerdict.PASS, "mail.customer.example")])
    else:
        found = replace(found, spf=spf(SpfResult.PASS, "mail.customer.example"))
    assert result(found) is FAILED


def test_a_subdomain_does_not_speak_for_a_domain_without_a_record() -> None:
    records = {**NO_RECORD, "mail.customer.example": None}
    assert result(findings(records, SpfResult.NO_PASS, [dkim(DkimVerdict.PASS, "mail.customer.example")])) is UNKNOWN


def test_what_is_not_answered_and_might_prove_it_is_waited_for() -> None:
    found = findings(POLICIES[Policy.REJECT], SpfResult.UNANSWERED)
    assert (conclude(found).waits_for, result(found)) == (f"SPF of {DOMAIN}", UNKNOWN)
    found = replace(findings(NO_RECORD, SpfResult.NO_PASS), unanswered_keys=[DkimKeyName(DOMAIN, "s1")])
    assert (conclude(found).waits_for, result(found)) == (f"the DKIM key of {DOMAIN}", UNKNOWN)


def test_a_policy_that_is_not_answered_is_waited_for() -> None:
    for records in ({}, {DOMAIN: None}, {"example": None}):
        found = findings(dict(records), SpfResult.NO_PASS)
        assert (conclude(found).waits_for, result(found)) == (f"DMARC of {DOMAIN}", UNKNOWN)


def test_what_cannot_change_the_result_is_not_waited_for() -> None:
    found = findings({DOMAIN: DmarcRecord(policy=Policy.REJECT)}, SpfResult.NO_PASS)
    assert (conclude(found).waits_for, result(found)) == ("", FAILED)
    assert conclude(findings({}, SpfResult.PASS)).waits_for == ""


def test_an_alignment_that_is_not_answered_is_waited_for() -> None:
    records: dict[str, DmarcRecord | None] = {DOMAIN: DmarcRecord(policy=Policy.REJECT)}
    found = findings(records, SpfResult.NO_PASS, [dkim(DkimVerdict.PASS, "mail.customer.example")])
    assert conclude(found).waits_for


def test_the_reason_says_what_was_tried() -> None:
    found = findings(POLICIES[Policy.REJECT], SpfResult.NO_PASS, [dkim(DkimVerdict.BROKEN)])
    reason = conclude(found).authentication.reason
    assert "p=reject" in reason
    assert "DKIM of customer.example" in reason
    assert "SPF of customer.example" in reason


def told(domain: str, found: AuthenticationFindings) -> AuthenticationFindings:
    return replace(found, told=[ToldPass(domain=domain, is_dkim=True, reason="a relay of ours says so")])


def test_what_a_trusted_server_found_to_have_passed_counts_where_it_is_aligned() -> None:
    records = POLICIES[Policy.REJECT]
    of_part = told(f"mail.{DOMAIN}", findings(records, SpfResult.CLIENT_UNKNOWN))
    assert domains_to_align(of_part) == (f"mail.{DOMAIN}",)
    assert result(replace(of_part, records={**records, f"mail.{DOMAIN}": None})) is PROVEN
    strict = {**records, DOMAIN: DmarcRecord(policy=Policy.REJECT, strict_dkim=True), f"mail.{DOMAIN}": None}
    assert result(replace(of_part, records=strict)) is UNKNOWN


def test_what_passed_for_another_domain_proves_nothing() -> None:
    other = told("attacker.test", findings(POLICIES[Policy.REJECT], SpfResult.NO_PASS))
    assert domains_to_align(other) == ()
    assert result(other) is FAILED
