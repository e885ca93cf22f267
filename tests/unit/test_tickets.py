"""Resolution: which ticket, and why."""

from collections.abc import Mapping, Sequence

import pytest

from ingest import tickets
from ingest.model.message import DeliveryReport, ParsedMessage
from ingest.model.outcome import Finding, Resolution
from tests.support.factories import DOMAIN, address, envelope, parsed

KEY = b"a key of the tests"
TICKET = "cm7y0q4kt000q5gneqf0tbspg"
OTHER = "cm7y0q4kt000q5gneqf0other"


def resolve(
    message: ParsedMessage | None = None,
    rcpt: Sequence[str] = (),
    known: Mapping[str, str | None] | None = None,
    named: Mapping[str, str | None] | None = None,
    verified: Mapping[str, str] | None = None,
    key: bytes | None = KEY,
) -> Resolution:
    found = tickets.find_signals(message or parsed(), envelope(*rcpt), domains=(DOMAIN,), key=key)
    return tickets.resolve(found, known=known or {}, named=named or {}, verified=verified or {})


def test_a_signed_address_proves_its_ticket() -> None:
    resolution = resolve(rcpt=[tickets.sign_address(TICKET, DOMAIN, KEY)])
    assert (resolution.ticket_id, resolution.strength) == (TICKET, "proof")


def test_a_signed_address_survives_a_change_of_case_in_its_mac() -> None:
    local, _, domain = tickets.sign_address(TICKET, DOMAIN, KEY).partition("@")
    ticket, _, mac = local.rpartition(".")
    assert resolve(rcpt=[f"{ticket}.{mac.upper()}@{domain.upper()}"]).ticket_id == TICKET


def test_a_signed_address_survives_being_written_in_capitals() -> None:
    local, _, domain = tickets.sign_address(TICKET, DOMAIN, KEY).partition("@")
    assert resolve(rcpt=[f"{local.upper()}@{domain.upper()}"]).ticket_id == TICKET


def test_the_envelope_says_which_of_two_tickets_this_copy_is_for() -> None:
    message = parsed(to=(address(f"help+TAI-42@{DOMAIN}"), address(f"help+OPS-1@{DOMAIN}")))
    resolution = resolve(message, rcpt=[f"help+OPS-1@{DOMAIN}"], named={"TAI-42": TICKET, "OPS-1": OTHER})
    assert (resolution.ticket_id, resolution.conflict) == (OTHER, False)


def test_an_address_signed_with_another_key_proves_nothing() -> None:
    resolution = resolve(rcpt=[tickets.sign_address(TICKET, DOMAIN, b"another key")])
    assert resolution.ticket_id is None
    assert "signature is not ours" in resolution.evidence[0].note


def test_a_mac_for_one_ticket_does_not_open_another() -> None:
    forged = tickets.sign_address(TICKET, DOMAIN, KEY).replace(TICKET, OTHER)
    assert resolve(rcpt=[forged]).ticket_id is None


def test_the_mac_of_an_address_is_none_for_a_message_id() -> None:
    mac = tickets.sign_address(TICKET, DOMAIN, KEY).partition("@")[0].rpartition(".")[2]
    assert resolve(parsed(in_reply_to=(f"ticket.{TICKET}.{mac}@{DOMAIN}",))).ticket_id is None


def test_a_signed_message_id_among_the_references_proves_its_ticket() -> None:
    signed = tickets.sign_message_id(TICKET, "7", DOMAIN, KEY)
    resolution = resolve(parsed(in_reply_to=("x@gateway.example",), references=(signed, "x@gateway.example")))
    assert (resolution.ticket_id, resolution.strength) == (TICKET, "proof")


def test_a_signed_address_of_another_domain_is_not_looked_at() -> None:
    assert resolve(rcpt=[tickets.sign_address(TICKET, "elsewhere.example", KEY)]).ticket_id is None


def test_without_a_key_no_signature_counts() -> None:
    assert resolve(rcpt=[tickets.sign_address(TICKET, DOMAIN, KEY)], key=None).ticket_id is None


def test_a_known_parent_is_strong_evidence() -> None:
    resolution = resolve(parsed(in_reply_to=("parent@x.example",)), known={"parent@x.example": TICKET})
    assert (resolution.ticket_id, resolution.strength) == (TICKET, "strong")


def test_a_known_ancestor_counts_when_the_parent_is_not_known() -> None:
    message = parsed(in_reply_to=("new@x.example",), references=("root@x.example", "new@x.example"))
    assert resolve(message, known={"root@x.example": TICKET}).ticket_id == TICKET


def test_two_known_ancestors_of_different_tickets_are_a_conflict() -> None:
    message = parsed(references=("a@x.example", "b@x.example"))
    resolution = resolve(message, known={"a@x.example": TICKET, "b@x.example": OTHER})
    assert resolution.conflict
    assert resolution.ticket_id is None


def test_two_ancestors_of_tickets_that_were_merged_agree() -> None:
    message = parsed(references=("a@x.example", "b@x.example"))
    known = {"a@x.example": TICKET, "b@x.example": OTHER}
    resolution = resolve(message, known=known, named={TICKET: TICKET, OTHER: TICKET})
    assert (resolution.ticket_id, resolution.conflict) == (TICKET, False)


def test_proof_outweighs_a_known_ancestor_of_another_ticket() -> None:
    signed = tickets.sign_address(TICKET, DOMAIN, KEY)
    resolution = resolve(parsed(in_reply_to=("a@x.example",)), rcpt=[signed], known={"a@x.example": OTHER})
    assert (resolution.ticket_id, resolution.conflict) == (TICKET, False)


def test_a_ticket_that_is_gone_is_no_evidence() -> None:
    message = parsed(in_reply_to=("a@x.example",))
    resolution = resolve(message, known={"a@x.example": TICKET}, named={TICKET: None})
    assert resolution.ticket_id is None
    assert "any more" in resolution.evidence[0].note


@pytest.mark.parametrize("detail", [f"TAI-{TICKET}", "TAI-42", "tai-42"])
def test_an_address_detail_that_the_api_knows_is_medium_evidence(detail: str) -> None:
    named = {TICKET: TICKET, "TAI-42": TICKET}
    resolution = resolve(rcpt=[f"help+{detail}@{DOMAIN}"], named=named)
    assert (resolution.ticket_id, resolution.strength) == (TICKET, "medium")


def test_an_address_detail_is_found_in_to_when_the_envelope_lost_it() -> None:
    message = parsed(to=(address(f"help+TAI-42@{DOMAIN}"),))
    assert resolve(message, named={"TAI-42": TICKET}).ticket_id == TICKET


def test_a_subject_tag_is_weak_evidence() -> None:
    resolution = resolve(parsed(subject="Re: [TAI-42] Lost Password"), named={"TAI-42": TICKET})
    assert (resolution.ticket_id, resolution.strength) == (TICKET, "weak")


def test_an_address_detail_outweighs_a_subject_tag() -> None:
    message = parsed(subject="Re: [OPS-1] Something else")
    resolution = resolve(message, rcpt=[f"help+TAI-42@{DOMAIN}"], named={"TAI-42": TICKET, "OPS-1": OTHER})
    assert resolution.ticket_id == TICKET


def test_two_subject_tags_of_different_tickets_are_a_conflict() -> None:
    resolution = resolve(parsed(subject="[TAI-42] and [OPS-1]"), named={"TAI-42": TICKET, "OPS-1": OTHER})
    assert resolution.conflict


def test_a_candidate_whose_ticket_lists_the_parent_becomes_strong() -> None:
    message = parsed(subject="[TAI-42]", in_reply_to=("out@x.example",))
    resolution = resolve(message, named={"TAI-42": TICKET}, verified={"out@x.example": TICKET})
    assert (resolution.ticket_id, resolution.strength) == (TICKET, "strong")


def test_unknown_ancestors_are_what_the_message_waits_for() -> None:
    message = parsed(in_reply_to=("p@x.example",), references=("r@x.example", "p@x.example"))
    assert resolve(message, known={"r@x.example": None}).missing == ("p@x.example", "r@x.example")


def test_the_evidence_tells_an_ancestor_that_others_refer_to_from_one_never_heard_of() -> None:
    message = parsed(in_reply_to=("p@x.example",), references=("r@x.example", "p@x.example"))
    evidence = resolve(message, known={"r@x.example": None}).evidence
    assert [(each.value, each.finding) for each in evidence] == [
        ("p@x.example", Finding.UNKNOWN_MESSAGE),
        ("r@x.example", Finding.ONLY_REFERRED_TO),
    ]


def test_the_evidence_tells_a_ticket_that_the_api_has_not_from_one_that_nobody_asked_for() -> None:
    evidence = resolve(parsed(subject="[TAI-42] and [OPS-1]"), named={"TAI-42": None}).evidence
    assert [(each.value, each.finding) for each in evidence] == [
        ("[TAI-42]", Finding.NO_SUCH_TICKET),
        ("[OPS-1]", Finding.OUTWEIGHED),
    ]


def test_an_ancestor_whose_ticket_is_gone_is_known_and_not_waited_for() -> None:
    message = parsed(in_reply_to=("p@x.example",), references=("r@x.example", "p@x.example"))
    resolution = resolve(message, known={"p@x.example": TICKET}, named={TICKET: None})
    assert (resolution.ticket_id, resolution.missing) == (None, ("r@x.example",))


def test_a_resolved_message_waits_for_nothing() -> None:
    message = parsed(in_reply_to=("p@x.example",), references=("r@x.example",))
    assert resolve(message, known={"r@x.example": TICKET}).missing == ()


def test_a_message_is_not_its_own_ancestor() -> None:
    assert resolve(parsed(message_id="a@x.example", references=("a@x.example",))).missing == ()


def test_of_very_many_references_the_nearest_are_looked_at() -> None:
    references = tuple(f"{n}@x.example" for n in range(5000))
    found = tickets.find_signals(parsed(references=references), envelope(), domains=(DOMAIN,), key=None)
    assert len(found.related) == tickets.MAX_ANCESTORS
    assert found.related_ids[0] == "4999@x.example"


def test_the_ancestor_of_a_delivery_report_is_the_mail_it_reports_on() -> None:
    report = DeliveryReport(recipients=(), original_message_id="out@x.example")
    resolution = resolve(parsed(delivery_report=report), known={"out@x.example": TICKET})
    assert resolution.ticket_id == TICKET


@pytest.mark.parametrize(
    "subject", ["[TAI-42; DROP TABLE]", "TAI-42", "[tai-42]", "[TAI-]", "[-42]", "[TAI-42\x1b[31m]"]
)
def test_what_only_looks_like_a_tag_is_none(subject: str) -> None:
    found = tickets.find_signals(parsed(subject=subject), envelope(), domains=(DOMAIN,), key=None)
    assert found.candidates == ()
