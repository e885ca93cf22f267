"""Parses the bytes of a mail into a ``ParsedMessage``: header fields, body, attachments, delivery report, calendar.

``parse`` is a pure function. It never raises, and its time and memory are bounded, whatever the bytes are:

>>> from ingest.parse import attachment_bytes, parse
>>> content = b'''\\
... From: Alice Archer <alice@customer.example>
... Subject: =?utf-8?q?Caf=C3=A9?=
... Content-Type: multipart/mixed; boundary=x
...
... --x
... Content-Type: text/plain; charset=iso-8859-1
... Content-Transfer-Encoding: quoted-printable
...
... The caf=E9 is closed.
... --x
... Content-Type: text/csv; name=list.csv
...
... a,b
... --x--
... '''
>>> message = parse(content)
>>> message.subject, message.from_[0].addr_spec
('Café', 'alice@customer.example')
>>> message.text
'The café is closed.'
>>> [(file.part_number, file.filename, file.size) for file in message.attachments]
[(2, 'list.csv', 3)]
>>> attachment_bytes(content, [2])
(b'a,b',)

What was wrong with a mail is in ``defects``:

>>> [str(defect) for defect in parse(b"").defects]
['empty: there is nothing below the trace fields']

mail-parser reads the address fields and the date (``ingest.parse.mime.addresses``). The tree of MIME parts, the texts
and the attachments are read by a walk of our own over the bytes, because every reader that could be borrowed loses text
on mail that people really send; ``docs/decisions/parse-own-walk.md`` has the cases.
"""

from collections.abc import Sequence
from dataclasses import replace

from ingest.model.message import ParsedMessage
from ingest.parse.assembly import assemble
from ingest.parse.defect_log import DefectLog
from ingest.parse.mime.header import HeaderBlock, parse_message_header, with_line_feeds
from ingest.parse.mime.part import MimePart
from ingest.parse.structure import TreeBuilder, walk

__all__ = ["attachment_bytes", "parse"]


def parse(content: bytes) -> ParsedMessage:
    """Parse a mail.

    Never raises, whatever the bytes are, except for ``MemoryError``. What was wrong and was repaired or given up is in
    ``defects`` of the result, each with its kind, such as ``DefectKind.EMPTY``.
    """
    defects = DefectLog()
    structure = defects.guard(lambda: _parse_structure(content, defects), None)
    if structure is None:
        return ParsedMessage(message_id=None, defects=defects.found())
    header, parts, unread_parts = structure
    return replace(assemble(header, parts, defects), unread_parts=unread_parts)


def attachment_bytes(content: bytes, part_numbers: Sequence[int]) -> tuple[bytes, ...]:
    """Return the bytes of attachments, their transfer encoding undone.

    Args:
        content: the same bytes that were parsed.
        part_numbers: the ``Attachment.part_number`` of each.

    Raises:
        LookupError: the message has no part of that number.
    """
    _, parts, _ = _parse_structure(content, DefectLog())
    if missing := [number for number in part_numbers if not 0 <= number < len(parts)]:
        raise LookupError(f"the message has no part {missing[0]}")
    return tuple(parts[number].decoded().octets for number in part_numbers)


def _parse_structure(content: bytes, defects: DefectLog) -> tuple[HeaderBlock, list[MimePart], int]:
    content = with_line_feeds(content)
    header = parse_message_header(content, defects)
    builder = TreeBuilder(defects, len(content))
    root = builder.build(content, header, len(content))
    return header, list(walk(root)), builder.unread_parts
