"""What the commands that read or change the store share: opening it, and the name of the person who acts."""

import getpass
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from ingest.cli.exit_codes import CommandError, ExitCode
from ingest.config.settings import load
from ingest.store import Database
from ingest.store.messages import Store
from ingest.store.opening import file_of, open_database

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
By = Annotated[str, typer.Option("--by", help="Who decides this, for the history.", show_default="your user name")]


@asynccontextmanager
async def existing_database() -> AsyncIterator[Database]:
    """Yield the configured database; it is never made here.

    Raises:
        CommandError: its file does not exist.
    """
    settings = load(os.environ)
    file = file_of(settings.database_url)
    if not file.exists():
        raise CommandError(
            f"there is no database {file}: check INGEST_DATABASE_URL, or make it with `ingest migrate`",
            ExitCode.UNAVAILABLE,
        )
    async with open_database(settings.database_url) as database:
        yield database


@asynccontextmanager
async def existing_store() -> AsyncIterator[Store]:
    """Yield the store of messages in the configured database; raises as ``existing_database`` does."""
    async with existing_database() as database:
        yield Store(database)


def user_name() -> str:
    """Return the name of the user who runs the command, for the history of a message."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
