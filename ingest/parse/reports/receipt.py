"""Parses read receipts: message disposition notifications (RFC 8098)."""

from ingest.model.message import DeliveryReport, ReportedRecipient, ReportKind
from ingest.parse.mime.part import MimePart
from ingest.parse.reports import dsn

DISPOSITION_TYPES = frozenset({"message/disposition-notification", "message/global-disposition-notification"})


def parse_receipt(parts: list[MimePart]) -> DeliveryReport | None:
    """Return the receipt in the parts of a mail; ``None`` if there is none."""
    notification = next((part for part in parts if part.content_type in DISPOSITION_TYPES), None)
    if notification is None:
        return None
    fields = dsn.parse_fields(notification.decoded().octets)
    original = dsn.returned_fields(parts[notification.number + 1 :])
    original_id = fields.get("original-message-id") or original.get("message-id", "")
    recipient = fields.get("final-recipient") or fields.get("original-recipient") or ""
    reported = ReportedRecipient(
        recipient=dsn.bare_address(recipient), action=_disposition(fields.get("disposition", "")), status=""
    )
    return dsn.build_report(
        (reported,) if recipient else (), {**original, "message-id": original_id}, kind=ReportKind.RECEIPT
    )


def _disposition(value: str) -> str:
    """Return what became of the mail: ``displayed`` of ``manual-action/MDN-sent-manually; displayed/error``."""
    return value.partition(";")[2].partition("/")[0].strip().lower()
