"""Parses delivery status notifications (RFC 3464): who did not get which mail, and why."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from ingest.model.message import DeliveryReport, ReportedRecipient, ReportKind
from ingest.parse.defect_log import DefectLog
from ingest.parse.limits import MAX_REPORTED_RECIPIENTS
from ingest.parse.mime import encoded_words, header, message_ids
from ingest.parse.mime.part import MimePart

STATUS_TYPES = frozenset({"message/delivery-status", "message/global-delivery-status"})
RETURNED_TYPES = frozenset(
    {
        "message/rfc822",
        "message/global",
        "text/rfc822-headers",
        "message/rfc822-headers",
        "message/global-headers",
        "message/partial",
    }
)
_BLANK_LINES = re.compile(rb"(?:\r?\n){2,}")
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_MAX_STATUS_BYTES = 1024 * 1024
"""How much of a status part is parsed: 1,000 bytes for each of the recipients that are kept."""


def parse_dsn(parts: list[MimePart]) -> DeliveryReport | None:
    """Return the report in the parts of a message; ``None`` if there is no status part."""
    status = next((part for part in parts if part.content_type in STATUS_TYPES), None)
    if status is None:
        return None
    original = returned_fields(parts[status.number + 1 :])
    reported = islice(parse_recipients(status.decoded().octets[:_MAX_STATUS_BYTES]), MAX_REPORTED_RECIPIENTS)
    return build_report(tuple(reported), original)


def build_report(
    recipients: tuple[ReportedRecipient, ...], original: Mapping[str, str], kind: ReportKind = ReportKind.DELIVERY
) -> DeliveryReport:
    """Return the report on ``recipients``.

    Args:
        recipients: the recipients reported on.
        original: the header of the mail reported on, by name in lower case; empty where it was not returned.
        kind: what the report tells.
    """
    references = original.get("in-reply-to", "") + " " + original.get("references", "")
    return DeliveryReport(
        recipients=recipients,
        original_message_id=first_id(original.get("message-id", "")),
        original_references=message_ids.parse_message_ids(references),
        kind=kind,
    )


def first_id(text: str) -> str | None:
    """Return the first Message-ID in a text; ``None`` if there is none."""
    return next(iter(message_ids.parse_message_ids(text)), None)


def returned_fields(parts: Sequence[MimePart]) -> dict[str, str]:
    """Return the header of the mail that came back in one of ``parts``, by name in lower case; empty if none did."""
    returned = next((part for part in parts if part.content_type in RETURNED_TYPES), None)
    return parse_fields(returned.decoded().octets) if returned is not None else {}


def parse_fields(octets: bytes) -> dict[str, str]:
    """Parse the header fields at the start of ``octets``. Returns the first field of each name, decoded."""
    top = octets.lstrip(b"\r\n")
    return first_by_name(header.parse_header(top, 0, len(top), DefectLog()))


def first_by_name(fields: header.HeaderBlock) -> dict[str, str]:
    """Return the first field of each name in a header, decoded."""
    found: dict[str, str] = {}
    for field in fields.fields:
        found.setdefault(field.name, encoded_words.decode_header_text(encoded_words.raw_text(field.value)))
    return found


def parse_recipients(octets: bytes) -> Iterator[ReportedRecipient]:
    """Yield the recipients of a status part: one for each group of fields that names one. The first group is about the
    mail and names none (RFC 3464 section 2.1)."""
    for block in _BLANK_LINES.split(octets.strip()):
        fields = parse_fields(block)
        recipient = (
            fields.get("final-recipient") or fields.get("original-recipient") or fields.get("x-actual-recipient")
        )
        if recipient:
            yield _recipient(recipient, fields)


def _recipient(recipient: str, fields: dict[str, str]) -> ReportedRecipient:
    status = _STATUS.search(fields.get("status", "")) or _STATUS.search(fields.get("diagnostic-code", ""))
    return ReportedRecipient(
        recipient=bare_address(recipient),
        action=(fields.get("action", "").lower().split() or [""])[0],
        status=status[0] if status else "",
        diagnostic=_without_type(fields.get("diagnostic-code", "")),
    )


def bare_address(value: str) -> str:
    """Remove the type and the brackets of an address: ``alice@example`` from ``rfc822; <alice@example>``."""
    return _without_type(value).strip(" <>")


def _without_type(value: str) -> str:
    """Remove the type of an address or code: ``alice@example`` from ``rfc822; alice@example``."""
    kind, semicolon, rest = value.partition(";")
    return rest.strip() if semicolon and " " not in kind.strip() else value.strip()
