"""Decides by a mail alone whether a person wrote it to us: an ordered table of small rules, of which the first that
applies counts.

A mail is discarded only on proof that nobody needs it: it is a report (``multipart/report`` at its root, or a null
reverse-path with a report in it), an automatic answer (RFC 3834 ``auto-replied``), our own mail that came back, or it
has passed too many mail systems. Whatever else looks automatic becomes a private note where the sender may write to the
ticket, and waits for a person where not. Nothing is refused at SMTP, and what is discarded keeps its content for the
retention time.

    fields    signs in the header: Auto-Submitted, list fields, addresses that cannot be answered
    reports   delivery reports, complaints, read receipts
    words     absence notices, acknowledgements, and other words that only machines write
    own       our own mail that came back
    rule      what a rule is, and what it looks at
"""

from ingest.authentication.author import fault_of_author
from ingest.model.defects import DefectKind
from ingest.model.envelope import Envelope
from ingest.model.local_addresses import LocalAddresses
from ingest.model.message import ParsedMessage
from ingest.model.outcome import RuleName
from ingest.model.verdict import Action, Verdict
from ingest.screening import fields, own, reports, words
from ingest.screening.reports import settle_report
from ingest.screening.rule import RuleTest, ScreenedMail, ScreeningRule
from ingest.signing_keys import SigningKeys

__all__ = ["SCREENING_RULES", "screen", "settle_report"]


def screen(
    message: ParsedMessage,
    envelope: Envelope,
    local: LocalAddresses,
    *,
    keys: SigningKeys | None = None,
    new_words: str | None = None,
) -> Verdict | None:
    """Return the verdict of the first rule that applies; ``None`` for mail that a person wrote to us.

    ``message`` has gone through ``settle_report``; ``new_words`` is what the sender newly wrote (by default the whole
    text)."""
    shown = (message.text or "") if new_words is None else new_words
    mail = ScreenedMail(message=message, envelope=envelope, local=local, keys=keys, new_words=shown)
    return next((verdict for rule in SCREENING_RULES if (verdict := rule.applies(mail)) is not None), None)


# Mail that a person must look at


def _no_recipient_of_ours(mail: ScreenedMail) -> str | None:
    if any(mail.local.is_ours(address) for address in mail.envelope.rcpt_tos):
        return None
    return "none of its recipients is ours: check INGEST_DOMAINS and INGEST_RECIPIENTS"


_UNREADABLE = frozenset({DefectKind.EMPTY, DefectKind.NOT_MAIL, DefectKind.NESTED})
"""Kinds of defects after which the parsed text cannot be trusted to be what the sender wrote."""


def _unreadable(mail: ScreenedMail) -> str | None:
    return next((str(defect) for defect in mail.message.defects if defect.kind in _UNREADABLE), None)


def _no_author(mail: ScreenedMail) -> str | None:
    fault = fault_of_author(mail.message, mail.local.list_domains)
    return fault.meaning if fault is not None else None


def _proof(name: RuleName, action: Action, test: RuleTest, sign: str, setting: str = "") -> ScreeningRule:
    is_wanted = setting == WANTED
    return ScreeningRule(
        name=name,
        action=action,
        test=test,
        sign=sign,
        setting=setting,
        is_proven=action is Action.DISCARD,
        spares_wanted=is_wanted,
    )


def _look(name: RuleName, test: RuleTest, sign: str, setting: str = "") -> ScreeningRule:
    return ScreeningRule(name=name, action=Action.QUARANTINE, test=test, sign=sign, setting=setting, is_machine=False)


def _sign(test: RuleTest, sign: str) -> ScreeningRule:
    return ScreeningRule(
        name=RuleName.AUTOMATIC_REPLY, action=Action.NOTE, test=test, sign=sign, setting=WANTED, spares_wanted=True
    )


WANTED = "INGEST_WANTED_MACHINES"
_OWN = "INGEST_OWN_ADDRESSES"
_DISCARD, _QUARANTINE = Action.DISCARD, Action.QUARANTINE

SCREENING_RULES: tuple[ScreeningRule, ...] = (
    # Proof that nobody needs the mail. It comes first, since mail of machines is often malformed as well.
    _proof(RuleName.LOOP, _DISCARD, own.many_hops, "too many Received fields", "INGEST_MAX_RECEIVED"),
    _look(RuleName.MALFORMED, _unreadable, "empty, no mail, or nested too deeply to be read"),
    _proof(RuleName.LOOP, _DISCARD, own.own_mail, "From is an address that the help desk sends from", _OWN),
    _proof(RuleName.LOOP, _DISCARD, own.own_id_of_ours, "a Message-ID that we signed, from a domain of ours"),
    _proof(RuleName.LOOP, _QUARANTINE, own.own_id, "a Message-ID that we signed, from elsewhere"),
    *reports.RULES,
    _proof(RuleName.AUTOMATIC_REPLY, _DISCARD, fields.auto_replied, "`Auto-Submitted: auto-replied`", WANTED),
    # Mail that a person must look at, whoever wrote it
    _look(RuleName.MALFORMED, _no_author, "no author, or several"),
    _look(RuleName.RECIPIENT, _no_recipient_of_ours, "no recipient is ours", "INGEST_DOMAINS, INGEST_RECIPIENTS"),
    # Signs of a machine: a private note
    ScreeningRule(name=RuleName.AUTOMATIC_REPLY, action=Action.NOTE, test=fields.null_path, sign="a null reverse-path"),
    _sign(fields.automatic_field, "`Auto-Submitted` with another keyword than `no`, or a vendor's field"),
    _sign(words.absence_notice, "the subject of an absence notice, in any language of the table"),
    _sign(words.automatic_phrase, 'a line that only machines write: "This is an automated message"'),
    _sign(words.read_notice, 'an answer with the subject of a read receipt: "Read: ..."'),
    _sign(words.received_notice, 'the subject of an acknowledgement: "Ticket received"'),
    _sign(words.calendar_answer, "an answer to an invitation without a word"),
    _sign(fields.no_reply_address, "a noreply address in From"),
    ScreeningRule(
        name=RuleName.BULK,
        action=Action.NOTE,
        test=fields.bulk_field,
        sign="a list or bulk mail (Precedence, List-Id, List-Unsubscribe) that answers no known mail",
        setting=WANTED,
        is_person_if_known=True,
        spares_wanted=True,
    ),
)
"""The rules of ``screen``, in order."""
