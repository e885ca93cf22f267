"""Resolution: which ticket, and why."""

import hmac
from collections.abc import Mapping, Sequence

import pytest

from ingest import signing, tickets
from ingest.model.message import DeliveryReport, ParsedMessage
from ingest.model.outcome import Finding, Resolution, Signal
from ingest.model.trust import EvidenceLevel
from ingest.signing_keys import SigningKeys
from tests.support.factories import DOMAIN, address, envelope, parsed

KEY = b"0123456789abcdef0123456789abcdef"
TICKET = "cm7y0q4kt000q5gneqf0tbspg"
OTHER = "cm7y0q4kt000q5gneqf0other"
ANOTHER_KEY = b"fedcba9876543210fedcba9876543210"
NOW = 1_790_000_000.0


def find_signals(message: ParsedMessage, *rcpt: str, keys: SigningKeys | None = None) -> tickets.FoundSignals:
    settings = tickets.SignalSettings(domains=frozenset({DOMAIN}), keys=keys)
    return tickets.find_signals(message, envelope(*rcpt), settings, now=NOW)


def resolve(
    message: ParsedMessage | None = None,
    rcpt: Sequence[str] = (),
    known: Mapping[str, str | None] | None = None,
    named: Mapping[str, str | None] | None = None,
    verified: Mapping[str, str] | None = None,
    key: bytes | None = KEY,
) -> Resolution:
    keys = SigningKeys(keys=(key,), max_age_days=30) if key else None
    found = find_signals(message or parsed(), *rcpt, keys=keys)
    return tickets.resolve(found, known=known or {}, named=named or {}, verified=verified or {})


def test_a_signed_address_proves_its_ticket() -> None:
    resolution = resolve(rcpt=[signing.sign_address(TICKET, DOMAIN, KEY)])
    assert (resolution.ticket_id, resolution.strength) == (TICKET, "proof")


def test_a_signed_address_survives_a_change_of_case_in_its_mac() -> None:
    local, _, domain = signing.sign_address(TICKET, DOMAIN, KEY).partition("@")
    ticket, _, mac = local.rpartition(".")
    assert resolve(rcpt=[f"{ticket}.{mac.upper()}@{domain.upper()}"]).ticket_id == TICKET


def test_a_signed_address_survives_being_written_in_capitals() -> None:
    local, _, domain = signing.sign_address(TICKET, DOMAIN, KEY).partition("@")
    assert resolve(rcpt=[f"{local.upper()}@{domain.upper()}"]).ticket_id == TICKET


def test_the_envelope_says_which_of_two_tickets_this_copy_is_for() -> None:
    message = parsed(to=(address(f"help+TAI-42@{DOMAIN}"), address(f"help+OPS-1@{DOMAIN}")))
    resolution = resolve(message, rcpt=[f"help+OPS-1@{DOMAIN}"], named={"TAI-42": TICKET, "OPS-1": OTHER})
    assert (resolution.ticket_id, resolution.conflict) == (OTHER, False)


def test_an_address_signed_with_another_key_proves_nothing() -> None:
    resolution = resolve(rcpt=[signing.sign_address(TICKET, DOMAIN, ANOTHER_KEY)])
    assert resolution.ticket_id is None
    assert "signature is not ours" in resolution.evidence[0].note


def test_a_mac_for_one_ticket_does_not_open_another() -> None:
    forged = signing.sign_address(TICKET, DOMAIN, KEY).replace(TICKET, OTHER)
    assert resolve(rcpt=[forged]).ticket_id is None


def test_the_mac_of_an_address_is_none_for_a_message_id() -> None:
    mac = signing.sign_address(TICKET, DOMAIN, KEY).partition("@")[0].rpartition(".")[2]
    assert resolve(parsed(in_reply_to=(f"ticket.{TICKET}.{mac}@{DOMAIN}",))).ticket_id is None


def test_a_signed_message_id_among_the_references_proves_its_ticket() -> None:
    signed = signing.sign_message_id(TICKET, "7", DOMAIN, KEY)
    resolution = resolve(parsed(in_reply_to=("x@gateway.example",), references=(signed, "x@gateway.example")))
    assert (resolution.ticket_id, resolution.strength) == (TICKET, "proof")


def test_a_signed_address_of_another_domain_is_not_looked_at() -> None:
    assert resolve(rcpt=[signing.sign_address(TICKET, "elsewhere.example", KEY)]).ticket_id is None


def test_without_a_key_no_signature_counts() -> None:
    assert resolve(rcpt=[signing.sign_address(TICKET, DOMAIN, KEY)], key=None).ticket_id is None


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
    signed = signing.sign_address(TICKET, DOMAIN, KEY)
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


def test_of_very_many_references_both_ends_are_looked_at() -> None:
    found = find_signals(parsed(references=tuple(f"{n}@x.example" for n in range(5000))))
    assert len(found.related) == tickets.MAX_NEAREST_ANCESTORS + tickets.MAX_OLDEST_ANCESTORS
    assert (found.related_ids[0], found.related_ids[-1]) == ("4999@x.example", "0@x.example")


@pytest.mark.parametrize("length", [1, 59, 60, 61, 90])
def test_the_root_and_the_parent_of_a_thread_of_any_length_are_looked_at_once(length: int) -> None:
    found = find_signals(parsed(references=tuple(f"{n}@x.example" for n in range(length))))
    assert {"0@x.example", f"{length - 1}@x.example"} <= set(found.related_ids)
    assert len(set(found.related_ids)) == len(found.related_ids)


def test_the_ancestor_of_a_delivery_report_is_the_mail_it_reports_on() -> None:
    report = DeliveryReport(recipients=(), original_message_id="out@x.example")
    resolution = resolve(parsed(delivery_report=report), known={"out@x.example": TICKET})
    assert resolution.ticket_id == TICKET


@pytest.mark.parametrize(
    "subject", ["[TAI-]", "[-42]", "XTAI-42x", "TAI-42-7", "a.TAI-42", "TAI-1234567890123", "TÄI-42", "[TAI-４２]"]
)
def test_what_only_looks_like_a_tag_is_none(subject: str) -> None:
    assert find_signals(parsed(subject=subject)).candidates == ()


@pytest.mark.parametrize(
    "subject", ["TAI-42 Lost Password", "re: [tai-42] lost", "Re: (Tai-42)", "[TAI-42; DROP TABLE]", "[TAI-42\x1b[31m]"]
)
def test_a_code_that_lost_its_brackets_or_capitals_is_weak_evidence(subject: str) -> None:
    resolution = resolve(parsed(subject=subject), named={"TAI-42": TICKET})
    assert (resolution.ticket_id, resolution.strength) == (TICKET, "weak")
    assert resolution.evidence[0].signal is Signal.SUBJECT_CODE


def test_beside_a_tag_a_bare_code_is_only_a_word() -> None:
    found = find_signals(parsed(subject="[TAI-42] is like OPS-1"))
    assert [candidate.identifier for candidate in found.candidates] == ["TAI-42"]


def test_few_bare_codes_are_looked_up() -> None:
    found = find_signals(parsed(subject=" ".join(f"A-{n}" for n in range(50))))
    assert len(found.candidates) == tickets.MAX_BARE_CODES


def test_a_foreign_reference_beside_our_tag_is_passed_over() -> None:
    found = find_signals(parsed(subject="Re: [ACME-2026072803024161] [Ticket#2026072803024161] Ravenna: [TAI-42] Lost"))
    assert [candidate.identifier for candidate in found.candidates] == ["TAI-42"]


# Signed for a person, and by old or weak keys


def signed_for(person: str, **options: float) -> str:
    return signing.sign_address(TICKET, DOMAIN, KEY, person=person, **options)


def test_an_address_signed_for_the_sender_is_the_best_proof() -> None:
    message = parsed(from_=(address("Alice@customer.example"),))
    resolution = resolve(message, rcpt=[signed_for("alice@CUSTOMER.example")])
    assert (resolution.ticket_id, resolution.level) == (TICKET, EvidenceLevel.SIGNED_FOR_SENDER)


@pytest.mark.parametrize("authors", [("mallory@x.example",), (), ("alice@customer.example", "mallory@x.example")])
def test_from_anybody_else_it_proves_the_ticket_only(authors: tuple[str, ...]) -> None:
    message = parsed(from_=tuple(map(address, authors)))
    resolution = resolve(message, rcpt=[signed_for("alice@customer.example")])
    assert (resolution.ticket_id, resolution.level) == (TICKET, EvidenceLevel.SIGNED_OR_KNOWN)
    assert resolution.evidence[0].finding is Finding.SIGNED_FOR_ANOTHER


def test_a_signature_that_is_too_old_is_as_good_as_a_guess() -> None:
    old = signing.sign_address(TICKET, DOMAIN, KEY, signed_at=NOW - 40 * 86_400)
    resolution = resolve(rcpt=[old])
    assert (resolution.ticket_id, resolution.level) == (TICKET, EvidenceLevel.GUESSABLE)


def test_a_signature_of_a_weak_old_key_is_as_good_as_a_guess() -> None:
    mac = hmac.new(b"weak", f"address\0{TICKET}".encode(), "sha256").hexdigest()[:20]
    found = find_signals(parsed(), f"reply+{TICKET}.{mac}@{DOMAIN}", keys=SigningKeys(keys=(KEY, b"weak")))
    resolution = tickets.resolve(found, known={}, named={TICKET: TICKET}, verified={})
    assert (resolution.ticket_id, resolution.level) == (TICKET, EvidenceLevel.GUESSABLE)


def test_with_a_signing_key_an_unsigned_detail_is_guessable() -> None:
    assert resolve(rcpt=[f"help+TAI-42@{DOMAIN}"], named={"TAI-42": TICKET}).level is EvidenceLevel.GUESSABLE


# Evidence that disagrees


def test_a_weaker_signal_for_another_ticket_is_recorded() -> None:
    message = parsed(subject="[OPS-1] Something else", in_reply_to=("a@x.example",))
    resolution = resolve(message, known={"a@x.example": TICKET}, named={TICKET: TICKET, "OPS-1": OTHER})
    assert resolution.ticket_id == TICKET
    assert [each.ticket_id for each in resolution.disagreeing] == [OTHER]
