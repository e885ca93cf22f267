"""What becomes of delivery reports, complaints and read receipts.

A report is about a mail. It becomes a note on the ticket of that mail, which it has to name by a Message-ID of ours;
one that names none is about mail that we never sent.
"""

from collections.abc import Callable
from dataclasses import replace

from ingest.model.envelope import Envelope
from ingest.model.message import DeliveryReport, ParsedMessage, ReportKind, ReportProof
from ingest.model.outcome import RuleName
from ingest.model.verdict import Action
from ingest.screening.rule import ScreenedMail, ScreeningRule

ReportTest = Callable[[DeliveryReport], str | None]


def settle_report(message: ParsedMessage, envelope: Envelope) -> ParsedMessage:
    """Return the message with its report as the envelope proves it.

    With a null reverse-path a report is proven. Without, a mail that only holds a report is its author's, who passes it
    on and has something to say about it: it has no report then, and is read like any other mail."""
    report = message.delivery_report
    if report is None or report.proof is ReportProof.PROVEN:
        return message
    if envelope.mail_from == "" and message.return_path in ("", None):
        return replace(message, delivery_report=replace(report, proof=ReportProof.PROVEN))
    return replace(message, delivery_report=None) if report.proof is ReportProof.QUOTED else message


def _failure(report: DeliveryReport) -> str | None:
    is_failure = not report.recipients or any(r.action in ("failed", "") for r in report.recipients)
    return "it is a delivery report" if report.kind is ReportKind.DELIVERY and is_failure else None


def _no_failure(report: DeliveryReport) -> str | None:
    return "it is a delivery report without a failure" if report.kind is ReportKind.DELIVERY else None


def _complaint(report: DeliveryReport) -> str | None:
    return "a mail system says that a recipient called a mail spam" if report.kind is ReportKind.COMPLAINT else None


def _receipt(report: DeliveryReport) -> str | None:
    return "it is a read receipt" if report.kind is ReportKind.RECEIPT else None


def _where(proof: ReportProof, test: ReportTest) -> Callable[[ScreenedMail], str | None]:
    """Return a test of mail that applies ``test`` to a report of which ``proof`` is known."""

    def test_mail(mail: ScreenedMail) -> str | None:
        report = mail.message.delivery_report
        return test(report) if report is not None and report.proof is proof else None

    return test_mail


def _proven(name: RuleName, action: Action, test: ReportTest, sign: str) -> ScreeningRule:
    return ScreeningRule(
        name=name, action=action, test=_where(ReportProof.PROVEN, test), sign=sign, is_report=True, is_proven=True
    )


def _likely(name: RuleName, test: ReportTest, sign: str) -> ScreeningRule:
    where = _where(ReportProof.LIKELY, test)
    return ScreeningRule(name=name, action=Action.NOTE, test=where, sign=sign, is_report=True)


_OF_OURS = "about a mail of ours"

RULES: tuple[ScreeningRule, ...] = (
    _proven(RuleName.DELIVERY_REPORT, Action.NOTE, _failure, f"a report of a failed delivery {_OF_OURS}"),
    _proven(RuleName.DELIVERY_REPORT, Action.DISCARD, _no_failure, "a report of a delay or a delivery"),
    _proven(RuleName.COMPLAINT, Action.NOTE, _complaint, f"a spam complaint {_OF_OURS}"),
    _proven(RuleName.AUTOMATIC_REPLY, Action.DISCARD, _receipt, "a read receipt"),
    _likely(RuleName.DELIVERY_REPORT, _failure, f"what looks like a report of a failed delivery {_OF_OURS}"),
    _likely(RuleName.DELIVERY_REPORT, _no_failure, f"what looks like a report of a delay {_OF_OURS}"),
    _likely(RuleName.COMPLAINT, _complaint, f"what looks like a spam complaint {_OF_OURS}"),
    _likely(RuleName.AUTOMATIC_REPLY, _receipt, f"what looks like a read receipt {_OF_OURS}"),
)
"""The rules for reports, in order."""
