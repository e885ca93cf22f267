"""What may happen to a message: an ordered table of small rules; the first that applies decides.

Two looks at a message. ``screen`` asks what kind of mail it is, from the mail alone. ``admit`` asks whether this
sender may write to this ticket, when both are known. Content that we do not like is never refused by SMTP: it was
accepted, and ends discarded (nobody needs it, the octets stay for the retention time) or quarantined (a person looks).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cache

from ingest.languages import all_words, any_of
from ingest.model.defects import DefectKind
from ingest.model.envelope import Envelope
from ingest.model.message import ParsedMessage
from ingest.model.outcome import Discarded, Quarantined, Resolution, RuleName, Strength


class Action(Enum):
    """What a rule does with the message."""

    NOTE = "post as a private note"
    DISCARD = "discard"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The rule that applied, and its reason in words for an operator."""

    rule: RuleName
    action: Action
    reason: str

    @property
    def outcome(self) -> Discarded | Quarantined | None:
        """How the message ends by this verdict; ``None`` where it goes on (as a note)."""
        if self.action is Action.NOTE:
            return None
        end = Discarded if self.action is Action.DISCARD else Quarantined
        return end(rule=self.rule, reason=self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAddresses:
    """What is ours, as far as the rules must know it."""

    domains: frozenset[str]
    recipients: frozenset[str]
    """Local parts that exist in our domains; ``*`` for all."""
    max_received: int

    def is_ours(self, address: str) -> bool:
        """Whether mail to ``address`` is for the help desk."""
        local, _at, domain = address.rpartition("@")
        base = local.partition("+")[0].lower()
        return domain.lower() in self.domains and ("*" in self.recipients or base in self.recipients)


Test = Callable[[ParsedMessage, Envelope, LocalAddresses], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreeningRule:
    """One row of the table: a name, what it does, and a test that returns its reason or ``None``."""

    name: RuleName
    action: Action
    test: Test


def screen(message: ParsedMessage, envelope: Envelope, house: LocalAddresses) -> Verdict | None:
    """What kind of mail this is; ``None`` for mail that somebody wrote to us."""
    for rule in SCREEN:
        if (reason := rule.test(message, envelope, house)) is not None:
            return Verdict(rule=rule.name, action=rule.action, reason=reason)
    return None


# Loops (RFC 5321 section 6.3)


def _many_hops(message: ParsedMessage, _envelope: Envelope, house: LocalAddresses) -> str | None:
    if message.received_count <= house.max_received:
        return None
    return f"it has {message.received_count} Received fields; more than {house.max_received} is a loop"


def _own_mail(message: ParsedMessage, _envelope: Envelope, house: LocalAddresses) -> str | None:
    own = [address.addr_spec for address in message.from_ if house.is_ours(address.addr_spec)]
    return f"it comes from our own address {own[0]}" if own else None


# Reports (RFC 3464) and automatic replies (RFC 3834, and what vendors did before it and beside it)


def _delivery_report(message: ParsedMessage, _envelope: Envelope, _house: LocalAddresses) -> str | None:
    return "it is a delivery report" if message.delivery_report is not None and _tells_failure(message) else None


def _passing_report(message: ParsedMessage, _envelope: Envelope, _house: LocalAddresses) -> str | None:
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
"""Header fields that only a machine writes, each with the values that mean it."""


@cache
def _absence_subject() -> re.Pattern[str]:
    """The first words of an absence notice's subject, in all languages of the table."""
    phrases = any_of(all_words(lambda language: language.out_of_office))
    return re.compile(rf"\s*{phrases}\b", re.IGNORECASE)


def _automatic_field(message: ParsedMessage, _envelope: Envelope, _house: LocalAddresses) -> str | None:
    for name, value in message.headers:
        automatic = _AUTOMATIC_FIELDS.get(name)
        if automatic is not None and automatic.match(value):
            return f"a machine wrote it ({name}: {value[:60]})"
    return None


def _vacation_subject(message: ParsedMessage, envelope: Envelope, _house: LocalAddresses) -> str | None:
    """A subject alone proves nothing: somebody may open a ticket with "Out of office: the printer". With a null
    reverse-path (RFC 3834 section 3.3), or Exchange's mark on its own answers, it is an automatic reply."""
    if not _absence_subject().match(message.subject):
        return None
    names = {name for name, _value in message.headers}
    if _has_null_path(message, envelope) or "x-auto-response-suppress" in names:
        return "it is an out-of-office answer by its subject and its null reverse-path"
    return None


def _null_path(message: ParsedMessage, envelope: Envelope, _house: LocalAddresses) -> str | None:
    """Mail without a way back answers nothing that a person asked (RFC 5321 section 4.5.5)."""
    machine = any(
        address.addr_spec.partition("@")[0].lower() in ("mailer-daemon", "postmaster") for address in message.from_
    )
    return "a mail system wrote it (null reverse-path)" if machine and _has_null_path(message, envelope) else None


def _has_null_path(message: ParsedMessage, envelope: Envelope) -> bool:
    return envelope.mail_from == "" and message.return_path in ("", None)


# Mail that a person must look at


def _no_recipient_of_ours(_message: ParsedMessage, envelope: Envelope, house: LocalAddresses) -> str | None:
    if any(house.is_ours(address) for address in envelope.rcpt_tos):
        return None
    return "none of its recipients is ours: check INGEST_DOMAINS and INGEST_RECIPIENTS"


_UNREADABLE = frozenset({DefectKind.EMPTY, DefectKind.NOT_MAIL, DefectKind.NESTED})
"""Kinds of defects after which the parsed text cannot be trusted to be what the sender wrote."""


def _unreadable(message: ParsedMessage, _envelope: Envelope, _house: LocalAddresses) -> str | None:
    return next((str(defect) for defect in message.defects if defect.kind in _UNREADABLE), None)


def _no_author(message: ParsedMessage, _envelope: Envelope, _house: LocalAddresses) -> str | None:
    authors = {address.addr_spec.lower() for address in message.from_}
    if not authors:
        return "it has no From field with an address"
    if len(authors) > 1:
        return f"it claims {len(authors)} different authors in From"
    return None


SCREEN: tuple[ScreeningRule, ...] = (
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
"""Machines' mail first, since it is often malformed too; then mail that a person must look at."""


def admit(resolution: Resolution, *, is_note: bool, is_participant: bool, is_released: bool = False) -> Verdict | None:
    """Whether the message may go to the ticket that it was resolved to; ``None`` when it may.

    ``is_participant`` says whether the sender is the ticket's requester or follower, or has written to it before;
    ``is_released``, whether an operator has looked and let the message through, which a ticket still needs. The
    stricter questions, how strong the sender's own identity is (DKIM, DMARC, ARC), have their place here too.
    """
    if resolution.conflict:
        tickets = sorted({e.ticket_id for e in resolution.evidence if e.ticket_id})
        return Verdict(
            rule=RuleName.CONFLICT,
            action=Action.QUARANTINE,
            reason=f"its evidence names several tickets: {', '.join(tickets)}; release it to one of them",
        )
    if resolution.ticket_id is None:
        return _unmatched(is_note)
    if resolution.strength is Strength.WEAK and not (is_participant or is_released):
        return Verdict(
            rule=RuleName.WEAK_EVIDENCE,
            action=Action.QUARANTINE,
            reason=f"only its subject names ticket {resolution.ticket_id}, and the sender is not on that ticket",
        )
    return None


def _unmatched(is_note: bool) -> Verdict:
    if is_note:
        return Verdict(
            rule=RuleName.DELIVERY_REPORT,
            action=Action.DISCARD,
            reason="it is a delivery report about no ticket of ours",
        )
    return Verdict(rule=RuleName.UNMATCHED, action=Action.QUARANTINE, reason="nothing in it names a ticket")
