"""Puts DKIM, SPF and DMARC together: is the domain in From proven, has it failed, or is nothing known?

==========================================================  ==============================
something that is aligned with From passed                  proven
a question that could still prove it was not answered       wait, then nothing known
no DMARC record, ``p=none``, or the owner only tests (t=y)  nothing known
``p=quarantine`` or ``reject``, all could be checked        failed
the same, but SPF might have passed (client unknown)        nothing known
==========================================================  ==============================

``docs/decisions/authentication.md`` has the reasons.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ingest.authentication.dmarc import DomainPolicy, Policy, Records, can_align, find_policy, is_aligned, tree_walk
from ingest.authentication.results import ToldPass
from ingest.authentication.spf_check import SpfCheck, SpfResult
from ingest.model.signatures import DkimKeyName, DkimSignature, DkimVerdict
from ingest.model.trust import Authentication, AuthenticationResult


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationFindings:
    """What was found out about a mail from ``author_domain``."""

    author_domain: str
    records: Records
    """The DMARC records of the tree walks. A domain whose record was not answered is missing."""
    author_exists: bool = True
    """Whether the DNS knows the domain at all. Matters only for a registry's or owner's ``np``."""
    spf: SpfCheck
    signatures: Sequence[DkimSignature] = ()
    """Those that could be aligned."""
    told: Sequence[ToldPass] = ()
    """What servers that we trust found to have passed."""
    is_unverified: bool = False
    """Signatures could not be verified within the limits of a parser process, so that nobody knows whether they are
    good."""
    unanswered_keys: Sequence[DkimKeyName] = ()
    """Keys that the DNS did not give for now."""


class Conclusion(NamedTuple):
    """What follows from the findings."""

    authentication: Authentication
    waits_for: str = ""
    """The question to the DNS that might still change it; empty: it is final."""


class _Pass(NamedTuple):
    """A domain that DKIM, SPF or a server that we trust has shown to have sent the mail."""

    domain: str
    is_dkim: bool
    reason: str


def conclude(findings: AuthenticationFindings) -> Conclusion:
    """Return what is known about the claim of From. See the table above."""
    policy = find_policy(findings.author_domain, findings.records, exists=findings.author_exists)
    passed = next((one for one in _passes(findings) if _counts(one, findings, policy)), None)
    if passed is not None:
        return _conclusion(findings, AuthenticationResult.PROVEN, passed.reason)
    if waits_for := _unanswered(findings):
        reason = f"the DNS did not answer for {waits_for}"
        return _conclusion(findings, AuthenticationResult.NOTHING_KNOWN, reason, waits_for)
    if doubt := _doubt(findings, policy):
        return _conclusion(findings, AuthenticationResult.NOTHING_KNOWN, f"{doubt}; {_tried(findings)}")
    assert policy is not None
    reason = f"the domain wants such mail refused (DMARC p={policy.policy}), and {_tried(findings)}"
    return _conclusion(findings, AuthenticationResult.FAILED, reason)


def domains_to_align(findings: AuthenticationFindings) -> tuple[str, ...]:
    """Return the domains that passed and are not that of From, so that their tree walks must be known, too."""
    return tuple(dict.fromkeys(one.domain for one in _passes(findings) if one.domain != findings.author_domain))


def _passes(findings: AuthenticationFindings) -> Iterator[_Pass]:
    for signature in findings.signatures:
        domain, selector = signature.key_name
        if signature.verdict is DkimVerdict.PASS:
            yield _Pass(domain, True, f"the DKIM signature of {domain} ({selector}) is good")
    if findings.spf.result is SpfResult.PASS:
        yield _Pass(findings.spf.domain, False, f"SPF of {findings.spf.domain} permits the client")
    for told in findings.told:
        if can_align(told.domain, findings.author_domain):
            yield _Pass(told.domain, told.is_dkim, told.reason)


def _counts(one: _Pass, findings: AuthenticationFindings, policy: DomainPolicy | None) -> bool:
    """Return whether a domain that passed stands for that of From, as far as the records are known."""
    if one.domain == findings.author_domain:
        return True
    if policy is None or not _is_walked(one.domain, findings) or not _is_walked(findings.author_domain, findings):
        return False
    strict = policy.record.strict_dkim if one.is_dkim else policy.record.strict_spf
    return is_aligned(one.domain, findings.author_domain, findings.records, strict=strict)


def _is_walked(domain: str, findings: AuthenticationFindings) -> bool:
    return all(name in findings.records for name in tree_walk(domain))


def _unanswered(findings: AuthenticationFindings) -> str:
    """Return what the DNS did not answer and might change the result; empty: nothing."""
    if findings.unanswered_keys:
        return f"the DKIM key of {findings.unanswered_keys[0].domain}"
    if findings.spf.result is SpfResult.UNANSWERED:
        return f"SPF of {findings.spf.domain}"
    walked = [findings.author_domain, *domains_to_align(findings)]
    is_own_record_known = findings.records.get(findings.author_domain) is not None and len(walked) == 1
    if is_own_record_known or all(_is_walked(domain, findings) for domain in walked):
        return ""
    return f"DMARC of {findings.author_domain}"


def _doubt(findings: AuthenticationFindings, policy: DomainPolicy | None) -> str:
    """Return why a mail that nothing proves is not to be called forged; empty: there is no reason."""
    if policy is None:
        return "the domain has no DMARC record"
    if policy.policy is Policy.NONE:
        return "the domain asks for nothing (DMARC p=none)"
    if findings.is_unverified:
        return "its signatures could not be verified within the limits"
    return _DOUBTS.get(findings.spf.result, "")


_DOUBTS = {
    SpfResult.CLIENT_UNKNOWN: "SPF may have passed before a relay took the mail in",
    SpfResult.PERMITS_ALL: "the SPF record of the domain permits everybody",
}


def _tried(findings: AuthenticationFindings) -> str:
    """Return what became of each proof that was looked for, in words."""
    signatures = [f"DKIM of {one.key_name.domain}: {one.detail}" for one in findings.signatures]
    return "; ".join([*(signatures or ["it has no DKIM signature of the domain"]), _spf_words(findings.spf)])


def _spf_words(spf: SpfCheck) -> str:
    match spf.result:
        case SpfResult.NO_PASS:
            return f"SPF of {spf.domain}: {spf.detail}" if spf.domain else "SPF: there is no domain to ask"
        case SpfResult.NOT_ALIGNED:
            return "the reverse-path is of another domain"
        case SpfResult.CLIENT_UNKNOWN:
            return "SPF cannot be checked here"
        case _:
            return f"SPF of {spf.domain}: {spf.result}"


def _conclusion(
    findings: AuthenticationFindings, result: AuthenticationResult, reason: str, waits_for: str = ""
) -> Conclusion:
    authentication = Authentication(
        result=result, domain=findings.author_domain, reason=reason, is_lasting=not waits_for
    )
    return Conclusion(authentication, waits_for)
