"""Reads a body from top to bottom and says what each stretch of it is."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ingest.message import SegmentKind
from ingest.reply import attribution, headers
from ingest.reply.blocks import Block
from ingest.reply.languages import every
from ingest.reply.lines import Kind, Line, Mark

_ABOVE = tuple(every(lambda language: language.above))
_MARKED: dict[Kind, SegmentKind] = {
    Kind.ATTRIBUTION: "attribution",
    Kind.SIGNATURE: "signature",
    Kind.DEVICE: "device-line",
}
_FENCES = ("```", "~~~")
SCANNED_LINES = 20_000
"""Lines in which anything is looked for; what comes after them stays with what was last read as new."""


def fenced(lines: Sequence[Line]) -> frozenset[int]:
    """The lines of fenced code, fences included: nothing in there is a marker. A fence that is never closed is none."""
    inside: set[int] = set()
    opened: int | None = None
    for at, line in enumerate(lines):
        if line.depth or not line.text.lstrip().startswith(_FENCES):
            continue
        if opened is None:
            opened = at
        else:
            inside.update(range(opened, at + 1))
            opened = None
    return frozenset(inside)


class Scanner:
    """One pass over the lines of one body."""

    def __init__(self, lines: Sequence[Line], subject: str) -> None:
        self.lines = lines
        self.subject = subject
        self.protected = fenced(lines)
        self.headers = headers.Reader(lines)
        self._written = False
        self._attributed = False

    def blocks(self) -> Iterator[Block]:
        """All stretches in order; together they are all lines."""
        at = begin = 0
        while at < min(len(self.lines), SCANNED_LINES):
            found = self._recognise(at)
            if not found:
                if not self.lines[at].blank:
                    self._written, self._attributed = True, False
                at += 1
                continue
            if at > begin:
                yield Block("new", begin, at)
            yield from found
            at = begin = found[-1].stop
            self._attributed = found[-1].kind == "attribution"
        if begin < len(self.lines):
            yield Block("new", begin, len(self.lines))

    def _recognise(self, at: int) -> tuple[Block, ...]:
        line = self.lines[at]
        if line.mark is not None and line.mark.kind is not Kind.QUOTE:
            return self._marked(at, line.mark)
        if at in self.protected:
            return ()
        if line.quoted:
            return self._quote(at)
        if line.blank:
            return ()
        return self._above(at) or self._header(at) or self._attribution(at)

    def _marked(self, at: int, mark: Mark) -> tuple[Block, ...]:
        """What the markup of the mail program says."""
        if mark.kind is Kind.REST:
            return self._rest(at, mark.reason, mark.confidence)
        stop = at + 1
        while stop < len(self.lines) and self.lines[stop].mark is mark:
            stop += 1
        if mark.kind is Kind.FORWARD:
            return (Block("forwarded", at, len(self.lines), mark.reason),)
        return (Block(_MARKED[mark.kind], at, stop, mark.reason, mark.confidence),)

    def _rest(self, at: int, reason: str, confidence: float) -> tuple[Block, ...]:
        """From here on all is quoted; where the mail is a forward, all is passed on."""
        header = self._first_header(at)
        if header is not None and (header.forwarded or headers.is_forward(self.subject, header.languages)):
            return (Block("forwarded", at, len(self.lines), "forwarded message"),)
        return self._answers(Block("quote", at, len(self.lines), reason, confidence, cited=True))

    def _answers(self, rest: Block) -> tuple[Block, ...]:
        """Answers that were typed into a quote: what stands between two copies of texts of the ticket, and what
        follows the last copy, where there are such answers, or where nothing was written above a quote without
        marks."""
        stop = min(rest.stop, SCANNED_LINES)
        copies = [at for at in range(rest.start, stop) if self.lines[at].echo]
        if not copies:
            return (replace(rest, unsearched=True),)
        above, depth = self.lines[rest.start : copies[0]], self.lines[copies[0]].depth
        kind: SegmentKind = "attribution" if any(not line.blank for line in above) else "quote"
        parts = [replace(rest, kind=kind, stop=copies[0])] if above else []
        for is_copy, run in itertools.groupby(range(copies[0], copies[-1] + 1), lambda at: self._is_copy(at, depth)):
            lines = list(run)
            kind = "quote" if is_copy or self._is_history(lines) else "new"
            parts.append(replace(rest, kind=kind, start=lines[0], stop=lines[-1] + 1))
        answered = any(part.kind == "new" for part in parts) or not (self._written or depth)
        parts += self._below_copies(replace(rest, start=copies[-1] + 1), depth, answered=answered)
        return tuple(parts) if any(part.kind == "new" for part in parts) else (rest,)

    def _below_copies(self, rest: Block, depth: int, *, answered: bool) -> Iterator[Block]:
        """What follows the last copy: an answer, up to the header of an older mail."""
        below = range(rest.start, min(rest.stop, SCANNED_LINES))
        history = next((at for at in below if self.lines[at].depth > depth or self._is_history([at])), rest.stop)
        if answered and any(not line.blank for line in self.lines[rest.start : history]):
            yield replace(rest, kind="new", stop=history)
            rest = replace(rest, start=history)
        if rest.start < rest.stop:
            yield rest

    def _is_copy(self, at: int, depth: int) -> bool:
        """Blank lines go with the copies, and so does what is quoted in the quote."""
        line = self.lines[at]
        return line.echo or line.blank or line.depth > depth

    def _is_history(self, lines: Sequence[int]) -> bool:
        """The header of an older mail stands between two quoted texts."""
        return any(self.headers.find(at) or attribution.find(self.lines, at) for at in lines)

    def _first_header(self, at: int) -> headers.Header | None:
        for start in range(at, min(at + 6, len(self.lines))):
            header = self.headers.find(start)
            if header:
                return header
        return None

    def _quote(self, at: int) -> tuple[Block, ...]:
        """A run of quoted lines, with the blank lines inside it."""
        if attribution.is_enclosed(self.lines[at]):
            return self._rest(at, "attribution (GroupWise)", 0.95)
        stop = self._quote_end(at)
        if self._is_mbox_from(at, stop):
            return ()
        header = self.headers.find(self._below_quoted(at, stop))
        if header is not None and header.forwarded and not self._attributed:
            return (Block("forwarded", at, stop, header.reason),)
        reason, confidence = self._quote_reason(at)
        cited = any(line.copied or line.mark is not None for line in self.lines[at:stop])
        return self._answers(Block("quote", at, stop, reason, confidence, cited=cited))

    def _quote_end(self, at: int) -> int:
        last = at + 1
        for stop in range(at + 1, len(self.lines)):
            line = self.lines[stop]
            if not (line.quoted or line.blank) or (line.mark is not None and line.mark.kind is not Kind.QUOTE):
                break
            if line.quoted:
                last = stop + 1
        return last

    def _quote_reason(self, at: int) -> tuple[str, float]:
        mark = self.lines[at].mark
        if mark is not None:
            return mark.reason, mark.confidence
        if self.lines[at].copied:
            return "text that was sent", 0.97
        inside = attribution.find(self.lines, at)
        return (inside.reason, 0.97) if inside else ("quote marks", 0.9)

    def _is_mbox_from(self, at: int, stop: int) -> bool:
        """``>From`` at the start of a line that a mail store escaped, not a quote."""
        return stop == at + 1 and self.lines[at].text.startswith(">From ")

    def _above(self, at: int) -> tuple[Block, ...]:
        """``Reply above this line``; who wrote nothing above it wrote below it."""
        text = self.lines[at].plain
        if len(text) > 200 or not any(map(text.lower().__contains__, _ABOVE)):
            return ()
        stop = len(self.lines) if self._written else at + 1
        return (Block("marker", at, stop, "reply-above marker", 0.95),)

    def _header(self, at: int) -> tuple[Block, ...]:
        header = self.headers.find(at)
        if header is None:
            return ()
        if headers.is_other_mail(header, self.subject):
            return (Block("forwarded", at, header.stop, "header of another mail"),)
        if header.forwarded or headers.is_forward(self.subject, header.languages):
            return (Block("forwarded", at, len(self.lines), header.reason),)
        below = self._below(header.stop)
        if below < len(self.lines) and (self.lines[below].marked_quote or attribution.find(self.lines, below)):
            return (Block("attribution", at, below, header.reason, 0.95),)
        return self._answers(Block("quote", at, len(self.lines), header.reason, 0.93, cited=True))

    def _attribution(self, at: int) -> tuple[Block, ...]:
        found = attribution.find(self.lines, at)
        if found is None:
            return ()
        if headers.is_forward(self.subject, found.languages):
            return (Block("forwarded", at, len(self.lines), "forwarded message"),)
        below = self._below(found.stop)
        if below < len(self.lines) and self.lines[below].marked_quote:
            return (Block("attribution", at, below, found.reason, 0.97),)
        head = Block("attribution", at, below, found.reason, 0.88)
        if below == len(self.lines) or not (self._written or self.lines[below].text.startswith("| ")):
            return (head,)
        return (head, *self._answers(Block("quote", below, len(self.lines), found.reason, 0.88, cited=True)))

    def _below_quoted(self, at: int, stop: int) -> int:
        """The first line of a quote that says something."""
        return next((line for line in range(at, stop) if not self.lines[line].blank), at)

    def _below(self, at: int) -> int:
        """The next line that is not blank, or the end."""
        while at < len(self.lines) and self.lines[at].blank and not self.lines[at].quoted:
            at += 1
        return at
