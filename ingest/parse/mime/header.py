"""Parses the header block of a message or part into fields, with the repairs that real mail needs.

A fault in one line must not lose the fields below it, as it does in the standard library: a byte order mark or an mbox
``From `` line on top, a line without a colon, a space before the colon, a missing blank line before the body.
"""

import re
from typing import NamedTuple

from ingest.model.defects import DefectKind
from ingest.parse.defect_log import DefectLog
from ingest.parse.limits import MAX_FIELD_BYTES, MAX_FIELDS, MAX_HEADER_BYTES

_END = re.compile(rb"\n\r?\n")
_NAME = re.compile(rb"[!-9;-~]{1,200}")
_BOM = b"\xef\xbb\xbf"
_BLANK_TOP = re.compile(rb"[ \t\r\n]*")
_FIRST_FIELD = re.compile(rb"(?:\xef\xbb\xbf)?(?:From |>From )?[^\n]{0,200}?[!-9;-~]{1,76}[ \t]*:")
_TRACE_FIELDS = re.compile(rb"(?:(?:Received|Return-Path|Delivered-To):[^\n]*\n(?:[ \t][^\n]*\n)*)*", re.IGNORECASE)
_LINE_END_WINDOW_BYTES = 4096
"""How much of a message is searched for its line ends, and for fields below a blank line among trace fields."""
_LOOK_AHEAD_LINES = 3
"""Lines below a stray line in which a known field shows that the header goes on: one stray line may be wrapped."""

_ON_THE_WAY = """
    received return-path delivered-to x-original-to envelope-to x-delivered-to received-spf authentication-results
    x-received arc-seal arc-message-signature arc-authentication-results dkim-signature
"""
TRACE = frozenset(_ON_THE_WAY.split())
"""Names of the fields that servers put on top of a mail on its way."""
_BY_PROGRAMS = """
    from sender reply-to to cc subject date message-id in-reply-to references mime-version content-type
"""
WRITTEN = frozenset(_BY_PROGRAMS.split())
"""Names of the fields that a mail program writes; a mail has at least one of them."""
_OTHERS = """
    bcc comments keywords resent-from resent-to resent-date resent-message-id content-transfer-encoding
    content-disposition content-id content-description content-language content-length content-location content-class
    list-id list-unsubscribe list-post list-help auto-submitted precedence importance priority sensitivity organization
    user-agent errors-to thread-topic thread-index status lines newsgroups disposition-notification-to
"""
_KNOWN = TRACE | WRITTEN | frozenset(_OTHERS.split())


class HeaderField(NamedTuple):
    """One header field: its name in lower case, its value as sent (folded, encoded)."""

    name: str
    value: bytes


class HeaderBlock(NamedTuple):
    """The fields of a header block, and the position where the body begins."""

    fields: tuple[HeaderField, ...]
    body_start: int

    def get(self, name: str) -> bytes:
        """Return the value of the first field of this name; ``b""`` if there is none."""
        return next((field.value for field in self.fields if field.name == name), b"")


def with_line_feeds(content: bytes) -> bytes:
    """Repair line ends. A CR alone (old Macintosh) becomes LF; trace fields with LF may stand above. CR CR LF, which a
    program writes that adds a CR to each LF blindly, becomes CR LF."""
    top = content[:_LINE_END_WINDOW_BYTES]
    if top.count(b"\r\r\n") * 2 > top.count(b"\n"):
        content = content.replace(b"\r\r\n", b"\r\n")
    last_feed = content.rfind(b"\n") + 1
    if content.find(b"\r", last_feed) < 0 or not _TRACE_FIELDS.fullmatch(content, 0, last_feed):
        return content
    return content[:last_feed] + content[last_feed:].replace(b"\r", b"\n")


def parse_message_header(content: bytes, defects: DefectLog) -> HeaderBlock:
    """Parse the header of a whole message with any line ends. What stands before its first field is skipped."""
    content = with_line_feeds(content)
    start = _skip_top(content, defects)
    header = parse_header(content, start, len(content), defects)
    if header.fields and all(field.name in TRACE for field in header.fields):
        again = _skip_top(content[header.body_start : header.body_start + _LINE_END_WINDOW_BYTES], DefectLog())
        start = header.body_start + again
        below = parse_header(content, start, len(content), DefectLog())
        if sum(field.name in WRITTEN for field in below.fields) > 1:
            defects.note(DefectKind.HEADER, "a blank line stands between the trace fields and the other fields")
            return HeaderBlock(
                header.fields + parse_header(content, start, len(content), defects).fields, below.body_start
            )
    return header


def _skip_top(content: bytes, defects: DefectLog) -> int:
    """Return the position after blank lines and a byte order mark if a field follows them; else 0."""
    blank = _BLANK_TOP.match(content)
    start = blank.end() if blank else 0
    if start and not _FIRST_FIELD.match(content, start):
        return 0
    if start:
        defects.note(DefectKind.HEADER, "white space stands before the first field")
    return start


def parse_header(content: bytes, start: int, end: int, defects: DefectLog) -> HeaderBlock:
    """Parse the header block that begins at ``start``. It ends at a blank line, at ``end``, or at a line that can be no
    field."""
    if content[start : start + 1] == b"\n" or content[start : start + 2] == b"\r\n":
        return HeaderBlock((), min(end, content.index(b"\n", start) + 1))
    blank = _END.search(content, start, end)
    body_start = blank.end() if blank else end
    block_end = blank.start() if blank else end
    if block_end - start > MAX_HEADER_BYTES:
        defects.note(DefectKind.CUT, f"the header block has {block_end - start} octets; {MAX_HEADER_BYTES} were read")
        limit = start + MAX_HEADER_BYTES
        block_end = max(content.rfind(b"\n", start, limit), start) or limit
    lines = content[start:block_end].split(b"\n")
    fields, used = _parse_lines(lines, defects)
    if used < len(lines):
        body_start = start + sum(len(line) + 1 for line in lines[:used])
        defects.note(DefectKind.HEADER, "no blank line stands between the header and the body")
    return HeaderBlock(tuple(fields), body_start)


def _parse_lines(lines: list[bytes], defects: DefectLog) -> tuple[list[HeaderField], int]:
    """Return the fields and the number of their lines: fewer than all if the body begins without a blank line."""
    fields: list[HeaderField] = []
    folded: list[bytes] = []
    name = ""
    for index, marked in enumerate(lines):
        if marked[:1] in (b" ", b"\t") and name:
            folded.append(marked)
            continue
        line = _without_mark(marked, defects)
        field = _parse_field(line)
        if field is None and not _is_stray(line, lines, index, defects):
            return _add_field(fields, name, folded, defects), index
        if field is not None:
            _add_field(fields, name, folded, defects)
            name, folded = field.name, [field.value]
    return _add_field(fields, name, folded, defects), len(lines)


def _without_mark(line: bytes, defects: DefectLog) -> bytes:
    if line.startswith(_BOM):
        defects.note(DefectKind.HEADER, "a byte order mark stands before a field")
        return line[len(_BOM) :]
    return line


def _parse_field(line: bytes) -> HeaderField | None:
    """Split a line into name and value; ``None`` if it is no field."""
    name, colon, value = line.partition(b":")
    name = name.rstrip(b" \t")
    if not colon or not _NAME.fullmatch(name):
        return None
    return HeaderField(name.decode("ascii").lower(), value)


def _is_stray(line: bytes, lines: list[bytes], index: int, defects: DefectLog) -> bool:
    """Whether a line that is no field stands among fields and is to be skipped, and is not the start of the body."""
    if line.startswith((b"From ", b">From ")):
        defects.note(DefectKind.HEADER, "an mbox From line stands in the header")
        return True
    ahead = (_parse_field(later) for later in lines[index + 1 : index + 1 + _LOOK_AHEAD_LINES])
    if any(field is not None and (field.name in _KNOWN or field.name.startswith("x-")) for field in ahead):
        defects.note(DefectKind.HEADER, "a line that is no field stands in the header")
        return True
    return not line.strip()


def _both_ends(references: bytes) -> bytes:
    """Return the beginning and the end of a References field, whole identifiers only: the mail that began the thread is
    at one end, and the parent at the other (RFC 5322 section 3.6.4)."""
    half = MAX_FIELD_BYTES // 2
    return references[:half].rpartition(b"<")[0] + b" <" + references[-half:].partition(b"<")[2]


def _add_field(fields: list[HeaderField], name: str, folded: list[bytes], defects: DefectLog) -> list[HeaderField]:
    """Add the field that has been collected, cut to the limits."""
    if not name:
        return fields
    if len(fields) >= MAX_FIELDS:
        defects.note(DefectKind.CUT, f"the header has more than {MAX_FIELDS} fields")
        return fields
    value = folded[0] if len(folded) == 1 else b"\n".join(folded)
    if len(value) > MAX_FIELD_BYTES:
        defects.note(DefectKind.CUT, f"the field {name[:40]} has {len(value)} octets; {MAX_FIELD_BYTES} were read")
        value = _both_ends(value) if name == "references" else value[:MAX_FIELD_BYTES]
    fields.append(HeaderField(name, value.strip()))
    return fields
