"""Octets to a faithful message: charsets, body, attachments, reports. Pure, bounded, and it never raises.

mail-parser reads the address fields and the date (``addresses``). The structure, the texts and the attachments are read
from the octets by a walk of our own, because they must be exact, and because every reader that could be borrowed loses
text on mail that people really send; ``docs/decisions/parse-own-walk.md`` has the cases.
"""

from collections.abc import Sequence

from ingest.model.message import ParsedMessage
from ingest.parse.assembly import assemble
from ingest.parse.defect_log import DefectLog
from ingest.parse.mime.header import HeaderBlock, parse_message_header, with_line_feeds
from ingest.parse.mime.part import MimePart
from ingest.parse.structure import TreeBuilder, walk

__all__ = ["attachment", "attachments", "parse"]


def parse(content: bytes) -> ParsedMessage:
    """Read a message.

    Never raises, whatever the octets are (but for ``MemoryError``, which is the machine's). What was wrong is in
    ``defects``, each with its kind, such as ``DefectKind.EMPTY``.
    """
    defects = DefectLog()
    structure = defects.guard(lambda: _parse_structure(content, defects), None)
    if structure is None:
        return ParsedMessage(message_id=None, defects=defects.found())
    return assemble(*structure, defects)


def attachment(content: bytes, part: int) -> bytes:
    """The octets of an attachment. As ``attachments``."""
    return attachments(content, (part,))[0]


def attachments(content: bytes, parts: Sequence[int]) -> tuple[bytes, ...]:
    """The octets of attachments, their transfer encoding undone.

    Args:
        content: the same octets that were parsed.
        parts: the numbers that ``parse`` gave them.

    Raises:
        LookupError: the message has no such part.
    """
    _, found = _parse_structure(content, DefectLog())
    if missing := [part for part in parts if not 0 <= part < len(found)]:
        raise LookupError(f"the message has no part {missing[0]}")
    return tuple(found[part].decoded().octets for part in parts)


def _parse_structure(content: bytes, defects: DefectLog) -> tuple[HeaderBlock, list[MimePart]]:
    content = with_line_feeds(content)
    header = parse_message_header(content, defects)
    root = TreeBuilder(defects, len(content)).build(content, header, len(content))
    return header, list(walk(root))
