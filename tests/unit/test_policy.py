"""Policy: whether a mail may go to its ticket."""

import pytest

from ingest import policy
from ingest.model.outcome import Evidence, Resolution, RuleName, Signal, Strength
from ingest.model.verdict import Action


def resolution(strength: Strength, ticket: str | None = "T1", conflict: bool = False) -> Resolution:
    evidence = Evidence(signal=Signal.SUBJECT_TAG, value="x", ticket_id=ticket, strength=strength)
    return Resolution(ticket_id=None if conflict else ticket, evidence=(evidence,), conflict=conflict)


def test_a_conflict_is_quarantined_whoever_wrote() -> None:
    verdict = policy.admit(resolution(Strength.STRONG, conflict=True), is_note=False, is_participant=True)
    assert verdict is not None
    assert (verdict.rule, verdict.action) == (RuleName.CONFLICT, Action.QUARANTINE)


def test_weak_evidence_needs_a_sender_who_is_on_the_ticket() -> None:
    stranger = policy.admit(resolution(Strength.WEAK), is_note=False, is_participant=False)
    assert stranger is not None
    assert stranger.rule == RuleName.WEAK_EVIDENCE
    assert policy.admit(resolution(Strength.WEAK), is_note=False, is_participant=True) is None


def test_weak_evidence_is_enough_after_an_operator_looked() -> None:
    assert policy.admit(resolution(Strength.WEAK), is_note=False, is_participant=False, is_released=True) is None


@pytest.mark.parametrize("strength", [Strength.PROOF, Strength.STRONG, Strength.MEDIUM])
def test_better_evidence_is_enough_by_itself(strength: Strength) -> None:
    assert policy.admit(resolution(strength), is_note=False, is_participant=False) is None


def test_mail_that_names_no_ticket_is_quarantined() -> None:
    verdict = policy.admit(resolution(Strength.NONE, ticket=None), is_note=False, is_participant=False)
    assert verdict is not None
    assert (verdict.rule, verdict.action) == (RuleName.UNMATCHED, Action.QUARANTINE)


def test_a_report_about_no_ticket_of_ours_is_discarded() -> None:
    verdict = policy.admit(resolution(Strength.NONE, ticket=None), is_note=True, is_participant=False)
    assert verdict is not None
    assert verdict.action is Action.DISCARD
