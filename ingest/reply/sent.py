"""Finds the copies of texts that a sender was sent, whatever a mail program did to them: wrapped anew, quoted, marked
up, stripped of markup. Words are compared, in runs, so the cost is linear in the words."""

import re
from collections.abc import Iterable, Iterator, Sequence

from ingest.reply.lines import Line, words_of

_RUN = 5
"""Words in a row that make a copy likely; a shorter text is compared whole."""
_LEAST = 8
"""Words that a stretch of copied lines must have: people repeat a phrase, not a passage."""
_SHARE = 0.8
_WORDS = 200_000
_WORD = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]|[^\W_]+")


def mark_copies(lines: Sequence[Line], sent: Iterable[str]) -> None:
    """Mark the lines that repeat what was sent."""
    runs = _runs(sent)
    if not runs:
        return
    words = [(word, at) for at, line in enumerate(lines) for word in _words(line.plain)][:_WORDS]
    copied = _copied(words, runs)
    for start, stop in _stretches(lines, words, copied):
        for line in lines[start:stop]:
            line.copied = True


def _words(text: str) -> Iterator[str]:
    return (found.group() for found in _WORD.finditer(text.casefold()))


def _runs(sent: Iterable[str]) -> set[tuple[str, ...]]:
    runs: set[tuple[str, ...]] = set()
    for text in sent:
        words = [word for line in text.split("\n") for word in _words(words_of(line))][:_WORDS]
        runs.update(tuple(words[at : at + _RUN]) for at in range(len(words) - _RUN + 1))
    return runs


def _copied(words: Sequence[tuple[str, int]], runs: set[tuple[str, ...]]) -> list[bool]:
    """For each word, whether it stands in a run that was sent."""
    plain = [word for word, _ in words]
    copied = [False] * len(plain)
    for at in range(len(plain) - _RUN + 1):
        if tuple(plain[at : at + _RUN]) in runs:
            copied[at : at + _RUN] = [True] * _RUN
    return copied


def _stretches(
    lines: Sequence[Line], words: Sequence[tuple[str, int]], copied: Sequence[bool]
) -> Iterator[tuple[int, int]]:
    """Runs of lines that are copies nearly word for word, with the blank lines between them."""
    of_line, copied_of_line = [0] * len(lines), [0] * len(lines)
    for (_, at), is_copy in zip(words, copied, strict=True):
        of_line[at] += 1
        copied_of_line[at] += is_copy
    start = stop = None
    size = 0
    for at in range(len(lines)):
        if of_line[at] and copied_of_line[at] >= of_line[at] * _SHARE:
            start, stop, size = (at if start is None else start), at + 1, size + of_line[at]
        elif of_line[at] and start is not None and stop is not None:
            if size >= _LEAST:
                yield start, stop
            start, size = None, 0
    if start is not None and stop is not None and size >= _LEAST:
        yield start, stop
