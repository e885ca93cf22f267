"""Unix time for everything that waits: it never goes back.

The clock of a machine is set now and then. Set back by an hour, it would make a message wait that is due now, and let
a later one overtake it. So waits are counted with a clock that goes on steadily and only ever jumps forward.
"""

import time
from collections.abc import Callable

_ELAPSED_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Counts on while a virtual machine or a laptop is suspended, where the system has such a clock (Linux)."""


def _elapsed() -> float:
    return time.clock_gettime(_ELAPSED_CLOCK)


class SteadyClock:
    """Unix time in seconds that never goes back while the process lives.

    It follows the wall clock when that is set forward (a machine that starts with a wrong date gets the right one), and
    goes on steadily when that is set back. ``wall`` and ``elapsed`` are the clocks it reads, both in seconds.
    """

    def __init__(self, wall: Callable[[], float] = time.time, elapsed: Callable[[], float] = _elapsed) -> None:
        self._wall = wall
        self._elapsed = elapsed
        self._offset = wall() - elapsed()

    def __call__(self) -> float:
        """The present time; at least what the call before gave."""
        elapsed = self._elapsed()
        self._offset = max(self._offset, self._wall() - elapsed)
        return elapsed + self._offset
