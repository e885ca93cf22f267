"""Reports errors on standard error and chooses the exit code.

Imported only when there is an error to report: the exceptions of the store and the sources come with the libraries
that these stand on, and ``ingest --help`` should not wait for them.
"""

from types import MappingProxyType

import typer

from ingest.cli.exit_codes import CommandError, ExitCode
from ingest.config.settings import ConfigError
from ingest.log import printable
from ingest.sources import SourceError
from ingest.sources.replay import ReplayError
from ingest.store import StoreUnavailable

MAX_LINE_CHARACTERS = 2000
"""Longest error line that is printed: room for a path and a sentence, but not for a whole mail."""

_EXIT_CODES = MappingProxyType(
    {
        ConfigError: ExitCode.USAGE,
        ReplayError: ExitCode.NOT_FOUND,
        StoreUnavailable: ExitCode.UNAVAILABLE,
        SourceError: ExitCode.UNAVAILABLE,
    }
)
"""The exit code of each exception that other packages raise and an operator can mend."""


def report_error(error: Exception) -> ExitCode | None:
    """Print an expected error, a line for each fault, and return the exit code.

    Returns ``None`` and prints nothing if the error is not expected: then the traceback tells more.
    """
    exit_code = _exit_code(error)
    if exit_code is not None:
        _print_lines(str(error))
    return exit_code


def report_usage_error(error: typer.TyperException) -> ExitCode:
    """Print what is wrong with the command line, and where to read on.

    A group that was called without a command has its whole help as the text of its error; that is printed as it is.
    """
    text = error.format_message()
    if "\n" in text:
        typer.echo(text, err=True)
    else:
        context = getattr(error, "ctx", None)
        _print_lines(f"{text} See `{context.command_path if context else 'ingest'} --help`.")
    return ExitCode.USAGE


def _exit_code(error: Exception) -> ExitCode | None:
    if isinstance(error, CommandError):
        return error.exit_code
    return next((code for kind, code in _EXIT_CODES.items() if isinstance(error, kind)), None)


def _print_lines(text: str) -> None:
    for line in text.splitlines():
        typer.echo(f"ingest: {printable(line, MAX_LINE_CHARACTERS)}", err=True)
