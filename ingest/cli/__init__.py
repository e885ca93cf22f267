"""The command line. Each command is a module, and only the one that is asked for is imported: it starts quickly."""

import importlib
import os
import sys
from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Annotated

import typer

from ingest import __version__
from ingest.cli.exits import INTERRUPTED, Exit, exit_code
from ingest.log import printable

COMMANDS = MappingProxyType(
    {
        "serve": "ingest.cli.serve",
        "replay": "ingest.cli.replay",
        "explain": "ingest.cli.explain",
        "messages": "ingest.cli.messages",
        "threads": "ingest.cli.threads",
        "ledger": "ingest.cli.ledger",
        "check": "ingest.cli.check",
        "settings": "ingest.cli.settings",
        "address": "ingest.cli.address",
        "imap": "ingest.cli.imap",
        "sandbox": "ingest.cli.sandbox",
        "migrate": "ingest.cli.migrate",
    }
)
"""The module of each command, in the order of the help. Each module has ``register(app)``."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit. An expected error is told on standard error, a line for each fault."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _build(words)(words, prog_name="ingest", standalone_mode=False) or Exit.OK
    except typer.TyperException as error:
        code = _tell_usage(error)
    except typer.Abort:
        code = INTERRUPTED
    except Exception as error:
        expected = exit_code(error)
        if expected is None:
            raise
        code = _tell(str(error), expected)
    _flush()
    sys.exit(code)


def _flush() -> None:
    """Write what is buffered. A reader that went away (``| head``) is no error of ours."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _build(words: Iterable[str]) -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.callback()(_ingest)
    wanted = next((word for word in words if not word.startswith("-")), "")
    for module in [COMMANDS[wanted]] if wanted in COMMANDS else COMMANDS.values():
        importlib.import_module(module).register(app)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ingest {__version__}")
        raise typer.Exit


def _ingest(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Takes in the mail of a help desk: replies become ticket messages, once, on the right ticket.

    Settings come from the environment (INGEST_..., RAVENNA_...) or the TOML file that INGEST_CONFIG names:
    see `ingest settings`. To try without a help desk: ingest serve --sandbox

    Exit codes: 0 well, 1 went wrong, 2 command line or settings wrong, 3 nothing by that name, 4 something needed
    does not answer or is taken, 5 a person must look at some mail, 6 some mail is not finished yet, 130 interrupted.
    """


def _tell_usage(error: typer.TyperException) -> Exit:
    """A group without a command comes with its whole help; all else is one line, with where to read on."""
    text = error.format_message()
    if "\n" in text:
        typer.echo(text, err=True)
        return Exit.USAGE
    context = getattr(error, "ctx", None)
    return _tell(f"{text} See `{context.command_path if context else 'ingest'} --help`.", Exit.USAGE)


def _tell(problem: str, code: Exit) -> Exit:
    for line in problem.splitlines():
        typer.echo(f"ingest: {printable(line, 2000)}", err=True)
    return code
