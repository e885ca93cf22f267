"""The command line.

Each command is a module of this package, and only the module of the command that is called gets imported: the worker's
libraries take most of a second, and ``ingest --version``, ``ingest --help`` and shell completion need none of them.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import PurePath
from types import MappingProxyType
from typing import Annotated, Any, Literal

import typer
from typer.completion import get_completion_inspect_parameters, install_callback, show_callback
from typer.core import TyperCommand, TyperGroup

from ingest import __version__
from ingest.cli.exit_codes import INTERRUPTED, ExitCode

COMMANDS = MappingProxyType(
    {
        "serve": "Run the worker.",
        "replay": "Take in mails from files.",
        "explain": "Show what would happen to each mail, and why.",
        "messages": "Look at mails, and decide about those that are stuck.",
        "loops": "Show and resume tickets that are paused for a loop.",
        "resume": "Send again at once, although the API asked for a pause.",
        "threads": "Show and teach which ticket a Message-ID belongs to.",
        "ledger": "Count what became of every accepted mail.",
        "check": "Try everything that the worker needs.",
        "settings": "Print every setting and what it means.",
        "address": "Print a signed reply address for a ticket.",
        "imap": "Log in to mailboxes with OAuth2.",
        "sandbox": "Run the stand-in for the ticket API alone.",
        "migrate": "Make the database, or bring it up to date.",
    }
)
"""Each command and the first sentence of its help, in the order of the help. The command ``serve`` is added by
``ingest.cli.serve.register(app)``, and so on."""

PROGRAM_NAMES = ("ingest", "email-ingest")
"""The names under which the program is installed, the usual one first (``[project.scripts]`` of pyproject.toml)."""

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"]}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit. An expected error is printed on standard error, one line for each fault."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        exit_code = build_command()(words, prog_name=_program_name(), standalone_mode=False) or ExitCode.OK
    except typer.Abort:
        exit_code = INTERRUPTED
    except Exception as error:
        exit_code = _report(error)
        if exit_code is None:
            raise
    _flush()
    sys.exit(exit_code)


def build_command() -> TyperGroup:
    """Build the command ``ingest`` with its subcommands, without importing their modules."""
    get_completion_inspect_parameters()  # called for its effect: it makes the shells known that can be completed for
    app = typer.Typer(
        cls=_CommandGroup,
        no_args_is_help=True,
        add_completion=False,  # typer's own options guess the shell; ours are told its name
        rich_markup_mode=None,
        context_settings=CONTEXT_SETTINGS,
    )
    app.callback()(_ingest)
    group = typer.main.get_group(app)
    for name, summary in COMMANDS.items():
        group.add_command(TyperCommand(name, help=summary))
    return group


def load_command(name: str) -> Any:
    """Import the module of a command and return the command.

    Raises:
        KeyError: there is no such command.
    """
    app = typer.Typer(rich_markup_mode=None)
    importlib.import_module(f"{__name__}.{name}").register(app)
    return typer.main.get_group(app).commands[name]


class _CommandGroup(TyperGroup):
    """A group that holds names and summaries, enough for help and completion. It loads a command to call it."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name is not None and name in COMMANDS else command, rest


def _program_name() -> str:
    called = PurePath(sys.argv[0]).stem
    return called if called in PROGRAM_NAMES else PROGRAM_NAMES[0]


def _report(error: Exception) -> int | None:
    """Print an expected error and return its exit code; ``None`` if it is not expected."""
    from ingest.cli import errors  # noqa: PLC0415 - it imports the store and the sources, which help does not need

    if isinstance(error, typer.TyperException):
        return errors.report_usage_error(error)
    return errors.report_error(error)


def _flush() -> None:
    """Write what is buffered. A reader that has gone away (``| head``) is not an error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ingest {__version__}")
        raise typer.Exit


_Shell = Literal["bash", "zsh", "fish"]


def _ingest(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
    install_completion: Annotated[
        _Shell | None,
        typer.Option(
            help="Complete commands and options in this shell from now on, and exit.", callback=install_callback
        ),
    ] = None,
    show_completion: Annotated[
        _Shell | None,
        typer.Option(help="Print the script that does this in this shell, and exit.", callback=show_callback),
    ] = None,
) -> None:
    """Takes in the mail of a help desk: replies become ticket messages, once, on the right ticket.

    Settings come from the environment (INGEST_..., RAVENNA_...) or the TOML file that INGEST_CONFIG names:
    see `ingest settings`. To try without a help desk: ingest serve --sandbox

    Exit codes: 0 well, 1 went wrong, 2 command line or settings wrong, 3 nothing by that name, 4 something needed
    does not answer or is taken, 5 a person must look at some mail, 6 some mail is not finished yet, 130 interrupted.
    """
