"""Outcomes, rules and evidence: what is written of them to the database and to JSON."""

import json
from dataclasses import replace

import pytest

from ingest.model.described import DescribedStrEnum
from ingest.model.outcome import Evidence, Finding, Resolution, RuleName, Signal, Strength
from ingest.model.trust import EvidenceLevel


def evidence(strength: Strength = Strength.STRONG, ticket_id: str | None = "T1") -> Evidence:
    return Evidence(signal=Signal.REFERENCES, value="a@x.example", ticket_id=ticket_id, strength=strength)


@pytest.mark.parametrize(
    ("finding", "detail", "note"),
    [
        (Finding.PLAIN, "", ""),
        (Finding.FORGED, "", "the signature is not ours"),
        (Finding.SIGNATURE_EXPIRED, "", "the signature is too old to prove anything"),
        (Finding.SIGNED_WITH_WEAK_KEY, "", "the signature was made with a weak key, and proves nothing"),
        (Finding.SIGNED_FOR_ANOTHER, "", "the signature was made for another person"),
        (Finding.UNKNOWN_MESSAGE, "", "not known"),
        (Finding.ONLY_REFERRED_TO, "", "referred to by others, never seen"),
        (Finding.LISTED, Signal.IN_REPLY_TO, "listed by the API as an ancestor (in-reply-to)"),
        (Finding.NO_SUCH_TICKET, "", "the API has no such ticket"),
        (Finding.TICKET_GONE, "T9", "the API has no ticket T9 any more"),
        (Finding.TICKET_MERGED, "T9", "ticket T9 was merged into it"),
        (Finding.OUTWEIGHED, "", "not looked up: there is stronger evidence"),
        (Finding.NOT_ASKED, "", "not looked up: RAVENNA_API_TOKEN is not set"),
        (Finding.RELEASED, "{olga}", "released by {olga}"),
    ],
)
def test_each_finding_is_a_sentence_for_people(finding: Finding, detail: str, note: str) -> None:
    seen = replace(evidence(), finding=finding, detail=detail)
    assert seen.note == note


def test_evidence_is_stored_as_plain_text() -> None:
    assert json.dumps(evidence().facts()) == (
        '{"signal": "references", "value": "a@x.example", "ticket_id": "T1", "strength": "strong", "note": ""}'
    )


def test_the_strongest_evidence_comes_first() -> None:
    assert list(Strength) == ["proof-for-sender", "proof", "strong", "medium", "weak", "none"]


def test_a_resolution_is_as_strong_as_the_strongest_evidence_of_its_ticket() -> None:
    other, weak, strong = evidence(Strength.PROOF, "T2"), evidence(Strength.WEAK), evidence(Strength.STRONG)
    assert Resolution(ticket_id="T1", evidence=(other, weak, strong)).strength is Strength.STRONG
    assert Resolution(ticket_id=None, evidence=(evidence(Strength.NONE, None),)).strength is Strength.NONE


@pytest.mark.parametrize(
    ("strength", "level"),
    [
        (Strength.PROOF_FOR_SENDER, EvidenceLevel.SIGNED_FOR_SENDER),
        (Strength.PROOF, EvidenceLevel.SIGNED_OR_KNOWN),
        (Strength.STRONG, EvidenceLevel.SIGNED_OR_KNOWN),
        (Strength.MEDIUM, EvidenceLevel.GUESSABLE),
        (Strength.WEAK, EvidenceLevel.GUESSABLE),
    ],
)
def test_what_anybody_can_write_is_guessable(strength: Strength, level: EvidenceLevel) -> None:
    assert Resolution(ticket_id="T1", evidence=(evidence(strength),)).level is level


def test_without_a_ticket_there_is_no_evidence_level() -> None:
    assert Resolution(ticket_id=None, evidence=(evidence(Strength.PROOF, "T2"),)).level is EvidenceLevel.NONE


def test_weaker_evidence_for_another_ticket_disagrees() -> None:
    other = evidence(Strength.WEAK, "T2")
    assert Resolution(ticket_id="T1", evidence=(evidence(), other)).disagreeing == (other,)
    assert Resolution(ticket_id=None, evidence=(other,)).disagreeing == ()


@pytest.mark.parametrize("members", [RuleName, Signal, Strength, Finding])
def test_every_member_says_in_a_sentence_what_it_means(members: type[DescribedStrEnum]) -> None:
    assert all(member.meaning[0].isupper() and member.meaning.endswith(".") for member in members)
