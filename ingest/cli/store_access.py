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
from ingest.store.opening import file_of, open_database, open_to_read

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
By = Annotated[str, typer.Option("--by", help="Who decides this, for the history.", show_default="your user name")]


@asynccontextmanager
async def existing_database() -> AsyncIterator[Database]:
    """Open the database of the settings to change something in it. It waits up to 5 seconds for a worker that writes.

    Raises:
        CommandError: its file does not exist.
    """
    async with open_database(_existing_url()) as database:
        yield database


@asynccontextmanager
async def existing_store() -> AsyncIterator[Store]:
    """Open the messages in the database of the settings, as ``existing_database``."""
    async with existing_database() as database:
        yield Store(database)


@asynccontextmanager
async def database_to_read() -> AsyncIterator[Database]:
    """Open the database of the settings only to read it. A worker that writes does not matter to it.

    Raises:
        CommandError: there is none yet.
        StoreUnavailable: it is of another version.
    """
    async with open_to_read(_existing_url()) as database:
        yield database


@asynccontextmanager
async def store_to_read() -> AsyncIterator[Store]:
    """Open the messages in the database of the settings, as ``database_to_read``."""
    async with database_to_read() as database:
        yield Store(database)


def _existing_url() -> str:
    url = load(os.environ).database_url
    file = file_of(url)
    if not file.exists():
        raise CommandError(
            f"there is no database {file}: check INGEST_DATABASE_URL, or make it with `ingest migrate`",
            ExitCode.UNAVAILABLE,
        )
    return url


def user_name() -> str:
    """Return the name of the user who runs the command, for the history of a message."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
