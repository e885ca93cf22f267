"""Decides which of the classified blocks are kept, and builds the reply: replies above, below and inside a quote, mails
passed on, and what stands at the end of a text."""

from collections.abc import Sequence
from dataclasses import replace

from ingest.model.message import Reply, Segment, SegmentKind
from ingest.model.reasons import CutReason, Recognised
from ingest.reply.body import BodyOrigin
from ingest.reply.classify import Classifier
from ingest.reply.html.client_markup import SPLIT_BY_ANSWERS
from ingest.reply.lines import BodyLine, ClassifiedBlock
from ingest.reply.recognise import trailers
from ingest.reply.recognise.quoted_headers import is_rule, label_of

_KEPT_KINDS = frozenset({SegmentKind.NEW, SegmentKind.ANSWERED_QUOTE, SegmentKind.FORWARDED})
_MAX_ANSWERED_LINES = 12
"""A quote of at most this many lines is kept as a whole if something below answers it; of a longer one only the last
paragraph stays. A question seldom takes more lines, and a whole quoted mail seldom fewer."""
_MAX_INTRODUCTION_WORDS = 12
"""If someone replies inside the quote, the text above it is rarely longer than this many words."""
_TYPED_PROMPT_DEPTH = 3
"""Three or more quote marks at each line are a command prompt (``>>>``) that somebody copied, not a quote."""


def select_reply(
    lines: Sequence[BodyLine], subject: str, origin: BodyOrigin, *, beside_ticket: bool = False
) -> Reply | None:
    """Build the reply from the lines of the body, whose quotes of the ticket are marked; ``beside_ticket`` says that
    texts of the ticket were there to be compared with.

    Returns ``None`` if a kept line was read in the fast, text-only mode; the caller must read the body again with its
    full markup. If everything would be cut, the whole body is kept.
    """
    classifier = Classifier(lines, subject)
    blocks = _strip_trailers(lines, list(classifier.blocks()), classifier.fenced)
    blocks = _decide_quotes(lines, _keep_typed_quotes(lines, blocks, beside_ticket=beside_ticket))
    nothing_left = not any(block.kind in _KEPT_KINDS and _has_words(lines, block) for block in blocks)
    kept = blocks if nothing_left else [block for block in blocks if block.kind in _KEPT_KINDS]
    if any(line.text_only for block in kept for line in lines[block.start : block.stop]):
        return None
    if nothing_left:
        reply = keep_whole("".join(line.text for line in lines), origin, Recognised(CutReason.NOTHING_LEFT))
        return replace(reply, ambiguous=any(block.answers_possible for block in blocks))
    reply = _reply([_segment(lines, block) for block in blocks], origin)
    return replace(reply, ambiguous=_is_ambiguous(lines, blocks, reply))


def keep_whole(body: str, origin: BodyOrigin, reason: Recognised) -> Reply:
    """Build the reply that keeps the whole body, for ``reason``."""
    return _reply((Segment(text=body, kind=SegmentKind.NEW, kept=True, reason=reason),) if body else (), origin)


def _is_ambiguous(lines: Sequence[BodyLine], blocks: Sequence[ClassifiedBlock], reply: Reply) -> bool:
    """Return whether a comparison with the ticket's messages could find answers inside one of the quotes that were cut:
    inside any quote without marks, and inside a marked one where hardly anything was written above it."""
    quotes = [block for block in blocks if block.answers_possible and block.kind is SegmentKind.QUOTE]
    if any(not lines[block.start].quoted for block in quotes):
        return True
    if any(block.unattributed and block.answers_possible for block in blocks):
        return True
    is_short = len(reply.content.split()) <= _MAX_INTRODUCTION_WORDS
    return is_short and any(block.reason not in SPLIT_BY_ANSWERS for block in quotes)


def _strip_trailers(
    lines: Sequence[BodyLine], blocks: Sequence[ClassifiedBlock], fenced: frozenset[int]
) -> list[ClassifiedBlock]:
    """Split the signatures, device lines and footers off the end of each block of new text."""
    stripped: list[ClassifiedBlock] = []
    for at, block in enumerate(blocks):
        if block.kind is not SegmentKind.NEW:
            stripped.append(block)
            continue
        following = blocks[at + 1] if at + 1 < len(blocks) else None
        text = trailers.TextBlock(
            lines,
            block.start,
            block.stop,
            fenced,
            before_quote=following is not None
            and (following.kind is SegmentKind.ATTRIBUTION or following.client_quoted),
            after_quote=following is None and at > 0 and blocks[at - 1].kind is SegmentKind.QUOTE,
        )
        stripped += trailers.strip_trailers(text)
    return stripped


def _has_substance(lines: Sequence[BodyLine], block: ClassifiedBlock) -> bool:
    """Return whether a block has more than blank lines and rules."""
    return any(not line.blank and not is_rule(line.text) for line in lines[block.start : block.stop])


def _has_words(lines: Sequence[BodyLine], block: ClassifiedBlock) -> bool:
    """Return whether a block has more than blank lines, rules, and header lines, which may be the rest of a header
    block that was not recognised as a whole."""
    inner = lines[block.start : block.stop]
    return any(not line.blank and not is_rule(line.text) and label_of(line) is None for line in inner)


def _keep_typed_quotes(
    lines: Sequence[BodyLine], blocks: Sequence[ClassifiedBlock], *, beside_ticket: bool
) -> list[ClassifiedBlock]:
    """Keep a quote that the writer made: the first one without attribution, if it has nothing of what the ticket says,
    was made with a quote button, or stands above the attribution of the mail program's quote.

    Below an attribution or another quote, it may be the rest of a mail into which answers were typed."""
    heads = [at for at, block in enumerate(blocks) if block.kind is SegmentKind.ATTRIBUTION or _has_header(block)]
    at = next((at for at, block in enumerate(blocks) if block.kind is SegmentKind.QUOTE), None)
    if not at or (heads and heads[0] < at) or not blocks[at].unattributed:
        return list(blocks)
    mark = lines[blocks[at].start].mark
    was_never_said = beside_ticket and blocks[at].answers_possible
    if not (was_never_said or heads or (mark is not None and mark.typed)):
        return list(blocks)
    return [*blocks[:at], replace(blocks[at], kind=SegmentKind.ANSWERED_QUOTE), *blocks[at + 1 :]]


def _has_header(block: ClassifiedBlock) -> bool:
    """Return whether a block begins with the header of the mail that it quotes."""
    return block.is_for(CutReason.HEADER_BLOCK) or block.is_for(CutReason.ORIGINAL_MESSAGE)


def _decide_quotes(lines: Sequence[BodyLine], blocks: Sequence[ClassifiedBlock]) -> list[ClassifiedBlock]:
    """Turn each quote that new text below it answers into an answered quote, which is kept. The others stay quotes."""
    written = [at for at, block in enumerate(blocks) if block.kind is SegmentKind.NEW and _has_substance(lines, block)]
    first, last = (written[0], written[-1]) if written else (len(blocks), -1)
    quotes = [at for at, block in enumerate(blocks) if block.kind is SegmentKind.QUOTE]
    decided: list[ClassifiedBlock] = []
    for at, block in enumerate(blocks):
        if block.kind is not SegmentKind.QUOTE:
            decided.append(block)
        elif at > last:
            decided.append(_decide_last_quote(lines, blocks, at))
        elif _is_bottom_reply(blocks, at, first, quotes):
            decided.append(block)
        else:
            decided += _keep_answered_part(lines, block)
    return decided


def _decide_last_quote(lines: Sequence[BodyLine], blocks: Sequence[ClassifiedBlock], at: int) -> ClassifiedBlock:
    """Decide a quote that has nothing new below it. It is cut, unless the writer typed its marks: a text such as ``The
    log says:`` introduces it, no blank line parts it from the text above, or it consists of command prompts."""
    block = blocks[at]
    if block.client_quoted or at == 0 or blocks[at - 1].kind is not SegmentKind.NEW:
        return block
    if not block.is_for(CutReason.QUOTE_MARKS):
        return block
    above = [line.plain for line in lines[blocks[at - 1].start : block.start] if not line.blank]
    introduced = bool(above) and above[-1].endswith((":", "："))
    typed = at == 1 and not lines[block.start - 1].blank
    prompts = all(line.depth >= _TYPED_PROMPT_DEPTH or line.blank for line in lines[block.start : block.stop])
    return replace(block, kind=SegmentKind.ANSWERED_QUOTE) if introduced or typed or prompts else block


def _is_bottom_reply(blocks: Sequence[ClassifiedBlock], at: int, first: int, quotes: Sequence[int]) -> bool:
    """Return whether this is the quote of the whole mail under its attribution, with the reply below it; or, where the
    mail begins with the reply, with a signature or the like below it, which a server appended."""
    below_attribution = at > 0 and blocks[at - 1].kind is SegmentKind.ATTRIBUTION
    has_attribution = below_attribution or not blocks[at].unattributed
    if not has_attribution or at != quotes[-1]:
        return False
    is_unbroken = at == quotes[0] and first == 0 and at <= 1 + below_attribution
    return first > at or (is_unbroken and blocks[at].attributed and not blocks[at].announced)


def _keep_answered_part(lines: Sequence[BodyLine], block: ClassifiedBlock) -> list[ClassifiedBlock]:
    """Keep a quote that something below answers; of a long one only its last paragraph, which is what is answered."""
    if block.stop - block.start <= _MAX_ANSWERED_LINES:
        return [replace(block, kind=SegmentKind.ANSWERED_QUOTE)]
    start = block.stop - 1
    while start > block.start and not lines[start - 1].blank:
        start -= 1
    kept = replace(block, start=start, kind=SegmentKind.ANSWERED_QUOTE)
    return [replace(block, stop=start), kept] if start > block.start else [kept]


def _segment(lines: Sequence[BodyLine], block: ClassifiedBlock) -> Segment:
    return Segment(
        text="".join(line.text for line in lines[block.start : block.stop]),
        kind=block.kind,
        kept=block.kind in _KEPT_KINDS,
        reason=block.reason,
    )


def _reply(segments: Sequence[Segment], origin: BodyOrigin) -> Reply:
    reasons = list(dict.fromkeys(str(segment.reason) for segment in segments if segment.reason is not None))
    return Reply(
        content=_without_outer_blank_lines("".join(segment.text for segment in segments if segment.kept)),
        elided="".join(segment.text for segment in segments if not segment.kept),
        method=f"{origin}: {', '.join(reasons) or 'nothing to cut'}",
        markdown=origin.is_markdown,
        segments=tuple(segments),
    )


def _without_outer_blank_lines(text: str) -> str:
    """Remove the blank lines at both ends. The indentation of the first line means something and stays."""
    indented = len(text) - len(text.lstrip())
    return text[text.rfind("\n", 0, indented) + 1 :].rstrip()
