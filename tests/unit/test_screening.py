"""Screening: which mail a machine wrote, and which nobody wrote to us."""

from dataclasses import replace

import pytest

from ingest import screening
from ingest.languages import Language, all_languages
from ingest.model.local_addresses import LocalAddresses
from ingest.model.message import (
    Calendar,
    DeliveryReport,
    ParsedMessage,
    ReportedRecipient,
    ReportKind,
    ReportProof,
)
from ingest.model.outcome import Discarded, Quarantined, RuleName
from ingest.model.verdict import Action, Verdict
from ingest.signing import sign_message_id
from ingest.signing_keys import SigningKeys
from tests.support.factories import ALICE, DOMAIN, address, envelope, parsed

LOCAL = LocalAddresses(domains=frozenset({DOMAIN}), recipients=frozenset({"*"}), max_received=50)


def screen(message: ParsedMessage, *rcpt: str, mail_from: str = ALICE, local: LocalAddresses = LOCAL) -> Verdict | None:
    return screening.screen(message, envelope(*rcpt, mail_from=mail_from), local)


KEYS = SigningKeys(keys=(bytes(range(32)),))


def event(answer: str, comment: str) -> Calendar:
    return Calendar(
        method="REPLY", summary="Call", start="", end="", location="", organizer="", answer=answer, comment=comment
    )


def test_what_a_person_wrote_passes() -> None:
    assert screen(parsed()) is None


def test_an_automatic_answer_is_discarded() -> None:
    verdict = screen(parsed(auto_submitted=("auto-replied",)))
    assert verdict is not None
    assert (verdict.rule, verdict.action, verdict.is_proven) == (RuleName.AUTOMATIC_REPLY, Action.DISCARD, True)


def test_fields_that_contradict_each_other_prove_nothing() -> None:
    verdict = screen(parsed(auto_submitted=("no", "auto-replied")))
    assert verdict is not None
    assert verdict.action is Action.NOTE


@pytest.mark.parametrize("word", ["auto-generated", "auto-notified", "yes", "auto-replied-by-a-list"])
def test_any_other_keyword_is_a_sign_for_a_private_note(word: str) -> None:
    """Ticket systems of customers write ``auto-generated`` on what a person typed."""
    verdict = screen(parsed(auto_submitted=(word,)))
    assert verdict is not None
    assert (verdict.action, verdict.is_machine, verdict.is_report) == (Action.NOTE, True, False)


@pytest.mark.parametrize("word", ["no", ""])
def test_a_field_that_says_that_a_person_wrote_it_is_no_sign(word: str) -> None:
    assert screen(parsed(auto_submitted=(word,))) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("precedence", "auto_reply"),
        ("precedence", "Auto-Reply"),
        ("x-autoreply", "yes"),
        ("x-autorespond", ""),
        ("x-autorespond", "Lost Password"),
        ("x-post-messageclass", "9; Autoresponder"),
        ("x-apple-action", "VACATION"),
        ("x-fc-machinegenerated", "true"),
        ("delivered-to", "Autoresponder"),
    ],
)
def test_a_field_of_a_vendor_makes_a_private_note(name: str, value: str) -> None:
    verdict = screen(parsed(headers=((name, value),)))
    assert verdict is not None
    assert (verdict.rule, verdict.action, verdict.is_machine) == (RuleName.AUTOMATIC_REPLY, Action.NOTE, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-autoreply", "no"),
        ("x-autoreply", "0"),
        ("x-autoreply", ' "False" '),
        ("x-autoreply", "(set by the gateway) No; v=1"),
        ("x-autorespond", "off"),
        ("x-auto-response-suppress", "OOF"),
        ("x-auto-response-suppress", "All"),
        ("x-fc-machinegenerated", "false"),
        ("x-apple-action", "MOVE"),
        ("precedence", "normal"),
        ("delivered-to", "alice@customer.example"),
    ],
)
def test_a_field_that_says_nothing_or_the_opposite_is_no_sign(name: str, value: str) -> None:
    assert screen(parsed(headers=((name, value),))) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("precedence", "bulk"),
        ("precedence", "List"),
        ("precedence", "junk"),
        ("list-id", "Users <users.lists.customer.example>"),
        ("list-unsubscribe", "<mailto:leave@lists.customer.example>"),
    ],
)
def test_mail_of_a_list_is_a_note_unless_it_answers_a_known_mail(name: str, value: str) -> None:
    verdict = screen(parsed(headers=((name, value),)))
    assert verdict is not None
    assert (verdict.rule, verdict.action, verdict.is_person_if_known) == (RuleName.BULK, Action.NOTE, True)


@pytest.mark.parametrize(
    "field",
    [
        ("list-id", f"<help.{DOMAIN}>"),
        ("list-post", f"<mailto:help@{DOMAIN}>"),
        ("mailing-list", f"list help@{DOMAIN}; x"),
    ],
)
def test_a_group_that_is_the_help_desk_s_own_address_is_no_sign(field: tuple[str, str]) -> None:
    fields = (("precedence", "list"), field, ("list-unsubscribe", "<mailto:x@y.example>"))
    assert screen(parsed(headers=fields)) is None


def test_another_list_of_our_domain_is_a_list() -> None:
    assert screen(parsed(headers=(("list-id", f"<users.{DOMAIN}>"),))) is not None
    assert screen(parsed(headers=(("list-unsubscribe", f"<mailto:help@{DOMAIN}>"),))) is not None


@pytest.mark.parametrize(
    "sender",
    ["noreply", "no-reply", "No.Reply", "donotreply", "do-not-reply", "jira-noreply", "noreply-7", "nicht-antworten"],
)
def test_a_sender_that_takes_no_answers_is_a_machine(sender: str) -> None:
    verdict = screen(parsed(from_=(address(f"{sender}@billing.example"),)))
    assert verdict is not None
    assert (verdict.action, verdict.is_machine) == (Action.NOTE, True)


@pytest.mark.parametrize("sender", ["nora.reply", "reply", "info", "postmaster", "delivery", "notify.me"])
def test_a_sender_whose_name_only_looks_so_is_a_person(sender: str) -> None:
    assert screen(parsed(from_=(address(f"{sender}@customer.example", "Mail Delivery"),))) is None


@pytest.mark.parametrize(
    "subject",
    [
        "Out of Office",
        "Automatic reply: Ravenna: [TAI-42] Lost Password",
        "Otomatik Yanıt: [TAI-42] Lost Password",
        "OTOMATİK YANIT: Re: Lost Password",
        "Abwesenheitsnotiz: AW: Passwort",
        "自动答复: [TAI-42] Lost Password",
        "رد تلقائي: [TAI-42] Lost Password",
        "Automaattinen vastaus",
    ],
)
def test_a_subject_that_a_mail_program_writes_is_an_absence_notice(subject: str) -> None:
    verdict = screen(parsed(subject=subject))
    assert verdict is not None
    assert (verdict.rule, verdict.action) == (RuleName.AUTOMATIC_REPLY, Action.NOTE)


@pytest.mark.parametrize("language", all_languages(), ids=lambda language: language.name)
def test_the_absence_notices_of_every_language_are_known(language: Language) -> None:
    """Each phrase without wildcards, as a program writes it above the subject that it answers."""
    phrases = [phrase for phrase in language.out_of_office if not set(phrase) & set("*+?_^")]
    for phrase in phrases or pytest.skip("all phrases have wildcards"):
        assert screen(parsed(subject=f"{phrase.capitalize()}: [TAI-42] Lost Password")) is not None, phrase


@pytest.mark.parametrize(
    "subject",
    [
        "Out of office: the printer on the third floor",
        "Out of office does not end [TAI-42]",
        "Re: Automatic reply: Lost Password",
        "AW: Abwesenheitsnotiz: Passwort",
        "Abwesenheit im Kalender eintragen",
    ],
)
def test_a_subject_of_somebody_who_writes_about_absence_is_a_person_s(subject: str) -> None:
    assert screen(parsed(subject=subject)) is None


def test_a_date_behind_the_phrase_of_an_answer_is_an_absence_notice() -> None:
    assert screen(parsed(subject="Out of office until 12 May", in_reply_to=("x@y.example",))) is not None


@pytest.mark.parametrize(
    "subject",
    [
        "Out of office Re: Lost Password",
        "Out of Office AutoReply: Re: Lost Password",
        "[Autosvar] Re: Lost Password",
        "(Automatic reply) Lost Password",
        "AUTO: Alice Archer is out of the office (returning 03/12/2026)",
        "AUTO: Alice Archer è fuori ufficio (ritorno 03/12/2026)",
        "Alice Archer is out of the office.",
        "Autoreply from Alice Archer",
        "I am out of the office: Re: Lost Password",
        "不在にしております: Re: Lost Password",
    ],
)
def test_the_forms_in_which_programs_write_an_absence_notice_are_known(subject: str) -> None:
    sender = address("alice@customer.example", "Alice Archer")
    assert screen(parsed(subject=subject, from_=(sender,), in_reply_to=("x@y.example",))) is not None


@pytest.mark.parametrize(
    "subject", ["Auto: Unfall auf dem Parkplatz", "My manager is out of the office", "Alice Archer", "Re: Auto: Unfall"]
)
def test_a_subject_that_only_resembles_such_a_form_is_a_person_s(subject: str) -> None:
    sender = address("alice@customer.example", "Alice Archer")
    assert screen(parsed(subject=subject, from_=(sender,), in_reply_to=("x@y.example",))) is None


@pytest.mark.parametrize(
    "subject", ["Read: VPN", "Not read: VPN", "Gelesen: VPN", "Lu : VPN", "開封済み: VPN", "Okundu: VPN"]
)
def test_a_read_receipt_that_is_only_text_is_a_note(subject: str) -> None:
    verdict = screen(parsed(subject=subject, in_reply_to=("x@y.example",)))
    assert verdict is not None
    assert (verdict.rule, verdict.action) == (RuleName.AUTOMATIC_REPLY, Action.NOTE)


@pytest.mark.parametrize("subject", ["Re: Read: the manual", "Read the manual: no help", "Ready: the new laptop"])
def test_a_person_who_writes_about_reading_sends_no_receipt(subject: str) -> None:
    assert screen(parsed(subject=subject, in_reply_to=("x@y.example",))) is None


def test_a_mail_that_answers_nothing_is_no_read_receipt() -> None:
    assert screen(parsed(subject="Read: the manual for VPN")) is None


@pytest.mark.parametrize(
    "text",
    [
        "Your request (#123) has been received and is being reviewed by our support staff.",
        "Thank you for contacting us. Your request has been received and ticket 2026112 has been created.",
        "A support ticket has been created for your request.",
        "Votre ticket n°123 a été créé.",
        "Your incident INC0012345 has been opened on your behalf.",
    ],
)
def test_another_desk_acknowledges_in_words_alone(text: str) -> None:
    verdict = screen(parsed(text=text))
    assert verdict is not None
    assert verdict.action is Action.NOTE


@pytest.mark.parametrize(
    "text", ["Your request of 12 May is clear to us.", "Your ticket (#123) says 5 days. That is too long."]
)
def test_a_person_who_writes_about_a_request_is_no_desk(text: str) -> None:
    assert screen(parsed(text=text)) is None


def test_a_question_about_an_acknowledgement_is_a_person_s() -> None:
    assert screen(parsed(subject="Ticket received twice, why?")) is None
    assert screen(parsed(subject="Ticket received: why does my VPN drop?")) is not None


@pytest.mark.parametrize("subject", ["[Request received] Lost Password", "Eingangsbestätigung", "Talebiniz alındı"])
def test_the_acknowledgement_of_another_help_desk_is_a_note(subject: str) -> None:
    verdict = screen(parsed(subject=subject))
    assert verdict is not None
    assert verdict.action is Action.NOTE


def test_a_line_that_only_a_machine_writes_makes_a_note() -> None:
    verdict = screen(parsed(text="Your case has 2 updates.\n\n*This is an automated message*, do not answer."))
    assert verdict is not None
    assert verdict.action is Action.NOTE


def test_such_a_line_inside_a_quote_or_a_sentence_is_a_person_s() -> None:
    message = parsed(text="I got this:\n> This is an automated message\nWhy?")
    assert screening.screen(message, envelope(), LOCAL, new_words="I got this:\nWhy?") is None
    assert screen(parsed(text='I got "This is an automated message". Why?')) is None


def test_the_null_reverse_path_is_a_private_note_at_most() -> None:
    verdict = screen(parsed(), mail_from="")
    assert verdict is not None
    assert (verdict.action, verdict.is_machine) == (Action.NOTE, True)


def test_a_mailbox_s_return_path_says_who_sent_it_where_there_is_no_envelope() -> None:
    assert screen(parsed(return_path=ALICE), mail_from="") is None


def test_an_answer_to_an_invitation_without_a_word_is_a_note() -> None:
    verdict = screen(parsed(text="", calendar=(event("declined", ""),)))
    assert verdict is not None
    assert verdict.action is Action.NOTE


@pytest.mark.parametrize(("text", "comment"), [("", "I am on holiday."), ("Sorry, no.", "")])
def test_an_answer_to_an_invitation_with_words_is_a_person_s(text: str, comment: str) -> None:
    assert screen(parsed(text=text, calendar=(event("declined", comment),))) is None


@pytest.mark.parametrize("wanted", [ALICE, "customer.example", "@customer.example"])
def test_the_mail_of_a_wanted_machine_is_taken_like_a_person_s(wanted: str) -> None:
    local = replace(LOCAL, wanted_machines=frozenset({wanted}))
    fields = (("list-id", "<x.example>"), ("x-autoreply", "yes"))
    assert screen(parsed(auto_submitted=("auto-replied",), headers=fields), local=local) is None
    assert screen(parsed(), mail_from="", local=local) is not None


def test_a_report_of_a_failure_becomes_a_private_note() -> None:
    report = DeliveryReport(
        recipients=(ReportedRecipient(recipient="b@x.example", action="failed", status="5.1.1"),),
        original_message_id="out@x.example",
    )
    verdict = screen(parsed(delivery_report=report), mail_from="")
    assert verdict is not None
    assert (verdict.rule, verdict.action, verdict.outcome) == (RuleName.DELIVERY_REPORT, Action.NOTE, None)


def test_a_report_of_one_failure_among_deliveries_becomes_a_private_note() -> None:
    recipients = tuple(
        ReportedRecipient(recipient=f"{action}@x.example", action=action, status="")
        for action in ("delivered", "failed")
    )
    report = DeliveryReport(recipients=recipients, original_message_id="out@x.example")
    verdict = screen(parsed(delivery_report=report), mail_from="")
    assert verdict is not None
    assert verdict.action is Action.NOTE


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed"])
def test_a_report_without_a_failure_is_discarded(action: str) -> None:
    recipient = ReportedRecipient(recipient="b@x.example", action=action, status="4.0.0")
    report = DeliveryReport(recipients=(recipient,), original_message_id=None)
    verdict = screen(parsed(delivery_report=report), mail_from="")
    assert verdict is not None
    assert verdict.action is Action.DISCARD


def test_more_received_fields_than_the_limit_are_a_loop() -> None:
    verdict = screen(parsed(received_count=51))
    assert verdict is not None
    assert (verdict.rule, verdict.action) == (RuleName.LOOP, Action.DISCARD)


def test_as_many_received_fields_as_the_limit_are_none() -> None:
    assert screen(parsed(received_count=50)) is None


@pytest.mark.parametrize("sender", ["help+TAI-42", "help+TAI-cm7y0q4kt000q5gneqf0tbspg"])
def test_our_own_mail_coming_back_is_a_loop(sender: str) -> None:
    verdict = screen(parsed(from_=(address(f"{sender}@{DOMAIN}"),)))
    assert verdict is not None
    assert (verdict.rule, verdict.action) == (RuleName.LOOP, Action.DISCARD)


@pytest.mark.parametrize(
    "local", [replace(LOCAL, recipients=frozenset({"help"})), replace(LOCAL, own=frozenset({f"help@{DOMAIN}"}))]
)
def test_mail_from_an_address_that_the_help_desk_sends_from_is_a_loop(local: LocalAddresses) -> None:
    verdict = screen(parsed(from_=(address(f"Help@{DOMAIN}"),)), local=local)
    assert verdict is not None
    assert verdict.rule is RuleName.LOOP


@pytest.mark.parametrize("recipients", ["*", "help"])
def test_a_colleague_in_our_domain_is_a_person(recipients: str) -> None:
    local = replace(LOCAL, recipients=frozenset({recipients}))
    assert screen(parsed(from_=(address(f"bob@{DOMAIN}"),)), local=local) is None


def test_a_customer_s_mail_into_whose_from_a_group_of_ours_wrote_itself_is_no_loop() -> None:
    local = replace(LOCAL, own=frozenset({f"help@{DOMAIN}"}))
    message = parsed(
        from_=(address(f"help@{DOMAIN}", "Alice via Help"),),
        reply_to=(address(ALICE),),
        headers=(("list-id", f"<help.{DOMAIN}>"), ("precedence", "list")),
    )
    assert screen(message, local=local) is None


def test_a_message_id_that_we_signed_is_our_own_mail() -> None:
    own = sign_message_id("t1", "7", DOMAIN, KEYS.keys[0])
    from_us = screening.screen(parsed(message_id=own, from_=(address(f"sam@{DOMAIN}"),)), envelope(), LOCAL, keys=KEYS)
    from_others = screening.screen(parsed(message_id=own), envelope(), LOCAL, keys=KEYS)
    forged = screening.screen(parsed(message_id=own.replace("ticket.t1", "ticket.t2")), envelope(), LOCAL, keys=KEYS)
    assert from_us is not None
    assert from_others is not None
    assert (from_us.action, from_others.action, forged) == (Action.DISCARD, Action.QUARANTINE, None)


def report(proof: ReportProof, kind: ReportKind = ReportKind.DELIVERY, action: str = "failed") -> DeliveryReport:
    recipient = ReportedRecipient(recipient="b@x.example", action=action, status="5.1.1")
    return DeliveryReport(recipients=(recipient,), original_message_id="out@x.example", proof=proof, kind=kind)


def test_a_report_that_a_person_passes_on_is_hers_unless_the_reverse_path_is_null() -> None:
    message = parsed(delivery_report=report(ReportProof.QUOTED))
    assert screening.settle_report(message, envelope()).delivery_report is None
    settled = screening.settle_report(message, envelope(mail_from="")).delivery_report
    assert settled is not None
    assert settled.proof is ReportProof.PROVEN


@pytest.mark.parametrize("action", ["failed", "delayed"])
def test_what_only_looks_like_a_report_is_a_note_and_waits_for_a_person_where_it_names_no_mail_of_ours(
    action: str,
) -> None:
    verdict = screen(parsed(delivery_report=report(ReportProof.LIKELY, action=action)))
    assert verdict is not None
    assert (verdict.action, verdict.is_report) == (Action.NOTE, True)
    assert isinstance(verdict.without_mail_of_ours(names_ticket=False), Quarantined)


def test_a_proven_report_about_no_mail_of_ours_is_discarded_unless_its_address_names_a_ticket() -> None:
    verdict = screen(parsed(delivery_report=report(ReportProof.PROVEN)))
    assert verdict is not None
    assert isinstance(verdict.without_mail_of_ours(names_ticket=False), Discarded)
    assert isinstance(verdict.without_mail_of_ours(names_ticket=True), Quarantined)


def test_a_complaint_is_a_note_and_a_read_receipt_is_discarded() -> None:
    complaint = screen(parsed(delivery_report=report(ReportProof.PROVEN, ReportKind.COMPLAINT, "abuse")))
    receipt = screen(parsed(delivery_report=report(ReportProof.PROVEN, ReportKind.RECEIPT, "displayed")))
    assert complaint is not None
    assert receipt is not None
    assert (complaint.rule, complaint.action) == (RuleName.COMPLAINT, Action.NOTE)
    assert (receipt.rule, receipt.action) == (RuleName.AUTOMATIC_REPLY, Action.DISCARD)


def test_two_authors_are_malformed() -> None:
    verdict = screen(parsed(from_=(address(ALICE), address("mallory@evil.example"))))
    assert verdict is not None
    assert (verdict.rule, verdict.action) == (RuleName.MALFORMED, Action.QUARANTINE)


def test_the_same_author_twice_is_one() -> None:
    assert screen(parsed(from_=(address(ALICE), address(ALICE.upper())))) is None


def test_no_author_is_malformed() -> None:
    verdict = screen(parsed(from_=()))
    assert verdict is not None
    assert verdict.rule == RuleName.MALFORMED


def test_mail_for_somebody_else_is_quarantined() -> None:
    verdict = screen(parsed(), "bob@elsewhere.example")
    assert verdict is not None
    assert (verdict.rule, verdict.action) == (RuleName.RECIPIENT, Action.QUARANTINE)
