"""Finds the lines of a body that repeat texts of the ticket, whatever a mail program did to them: wrapped them anew,
quoted them, added markup or took it away. Runs of words are compared, so the cost is linear in the number of words.

The words of the texts that were read last are kept, because the next mail to a ticket is compared with the same texts.
"""

import re
import sys
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice, pairwise
from unicodedata import normalize

from ingest.reply.body import bare_text
from ingest.reply.lines import BodyLine, words_of

_RUN_WORDS = 5
"""This many words in a row that a text of the ticket has, too, make a copy likely; fewer are often a common phrase."""
_MIN_PASSAGE_WORDS = 8
"""Copied lines in a row with fewer words than this may be chance: people repeat a phrase, but not a passage."""
_SHARE_OF_COPY = 0.8
"""A line whose first words differ is a copy if at least this share of its words is copied: something was put before."""
_SHARE_OF_CHANGED_COPY = 0.5
"""A line whose both ends are copied is a copy if at least this share is: a link or a name inside was changed."""
_LINE_END_WORDS = 3
"""Number of words at the end of a line used to recognise that line again after re-wrapping."""
_MAX_SKIPPED_WORDS = 4
"""So many words may lack between two copies that follow each other in a text: numbers of a list, which programs make
anew."""
_MAX_WORDS = 200_000
"""Words of a body, and of all texts of the ticket together, that are compared. It bounds time and memory."""
_MAX_KEPT_CHARACTERS = 4 * 1024 * 1024
"""Characters of texts whose words are kept for the next mail: at least 16 whole conversations, some 100 MiB."""
_WORD = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]|[^\W_]+")
"""A word, or one letter of Thai, Japanese or Chinese, where words are not parted by spaces."""
_HTML_TAG = re.compile(r"(?<!\\)</?(?:p|div|br|span|a|b|strong|em|i|ul|ol|li|table)\b[^<>]*>", re.IGNORECASE)
_URL = re.compile(r"https?://[^\s<>()\"]+", re.IGNORECASE)

Words = tuple[str, ...]


class TicketText:
    """The texts of a ticket, for comparison with a body: those that this sender was ``sent``, and those that they have
    ``written`` to it before. Both are texts as the API has them, Markdown or HTML."""

    def __init__(self, sent: Iterable[str] = (), written: Iterable[str] = ()) -> None:
        self._sent = _within_words(_recent_texts.words_of_text(text) for text in sent)
        self._written = _within_words(_recent_texts.words_of_text(text) for text in written)

    def __bool__(self) -> bool:
        """Return whether any text of the ticket is long enough to be compared."""
        return any(len(text.words) >= _RUN_WORDS for text in (*self._sent, *self._written))

    def mark(self, lines: Sequence[BodyLine]) -> None:
        """Set ``in_ticket_passage``, ``repeats_ticket``, ``starts_with_ticket_text`` and ``inside_ticket_text`` on the
        lines of a body."""
        if not self:
            return
        words_by_line = [tuple(islice(_words_in(line.plain), _MAX_WORDS)) for line in lines]
        phrases_of_sent = _PhraseIndex.common(words_by_line, self._sent)
        phrases_of_all = phrases_of_sent | _PhraseIndex.common(words_by_line, self._written)
        copies = _repeating_lines(words_by_line, _copied_words(words_by_line, phrases_of_sent), phrases_of_sent)
        for start, stop in _find_passages(words_by_line, copies):
            for line in lines[start:stop]:
                line.in_ticket_passage = True
        copied = _copied_words(words_by_line, phrases_of_all)
        repeating = _repeating_lines(words_by_line, copied, phrases_of_all)
        for line, words, repeats in zip(lines, copied, repeating, strict=True):
            line.repeats_ticket = repeats
            line.starts_with_ticket_text = not repeats and _starts_with_copy(words)
        self._mark_insertions(lines, words_by_line, copied)

    def _mark_insertions(
        self, lines: Sequence[BodyLine], words_by_line: Sequence[Words], copied: Sequence[Sequence[bool]]
    ) -> None:
        """Set ``inside_ticket_text`` on the lines that are between two copies, where a text of the ticket has these
        copies one after the other: no program put the lines there."""
        copies = [at for at, words in enumerate(words_by_line) if words and _has_copy(lines[at])]
        gaps: dict[tuple[int, int], tuple[Words, Words]] = {}
        for above, below in pairwise(copies):
            if lines[above].starts_with_ticket_text or any(words_by_line[above + 1 : below]):
                end = _copied_end(words_by_line[above], copied[above], lines[above])
                gaps[above, below] = (end, words_by_line[below][:_LINE_END_WORDS])
        if not gaps:
            return
        joints = _joints_among(set(gaps.values()), (*self._sent, *self._written))
        for (above, below), joint in gaps.items():
            if joint in joints:
                for at in range(above, below):
                    lines[at].inside_ticket_text = not lines[at].repeats_ticket


@dataclass(frozen=True, slots=True)
class _TextWords:
    """The words of one text of the ticket."""

    words: Words
    pairs: tuple[tuple[Words, Words], ...]
    """The end of each line with the line below it, which may be too short for a run: ``Kind regards,``, ``Sam``."""

    @classmethod
    def of(cls, text: str) -> "_TextWords":
        """Find the words of a text as the API has it. They are interned: a ticket says the same words many times."""
        lines = _without_tags(text).split("\n")
        by_line = [tuple(map(sys.intern, _words_in(words_of(line)))) for line in lines]
        pairs = ((above[-_LINE_END_WORDS:], below) for above, below in pairwise(filter(None, by_line)))
        return cls(tuple(word for line in by_line for word in line), tuple(pairs))


class _RecentTexts:
    """Keeps the words of the texts that were asked for last, up to a number of characters."""

    def __init__(self, max_characters: int) -> None:
        self._max_characters = max_characters
        self._characters = 0
        self._kept: OrderedDict[str, _TextWords] = OrderedDict()

    def words_of_text(self, text: str) -> _TextWords:
        """Return the words of a text. One that is longer than a quarter of all that may be kept is not kept."""
        if (kept := self._kept.get(text)) is not None:
            self._kept.move_to_end(text)
            return kept
        found = _TextWords.of(text)
        if len(text) <= self._max_characters // 4:
            self._kept[text] = found
            self._characters += len(text)
        while self._characters > self._max_characters:
            self._characters -= len(self._kept.popitem(last=False)[0])
        return found


_recent_texts = _RecentTexts(_MAX_KEPT_CHARACTERS)


def _within_words(texts: Iterable[_TextWords]) -> tuple[_TextWords, ...]:
    """Return the texts without the words that come after the first ``_MAX_WORDS`` of all."""
    kept, left = [], _MAX_WORDS
    for text in texts:
        kept.append(text if len(text.words) <= left else _TextWords(text.words[:left], text.pairs))
        left -= len(kept[-1].words)
    return tuple(kept)


@dataclass(slots=True)
class _PhraseIndex:
    """The phrases that a body and some texts of the ticket have in common, in sets for look-up."""

    runs: set[Words] = field(default_factory=set)
    """All runs of ``_RUN_WORDS`` words."""
    pairs: set[tuple[Words, Words]] = field(default_factory=set)
    """The pairs of ``_TextWords`` whose lower line is a line of the body."""
    adjacent: set[tuple[str, str]] = field(default_factory=set)
    """All two words that follow each other."""

    def __or__(self, other: "_PhraseIndex") -> "_PhraseIndex":
        return _PhraseIndex(self.runs | other.runs, self.pairs | other.pairs, self.adjacent | other.adjacent)

    @classmethod
    def common(cls, words_by_line: Sequence[Words], texts: Sequence[_TextWords]) -> "_PhraseIndex":
        """Find the phrases. What only the texts have is never asked for, and would take most of the time and memory."""
        words = list(islice((word for line in words_by_line for word in line), _MAX_WORDS))
        runs, adjacent, lines = set(_runs(words)), set(pairwise(words)), set(words_by_line)
        found = cls()
        for text in texts:
            found.runs.update(runs.intersection(_runs(text.words)))
            found.adjacent.update(adjacent.intersection(pairwise(text.words)))
            found.pairs.update(pair for pair in text.pairs if pair[1] in lines)
        return found


def _without_tags(text: str) -> str:
    return bare_text(text) if _HTML_TAG.search(text) else text


def _words_in(text: str) -> Iterator[str]:
    """Yield the words of a text in one letter case, without URLs, which mail programs write out, wrap and rewrite."""
    return (found.group() for found in _WORD.finditer(normalize("NFKC", _URL.sub(" ", text)).casefold()))


def _runs(words: Sequence[str]) -> Iterator[Words]:
    """Yield every ``_RUN_WORDS`` words in a row."""
    return zip(*(words[at:] for at in range(_RUN_WORDS)), strict=False)


def _repeating_lines(
    words_by_line: Sequence[Words], copied: Sequence[Sequence[bool]], index: _PhraseIndex
) -> list[bool]:
    """Return for each line whether it repeats a text of the ticket: nearly all its words do, and the last one does,
    since what follows a question on the same line is an answer."""
    repeating = [_is_copy(words) for words in copied]
    _mark_short_lines(words_by_line, repeating, index)
    return repeating


def _copied_words(words_by_line: Sequence[Words], index: _PhraseIndex) -> list[Sequence[bool]]:
    """Return for each word of each line whether it is in a run of words that the ticket has, too."""
    words = list(islice((word for line in words_by_line for word in line), _MAX_WORDS))
    copied = [False] * len(words)
    for at, run in enumerate(_runs(words)):
        if run in index.runs:
            copied[at : at + _RUN_WORDS] = [True] * _RUN_WORDS
    _unmark_answers(words, copied, index)
    ends = accumulate(map(len, words_by_line))
    return [copied[end - len(line) : end] for line, end in zip(words_by_line, ends, strict=True)]


def _unmark_answers(words: Sequence[str], copied: list[bool], index: _PhraseIndex) -> None:
    """Unmark an answer that repeats the last words of its question (``Green or red?`` ``Red.``): it is no copy."""
    for at in range(1, len(words)):
        if copied[at - 1] and copied[at] and (words[at - 1], words[at]) not in index.adjacent:
            for size in range(1, min(_RUN_WORDS, at + 1)):
                if words[at - size : at] == words[at : at + size]:
                    copied[at : at + size] = [False] * size


def _is_copy(copied: Sequence[bool]) -> bool:
    """Return whether a line is a copy, given for each of its words whether it is copied: nearly all are, or most if
    only something inside was changed, and the last one in any case. If fewer words at its end are copied than make a
    run, they may be an answer whose run goes on in the line below."""
    if not copied or not copied[-1]:
        return False
    if not copied[0]:
        return sum(copied) >= len(copied) * _SHARE_OF_COPY
    return all(copied) or (sum(copied) >= len(copied) * _SHARE_OF_CHANGED_COPY and all(copied[-_RUN_WORDS:]))


def _starts_with_copy(copied: Sequence[bool]) -> bool:
    """Return whether a line goes on after a copy: a question, and the answer on the same line."""
    return len(copied) > _RUN_WORDS and all(copied[:_RUN_WORDS]) and not all(copied[-_RUN_WORDS:])


def _mark_short_lines(words_by_line: Sequence[Words], repeating: list[bool], index: _PhraseIndex) -> None:
    """Mark the short lines that follow each other as in a text of the ticket, possibly with an answer between them."""
    written = [at for at, line in enumerate(words_by_line) if line]
    for above, below in pairwise(written):
        if (words_by_line[above][-_LINE_END_WORDS:], words_by_line[below]) in index.pairs:
            repeating[above] = repeating[below] = True
    end: Words = ()
    for at in written:
        repeating[at] = repeating[at] or (end, words_by_line[at]) in index.pairs
        if repeating[at] and _is_answer_out_of(end, words_by_line[at], index):
            repeating[at] = False
        elif repeating[at]:
            end = words_by_line[at][-_LINE_END_WORDS:]


def _is_answer_out_of(end: Words, line: Words, index: _PhraseIndex) -> bool:
    """Return whether a line is only the last words of the copied line above it, which the ticket does not say twice."""
    return 0 < len(line) <= len(end) and end[-len(line) :] == line and (end, line) not in index.pairs


def _has_copy(line: BodyLine) -> bool:
    return line.repeats_ticket or line.starts_with_ticket_text


def _copied_end(words: Words, copied: Sequence[bool], line: BodyLine) -> Words:
    """Return the last words of the copy that a line is, or begins with."""
    stop = len(words) if line.repeats_ticket else next(at for at, is_copied in enumerate(copied) if not is_copied)
    return words[max(stop - _LINE_END_WORDS, 0) : stop]


def _joints_among(wanted: set[tuple[Words, Words]], texts: Iterable[_TextWords]) -> set[tuple[Words, Words]]:
    """Return which of the ``wanted`` ends and beginnings of lines a text has one after the other, apart from a few
    words. Linear in the words of the texts."""
    ends = {end for end, _ in wanted}
    sizes = {len(end) for end in ends}
    found: set[tuple[Words, Words]] = set()
    for text in texts:
        words = text.words
        for stop in range(1, len(words)):
            for size in sizes:
                end = words[max(stop - size, 0) : stop]
                if end in ends:
                    found |= {joint for joint in _joints_at(words, stop, end) if joint in wanted}
    return found


def _joints_at(words: Words, stop: int, end: Words) -> Iterator[tuple[Words, Words]]:
    for start in range(stop, min(stop + _MAX_SKIPPED_WORDS, len(words) - 1) + 1):
        for size in range(1, _LINE_END_WORDS + 1):
            yield end, words[start : start + size]


def _find_passages(words_by_line: Sequence[Words], copies: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Yield the start and stop of copied lines in a row, with the blank ones between them, that have at least
    ``_MIN_PASSAGE_WORDS`` words."""
    start = stop = word_count = 0
    for at, (words, is_copy) in enumerate(zip(words_by_line, copies, strict=True)):
        if is_copy:
            start, stop, word_count = (start if word_count else at), at + 1, word_count + len(words)
        elif words:
            if word_count >= _MIN_PASSAGE_WORDS:
                yield start, stop
            word_count = 0
    if word_count >= _MIN_PASSAGE_WORDS:
        yield start, stop
