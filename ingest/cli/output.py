"""What commands print: tables for people, one JSON object a line for programs, progress on standard error.

Whatever comes out of a mail is made printable first; a terminal never sees a control character of a stranger."""

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


def emit(value: object) -> None:
    """One JSON object on a line of its own, in ASCII."""
    sys.stdout.write(json.dumps(value) + "\n")


def say(line: str) -> None:
    """A line for people, on standard output."""
    sys.stdout.write(printable(line, 10_000) + "\n")


def note(line: str) -> None:
    """A line beside the output, on standard error."""
    sys.stderr.write(printable(line, 10_000) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on a terminal; elsewhere a line for each row with tabs between its cells, and the columns first."""
    cells = [[printable(_words(cell), MAX_CELL_CHARACTERS) for cell in row] for row in rows]
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
    """A Unix time as ISO 8601 in UTC, to the second."""
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error while the block runs; it yields what to call with each step. Silent where
    standard error is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda step: bar.advance(task, step)


def _words(cell: object) -> str:
    if cell is None:
        return ""
    return ", ".join(map(str, cell)) if isinstance(cell, tuple) else str(cell)
