"""Finds the input that costs more than its size explains, among many that are made of pairs of signs.

What is measured is processor time beside that of the other inputs of the same size, never against a clock."""

import itertools
import statistics
import time
from collections.abc import Callable, Iterable, Iterator

_STANDS_OUT = 20
_NOISE = 0.05
_QUADRATIC = 3
"""Twice as much may cost up to three times as much; four times is quadratic."""


def pumped(signs: Iterable[str], size: int) -> Iterator[str]:
    """The signs and the pairs of signs to repeat, each as often as makes this many characters, or an eighth of that in
    lines; a last character fits nothing."""
    listed = list(signs)
    for pair in (*listed, *map("".join, itertools.permutations(listed, 2))):
        yield pair * (size // len(pair) // (8 if "\n" in pair or ">" in pair[1:] else 1)) + "\u2021"


def assert_none_stands_out(read: Callable[[str], object], inputs: Iterable[str]) -> None:
    """No input that costs much more than most do grows faster than its size."""
    costs = {text: _cost(read, text) for text in inputs}
    bound = _STANDS_OUT * statistics.median(costs.values()) + _NOISE
    found = [text[:40] for text, cost in costs.items() if cost > bound and _grows(read, text)]
    assert not found, found


def _grows(read: Callable[[str], object], text: str) -> bool:
    half = text[: len(text) // 2] + text[-1]
    ratios = (_cost(read, text) / _cost(read, half) for _ in range(3))
    return min(ratios) > _QUADRATIC


def _cost(read: Callable[[str], object], text: str) -> float:
    start = time.process_time()
    read(text)
    return time.process_time() - start
