"""Reports of machines about a mail of ours: delivery reports (RFC 3464, and those that are written for people alone),
complaints (RFC 5965) and read receipts (RFC 8098)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ingest.model.message import DeliveryReport, ReportProof
from ingest.parse.mime.part import MimePart
from ingest.parse.reports import bounce, complaint, dsn, receipt

__all__ = ["report_of"]

_READERS = (dsn.parse_dsn, complaint.parse_complaint, receipt.parse_receipt)


def report_of(fields: Mapping[str, Sequence[str]], text: str, parts: list[MimePart]) -> DeliveryReport | None:
    """Return the report that a mail is, or holds; ``proof`` says which of the two. ``None``: neither.

    Args:
        fields: the values of the header's fields by name in lower case.
        text: the body as text.
        parts: all parts of the mail, the root first.
    """
    structured = next((found for read in _READERS if (found := read(parts)) is not None), None)
    is_report = parts[0].content_type == "multipart/report"
    written = bounce.parse_bounce(fields, text, parts) if structured is None and bounce.is_from_system(fields) else None
    report = structured or written or (dsn.build_report((), dsn.returned_fields(parts)) if is_report else None)
    if report is None:
        return None
    if is_report and report.original_message_id is None:  # Exchange names the mail there and may return only its text
        report = replace(report, original_message_id=dsn.first_id(" ".join(fields.get("in-reply-to", ()))))
    return replace(report, proof=ReportProof.PROVEN if is_report else _proof(fields, report, parts))


def _proof(fields: Mapping[str, Sequence[str]], report: DeliveryReport, parts: Sequence[MimePart]) -> ReportProof:
    if bounce.has_null_path(fields):
        return ReportProof.PROVEN
    is_system = bounce.is_written_by_system(fields) or complaint.is_bare(fields, report, parts)
    return ReportProof.LIKELY if is_system else ReportProof.QUOTED
