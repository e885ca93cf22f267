"""Reads the lines of a body from top to bottom and says what each block of them is."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice

from ingest.languages import all_words, any_of
from ingest.model.message import SegmentKind
from ingest.model.reasons import CutReason, Recognised
from ingest.reply.lines import BodyLine, ClassifiedBlock, LineMark, MarkKind
from ingest.reply.recognise import attribution, markers, quoted_headers
from ingest.reply.recognise.banners import find_banner

_KIND_OF_MARK = {
    MarkKind.ATTRIBUTION: SegmentKind.ATTRIBUTION,
    MarkKind.SIGNATURE: SegmentKind.SIGNATURE,
    MarkKind.DEVICE: SegmentKind.DEVICE_LINE,
}
_FENCES = ("```", "~~~")
_QUESTION_MARKS = ("?", "？", "؟", ";", ":", "：")
_HEADER_SEARCH_LINES = 6
"""Below a mark that says "all that follows is quoted", the header of the quoted mail is looked for in this many lines;
mail programs put no more than a rule and blank lines before it."""
_ANNOUNCEMENT_LINES = 30
"""Above a quote, answers in it are announced in so many lines: a greeting, the announcement, and a signature."""
_MAX_ANNOUNCEMENT_CHARACTERS = 300
"""Of a line this many characters are searched for an announcement. It bounds the cost."""
_ATTRIBUTION_SEARCH_LINES = 3
"""Inside a quote, its attribution or header is looked for in the first lines with words, of which so many are read."""
_BANNER_SEARCH_LINES = 20
"""The banner of a mail server begins in one of so many lines: blank ones and other banners stand above it."""
MAX_SCANNED_LINES = 20_000
"""Nothing is looked for below this many lines: what comes after them stays with the last block. It bounds the time of a
hostile body; what a sender newly wrote stands above."""


def find_fenced(lines: Sequence[BodyLine]) -> frozenset[int]:
    """Return the indexes of the lines of fenced code, with their fences. Nothing in there is a quote, a header or the
    like. A fence that is never closed is none."""
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


@cache
def _announcements() -> re.Pattern[str]:
    return re.compile(rf"(?<![^\W\u0590-\uffff]){any_of(all_words(lambda language: language.answer_announcements))}")


class Classifier:
    """Classifies the lines of one body in one pass. ``subject`` is that of the mail: it says whether it is a
    forward."""

    def __init__(self, lines: Sequence[BodyLine], subject: str) -> None:
        self.lines = lines
        self.subject = subject
        self.fenced = find_fenced(lines)
        self._headers = quoted_headers.HeaderFinder(lines)
        self._attributions = attribution.AttributionFinder(lines)
        self._has_new_text = False
        """A line of new text was seen."""
        self._is_below_attribution = False
        """The last block was an attribution, with nothing but blank lines since."""
        self._last_written = max((at for at, line in enumerate(lines) if not (line.blank or line.quoted)), default=-1)
        """The index of the last line that is neither blank nor quoted; -1 if there is none."""

    def blocks(self) -> Iterator[ClassifiedBlock]:
        """Yield the blocks in order. Together they cover every line exactly once."""
        at = begin = 0
        while at < min(len(self.lines), MAX_SCANNED_LINES):
            found = self._recognise(at)
            if not found:
                if not self.lines[at].blank:
                    self._has_new_text, self._is_below_attribution = True, False
                at += 1
                continue
            if at > begin:
                yield ClassifiedBlock(SegmentKind.NEW, begin, at)
            yield from found
            at = begin = found[-1].stop
            self._is_below_attribution = found[-1].kind is SegmentKind.ATTRIBUTION
        if begin < len(self.lines):
            yield ClassifiedBlock(SegmentKind.NEW, begin, len(self.lines))

    def _recognise(self, at: int) -> tuple[ClassifiedBlock, ...]:
        """Return the blocks that begin at a line, or none if it is new text so far."""
        line = self.lines[at]
        if line.mark is not None and line.mark.kind is not MarkKind.QUOTE:
            return self._marked(at, line.mark)
        if at in self.fenced:
            return ()
        if line.quoted:
            return self._quoted(at)
        if line.blank:
            return ()
        return self._banner(at) or self._reply_above_marker(at) or self._header(at) or self._attribution(at)

    def _banner(self, at: int) -> tuple[ClassifiedBlock, ...]:
        """Find the banner that a mail server puts above all that was written."""
        stop = find_banner(self.lines, at) if not self._has_new_text and at < _BANNER_SEARCH_LINES else None
        return (ClassifiedBlock(SegmentKind.MARKER, at, stop, Recognised(CutReason.BANNER)),) if stop else ()

    def _marked(self, at: int, mark: LineMark) -> tuple[ClassifiedBlock, ...]:
        """Classify lines as the markup of the mail program says."""
        if mark.kind is MarkKind.REST:
            return self._quote_to_end(at, mark.reason)
        stop = at + 1
        while stop < len(self.lines) and self.lines[stop].mark is mark:
            stop += 1
        if mark.kind is MarkKind.FORWARD:
            return (ClassifiedBlock(SegmentKind.FORWARDED, at, len(self.lines), mark.reason),)
        return (ClassifiedBlock(_KIND_OF_MARK[mark.kind], at, stop, mark.reason),)

    def _quote_to_end(self, at: int, reason: Recognised) -> tuple[ClassifiedBlock, ...]:
        """Everything from this line on is quoted; if the mail is a forward, it is passed on, and stays."""
        header = self._first_header(at)
        if header is not None and (header.forwarded or quoted_headers.is_forward(self.subject, header.languages)):
            forwarded = Recognised(CutReason.FORWARDED_MESSAGE)
            return (ClassifiedBlock(SegmentKind.FORWARDED, at, len(self.lines), forwarded),)
        rest = ClassifiedBlock(SegmentKind.QUOTE, at, len(self.lines), reason, client_quoted=True)
        return self._split_out_answers(rest)

    def _split_out_answers(self, quote: ClassifiedBlock) -> tuple[ClassifiedBlock, ...]:
        """Split a quote at the answers that were typed into it. A line that the ticket lacks is no answer for that
        alone: a template may have put it around what was said. It is one if its place says so (see
        ``BodyLine.inside_ticket_text``), if the writer announces answers, or if nothing else was written.

        Only the newest of the quoted mails is searched, down to the header of the one before it."""
        first = self._first_copy(quote.start, quote.stop)
        if first is None:
            return (replace(quote, answers_possible=True),)
        depth = self.lines[first].depth
        stop = self._older_mail(first, quote.stop, depth)
        is_split = quote.stop <= self._last_written  # answers to it stand below it, and not inside
        announced = not is_split and self._announces_answers(quote.start)
        answers = list(self._between_copies(first, stop, all_lines=announced))
        has_other_text = self._has_new_text or is_split
        answers += self._below_copies(first, stop, is_answer=announced or bool(answers), is_all=not has_other_text)
        if not answers:
            return (quote,)
        above = any(not line.blank for line in self.lines[quote.start : first])
        parts = [replace(quote, kind=SegmentKind.ATTRIBUTION, stop=first)] if above else []
        at = first if above else quote.start
        for begin, end in answers:
            answer = replace(quote, kind=SegmentKind.NEW, start=begin, stop=end)
            parts += [replace(quote, start=at, stop=begin), answer]
            at = end
        return (*parts, replace(quote, start=at)) if at < quote.stop else tuple(parts)

    def _announces_answers(self, stop: int) -> bool:
        """Return whether the text above line ``stop`` says that answers are in the quote: ``see my answers in red``."""
        above = self.lines[max(stop - _ANNOUNCEMENT_LINES, 0) : stop]
        return any(
            _announcements().search(line.plain[:_MAX_ANNOUNCEMENT_CHARACTERS].lower())
            for line in above
            if not line.quoted
        )

    def _first_copy(self, at: int, stop: int) -> int | None:
        """Return the first line that repeats a text of the ticket, or begins with one and goes on with an answer."""
        for line_at in range(at, min(stop, MAX_SCANNED_LINES)):
            if self.lines[line_at].repeats_ticket or self.lines[line_at].starts_with_ticket_text:
                return line_at
        return None

    def _next_copy(self, at: int, stop: int) -> int | None:
        return next((at for at in range(at, min(stop, MAX_SCANNED_LINES)) if self.lines[at].repeats_ticket), None)

    def _older_mail(self, at: int, stop: int, depth: int) -> int:
        """Return where an older mail begins, with its header or with deeper quote marks; else ``stop``."""
        below = range(at, min(stop, MAX_SCANNED_LINES))
        begins = (at for at in below if not self.lines[at].repeats_ticket and self._begins_older_mail(at, depth))
        return next(begins, below.stop)

    def _begins_older_mail(self, at: int, depth: int) -> bool:
        return bool(self.lines[at].depth > depth or self._headers.find(at) or self._attributions.find(at))

    def _between_copies(self, first: int, stop: int, *, all_lines: bool) -> Iterator[tuple[int, int]]:
        """Yield the answers between two copies, without the blank lines around them, as (first line, line after). With
        ``all_lines``, whatever is between two copies is an answer."""
        copy = first if self.lines[first].repeats_ticket else first - 1
        while (found := self._next_copy(copy + 1, stop)) is not None:
            between = range(copy + 1, found)
            written = [at for at in between if not self.lines[at].blank]
            if written and (all_lines or any(self.lines[at].inside_ticket_text for at in written)):
                yield written[0], written[-1] + 1
            copy = found

    def _below_copies(self, first: int, stop: int, *, is_answer: bool, is_all: bool) -> Iterator[tuple[int, int]]:
        """Yield the last answer, if there is one below the last copy; else the foot of a notification stands there.

        With ``is_all``, nothing else was written, so that it is the answer. With ``is_answer``, answers are expected:
        it is one if it follows a question, or if no blank line parts it from the copy."""
        last = max((at for at in range(first, stop) if self.lines[at].repeats_ticket), default=first - 1)
        written = [at for at in range(last + 1, stop) if not self.lines[at].blank]
        if not written or not (is_answer or is_all):
            return
        if self.lines[last].plain.endswith(_QUESTION_MARKS) or (is_all and not self.lines[first].depth):
            yield written[0], written[-1] + 1
        elif written[0] == last + 1:
            yield last + 1, next(at for at in range(last + 1, stop + 1) if at == stop or self.lines[at].blank)

    def _first_header(self, at: int) -> quoted_headers.QuotedHeader | None:
        for start in range(at, min(at + _HEADER_SEARCH_LINES, len(self.lines))):
            header = self._headers.find(start)
            if header:
                return header
        return None

    def _quoted(self, at: int) -> tuple[ClassifiedBlock, ...]:
        """Classify a run of quoted lines, with the blank lines inside it."""
        if attribution.is_groupwise_header(self.lines[at]):
            return self._quote_to_end(at, Recognised(CutReason.ATTRIBUTION, "GroupWise"))
        stop = self._quote_end(at)
        if self._is_mbox_from(at, stop):
            return ()
        header = self._headers.find(self._first_written(at, stop))
        if header is not None and header.forwarded and not self._is_below_attribution:
            return (ClassifiedBlock(SegmentKind.FORWARDED, at, stop, header.reason),)
        client_quoted = any(line.in_ticket_passage or line.mark is not None for line in self.lines[at:stop])
        reason = self._quote_reason(at)
        quote = ClassifiedBlock(SegmentKind.QUOTE, at, stop, reason, client_quoted=client_quoted)
        announced = self._announces_answers(at) if self._has_new_text else False
        is_attributed = self._is_attributed(quote)
        unattributed = not is_attributed and not quote.is_for(CutReason.TICKET_TEXT)
        quote = replace(quote, attributed=is_attributed, unattributed=unattributed, announced=announced)
        return self._split_out_answers(quote)

    def _is_attributed(self, quote: ClassifiedBlock) -> bool:
        """Return whether the lines above a quote or its first ones say whose words it has."""
        if self._is_below_attribution or quote.is_for(CutReason.ATTRIBUTION):
            return True
        written = (at for at in range(quote.start, quote.stop) if not self.lines[at].blank)
        first = islice(written, _ATTRIBUTION_SEARCH_LINES)
        return any(self._headers.find(at) or self._attributions.find(at) for at in first)

    def _quote_end(self, at: int) -> int:
        """Return the line after a quote. What the writer marked and what a mail program marked are two quotes."""
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

    def _quote_reason(self, at: int) -> Recognised:
        line = self.lines[at]
        if line.mark is not None:
            return line.mark.reason
        if line.in_ticket_passage:
            return Recognised(CutReason.TICKET_TEXT)
        inside = self._attributions.find(at)
        return inside.reason if inside else Recognised(CutReason.QUOTE_MARKS)

    def _is_mbox_from(self, at: int, stop: int) -> bool:
        """Return whether this is ``>From`` at the start of a line, which a mail store escaped: it is no quote."""
        return stop == at + 1 and self.lines[at].text.startswith(">From ")

    def _reply_above_marker(self, at: int) -> tuple[ClassifiedBlock, ...]:
        """Find ``Reply above this line``, possibly below a rule. It cuts everything below it, unless nothing was
        written above it: then the reply is below."""
        ruled = at + 1 < len(self.lines) and quoted_headers.is_rule(self.lines[at].text)
        alone = ruled or at == 0 or self.lines[at - 1].blank or self.lines[at - 1].quoted
        if not markers.is_marker(self.lines[at + ruled], alone=alone):
            return ()
        stop = len(self.lines) if self._has_new_text else at + ruled + 1
        return (ClassifiedBlock(SegmentKind.MARKER, at, stop, Recognised(CutReason.REPLY_ABOVE)),)

    def _header(self, at: int) -> tuple[ClassifiedBlock, ...]:
        """Find a header block or a separator: what follows is another mail, a forward or a quote."""
        header = self._headers.find(at)
        if header is None:
            return ()
        if quoted_headers.is_other_mail(header, self.subject):
            pasted = Recognised(CutReason.OTHER_MAIL)
            return (ClassifiedBlock(SegmentKind.FORWARDED, at, header.stop, pasted),)
        if header.forwarded or quoted_headers.is_forward(self.subject, header.languages):
            return (ClassifiedBlock(SegmentKind.FORWARDED, at, len(self.lines), header.reason),)
        below = self._next_written(header.stop)
        if below < len(self.lines) and (self.lines[below].marked_quote or self._attributions.find(below)):
            return (ClassifiedBlock(SegmentKind.ATTRIBUTION, at, below, header.reason),)
        quote = ClassifiedBlock(SegmentKind.QUOTE, at, len(self.lines), header.reason, client_quoted=True)
        return self._split_out_answers(quote)

    def _attribution(self, at: int) -> tuple[ClassifiedBlock, ...]:
        """Find an attribution. Without quote marks below it, everything below is quoted, if there is text above."""
        found = self._attributions.find(at)
        if found is None:
            return ()
        if quoted_headers.is_forward(self.subject, found.languages):
            forwarded = Recognised(CutReason.FORWARDED_MESSAGE)
            return (ClassifiedBlock(SegmentKind.FORWARDED, at, len(self.lines), forwarded),)
        below = self._next_written(found.stop)
        head = ClassifiedBlock(SegmentKind.ATTRIBUTION, at, below, found.reason)
        if below == len(self.lines) or self.lines[below].marked_quote:
            return (head,)
        if not (self._has_new_text or self.lines[below].text.startswith("| ")):
            return (head,)
        quote = ClassifiedBlock(SegmentKind.QUOTE, below, len(self.lines), found.reason, client_quoted=True)
        return (head, *self._split_out_answers(quote))

    def _first_written(self, at: int, stop: int) -> int:
        """Return the first line of a quote that is not blank, or ``at`` if all are."""
        return next((line for line in range(at, stop) if not self.lines[line].blank), at)

    def _next_written(self, at: int) -> int:
        """Return the next line that is not blank, or the number of lines."""
        while at < len(self.lines) and self.lines[at].blank and not self.lines[at].quoted:
            at += 1
        return at
