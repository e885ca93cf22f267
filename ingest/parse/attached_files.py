"""Describes attachments: a safe name, a type, a size, a digest, and whether the body shows them in place."""

import hashlib
import re
from urllib.parse import unquote

from ingest.model.defects import DefectKind
from ingest.model.message import Attachment
from ingest.parse.defect_log import DefectLog
from ingest.parse.mime import filename
from ingest.parse.mime.part import MimePart
from ingest.parse.reports import dsn

_CID = re.compile(r"cid:([^\"'<>\s)]+)", re.IGNORECASE)
_MESSAGE_TYPES = frozenset({"message/rfc822", "message/global"})
_APPLE_EXTENSION = ".applefile"
"""Added to the name of a Macintosh resource fork (RFC 1740), which arrives beside its file under the same name."""
_HEADER_WINDOW_BYTES = 64 * 1024
"""How much of an attached mail is searched for its subject; more than a header has."""


def describe_attachments(parts: tuple[MimePart, ...], html: str | None, defects: DefectLog) -> tuple[Attachment, ...]:
    """Describe the parts that are attachments, in the order of the message.

    Args:
        parts: the parts that are not the body.
        html: the HTML body, whose ``cid:`` references and locations say which parts it shows; ``None`` without one.
        defects: takes what was wrong with a transfer encoding.
    """
    shown = {unquote(reference) for reference in _CID.findall(html)} if html and "cid:" in html.lower() else set[str]()
    ordered = sorted(parts, key=lambda part: part.number)
    return tuple(_describe(part, shown, html or "", defects) for part in ordered)


def _describe(part: MimePart, shown: set[str], html: str, defects: DefectLog) -> Attachment:
    decoded = part.decoded()
    if decoded.repair:
        defects.note(DefectKind.ENCODING, f"an attachment has {decoded.repair}")
    location = part.content_location
    is_shown = part.html_reference in shown
    placed = is_shown or (bool(location) and location in html)
    return Attachment(
        part_number=part.number,
        filename=_filename_of(part, decoded.octets),
        content_type=part.content_type,
        size=len(decoded.octets),
        sha256=hashlib.sha256(decoded.octets).hexdigest(),
        content_id=part.html_reference if is_shown else part.content_id,
        inline=placed or (part.disposition == "inline" and part.main_type == "image"),
    )


def _filename_of(part: MimePart, octets: bytes) -> str:
    """Return the sender's name for the file, made safe. An attached mail without a name is named after its subject."""
    name = part.filename
    if name and part.content_type == "application/applefile":
        name += _APPLE_EXTENSION
    if not name and part.content_type in _MESSAGE_TYPES:
        subject = dsn.parse_fields(octets[:_HEADER_WINDOW_BYTES]).get("subject", "")
        name = f"{subject.replace('/', '-')}.eml" if subject else ""
    return filename.safe_filename(name, part.content_type, part.number)
