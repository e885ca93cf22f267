"""Cuts what stands at the end of a text and was not written for this mail: signatures below ``-- ``, device lines,
and footers of companies, lists and virus scanners. A sign-off with name and title stays."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from ingest.languages import all_words
from ingest.model.message import SegmentKind
from ingest.model.reasons import CutReason, Recognised
from ingest.reply.lines import BodyLine, ClassifiedBlock
from ingest.reply.recognise.device_lines import find_device_lines
from ingest.reply.recognise.footers import find_footer, is_footer_heading, join_lines, opens_legal_notice
from ingest.reply.recognise.quoted_headers import is_rule

_MAX_EXACT_SIGNATURE_LINES = 60
"""Below ``-- ``, which only a signature has (RFC 3676 section 4.3), this many lines are believed to be one."""
_MAX_SIGNATURE_LINES = 25
"""Below two dashes without the space, this many lines are believed to be a signature: people also put such dashes
between sections of a text."""
_MAX_RULED_SIGNATURE_LINES = 8
"""Below a rule after the last quote, this many lines are believed to be a signature: a reply may stand there, too."""
_MAX_RULED_SIGNATURE_CHARACTERS = 80
"""Each line of a signature below such a rule has at most this many characters; a longer one is a sentence."""
_MIN_RULE_CHARACTERS = 5
"""Such a rule has at least this many characters; a shorter one may be a list mark or a dash."""
_MAX_TRAILERS = 12
"""This many paragraphs are cut from the end of a text at most. It bounds the cost; real mails have up to five."""
_MAX_PARAGRAPH_LINES = 60
"""Of the last paragraph, this many lines are looked at. It bounds the cost."""
_MIN_SENTENCE_WORDS = 6
"""A line with a full stop and at least this many words is a sentence; a shorter one may be a name with a title."""
_MIN_LAST_WORD_CHARACTERS = 5
"""A shorter line with a full stop is a sentence, too, if its last word is in lower case and has, with the full stop, at
least this many characters; ``Ltd.`` ends no sentence."""
_SENTENCE_ENDS = ("!", "?", "。", "！", "？")
_DELIMITERS = frozenset({"--", "—", "–", "‐‐", "−−"})


@dataclass(slots=True)
class TextBlock:
    """New text between quotes, from whose end trailers are cut one by one."""

    lines: Sequence[BodyLine]
    """All lines of the body."""
    start: int
    stop: int
    """The text is the lines with the indexes ``start`` to ``stop - 1``; each cut makes ``stop`` smaller."""
    fenced: frozenset[int]
    """The indexes of lines of fenced code: nothing in there is a trailer."""
    before_quote: bool = False
    """True if a quote that a mail program made, or its attribution, follows."""
    after_quote: bool = False
    """True if the last quote is above, so that the whole text may be a signature."""
    trailers: list[ClassifiedBlock] = field(default_factory=list)
    """What was cut so far, the last lines first."""

    def cut_from(self, start: int, kind: SegmentKind, reason: CutReason | None) -> None:
        """Cut the lines from ``start`` to the end of the text as one trailer; ``reason`` is ``None`` for new text."""
        self.trailers.append(ClassifiedBlock(kind, start, self.stop, Recognised(reason) if reason else None))
        self.stop = start

    def blocks(self) -> list[ClassifiedBlock]:
        """Return the text that is left, and the trailers below it, in the order of the body."""
        text = [ClassifiedBlock(SegmentKind.NEW, self.start, self.stop)] if self.stop > self.start else []
        return [*text, *reversed(self.trailers)]


def strip_trailers(block: TextBlock) -> list[ClassifiedBlock]:
    """Cut the trailers off a text, and return the text that is left and the trailers, in the order of the body."""
    _cut_paragraphs(block)
    _cut_signature(block)
    _cut_paragraphs(block)
    return block.blocks()


def _cut_paragraphs(block: TextBlock) -> None:
    for _ in range(_MAX_TRAILERS):
        stop = block.stop
        _cut_paragraph(block)
        if block.stop == stop:
            return


def _cut_paragraph(block: TextBlock) -> None:
    """Cut the device lines or the footer that the last paragraph is, or ends in."""
    first, stop = _last_paragraph(block)
    if first == stop or not block.fenced.isdisjoint(range(first, stop)):
        return
    device_lines = find_device_lines(block.lines, first, stop)
    if device_lines == stop:
        _cut_footer(block, first, stop)
    elif not _is_introduced(block, device_lines):
        block.cut_from(device_lines, SegmentKind.DEVICE_LINE, CutReason.DEVICE_LINE)


def _cut_footer(block: TextBlock, first: int, stop: int) -> None:
    rule = next((at for at in range(first, stop) if is_rule(block.lines[at].text)), None)
    footer = find_footer(block.lines, first if rule is None else rule, stop, ruled=rule is not None)
    if footer is not None:
        if not _is_introduced(block, footer):
            block.cut_from(footer, SegmentKind.FOOTER, CutReason.FOOTER)
    elif _is_above_footer(block) and is_footer_heading(join_lines(block.lines[first:stop])):
        block.cut_from(first, SegmentKind.FOOTER, CutReason.FOOTER)


def _is_above_footer(block: TextBlock) -> bool:
    return bool(block.trailers) and block.trailers[-1].kind is SegmentKind.FOOTER


def _last_paragraph(block: TextBlock) -> tuple[int, int]:
    """Return the index of the first line of the last paragraph, and that of the line after it."""
    stop = block.stop
    while stop > block.start and block.lines[stop - 1].blank:
        stop -= 1
    first = stop
    while first > block.start and not block.lines[first - 1].blank and stop - first < _MAX_PARAGRAPH_LINES:
        first -= 1
    return first, stop


def _is_introduced(block: TextBlock, at: int) -> bool:
    """Return whether the writer introduces the trailer that begins at line ``at``, and means it: ``Your mails end
    with:``. ``DISCLAIMER:`` belongs to its footer."""
    above = next((line.plain for line in reversed(block.lines[block.start : at]) if not line.blank), "")
    return above.endswith((":", "：")) and not opens_legal_notice(above.lower())


def _cut_signature(block: TextBlock) -> None:
    delimiter = _find_delimiter(block)
    if delimiter is not None:
        _spare_postscript(block, delimiter)
        reason = CutReason.SIGNATURE if _is_exact(block.lines[delimiter]) else CutReason.LOOSE_SIGNATURE
        block.cut_from(delimiter, SegmentKind.SIGNATURE, reason)
    elif block.after_quote and _is_ruled_signature(block):
        block.cut_from(block.start, SegmentKind.SIGNATURE, CutReason.LOOSE_SIGNATURE)
    elif block.before_quote:
        _cut_rule(block)


def _cut_rule(block: TextBlock) -> None:
    """Cut a rule at the end of the text, which a mail program puts above its quote."""
    last = next((at for at in range(block.stop - 1, block.start - 1, -1) if _is_filled(block.lines[at])), None)
    if last is not None and is_rule(block.lines[last].text):
        block.cut_from(last, SegmentKind.MARKER, CutReason.RULE)


def _spare_postscript(block: TextBlock, signature: int) -> None:
    """Keep ``PS: …`` below a signature, which is new."""
    for at in range(signature + 1, block.stop):
        if block.lines[at].plain.lower().startswith(_postscripts()):
            block.cut_from(at, SegmentKind.NEW, None)
            return


@cache
def _postscripts() -> tuple[str, ...]:
    return tuple(all_words(lambda language: language.postscripts))


def _is_filled(line: BodyLine) -> bool:
    return bool(line.text.strip()) and (not line.blank or is_rule(line.text))


def _is_ruled_signature(block: TextBlock) -> bool:
    """Return whether the text is a line of underscores or dashes, and a few short lines below it."""
    filled = [line.text.strip() for line in block.lines[block.start : block.stop] if _is_filled(line)]
    ruled = bool(filled) and len(filled[0]) >= _MIN_RULE_CHARACTERS and set(filled[0]) <= {"_", "-"}
    are_short = all(len(text) <= _MAX_RULED_SIGNATURE_CHARACTERS for text in filled)
    return ruled and len(filled) <= _MAX_RULED_SIGNATURE_LINES and are_short


def _find_delimiter(block: TextBlock) -> int | None:
    """Return the index of the line of two dashes that has no more below it than a signature has. Without the space
    after the dashes, several such lines are rules between parts of a text, and so is one with sentences below it."""
    exact = loose = None
    filled_below = loose_count = 0
    sentence_below = False
    for at in range(block.stop - 1, block.start - 1, -1):
        line = block.lines[at]
        if line.plain in _DELIMITERS and at not in block.fenced:
            if _is_exact(line):
                exact = at if filled_below <= _MAX_EXACT_SIGNATURE_LINES else exact
            else:
                loose = at if filled_below <= _MAX_SIGNATURE_LINES and not sentence_below else loose
                loose_count += 1
        filled_below += not line.blank
        sentence_below = sentence_below or _is_sentence(line.plain)
    return exact if exact is not None else loose if loose_count == 1 else None


def _is_sentence(text: str) -> bool:
    """Return whether a line is a sentence, such as ``Please call me back.``; a name, a title or ``Customer Ltd.`` is
    none."""
    words = text.split()
    if not text.endswith(".") or len(words) < 2:
        return text.endswith(_SENTENCE_ENDS)
    last = words[-1]
    ends_in_word = last.islower() and last[:-1].isalpha() and len(last) >= _MIN_LAST_WORD_CHARACTERS
    return len(words) >= _MIN_SENTENCE_WORDS or ends_in_word


def _is_exact(line: BodyLine) -> bool:
    """Return whether a line is dash, dash, space (RFC 3676 section 4.3)."""
    return line.text.rstrip("\r\n") == "-- "
