"""What stays and what goes: top, bottom and inline replies, forwards, endings."""

from collections.abc import Sequence
from dataclasses import replace

from ingest.model.message import Reply, Segment
from ingest.reply.classify import Classifier
from ingest.reply.lines import BodyLine, ClassifiedBlock
from ingest.reply.recognise import trailers
from ingest.reply.recognise.quoted_headers import is_rule

_KEPT = frozenset({"new", "answered-quote", "forwarded"})
_ANSWERED_LINES = 12
_FEW_WORDS = 12
"""Who answers inside the quote writes hardly more than that above it."""
_SPLITS = frozenset({"gmail_quote"})
"""Quotes that end where somebody types into them: nothing new can stand inside."""


def select_reply(lines: Sequence[BodyLine], subject: str, source: str) -> Reply | None:
    """The reply that these lines hold; ``source`` says where they are from, ``text`` or ``html``. ``None`` where
    something stays of which only the words were read: read it again with its markup."""
    scanner = Classifier(lines, subject)
    blocks = _decide(lines, _with_endings(lines, list(scanner.blocks()), scanner.protected))
    empty = not any(block.kind in _KEPT and _has_substance(lines, block) for block in blocks)
    if any(
        line.text_only for block in blocks if empty or block.kind in _KEPT for line in lines[block.start : block.stop]
    ):
        return None
    if empty:
        kept = whole("".join(line.text for line in lines), source, "whole, nothing else was left")
        return replace(kept, ambiguous=any(block.answers_possible for block in blocks))
    reply = _reply([_segment(lines, block) for block in blocks], source)
    return replace(reply, ambiguous=_is_open(lines, blocks, reply))


def whole(body: str, source: str, why: str) -> Reply:
    """A body of which nothing is cut."""
    return _reply((Segment(text=body, kind="new", kept=True, reason=why),) if body else (), source)


def _is_open(lines: Sequence[BodyLine], blocks: Sequence[ClassifiedBlock], reply: Reply) -> bool:
    """Whether the texts of the ticket would tell more."""
    answers_possible = [block for block in blocks if block.answers_possible and block.kind == "quote"]
    if any(not lines[block.start].quoted for block in answers_possible):
        return True
    is_short = len(reply.content.split()) <= _FEW_WORDS
    return is_short and any(block.reason not in _SPLITS for block in answers_possible)


def _with_endings(
    lines: Sequence[BodyLine], blocks: Sequence[ClassifiedBlock], protected: frozenset[int]
) -> list[ClassifiedBlock]:
    parted: list[ClassifiedBlock] = []
    for at, block in enumerate(blocks):
        if block.kind != "new":
            parted.append(block)
            continue
        stretch = trailers.TextBlock(
            lines,
            block.start,
            block.stop,
            protected,
            before_quote=at + 1 < len(blocks)
            and (blocks[at + 1].kind == "attribution" or blocks[at + 1].client_quoted),
            after_quote=at + 1 == len(blocks) and at > 0 and blocks[at - 1].kind == "quote",
        )
        parted += trailers.trim(stretch)
    return parted


def _has_substance(lines: Sequence[BodyLine], block: ClassifiedBlock) -> bool:
    return any(not line.blank and not is_rule(line.text) for line in lines[block.start : block.stop])


def _decide(lines: Sequence[BodyLine], blocks: Sequence[ClassifiedBlock]) -> list[ClassifiedBlock]:
    """Each quote is cut, unless something new below answers it."""
    written = [at for at, block in enumerate(blocks) if block.kind == "new" and _has_substance(lines, block)]
    first, last = (written[0], written[-1]) if written else (len(blocks), -1)
    quotes = [at for at, block in enumerate(blocks) if block.kind == "quote"]
    decided: list[ClassifiedBlock] = []
    for at, block in enumerate(blocks):
        if block.kind != "quote":
            decided.append(block)
        elif at > last:
            decided.append(_trailing(lines, blocks, at))
        elif _is_bottom_reply(blocks, at, first, quotes):
            decided.append(block)
        else:
            decided += _answered(lines, block)
    return decided


def _trailing(lines: Sequence[BodyLine], blocks: Sequence[ClassifiedBlock], at: int) -> ClassifiedBlock:
    """A quote with nothing new below: cut, unless the writer made it: ``The log says:`` and lines with marks, or the
    first such lines where no blank one parts them from the text."""
    block = blocks[at]
    if block.client_quoted or at == 0 or blocks[at - 1].kind != "new" or block.reason != "quote marks":
        return block
    above = [line.plain for line in lines[blocks[at - 1].start : block.start] if not line.blank]
    introduced = bool(above) and above[-1].endswith((":", "："))
    typed = at == 1 and not lines[block.start - 1].blank
    prompts = all(line.depth >= 3 or line.blank for line in lines[block.start : block.stop])
    if introduced or typed or prompts:
        return replace(block, kind="answered-quote")
    return replace(block, confidence=0.75)


def _is_bottom_reply(blocks: Sequence[ClassifiedBlock], at: int, first: int, quotes: Sequence[int]) -> bool:
    """The whole mail quoted under its attribution, and the answer below it."""
    attributed = at > 0 and blocks[at - 1].kind == "attribution"
    inside = blocks[at].reason.startswith("attribution")
    return (attributed or inside) and first > at and at == quotes[-1]


def _answered(lines: Sequence[BodyLine], block: ClassifiedBlock) -> list[ClassifiedBlock]:
    """A quote that something below answers stays; of a long one only its last paragraph, which is what is answered."""
    if block.stop - block.start <= _ANSWERED_LINES:
        return [replace(block, kind="answered-quote")]
    start = block.stop - 1
    while start > block.start and not lines[start - 1].blank:
        start -= 1
    cut = replace(block, stop=start, confidence=min(block.confidence, 0.8))
    kept = replace(block, start=start, kind="answered-quote")
    return [cut, kept] if start > block.start else [kept]


def _segment(lines: Sequence[BodyLine], block: ClassifiedBlock) -> Segment:
    kept = block.kind in _KEPT
    return Segment(
        text="".join(line.text for line in lines[block.start : block.stop]),
        kind=block.kind,
        kept=kept,
        confidence=1.0 if kept else block.confidence,
        reason=block.reason,
    )


def _reply(segments: Sequence[Segment], source: str) -> Reply:
    cut = [segment for segment in segments if not segment.kept]
    reasons = list(dict.fromkeys(segment.reason for segment in segments if segment.reason))
    return Reply(
        content=_trimmed("".join(segment.text for segment in segments if segment.kept)),
        elided="".join(segment.text for segment in cut),
        confidence=min((segment.confidence for segment in cut), default=1.0),
        method=f"{source}: {', '.join(reasons) or 'nothing to cut'}",
        markdown=source.startswith("html"),
        segments=tuple(segments),
    )


def _trimmed(text: str) -> str:
    """Without blank lines at both ends; the indentation of the first line means something and stays."""
    written = len(text) - len(text.lstrip())
    return text[text.rfind("\n", 0, written) + 1 :].rstrip()
