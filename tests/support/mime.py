"""Mails for the parser's tests, written down part by part."""

from base64 import encodebytes

from ingest.model.defects import DefectKind
from ingest.model.message import Attachment, ParsedMessage
from ingest.parse import attachment_bytes

FROM_ALICE = b"From: Alice Archer <alice@customer.example>"


def mail(body: bytes | str, *fields: bytes | str, end: bytes = b"\r\n") -> bytes:
    """A mail of Alice's with these fields beside From; ``body`` may be an entity that brings fields of its own."""
    lines = [FROM_ALICE, *(field.encode() if isinstance(field, str) else field for field in fields)]
    octets = body.encode() if isinstance(body, str) else body
    header = end.join(lines) + end
    return header + octets if _brings_fields(octets) else header + end + octets


def _brings_fields(octets: bytes) -> bool:
    return octets.startswith((b"Content-", b"content-"))


def entity(content_type: str, body: bytes | str, *fields: str) -> bytes:
    """A MIME part: its type, further fields, its body as sent."""
    octets = body.encode() if isinstance(body, str) else body
    return "\r\n".join((f"Content-Type: {content_type}", *fields)).encode() + b"\r\n\r\n" + octets


def in_base64(content_type: str, octets: bytes, *fields: str) -> bytes:
    """A MIME part in base64."""
    return entity(content_type, encodebytes(octets), "Content-Transfer-Encoding: base64", *fields)


def multipart(kind: str, *parts: bytes, boundary: str = "") -> bytes:
    """A multipart of ``multipart/<kind>``, ``kind`` with parameters if need be."""
    mark = boundary or f"=_{sum(map(len, parts))}_{kind.partition(';')[0]}"
    lines = b"".join(b"--" + mark.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return entity(f'multipart/{kind}; boundary="{mark}"', lines + b"--" + mark.encode() + b"--\r\n")


def plain(text: str, charset: str = "utf-8") -> bytes:
    """A text part."""
    return entity(f"text/plain; charset={charset}", text.encode(charset), "Content-Transfer-Encoding: 8bit")


def html(markup: str) -> bytes:
    """An HTML part."""
    return entity("text/html; charset=utf-8", markup, "Content-Transfer-Encoding: 8bit")


def attachment(content: bytes, part_number: int) -> bytes:
    """Return the decoded bytes of one part of a mail."""
    return attachment_bytes(content, (part_number,))[0]


def only(message: ParsedMessage) -> Attachment:
    """Return the one attachment that a message has."""
    (found,) = message.attachments
    return found


def defect_kinds(message: ParsedMessage) -> set[DefectKind]:
    """Return the kinds of the defects of ``message``."""
    return {defect.kind for defect in message.defects}
