"""Outcomes, rules and evidence: what is written of them to the database and to JSON."""

import json
from dataclasses import replace

import pytest

from ingest.model.described import DescribedStrEnum
from ingest.model.outcome import Evidence, Finding, Resolution, RuleName, Signal, Strength


def evidence(strength: Strength = Strength.STRONG, ticket_id: str | None = "T1") -> Evidence:
    return Evidence(signal=Signal.REFERENCES, value="a@x.example", ticket_id=ticket_id, strength=strength)


@pytest.mark.parametrize(
    ("finding", "detail", "note"),
    [
        (Finding.PLAIN, "", ""),
        (Finding.FORGED, "", "the signature is not ours"),
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
    assert list(Strength) == ["proof", "strong", "medium", "weak", "none"]


def test_a_resolution_is_as_strong_as_the_first_evidence_of_its_ticket() -> None:
    other, weak = evidence(Strength.PROOF, "T2"), evidence(Strength.WEAK)
    assert Resolution(ticket_id="T1", evidence=(other, weak)).strength is Strength.WEAK
    assert Resolution(ticket_id=None, evidence=(evidence(Strength.NONE, None),)).strength is Strength.NONE


@pytest.mark.parametrize("members", [RuleName, Signal, Strength, Finding])
def test_every_member_says_in_a_sentence_what_it_means(members: type[DescribedStrEnum]) -> None:
    assert all(member.meaning[0].isupper() and member.meaning.endswith(".") for member in members)
