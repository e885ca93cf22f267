"""Finds inputs that cost more than in proportion to their size, among many that repeat a pair of signs.

The processor time of an input is compared with that of the others of the same size, never with a fixed time."""

import itertools
import statistics
import time
from collections.abc import Callable, Iterable, Iterator

ENDS_WITHIN_SECONDS = 20
"""Time limit of a test whose work takes a second at most where it is bounded, and half a minute or more where not."""
_SUSPECT_FACTOR = 20
"""An input that costs this many times the median is measured again; most inputs differ by less than ten times."""
_NOISE_SECONDS = 0.05
"""Added to the bound, because short times vary."""
_QUADRATIC_FACTOR = 3
"""Twice as much input may cost up to three times as much; four times is quadratic."""


def pumped(signs: Iterable[str], size: int) -> Iterator[str]:
    """Yield each sign and each pair of signs, repeated to ``size`` characters, or to an eighth of that if it makes
    lines. A last character matches no pattern, so that patterns backtrack if they can."""
    listed = list(signs)
    for pair in (*listed, *map("".join, itertools.permutations(listed, 2))):
        yield pair * (size // len(pair) // (8 if "\n" in pair or ">" in pair[1:] else 1)) + "\u2021"


def assert_none_stands_out(read: Callable[[str], object], inputs: Iterable[str]) -> None:
    """Fail if an input costs much more than most do, and its cost grows faster than its size."""
    costs = {text: _cost(read, text) for text in inputs}
    bound = _SUSPECT_FACTOR * statistics.median(costs.values()) + _NOISE_SECONDS
    found = [text[:40] for text, cost in costs.items() if cost > bound and _grows(read, text)]
    assert not found, found


def _grows(read: Callable[[str], object], text: str) -> bool:
    half = text[: len(text) // 2] + text[-1]
    ratios = (_cost(read, text) / _cost(read, half) for _ in range(3))
    return min(ratios) > _QUADRATIC_FACTOR


def _cost(read: Callable[[str], object], text: str) -> float:
    start = time.process_time()
    read(text)
    return time.process_time() - start
