"""Finds the copies of a ticket's texts in a body, whatever a mail program did to them: wrapped anew, quoted, marked up,
stripped of markup. Words are compared, in runs, so the cost is linear in the words."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice, pairwise
from unicodedata import normalize

from ingest.reply.body import bare_text
from ingest.reply.lines import BodyLine, words_of

_RUN = 5
"""Words in a row that make a copy likely."""
_LEAST = 8
"""Words that a passage of copied lines must have: people repeat a phrase, not a passage."""
_SHARE = 0.8
_MOST = 0.5
_END = 3
"""Words by which the end of a line is known again, wherever the line was wrapped."""
_WORDS = 200_000
_WORD = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]|[^\W_]+")
_HTML = re.compile(r"</?(?:p|div|br|span|a|b|strong|em|i|ul|ol|li|table)\b[^<>]*>", re.IGNORECASE)

_LINK = re.compile(r"https?://[^\s<>()\"]+", re.IGNORECASE)

Words = tuple[str, ...]


class TicketText:
    """What this sender was ``sent``, and what they have ``written`` before."""

    def __init__(self, sent: Iterable[str] = (), written: Iterable[str] = ()) -> None:
        self._sent = _Phrases.of(sent)
        self._all = self._sent | _Phrases.of(written)

    def __bool__(self) -> bool:
        """Whether anything is known."""
        return bool(self._all.runs)

    def mark(self, lines: Sequence[BodyLine]) -> None:
        """Mark the lines that repeat something of it."""
        if not self:
            return
        of_line = [tuple(islice(_words(line.plain), _WORDS)) for line in lines]
        copies = _repeating(of_line, _copied(of_line, self._sent), self._sent)
        for start, stop in _passages(of_line, copies):
            for line in lines[start:stop]:
                line.in_ticket_passage = True
        echoes = _copied(of_line, self._all)
        for line, words, is_echo in zip(lines, echoes, _repeating(of_line, echoes, self._all), strict=True):
            line.repeats_ticket = is_echo
            line.starts_with_ticket_text = not is_echo and _is_begun(words)


@dataclass(slots=True)
class _Phrases:
    """The phrases of some texts."""

    runs: set[Words] = field(default_factory=set)
    pairs: set[tuple[Words, Words]] = field(default_factory=set)
    """The end of a line and the line below it, which may be too short for a run: ``Kind regards,``, ``Sam``."""

    adjacent: set[tuple[str, str]] = field(default_factory=set)
    """Words that follow each other."""

    def __or__(self, other: "_Phrases") -> "_Phrases":
        return _Phrases(self.runs | other.runs, self.pairs | other.pairs, self.adjacent | other.adjacent)

    @classmethod
    def of(cls, texts: Iterable[str]) -> "_Phrases":
        """Of texts as the API has them, Markdown or HTML; beyond a bound of words, the rest of them is ignored."""
        found, left = cls(), _WORDS
        for text in texts:
            by_line = [tuple(_words(words_of(line))) for line in _readable(text).split("\n")]
            words = list(islice((word for line in by_line for word in line), left))
            left -= len(words)
            found.runs.update(_runs(words))
            found.adjacent.update(pairwise(words))
            found.pairs.update((above[-_END:], below) for above, below in pairwise(filter(None, by_line)))
        return found


def _readable(text: str) -> str:
    return bare_text(text) if _HTML.search(text) else text


def _words(text: str) -> Iterator[str]:
    """Without the addresses of links, which mail programs write out, wrap and rewrite."""
    return (found.group() for found in _WORD.finditer(normalize("NFKC", _LINK.sub(" ", text)).casefold()))


def _runs(words: Sequence[str]) -> Iterator[Words]:
    return (tuple(words[at : at + _RUN]) for at in range(len(words) - _RUN + 1))


def _repeating(of_line: Sequence[Words], copied: Sequence[Sequence[bool]], known: _Phrases) -> list[bool]:
    """For each line, whether nearly all its words repeat what is known, and the last one does: what follows a question
    on the same line is an answer."""
    repeating = [_is_copy(words) for words in copied]
    _follow(of_line, repeating, known)
    return repeating


def _copied(of_line: Sequence[Words], known: _Phrases) -> list[Sequence[bool]]:
    """For each word of each line, whether it repeats what is known."""
    words = list(islice((word for line in of_line for word in line), _WORDS))
    copied = [False] * len(words)
    for at, run in enumerate(_runs(words)):
        if run in known.runs:
            copied[at : at + _RUN] = [True] * _RUN
    _spare_answers(words, copied, known)
    ends = accumulate(map(len, of_line))
    return [copied[end - len(line) : end] for line, end in zip(of_line, ends, strict=True)]


def _spare_answers(words: Sequence[str], copied: list[bool], known: _Phrases) -> None:
    """``Is it green or red?``, ``Red.``: an answer in the last words of its question goes on like the copy."""
    for at in range(1, len(words)):
        if copied[at - 1] and copied[at] and (words[at - 1], words[at]) not in known.adjacent:
            repeated = (size for size in range(1, min(_RUN, at + 1)) if words[at - size : at] == words[at : at + size])
            for size in repeated:
                copied[at : at + size] = [False] * size


def _is_copy(copied: Sequence[bool]) -> bool:
    """By the words of a line: nearly all of them, or most where only something inside was changed, and the last one in
    any case. Fewer at the end than make a run may be an answer, and the run be the line below."""
    if not copied or not copied[-1]:
        return False
    if not copied[0]:
        return sum(copied) >= len(copied) * _SHARE
    return all(copied) or (sum(copied) >= len(copied) * _MOST and all(copied[-_RUN:]))


def _is_begun(copied: Sequence[bool]) -> bool:
    """Whether it goes on behind a copy: a question, and the answer on the same line."""
    return len(copied) > _RUN and all(copied[:_RUN]) and not all(copied[-_RUN:])


def _follow(of_line: Sequence[Words], repeating: list[bool], known: _Phrases) -> None:
    """Mark the short lines that follow each other as they did where they were copied from, with an answer between or
    not."""
    written = [at for at, line in enumerate(of_line) if line]
    for above, below in pairwise(written):
        if (of_line[above][-_END:], of_line[below]) in known.pairs:
            repeating[above] = repeating[below] = True
    end: Words = ()
    for at in written:
        repeating[at] = repeating[at] or (end, of_line[at]) in known.pairs
        if repeating[at] and _is_answer_from(end, of_line[at], known):
            repeating[at] = False
        elif repeating[at]:
            end = of_line[at][-_END:]


def _is_answer_from(end: Words, line: Words, known: _Phrases) -> bool:
    """Whether a line is but the last words of the one above it, which were not said twice."""
    return 0 < len(line) <= len(end) and end[-len(line) :] == line and (end, line) not in known.pairs


def _passages(of_line: Sequence[Words], copies: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Copied lines in a row, with the blank ones between them, where they have enough words to be no chance."""
    start = stop = size = 0
    for at, (words, is_copy) in enumerate(zip(of_line, copies, strict=True)):
        if is_copy:
            start, stop, size = (start if size else at), at + 1, size + len(words)
        elif words:
            if size >= _LEAST:
                yield start, stop
            size = 0
    if size >= _LEAST:
        yield start, stop
