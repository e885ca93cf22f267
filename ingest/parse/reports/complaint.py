"""Parses complaints about a mail: abuse feedback reports (RFC 5965), and what Hotmail sends instead."""

from collections.abc import Mapping, Sequence

from ingest.model.message import DeliveryReport, ReportedRecipient, ReportKind
from ingest.parse.mime.part import MimePart
from ingest.parse.reports import dsn

FEEDBACK_TYPE = "message/feedback-report"
_HOTMAIL_RECIPIENT = "x-hmxmroriginalrecipient"
"""Field of a mail that Hotmail returns because its recipient complained; there is no report beside it."""


def parse_complaint(parts: list[MimePart]) -> DeliveryReport | None:
    """Return the complaint in the parts of a mail; ``None`` if there is none."""
    feedback = next((part for part in parts if part.content_type == FEEDBACK_TYPE), None)
    original = dsn.returned_fields(parts)
    if feedback is None and _HOTMAIL_RECIPIENT not in original:
        return None
    fields = dsn.parse_fields(feedback.decoded().octets) if feedback is not None else {}
    recipient = fields.get("original-rcpt-to") or original.get(_HOTMAIL_RECIPIENT) or original.get("to", "")
    reported = ReportedRecipient(
        recipient=dsn.bare_address(recipient), action=fields.get("feedback-type", "abuse").lower(), status=""
    )
    return dsn.build_report((reported,) if recipient else (), original, kind=ReportKind.COMPLAINT)


def is_bare(fields: Mapping[str, Sequence[str]], report: DeliveryReport, parts: Sequence[MimePart]) -> bool:
    """Return whether a mail is a complaint as Hotmail sends it: the returned mail alone, without a word beside it, and
    no answer."""
    is_alone = len(parts) > 1 and parts[1].content_type in dsn.RETURNED_TYPES and "in-reply-to" not in fields
    return report.kind is ReportKind.COMPLAINT and is_alone
