"""Policy: what becomes of a mail, by who its sender is, what is known of the sender, and how it names its ticket."""

from dataclasses import replace
from itertools import product

import pytest

from ingest import policy
from ingest.model.outcome import Evidence, Resolution, RuleName, Signal, Strength
from ingest.model.trust import (
    Authentication,
    AuthenticationMode,
    AuthenticationResult,
    EvidenceLevel,
    Treatment,
    Trust,
    Who,
)
from ingest.model.verdict import Action, Verdict
from tests.support.decisions import table_in_settings

AS_WRITTEN = """
who         authentication  signed-for-sender  signed-or-known  guessable      none
staff       proven          post               post             post           unmatched
staff       nothing-known   note-fallback      note-fallback    quarantine     quarantine
staff       failed          quarantine         quarantine       quarantine     quarantine
on-ticket   proven          post               post             post           unmatched
on-ticket   nothing-known   post               post-flagged     note-fallback  quarantine
on-ticket   failed          note               note-fallback    quarantine     quarantine
api-user    proven          post               note             quarantine     unmatched
api-user    nothing-known   note-fallback      note-fallback    quarantine     quarantine
api-user    failed          quarantine         quarantine       quarantine     quarantine
unknown     proven          post-fallback      note-fallback    quarantine     unmatched
unknown     nothing-known   note-fallback      note-fallback    quarantine     quarantine
unknown     failed          quarantine         quarantine       quarantine     quarantine
"""
"""The table once more, in words: a change of a cell has to be meant."""


def cells_as_written() -> dict[tuple[str, str, str], str]:
    head, *rows = [line.split() for line in AS_WRITTEN.split("\n") if line]
    return {
        (who, result, level): cell for who, result, *cells in rows for level, cell in zip(head[2:], cells, strict=True)
    }


CELLS = tuple(product(Who, AuthenticationResult, EvidenceLevel))


@pytest.mark.parametrize(("who", "result", "level"), CELLS)
def test_every_cell_is_decided_as_written(who: Who, result: AuthenticationResult, level: EvidenceLevel) -> None:
    decided = policy.decide(who=who, authentication=result, level=level)
    assert decided == cells_as_written()[who, result, level]


def test_the_table_has_48_cells() -> None:
    assert len(CELLS) == len(cells_as_written()) == 48


@pytest.mark.parametrize(("who", "result", "level"), CELLS)
def test_in_advisory_mode_nothing_known_counts_as_proven_and_nothing_else_changes(
    who: Who, result: AuthenticationResult, level: EvidenceLevel
) -> None:
    is_advised = result is AuthenticationResult.NOTHING_KNOWN
    counts_as = AuthenticationResult.PROVEN if is_advised else result
    decided = policy.decide(who=who, authentication=result, level=level, mode=AuthenticationMode.ADVISORY)
    assert decided == policy.decide(who=who, authentication=counts_as, level=level)


@pytest.mark.parametrize(("who", "level"), tuple(product(Who, EvidenceLevel)))
def test_mail_that_failed_authentication_is_never_a_public_message(who: Who, level: EvidenceLevel) -> None:
    treatment = policy.decide(who=who, authentication=AuthenticationResult.FAILED, level=level)
    assert treatment.is_private or not treatment.is_posted


@pytest.mark.parametrize(
    ("who", "result"), [(who, result) for who, result in policy.DECISION_TABLE if result is not policy.PROVEN]
)
def test_staff_is_never_the_author_without_proof(who: Who, result: AuthenticationResult) -> None:
    as_sender = [cell.is_as_sender for cell in policy.DECISION_TABLE[who, result]]
    assert who is not Who.STAFF or not any(as_sender)


@pytest.mark.parametrize(("who", "result"), tuple(policy.DECISION_TABLE))
def test_mail_that_names_no_ticket_is_posted_nowhere(who: Who, result: AuthenticationResult) -> None:
    assert not policy.decide(who=who, authentication=result, level=EvidenceLevel.NONE).is_posted


# A table of the operator's own


def test_without_a_table_in_the_settings_the_one_of_the_policy_holds() -> None:
    assert policy.read_table({}) == policy.DECISION_TABLE


def test_a_table_of_the_settings_replaces_that_of_the_policy() -> None:
    given = table_in_settings()
    given["unknown"]["proven"]["signed-or-known"] = "post-fallback"
    table = policy.read_table(given)
    changed = (Who.UNKNOWN, AuthenticationResult.PROVEN)
    assert table[changed] == (
        Treatment.POST_FALLBACK,
        Treatment.POST_FALLBACK,
        Treatment.QUARANTINE,
        Treatment.UNMATCHED,
    )
    assert {row for row in table if table[row] != policy.DECISION_TABLE[row]} == {changed}


@pytest.mark.parametrize(("who", "result", "level"), CELLS)
def test_a_hole_is_refused_and_the_cell_named(who: Who, result: AuthenticationResult, level: EvidenceLevel) -> None:
    given = table_in_settings()
    del given[who][result][level]
    with pytest.raises(ValueError, match=rf"^decision\.{who}\.{result}\.{level}: the cell is missing"):
        policy.read_table(given)


def test_a_missing_row_is_refused_with_each_of_its_cells_named() -> None:
    given = table_in_settings()
    del given["staff"]["failed"]
    with pytest.raises(ValueError, match="is missing") as refused:
        policy.read_table(given)
    assert [line.partition(":")[0] for line in str(refused.value).splitlines()] == [
        f"decision.staff.failed.{level}" for level in EvidenceLevel
    ]


@pytest.mark.parametrize(
    ("place", "value", "complaint"),
    [
        ("staff.proven.guessable", "publish", "decision.staff.proven.guessable: 'publish' is none of post, "),
        ("staff.proven.guessable", 7, "decision.staff.proven.guessable: '7' is none of post, "),
        ("staff.proven.none", "post", "decision.staff.proven.none: post needs a ticket"),
        ("stuff.proven.none", "post", "decision.stuff: there is no such row"),
        ("staff.proved.none", "post", "decision.staff.proved: there is no such row"),
        ("staff.proven.guesable", "post", "decision.staff.proven.guesable: no such column"),
    ],
)
def test_what_is_no_treatment_row_or_column_is_refused_and_named(place: str, value: object, complaint: str) -> None:
    given = table_in_settings()
    who, result, level = place.split(".")
    given.setdefault(who, {}).setdefault(result, {})[level] = value  # type: ignore[assignment]
    with pytest.raises(ValueError, match="decision") as refused:
        policy.read_table(given)
    assert str(refused.value).startswith(complaint)


@pytest.mark.parametrize("given", [{"staff": "post"}, {"staff": {"proven": ["post"]}}, {"staff": None}])
def test_a_table_of_another_shape_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"decision\.staff\.proven\.signed-for-sender: the cell is missing"):
        policy.read_table(given)


# What is told


def resolution(strength: Strength, ticket: str | None = "T1", conflict: bool = False) -> Resolution:
    evidence = Evidence(signal=Signal.SUBJECT_TAG, value="x", ticket_id=ticket, strength=strength)
    return Resolution(ticket_id=None if conflict else ticket, evidence=(evidence,), conflict=conflict)


def held(who: Who, result: AuthenticationResult, strength: Strength) -> Verdict:
    found = resolution(strength, "T1" if strength is not Strength.NONE else None)
    authentication = Authentication(result=result, domain="customer.example", reason="no signature")
    treatment = policy.decide(who=who, authentication=result, level=found.level)
    return policy.hold(Trust(who=who, authentication=authentication, level=found.level, treatment=treatment), found)


@pytest.mark.parametrize(
    ("who", "result", "strength", "rule"),
    [
        (Who.STAFF, AuthenticationResult.FAILED, Strength.STRONG, RuleName.FORGED_AUTHOR),
        (Who.UNKNOWN, AuthenticationResult.FAILED, Strength.NONE, RuleName.FORGED_AUTHOR),
        (Who.STAFF, AuthenticationResult.NOTHING_KNOWN, Strength.MEDIUM, RuleName.UNPROVEN_AUTHOR),
        (Who.API_USER, AuthenticationResult.PROVEN, Strength.MEDIUM, RuleName.GUESSABLE_ADDRESS),
        (Who.UNKNOWN, AuthenticationResult.NOTHING_KNOWN, Strength.MEDIUM, RuleName.GUESSABLE_ADDRESS),
        (Who.API_USER, AuthenticationResult.PROVEN, Strength.WEAK, RuleName.WEAK_EVIDENCE),
        (Who.ON_TICKET, AuthenticationResult.PROVEN, Strength.NONE, RuleName.UNMATCHED),
        (Who.ON_TICKET, AuthenticationResult.NOTHING_KNOWN, Strength.NONE, RuleName.UNMATCHED),
        (Who.STAFF, AuthenticationResult.PROVEN, Strength.PROOF, RuleName.DECISION_TABLE),
    ],
)
def test_what_is_held_names_the_rule_that_an_operator_can_act_on(
    who: Who, result: AuthenticationResult, strength: Strength, rule: RuleName
) -> None:
    verdict = held(who, result, strength)
    assert (verdict.rule, verdict.action) == (rule, Action.QUARANTINE)
    assert "@" not in verdict.reason


def test_a_conflict_is_quarantined_whoever_wrote() -> None:
    verdict = policy.admit(resolution(Strength.STRONG, conflict=True), is_released=False)
    assert verdict is not None
    assert (verdict.rule, verdict.action) == (RuleName.CONFLICT, Action.QUARANTINE)


def test_what_a_machine_wrote_is_held_under_its_own_rule() -> None:
    machine = Verdict(rule=RuleName.BULK, action=Action.NOTE, reason="it came by a list", is_machine=True)
    nothing = trust(Who.UNKNOWN, AuthenticationResult.NOTHING_KNOWN, Treatment.UNMATCHED)
    verdict = policy.hold(replace(nothing, level=EvidenceLevel.NONE), resolution(Strength.NONE, ticket=None), machine)
    assert (verdict.rule, verdict.reason) == (RuleName.BULK, "it came by a list, and nothing in it names a ticket")


def test_what_is_released_without_any_ticket_is_held_again() -> None:
    verdict = policy.admit(resolution(Strength.NONE, ticket=None), is_released=True)
    assert verdict is not None
    assert (verdict.rule, verdict.action) == (RuleName.UNMATCHED, Action.QUARANTINE)


def trust(who: Who, result: AuthenticationResult, treatment: Treatment = Treatment.NOTE) -> Trust:
    authentication = Authentication(result=result, domain="customer.example")
    return Trust(who=who, authentication=authentication, level=EvidenceLevel.SIGNED_OR_KNOWN, treatment=treatment)


@pytest.mark.parametrize(
    ("who", "result", "mode", "beginning"),
    [
        (Who.STAFF, AuthenticationResult.NOTHING_KNOWN, AuthenticationMode.REQUIRED, "Not proven: "),
        (Who.ON_TICKET, AuthenticationResult.FAILED, AuthenticationMode.REQUIRED, "Perhaps forged: customer.example "),
        (Who.API_USER, AuthenticationResult.PROVEN, AuthenticationMode.REQUIRED, "Not on this ticket: "),
        (Who.API_USER, AuthenticationResult.NOTHING_KNOWN, AuthenticationMode.ADVISORY, "Not on this ticket: "),
    ],
)
def test_a_note_says_first_why_it_is_one(
    who: Who, result: AuthenticationResult, mode: AuthenticationMode, beginning: str
) -> None:
    assert policy.warning(trust(who, result), mode).startswith(beginning)


def test_a_message_is_flagged_for_an_unproven_sender_and_for_evidence_that_disagrees() -> None:
    weaker = Evidence(signal=Signal.SUBJECT_TAG, value="[X-1]", ticket_id="T2", strength=Strength.WEAK)
    found = resolution(Strength.STRONG)
    both = Resolution(ticket_id="T1", evidence=(*found.evidence, weaker))
    unproven = trust(Who.ON_TICKET, AuthenticationResult.NOTHING_KNOWN, Treatment.POST_FLAGGED)
    proven = trust(Who.ON_TICKET, AuthenticationResult.PROVEN, Treatment.POST)
    assert policy.flag(unproven, found) == "nothing proves its sender"
    assert policy.flag(proven, both) == "weaker evidence names ticket T2"
    assert policy.flag(unproven, both) == "nothing proves its sender; weaker evidence names ticket T2"
    assert not policy.flag(proven, found)


def test_nobody_is_looked_for_where_no_answer_changes_anything() -> None:
    def is_same(result: AuthenticationResult, level: EvidenceLevel, *senders: Who) -> bool:
        return policy.is_same_whoever(senders, authentication=result, level=level)

    participants = (Who.STAFF, Who.ON_TICKET)
    assert is_same(AuthenticationResult.PROVEN, EvidenceLevel.GUESSABLE, *participants)
    assert not is_same(AuthenticationResult.PROVEN, EvidenceLevel.GUESSABLE, *participants, Who.API_USER)
    assert not is_same(AuthenticationResult.NOTHING_KNOWN, EvidenceLevel.SIGNED_OR_KNOWN, *participants)
