"""Decides by a mail alone whether a person wrote it to us: an ordered table of small rules, of which the first that
applies counts.

Nothing is refused at SMTP: the mail was accepted, and ends discarded (nobody needs it; its content is kept for the
retention time), quarantined (a person must look) or as a private note.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from ingest.authentication.author import author_address, fault_of_author
from ingest.languages import all_words, any_of
from ingest.model.defects import DefectKind
from ingest.model.envelope import Envelope
from ingest.model.local_addresses import LocalAddresses
from ingest.model.message import ParsedMessage
from ingest.model.outcome import RuleName
from ingest.model.verdict import Action, Verdict

ScreeningTest = Callable[[ParsedMessage, Envelope, LocalAddresses], str | None]
"""Returns the reason for which the rule applies to a message; ``None`` where it does not apply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreeningRule:
    """One row of the table of rules."""

    name: RuleName
    action: Action
    test: ScreeningTest


def screen(message: ParsedMessage, envelope: Envelope, local: LocalAddresses) -> Verdict | None:
    """Return the verdict of the first rule that applies; ``None`` for mail that a person wrote to us."""
    for rule in SCREENING_RULES:
        if (reason := rule.test(message, envelope, local)) is not None:
            return Verdict(rule=rule.name, action=rule.action, reason=reason)
    return None


# Loops (RFC 5321 section 6.3)


def _many_hops(message: ParsedMessage, _envelope: Envelope, local: LocalAddresses) -> str | None:
    if message.received_count <= local.max_received:
        return None
    return f"it has {message.received_count} Received fields; more than {local.max_received} is a loop"


def _own_mail(message: ParsedMessage, _envelope: Envelope, local: LocalAddresses) -> str | None:
    author = author_address(message)  # a list of ours that rewrites From names another author
    return f"it comes from our own address {author}" if local.is_ours(author) else None


# Reports (RFC 3464) and automatic replies (RFC 3834, and what vendors did before it and beside it)


def _delivery_report(message: ParsedMessage, _envelope: Envelope, _local: LocalAddresses) -> str | None:
    return "it is a delivery report" if message.delivery_report is not None and _tells_failure(message) else None


def _passing_report(message: ParsedMessage, _envelope: Envelope, _local: LocalAddresses) -> str | None:
    report = message.delivery_report
    return "it is a delivery report without a failure" if report is not None else None


def _tells_failure(message: ParsedMessage) -> bool:
    report = message.delivery_report
    return report is not None and any(r.action in ("failed", "") for r in report.recipients)


_ANY = re.compile("")
_AUTOMATIC_FIELDS = {
    "auto-submitted": re.compile(r"\s*(?!no\s*(?:;|$))\S", re.IGNORECASE),
    "precedence": re.compile(r"\s*auto_reply\s*$", re.IGNORECASE),
    "x-autoreply": re.compile(r"\s*(?!(?:no|false)\s*$)\S", re.IGNORECASE),
    "x-autorespond": _ANY,
    "x-autoreply-from": _ANY,
    "x-auto-reply-from": _ANY,
    "x-mail-autoreply": _ANY,
    "x-auto-response": _ANY,
    "x-fc-machinegenerated": re.compile(r"\s*true\s*$", re.IGNORECASE),
    "x-post-messageclass": re.compile(r".*autoresponder", re.IGNORECASE),
    "delivered-to": re.compile(r"\s*autoresponder\s*$", re.IGNORECASE),
}
"""Header fields by which automatic mail is known, each with the values that say so."""


@cache
def _absence_subject() -> re.Pattern[str]:
    """The first words of an absence notice's subject, in all languages of the table."""
    phrases = any_of(all_words(lambda language: language.out_of_office))
    return re.compile(rf"\s*{phrases}\b", re.IGNORECASE)


def _automatic_field(message: ParsedMessage, _envelope: Envelope, _local: LocalAddresses) -> str | None:
    for name, value in message.headers:
        automatic = _AUTOMATIC_FIELDS.get(name)
        if automatic is not None and automatic.match(value):
            return f"a machine wrote it ({name}: {value[:60]})"
    return None


def _vacation_subject(message: ParsedMessage, envelope: Envelope, _local: LocalAddresses) -> str | None:
    """A subject alone proves nothing: somebody may open a ticket with "Out of office: the printer". With a null
    reverse-path (RFC 3834 section 3.3), or Exchange's mark on its own answers, it is an automatic reply."""
    if not _absence_subject().match(message.subject):
        return None
    names = {name for name, _value in message.headers}
    if _has_null_path(message, envelope) or "x-auto-response-suppress" in names:
        return "it is an out-of-office answer by its subject and its null reverse-path"
    return None


def _null_path(message: ParsedMessage, envelope: Envelope, _local: LocalAddresses) -> str | None:
    """Recognise a mail system by its name and its null reverse-path (RFC 5321 section 4.5.5)."""
    machine = any(
        address.addr_spec.partition("@")[0].lower() in ("mailer-daemon", "postmaster") for address in message.from_
    )
    return "a mail system wrote it (null reverse-path)" if machine and _has_null_path(message, envelope) else None


def _has_null_path(message: ParsedMessage, envelope: Envelope) -> bool:
    return envelope.mail_from == "" and message.return_path in ("", None)


# Mail that a person must look at


def _no_recipient_of_ours(_message: ParsedMessage, envelope: Envelope, local: LocalAddresses) -> str | None:
    if any(local.is_ours(address) for address in envelope.rcpt_tos):
        return None
    return "none of its recipients is ours: check INGEST_DOMAINS and INGEST_RECIPIENTS"


_UNREADABLE = frozenset({DefectKind.EMPTY, DefectKind.NOT_MAIL, DefectKind.NESTED})
"""Kinds of defects after which the parsed text cannot be trusted to be what the sender wrote."""


def _unreadable(message: ParsedMessage, _envelope: Envelope, _local: LocalAddresses) -> str | None:
    return next((str(defect) for defect in message.defects if defect.kind in _UNREADABLE), None)


def _no_author(message: ParsedMessage, _envelope: Envelope, local: LocalAddresses) -> str | None:
    fault = fault_of_author(message, local.list_domains)
    return fault.meaning if fault is not None else None


SCREENING_RULES: tuple[ScreeningRule, ...] = (
    ScreeningRule(name=RuleName.LOOP, action=Action.DISCARD, test=_many_hops),
    ScreeningRule(name=RuleName.MALFORMED, action=Action.QUARANTINE, test=_unreadable),
    ScreeningRule(name=RuleName.DELIVERY_REPORT, action=Action.NOTE, test=_delivery_report),
    ScreeningRule(name=RuleName.DELIVERY_REPORT, action=Action.DISCARD, test=_passing_report),
    ScreeningRule(name=RuleName.AUTOMATIC_REPLY, action=Action.DISCARD, test=_automatic_field),
    ScreeningRule(name=RuleName.AUTOMATIC_REPLY, action=Action.DISCARD, test=_vacation_subject),
    ScreeningRule(name=RuleName.DELIVERY_REPORT, action=Action.DISCARD, test=_null_path),
    ScreeningRule(name=RuleName.MALFORMED, action=Action.QUARANTINE, test=_no_author),
    ScreeningRule(name=RuleName.LOOP, action=Action.DISCARD, test=_own_mail),
    ScreeningRule(name=RuleName.RECIPIENT, action=Action.QUARANTINE, test=_no_recipient_of_ours),
)
"""The rules of ``screen``, in order. Mail of machines comes first, since it is often malformed as well."""
