"""The tree of parts of a message (RFC 2046): where each begins and ends in the octets.

A walk of our own over the octets, not over the standard library's message: it is linear, bounded in depth and number,
and knows the exact octets of every part, which re-serialised messages do not have. Each multipart is cut at its own
boundary lines before its parts are looked into, so a part never reaches beyond the one that holds it.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from ingest.model.defects import DefectKind
from ingest.parse.containers import unwrap
from ingest.parse.defect_log import DefectLog
from ingest.parse.limits import MAX_DEPTH, MAX_EXPANDED_OCTETS, MAX_PARTS, MAX_SCANS, MIN_SCANNED_OCTETS
from ingest.parse.mime import header as headers
from ingest.parse.mime.header import HeaderBlock
from ingest.parse.mime.part import MimePart

_GUESS = re.compile(rb"(?:\A|\n)--([!-~][^\r\n]{0,198})\r?\n(?=Content-[A-Za-z-]{1,40}[ \t]*:)", re.IGNORECASE)
_TAIL = re.compile(rb"(--)?[ \t]*(?:\r?\n|\Z)")
"""What may follow a boundary on its line."""
_LINE_FEED = 10
_OCTETS_PER_FIND = 1000
"""What a find costs, in octets looked through: a mail made of all but boundaries must not take longer than others."""
_STOCK_PREAMBLE = re.compile(rb"\s{0,100}(?:This is a [^\r\n]{0,30}MIME[^\r\n]{0,80}\s{1,100})?--", re.IGNORECASE)
_GUESS_OCTETS = 64 * 1024


class TreeBuilder:
    """Makes the tree of one message, numbering the parts as they are met."""

    def __init__(self, defects: DefectLog, octets: int) -> None:
        self._defects = defects
        self._count = 0
        self._expandable = MAX_EXPANDED_OCTETS
        self._scannable = MAX_SCANS * max(octets, MIN_SCANNED_OCTETS)

    def build(
        self, source: bytes, header: HeaderBlock, end: int, *, default_type: str = "text/plain", depth: int = 0
    ) -> MimePart:
        """The part whose header has been read, and all parts below it."""
        part = MimePart(
            number=self._count,
            header=header,
            source=source,
            start=header.body_start,
            end=end,
            default_type=default_type,
        )
        self._count += 1
        if self._is_undeclared_multipart(part):
            part = replace(part, default_type="multipart/mixed")
        is_multipart = part.main_type == "multipart"
        if is_multipart and depth >= MAX_DEPTH:
            self._defects.note(DefectKind.NESTED, f"more than {MAX_DEPTH} multiparts lie in each other")
            return replace(part, is_cut=True)
        return self._with_parts(part, depth) if is_multipart else self._with_contained_entities(part, depth)

    def _with_contained_entities(self, part: MimePart, depth: int) -> MimePart:
        """A part that is no multipart, with what is inside it where it is a container."""
        no_entities: tuple[bytes, ...] = ()
        for entity in self._defects.guard(lambda: unwrap.contained_entities(part, self._defects), no_entities):
            self._expandable -= len(entity)
            if depth >= MAX_DEPTH or self._expandable < 0 or self._count >= MAX_PARTS:
                self._defects.note(DefectKind.CUT, "a container holds more than is taken out of it")
                break
            header = headers.parse_header(entity, 0, len(entity), self._defects)
            part.children.append(self.build(entity, header, len(entity), depth=depth + 1))
        return part

    def _is_undeclared_multipart(self, part: MimePart) -> bool:
        """A message without Content-Type that is one multipart all the same: nothing but a stock phrase stands before
        its first boundary. (A bounce has its own words there, and below them the mail that it returns.)"""
        if (
            part.number
            or part.header.get("content-type")
            or not _STOCK_PREAMBLE.match(part.source, part.start, part.end)
        ):
            return False
        boundary = self._guess_boundary(part)
        return bool(boundary) and part.source.rfind(b"\n--" + boundary + b"--", part.start, part.end) >= 0

    def _with_parts(self, part: MimePart, depth: int) -> MimePart:
        boundary = part.parameter("boundary").encode("utf-8", "replace")
        spans = list(self._spans(part.source, part.start, part.end, boundary)) if boundary else []
        if not spans and boundary and part.source.find(b"--" + boundary, part.start, part.end) < 0:
            part, spans = self._unencoded(part, boundary)
        if self._scannable < 0 and not spans:
            return replace(part, is_cut=True)
        if not spans:
            guess = self._guess_boundary(part)
            spans = list(self._spans(part.source, part.start, part.end, guess)) if guess else []
            missing = "the boundary of a multipart is missing"
            self._defects.note(
                DefectKind.STRUCTURE, f"{missing}; another was found" if spans else f"{missing}; read as text"
            )
        default = "message/rfc822" if part.content_type == "multipart/digest" else "text/plain"
        return self._adopt(part, spans, default, depth)

    def _unencoded(self, part: MimePart, boundary: bytes) -> tuple[MimePart, list[tuple[int, int]]]:
        """A multipart in base64 or quoted-printable, which RFC 2045 section 6.4 forbids."""
        octets = part.decoded().text
        spans = list(self._spans(octets, 0, len(octets), boundary))
        if not spans:
            return part, []
        self._defects.note(DefectKind.STRUCTURE, "a multipart has a transfer encoding")
        return replace(part, source=octets, start=0, end=len(octets)), spans

    def _adopt(self, part: MimePart, spans: list[tuple[int, int]], default: str, depth: int) -> MimePart:
        for start, end in spans:
            if self._count >= MAX_PARTS:
                self._defects.note(DefectKind.CUT, f"the message has more than {MAX_PARTS} parts")
                break
            header = _parse_part_header(part.source, start, end, self._defects)
            part.children.append(self.build(part.source, header, end, default_type=default, depth=depth + 1))
        return part

    def _spans(self, source: bytes, start: int, end: int, boundary: bytes) -> Iterator[tuple[int, int]]:
        """Where the parts between a boundary's lines are, those after the closing line too: some senders go on."""
        opened = -1
        for line_start, line_end, closes in self._boundary_lines(source, start, end, b"--" + boundary.rstrip()):
            if 0 <= opened <= line_start:
                yield opened, line_start
            opened = -1 if closes else min(line_end, end)
        if 0 <= opened < end:
            self._defects.note(DefectKind.STRUCTURE, "the closing boundary of a multipart is missing")
            yield opened, end

    def _boundary_lines(self, source: bytes, start: int, end: int, mark: bytes) -> Iterator[tuple[int, int, bool]]:
        """Start and end of each line that is a boundary, and whether it is the closing one.

        The line end before a boundary belongs to it (RFC 2046 section 5.1.1)."""
        self._scannable -= end - start
        position = start
        while self._scannable >= 0 and (found := source.find(mark, position, end)) >= 0:
            position = found + len(mark)
            self._scannable -= _OCTETS_PER_FIND
            tail = _TAIL.match(source, position, end)
            if tail is not None and (found == start or source[found - 1] == _LINE_FEED):
                yield _before_line_end(source, start, found), tail.end(), tail[1] is not None
        if self._scannable < 0:
            self._defects.note(DefectKind.CUT, "the multiparts are too large and too deep to be searched")

    def _guess_boundary(self, part: MimePart) -> bytes:
        window = part.source[part.start : min(part.end, part.start + _GUESS_OCTETS)]
        found = _GUESS.search(window)
        return found[1].rstrip().removesuffix(b"--") if found else b""


def _parse_part_header(source: bytes, start: int, end: int, defects: DefectLog) -> HeaderBlock:
    header = headers.parse_header(source, start, end, defects)
    if header.body_start >= end and not any(field.name.startswith("content-") for field in header.fields):
        return HeaderBlock(
            (), start
        )  # text alone, without the blank line: no header of a part lacks all Content fields
    return header


def _before_line_end(source: bytes, start: int, position: int) -> int:
    """The place of the line end before ``position``, not before ``start``."""
    if source.endswith(b"\r\n", start, position):
        return position - 2
    return position - 1 if source.endswith(b"\n", start, position) else position


def walk(part: MimePart) -> Iterator[MimePart]:
    """The part and all parts below it, in the order of their numbers."""
    yield part
    for child in part.children:
        yield from walk(child)
