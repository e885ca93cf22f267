"""Builds the tree of MIME parts of a message (RFC 2046): where each part begins and ends in the bytes.

This is a walk of our own over the bytes, not over the standard library's message: it is linear, bounded in depth and
number, and knows the exact bytes of every part, which a message that was serialised again does not have. Each multipart
is cut at its own boundary lines before its parts are looked into, so a part never reaches beyond its multipart.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from ingest.model.defects import DefectKind
from ingest.parse.containers import unwrap
from ingest.parse.defect_log import DefectLog
from ingest.parse.limits import (
    MAX_BOUNDARY_SCANS,
    MAX_EXPANDED_BYTES,
    MAX_MULTIPART_DEPTH,
    MAX_PARTS,
    MIN_SCANNED_BYTES,
)
from ingest.parse.mime import header as headers
from ingest.parse.mime.header import HeaderBlock
from ingest.parse.mime.part import MimePart

_GUESSED_BOUNDARY = re.compile(
    rb"(?:\A|\n)--([!-~][^\r\n]{0,198})\r?\n(?=Content-[A-Za-z-]{1,40}[ \t]*:)", re.IGNORECASE
)
_TAIL = re.compile(rb"(--)?[ \t]*(?:\r?\n|\Z)")
"""What may follow a boundary on its line: ``--`` closes the multipart."""
_LINE_FEED = 10
_BYTES_PER_FIND = 1000
"""What one match costs, in searched bytes: a mail that consists of boundaries must not take longer than others."""
_STOCK_PREAMBLE = re.compile(rb"\s{0,100}(?:This is a [^\r\n]{0,30}MIME[^\r\n]{0,80}\s{1,100})?--", re.IGNORECASE)
_GUESS_BYTES = 64 * 1024
"""How much of a multipart is searched for the boundary that it really has; the first part begins well within."""


class TreeBuilder:
    """Builds the tree of parts of one message and numbers the parts in the order of the walk.

    Args:
        defects: takes what was wrong with the structure.
        octets: the size of the message, from which the limit on searching follows.
    """

    def __init__(self, defects: DefectLog, octets: int) -> None:
        self._defects = defects
        self._count = 0
        self.unread_parts = 0
        """How many parts were found beyond ``MAX_PARTS``; those inside them were not counted."""
        self._expandable = MAX_EXPANDED_BYTES
        self._scannable = MAX_BOUNDARY_SCANS * max(octets, MIN_SCANNED_BYTES)

    def build(
        self, source: bytes, header: HeaderBlock, end: int, *, default_type: str = "text/plain", depth: int = 0
    ) -> MimePart:
        """Return the part whose header was parsed, with all parts below it.

        Args:
            source: the bytes that hold the part.
            header: the header of the part; its ``body_start`` is where the body begins in ``source``.
            end: where the body ends in ``source``.
            default_type: the type if the header gives none (RFC 2046 section 5.1.5).
            depth: how many parts this one lies in.
        """
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
        if is_multipart and depth >= MAX_MULTIPART_DEPTH:
            self._defects.note(DefectKind.NESTED, f"more than {MAX_MULTIPART_DEPTH} multiparts lie in each other")
            return replace(part, is_cut=True)
        return self._with_parts(part, depth) if is_multipart else self._with_contained_entities(part, depth)

    def _with_contained_entities(self, part: MimePart, depth: int) -> MimePart:
        """Return a part that is no multipart. If it is a container (TNEF, S/MIME, uuencoded files in a text), what is
        inside becomes its children."""
        no_entities: tuple[bytes, ...] = ()
        for entity in self._defects.guard(lambda: unwrap.contained_entities(part, self._defects), no_entities):
            self._expandable -= len(entity)
            if depth >= MAX_MULTIPART_DEPTH or self._expandable < 0 or self._count >= MAX_PARTS:
                self._defects.note(DefectKind.CUT, "a container holds more than is taken out of it")
                break
            header = headers.parse_header(entity, 0, len(entity), self._defects)
            part.children.append(self.build(entity, header, len(entity), depth=depth + 1))
        return part

    def _is_undeclared_multipart(self, part: MimePart) -> bool:
        """Whether a message without Content-Type is a multipart: nothing but a stock phrase stands before its first
        boundary. A bounce has its own words there, and below them the mail that it returns."""
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
        """Look for the parts of a multipart in base64 or quoted-printable, which RFC 2045 section 6.4 forbids."""
        octets = part.decoded().text
        spans = list(self._spans(octets, 0, len(octets), boundary))
        if not spans:
            return part, []
        self._defects.note(DefectKind.STRUCTURE, "a multipart has a transfer encoding")
        return replace(part, source=octets, start=0, end=len(octets)), spans

    def _adopt(self, part: MimePart, spans: list[tuple[int, int]], default: str, depth: int) -> MimePart:
        for index, (start, end) in enumerate(spans):
            if self._count >= MAX_PARTS:
                self.unread_parts += len(spans) - index
                self._defects.note(DefectKind.CUT, f"the message has more than {MAX_PARTS} parts")
                break
            header = _parse_part_header(part.source, start, end, self._defects)
            part.children.append(self.build(part.source, header, end, default_type=default, depth=depth + 1))
        return part

    def _spans(self, source: bytes, start: int, end: int, boundary: bytes) -> Iterator[tuple[int, int]]:
        """Yield start and end of each part between boundary lines, also after the closing line: some senders go on."""
        opened = -1
        for line_start, line_end, closes in self._boundary_lines(source, start, end, b"--" + boundary.rstrip()):
            if 0 <= opened <= line_start:
                yield opened, line_start
            opened = -1 if closes else min(line_end, end)
        if 0 <= opened < end:
            self._defects.note(DefectKind.STRUCTURE, "the closing boundary of a multipart is missing")
            yield opened, end

    def _boundary_lines(self, source: bytes, start: int, end: int, mark: bytes) -> Iterator[tuple[int, int, bool]]:
        """Yield start and end of each boundary line, and whether it is the closing one.

        The line end before a boundary belongs to the boundary (RFC 2046 section 5.1.1)."""
        self._scannable -= end - start
        position = start
        while self._scannable >= 0 and (found := source.find(mark, position, end)) >= 0:
            position = found + len(mark)
            self._scannable -= _BYTES_PER_FIND
            tail = _TAIL.match(source, position, end)
            if tail is not None and (found == start or source[found - 1] == _LINE_FEED):
                yield _before_line_end(source, start, found), tail.end(), tail[1] is not None
        if self._scannable < 0:
            self._defects.note(DefectKind.CUT, "the multiparts are too large and too deep to be searched")

    def _guess_boundary(self, part: MimePart) -> bytes:
        window = part.source[part.start : min(part.end, part.start + _GUESS_BYTES)]
        found = _GUESSED_BOUNDARY.search(window)
        return found[1].rstrip().removesuffix(b"--") if found else b""


def _parse_part_header(source: bytes, start: int, end: int, defects: DefectLog) -> HeaderBlock:
    header = headers.parse_header(source, start, end, defects)
    if header.body_start >= end and not any(field.name.startswith("content-") for field in header.fields):
        return HeaderBlock((), start)  # a text without a header: no header of a part lacks all Content fields
    return header


def _before_line_end(source: bytes, start: int, position: int) -> int:
    """Return the position before the line end that precedes ``position``, but none before ``start``."""
    if source.endswith(b"\r\n", start, position):
        return position - 2
    return position - 1 if source.endswith(b"\n", start, position) else position


def walk(part: MimePart) -> Iterator[MimePart]:
    """Yield the part and all parts below it in the order of their numbers."""
    yield part
    for child in part.children:
        yield from walk(child)
