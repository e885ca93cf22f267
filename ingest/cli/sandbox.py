"""``ingest sandbox``: the stand-in for the ticket API, alone."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ingest import sandbox as stand_in
from ingest.cli import output
from ingest.cli.exit_codes import CommandError, ExitCode
from ingest.config.settings import SANDBOX_TOKEN, load
from ingest.config.types import split_host_port
from ingest.sandbox import START_DATA


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("sandbox")(sandbox)


def sandbox(
    listen: Annotated[
        str | None, typer.Option(help="host:port to listen on.", show_default="INGEST_SANDBOX_LISTEN")
    ] = None,
    data: Annotated[
        Path,
        typer.Option(help="File with the tickets, users and messages that it starts with.", show_default="its own"),
    ] = START_DATA,
    journal: Annotated[
        Path | None, typer.Option(help="File that keeps what was posted; without one it is forgotten at the end.")
    ] = None,
    token: Annotated[str, typer.Option(help="The token that requests must carry.")] = SANDBOX_TOKEN,
) -> None:
    """Run the stand-in for the ticket API alone.

    Until it is interrupted. Its page shows the tickets and their messages."""
    address = listen or load(os.environ).sandbox_listen
    host, port = parse_listener(address)
    check_start_data(data)
    output.note(f"ticket API on http://{address}/api, to look at on http://{address}/, token {token}")
    try:
        stand_in.run(host, port, data=data, journal=journal, token=token)
    except OSError as error:
        raise CommandError(
            f"cannot listen on {address}: {error.strerror}; name another address with --listen", ExitCode.UNAVAILABLE
        ) from None


def parse_listener(address: str) -> tuple[str, int]:
    """Return ``host:port`` as a pair.

    Raises:
        CommandError: the text is not of that form.
    """
    try:
        return split_host_port(address)
    except ValueError as error:
        raise CommandError(str(error), ExitCode.USAGE) from None


def check_start_data(data: Path) -> None:
    """Tell early that the start data is not there.

    Raises:
        CommandError: it is not.
    """
    if not data.is_file():
        raise CommandError(
            f"there is no {data}: name a file that exists with --data, or leave --data out", ExitCode.NOT_FOUND
        )
