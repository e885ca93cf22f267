"""Reads a body from top to bottom and says what each stretch of it is."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ingest.model.message import SegmentKind
from ingest.reply.lines import BodyLine, ClassifiedBlock, LineMark, MarkKind
from ingest.reply.recognise import attribution, markers, quoted_headers

_MARKED: dict[MarkKind, SegmentKind] = {
    MarkKind.ATTRIBUTION: "attribution",
    MarkKind.SIGNATURE: "signature",
    MarkKind.DEVICE: "device-line",
}
_FENCES = ("```", "~~~")
_QUESTION_MARKS = ("?", "？", "؟", ";", ":", "：")
SCANNED_LINES = 20_000
"""Lines in which anything is looked for; what comes after them stays with what was last read as new."""


def fenced(lines: Sequence[BodyLine]) -> frozenset[int]:
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


class Classifier:
    """One pass over the lines of one body."""

    def __init__(self, lines: Sequence[BodyLine], subject: str) -> None:
        self.lines = lines
        self.subject = subject
        self.protected = fenced(lines)
        self.headers = quoted_headers.HeaderFinder(lines)
        self._written = False
        self._attributed = False

    def blocks(self) -> Iterator[ClassifiedBlock]:
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
                yield ClassifiedBlock("new", begin, at)
            yield from found
            at = begin = found[-1].stop
            self._attributed = found[-1].kind == "attribution"
        if begin < len(self.lines):
            yield ClassifiedBlock("new", begin, len(self.lines))

    def _recognise(self, at: int) -> tuple[ClassifiedBlock, ...]:
        line = self.lines[at]
        if line.mark is not None and line.mark.kind is not MarkKind.QUOTE:
            return self._marked(at, line.mark)
        if at in self.protected:
            return ()
        if line.quoted:
            return self._quote(at)
        if line.blank:
            return ()
        return self._above(at) or self._header(at) or self._attribution(at)

    def _marked(self, at: int, mark: LineMark) -> tuple[ClassifiedBlock, ...]:
        """What the markup of the mail program says."""
        if mark.kind is MarkKind.REST:
            return self._rest(at, mark.reason, mark.confidence)
        stop = at + 1
        while stop < len(self.lines) and self.lines[stop].mark is mark:
            stop += 1
        if mark.kind is MarkKind.FORWARD:
            return (ClassifiedBlock("forwarded", at, len(self.lines), mark.reason),)
        return (ClassifiedBlock(_MARKED[mark.kind], at, stop, mark.reason, mark.confidence),)

    def _rest(self, at: int, reason: str, confidence: float) -> tuple[ClassifiedBlock, ...]:
        """From here on all is quoted; where the mail is a forward, all is passed on."""
        header = self._first_header(at)
        if header is not None and (header.forwarded or quoted_headers.is_forward(self.subject, header.languages)):
            return (ClassifiedBlock("forwarded", at, len(self.lines), "forwarded message"),)
        return self._answers(ClassifiedBlock("quote", at, len(self.lines), reason, confidence, client_quoted=True))

    def _answers(self, rest: ClassifiedBlock) -> tuple[ClassifiedBlock, ...]:
        """A quote, and the answers that were typed into it: what stands between two copies of texts of the ticket.

        Only the newest of the quoted mails is looked at, down to the header of the one before it."""
        first = self._first_copy(rest.start, rest.stop)
        if first is None:
            return (replace(rest, answers_possible=True),)
        depth = self.lines[first].depth
        stop = self._history(first, rest.stop, depth)
        answers = list(self._between_copies(first, stop))
        answers += self._below_copies(first, stop, answered=bool(answers) or not (self._written or depth))
        if not answers:
            return (rest,)
        above = any(not line.blank for line in self.lines[rest.start : first])
        parts = [replace(rest, kind="attribution", stop=first)] if above else []
        at = first if above else rest.start
        for begin, end in answers:
            parts += [replace(rest, start=at, stop=begin), replace(rest, kind="new", start=begin, stop=end)]
            at = end
        return (*parts, replace(rest, start=at)) if at < rest.stop else tuple(parts)

    def _first_copy(self, at: int, stop: int) -> int | None:
        """A copy, or one with an answer on its line."""
        below = range(at, min(stop, SCANNED_LINES))
        return next(
            (at for at in below if self.lines[at].repeats_ticket or self.lines[at].starts_with_ticket_text), None
        )

    def _next_copy(self, at: int, stop: int) -> int | None:
        return next((at for at in range(at, min(stop, SCANNED_LINES)) if self.lines[at].repeats_ticket), None)

    def _history(self, at: int, stop: int, depth: int) -> int:
        """Where an older mail begins: its header, or deeper quote marks."""
        below = range(at, min(stop, SCANNED_LINES))
        return next(
            (at for at in below if not self.lines[at].repeats_ticket and self._is_history(at, depth)), below.stop
        )

    def _is_history(self, at: int, depth: int) -> bool:
        return bool(self.lines[at].depth > depth or self.headers.find(at) or attribution.find(self.lines, at))

    def _between_copies(self, first: int, stop: int) -> Iterator[tuple[int, int]]:
        copy = first if self.lines[first].repeats_ticket else first - 1
        while (found := self._next_copy(copy + 1, stop)) is not None:
            written = [at for at in range(copy + 1, found) if not self.lines[at].blank]
            if written:
                yield written[0], written[-1] + 1
            copy = found

    def _below_copies(self, first: int, stop: int, *, answered: bool) -> Iterator[tuple[int, int]]:
        """Below the last copy stands the last answer, or the foot of a notification: an answer, where it follows a
        question and there are others above, where nothing was written but this, and where no blank line parts it from
        the copy."""
        last = max((at for at in range(first, stop) if self.lines[at].repeats_ticket), default=first - 1)
        written = [at for at in range(last + 1, stop) if not self.lines[at].blank]
        asked = self.lines[last].plain.endswith(_QUESTION_MARKS)
        if written and answered and (asked or not self._written):
            yield written[0], written[-1] + 1
        elif written and written[0] == last + 1:
            yield last + 1, next(at for at in range(last + 1, stop + 1) if at == stop or self.lines[at].blank)

    def _first_header(self, at: int) -> quoted_headers.Header | None:
        for start in range(at, min(at + 6, len(self.lines))):
            header = self.headers.find(start)
            if header:
                return header
        return None

    def _quote(self, at: int) -> tuple[ClassifiedBlock, ...]:
        """A run of quoted lines, with the blank lines inside it."""
        if attribution.is_groupwise_header(self.lines[at]):
            return self._rest(at, "attribution (GroupWise)", 0.95)
        stop = self._quote_end(at)
        if self._is_mbox_from(at, stop):
            return ()
        header = self.headers.find(self._below_quoted(at, stop))
        if header is not None and header.forwarded and not self._attributed:
            return (ClassifiedBlock("forwarded", at, stop, header.reason),)
        reason, confidence = self._quote_reason(at)
        client_quoted = any(line.in_ticket_passage or line.mark is not None for line in self.lines[at:stop])
        return self._answers(ClassifiedBlock("quote", at, stop, reason, confidence, client_quoted=client_quoted))

    def _quote_end(self, at: int) -> int:
        """What the writer marked, and what a mail program did, are two quotes."""
        last, typed = at + 1, self.lines[at].mark is None
        for stop in range(at + 1, len(self.lines)):
            line = self.lines[stop]
            if not (line.quoted or line.blank) or (line.mark is not None and line.mark.kind is not MarkKind.QUOTE):
                break
            if line.quoted and (line.mark is None) is not typed:
                break
            if line.quoted:
                last = stop + 1
        return last

    def _quote_reason(self, at: int) -> tuple[str, float]:
        mark = self.lines[at].mark
        if mark is not None:
            return mark.reason, mark.confidence
        if self.lines[at].in_ticket_passage:
            return "text that was sent", 0.97
        inside = attribution.find(self.lines, at)
        return (inside.reason, 0.97) if inside else ("quote marks", 0.9)

    def _is_mbox_from(self, at: int, stop: int) -> bool:
        """``>From`` at the start of a line that a mail store escaped, not a quote."""
        return stop == at + 1 and self.lines[at].text.startswith(">From ")

    def _above(self, at: int) -> tuple[ClassifiedBlock, ...]:
        """``Reply above this line``, maybe below a rule; who wrote nothing above it wrote below it."""
        ruled = at + 1 < len(self.lines) and quoted_headers.is_rule(self.lines[at].text)
        alone = ruled or at == 0 or self.lines[at - 1].blank or self.lines[at - 1].quoted
        if not markers.is_marker(self.lines[at + ruled], alone=alone):
            return ()
        stop = len(self.lines) if self._written else at + ruled + 1
        return (ClassifiedBlock("marker", at, stop, "reply-above marker", 0.95),)

    def _header(self, at: int) -> tuple[ClassifiedBlock, ...]:
        header = self.headers.find(at)
        if header is None:
            return ()
        if quoted_headers.is_other_mail(header, self.subject):
            return (ClassifiedBlock("forwarded", at, header.stop, "header of another mail"),)
        if header.forwarded or quoted_headers.is_forward(self.subject, header.languages):
            return (ClassifiedBlock("forwarded", at, len(self.lines), header.reason),)
        below = self._below(header.stop)
        if below < len(self.lines) and (self.lines[below].marked_quote or attribution.find(self.lines, below)):
            return (ClassifiedBlock("attribution", at, below, header.reason, 0.95),)
        return self._answers(ClassifiedBlock("quote", at, len(self.lines), header.reason, 0.93, client_quoted=True))

    def _attribution(self, at: int) -> tuple[ClassifiedBlock, ...]:
        found = attribution.find(self.lines, at)
        if found is None:
            return ()
        if quoted_headers.is_forward(self.subject, found.languages):
            return (ClassifiedBlock("forwarded", at, len(self.lines), "forwarded message"),)
        below = self._below(found.stop)
        if below < len(self.lines) and self.lines[below].marked_quote:
            return (ClassifiedBlock("attribution", at, below, found.reason, 0.97),)
        head = ClassifiedBlock("attribution", at, below, found.reason, 0.88)
        if below == len(self.lines) or not (self._written or self.lines[below].text.startswith("| ")):
            return (head,)
        return (
            head,
            *self._answers(ClassifiedBlock("quote", below, len(self.lines), found.reason, 0.88, client_quoted=True)),
        )

    def _below_quoted(self, at: int, stop: int) -> int:
        """The first line of a quote that says something."""
        return next((line for line in range(at, stop) if not self.lines[line].blank), at)

    def _below(self, at: int) -> int:
        """The next line that is not blank, or the end."""
        while at < len(self.lines) and self.lines[at].blank and not self.lines[at].quoted:
            at += 1
        return at
