"""Octets to a faithful message: charsets, body, attachments, reports. Pure, bounded, and it never raises.

mail-parser reads the address fields and the date (``addresses``). The structure, the texts and the attachments are read
from the octets by a walk of our own, because they must be exact, and because every reader that could be borrowed loses
text on mail that people really send; ``docs/decisions/parse-own-walk.md`` has the cases.
"""

from ingest.message import ParsedMessage
from ingest.parse import header, structure
from ingest.parse.assembly import assemble
from ingest.parse.defects import Defects
from ingest.parse.part import Part

__all__ = ["attachment", "parse"]


def parse(content: bytes) -> ParsedMessage:
    """Read a message.

    Never raises, whatever the octets are (but for ``MemoryError``, which is the machine's). What was wrong is in
    ``defects``; each begins with a word of ``ingest.parse.defects``, such as ``empty`` or ``not a mail``.
    """
    defects = Defects()
    fields, parts = _read_structure(content, defects)
    return assemble(fields, parts, defects)


def attachment(content: bytes, part: int) -> bytes:
    """The octets of an attachment, its transfer encoding undone.

    Args:
        content: the same octets that were parsed.
        part: the number that ``parse`` gave it.

    Raises:
        LookupError: the message has no such part.
    """
    _, parts = _read_structure(content, Defects())
    if not 0 <= part < len(parts):
        raise LookupError(f"the message has no part {part}")
    return parts[part].decoded().octets


def _read_structure(content: bytes, defects: Defects) -> tuple[header.Header, list[Part]]:
    if b"\r" in content and b"\n" not in content:
        content = content.replace(b"\r", b"\n")  # lines of the old Macintosh; the length stays
    fields = header.read_message(content, defects)
    root = structure.Builder(defects, len(content)).build(content, fields, len(content))
    return fields, list(structure.walk(root))
