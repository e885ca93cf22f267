"""Prints the results of commands: tables for people, JSON lines for programs, progress on standard error.

Text for people is made printable first, because it can come from a mail: no control character reaches the terminal.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ingest.log import printable

MAX_CELL_CHARACTERS = 200
"""Longest cell of a table: a subject is recognised by less, and a row stays within a few lines of a terminal."""
MAX_LINE_CHARACTERS = 10_000
"""Longest line of other output. It can be a line of a mail, which may be as long as the whole mail."""


def emit(value: object) -> None:
    """Print one value as a line of JSON, in ASCII."""
    sys.stdout.write(json.dumps(value) + "\n")


def say(line: str) -> None:
    """Print a line for people on standard output."""
    sys.stdout.write(printable(line, MAX_LINE_CHARACTERS) + "\n")


def note(line: str) -> None:
    """Print a line on standard error, beside the output proper."""
    sys.stderr.write(printable(line, MAX_LINE_CHARACTERS) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table on a terminal; elsewhere the columns and then each row as a line with tabs between the cells."""
    cells = [[printable(_cell_text(cell), MAX_CELL_CHARACTERS) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        sys.stdout.writelines("\t".join(line) + "\n" for line in [list(columns), *cells])
        return
    drawn = Table(header_style="bold", box=None, pad_edge=False)
    for number, name in enumerate(columns):
        drawn.add_column(name, overflow="fold", no_wrap=number == 0)
    for row in cells:
        drawn.add_row(*map(Text, row))
    Console().print(drawn)


def iso(moment: float | None) -> str | None:
    """Return a Unix time as ISO 8601 in UTC, to the second."""
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on standard error while the block runs; print nothing if that is not a terminal.

    Yields a function that takes how much was done since it was called last, in the unit of ``total``.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda step: bar.advance(task, step)


def _cell_text(cell: object) -> str:
    if cell is None:
        return ""
    return ", ".join(map(str, cell)) if isinstance(cell, tuple) else str(cell)
