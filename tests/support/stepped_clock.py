"""A worker whose wall clock can be set: ``python -m tests.support.stepped_clock FILE``.

``FILE`` holds the number of seconds by which the clock is ahead; it is read anew each time. All else is the real
``ingest serve``.
"""

import sys
import time
from pathlib import Path


def main(step: Path) -> None:
    """Replace the clock before any module of the worker has taken it, and serve."""
    true_time = time.time
    time.time = lambda: true_time() + float(step.read_text("ascii") or 0)
    from ingest import cli

    sys.argv = ["ingest", "serve"]
    cli.main()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
