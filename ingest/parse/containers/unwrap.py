"""Unwraps the containers in which mail programs put a body or files: TNEF, opaque S/MIME, uuencoded text.

Each thing inside becomes a MIME entity of its own, so that the walk treats it like any part. Archives that a person
packed (zip and the like) are never opened.
"""

from urllib.parse import quote

from ingest.model.defects import DefectKind
from ingest.parse.containers import smime, tnef
from ingest.parse.defect_log import DefectLog
from ingest.parse.mime import uuencode
from ingest.parse.mime.part import MimePart

TNEF_TYPES = frozenset({"application/ms-tnef", "application/vnd.ms-tnef"})
SMIME_TYPES = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_MAX_NAME_CHARACTERS = 1000
"""Length of a name from a container that is kept; it is shortened further where the attachment is described."""
_MAX_CONTENT_ID_CHARACTERS = 500
"""Length of a Content-ID from a container that is kept; half of a line of a header (RFC 5322 section 2.1.1)."""
_UNTYPED = frozenset({"application/octet-stream", "application/binary", "application/x-unknown"})


def is_tnef(part: MimePart) -> bool:
    """Whether a part says, by type or name, that it is TNEF."""
    return part.content_type in TNEF_TYPES or (
        part.content_type in _UNTYPED and part.filename.lower() in ("winmail.dat", "win.dat")
    )


def is_smime(part: MimePart) -> bool:
    """Whether a part says, by type or name, that it is a CMS container of S/MIME."""
    return part.content_type in SMIME_TYPES or (
        part.content_type in _UNTYPED and part.filename.lower().endswith((".p7m", ".p7z"))
    )


def contained_entities(part: MimePart, defects: DefectLog) -> tuple[bytes, ...]:
    """Return the MIME entities inside a part; none if it is no container or cannot be opened."""
    if is_tnef(part):
        return _from_tnef(part, defects)
    if is_smime(part):
        return _from_smime(part, defects)
    if part.content_type == "text/plain" and part.source.find(b"begin ", part.start, part.end) >= 0:
        return tuple(_entity_of_file(file) for file in uuencode.extract_files(part.decoded().octets).files)
    return ()


def _entity_of_file(file: uuencode.UuencodedFile) -> bytes:
    return _entity("application/octet-stream", file.octets, filename=file.name.decode("utf-8", "replace").strip())


def _from_tnef(part: MimePart, defects: DefectLog) -> tuple[bytes, ...]:
    octets = part.decoded().octets
    contents = tnef.parse_tnef(octets)
    if contents is None:
        defects.note(DefectKind.ATTACHMENT, "a TNEF container cannot be read; it stays as it is")
        return ()
    if not tnef.is_whole(octets):
        defects.note(DefectKind.ATTACHMENT, "a TNEF container is damaged; it stays beside what was read from it")
    return tuple(
        _entity(
            content.content_type,
            content.octets,
            charset=content.charset,
            filename=content.filename,
            content_id=content.content_id,
            is_attachment=content.is_attachment,
        )
        for content in contents
    )


def _from_smime(part: MimePart, defects: DefectLog) -> tuple[bytes, ...]:
    opened = smime.open_container(part.decoded().octets)
    says_encrypted = not opened.kind and "envelop" in part.parameter("smime-type").lower()
    if opened.kind == "encrypted" or says_encrypted:
        defects.note(DefectKind.ENCRYPTED, "S/MIME; only the recipient's key opens it")
    elif not opened.kind:
        defects.note(DefectKind.ATTACHMENT, "an S/MIME container cannot be read; it stays as it is")
    return (opened.entity,) if opened.entity else ()


def _entity(
    content_type: str,
    octets: bytes,
    *,
    charset: str = "",
    filename: str = "",
    content_id: str = "",
    is_attachment: bool = True,
) -> bytes:
    """Build a MIME entity around ``octets``. Names are percent-encoded (RFC 2231), so that none can end its field."""
    lines = [f"Content-Type: {quote(content_type, safe='/+-.')}" + (f"; charset={quote(charset)}" if charset else "")]
    if is_attachment:
        name = quote(filename[:_MAX_NAME_CHARACTERS], safe="", errors="replace")
        lines.append(f"Content-Disposition: attachment; filename*=utf-8''{name}")
    if content_id:
        lines.append(f"Content-ID: <{quote(content_id[:_MAX_CONTENT_ID_CHARACTERS], safe='@.$+-_')}>")
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + octets
