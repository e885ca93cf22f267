"""What the commands that look into the store share."""

import getpass
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from ingest.cli.exits import Exit, Problem
from ingest.config import load
from ingest.store.messages import Store
from ingest.store.opening import file_of, open_store

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
By = Annotated[str, typer.Option("--by", help="Who decides this, for the history.", show_default="your user name")]


@asynccontextmanager
async def existing_store() -> AsyncIterator[Store]:
    """The store of the settings.

    Raises:
        Problem: there is none yet.
    """
    settings = load(os.environ)
    file = file_of(settings.database_url)
    if not file.exists():
        raise Problem(
            f"there is no database {file}: check INGEST_DATABASE_URL, or make it with `ingest migrate`",
            Exit.UNAVAILABLE,
        )
    async with open_store(settings.database_url) as store:
        yield store


def user_name() -> str:
    """Who runs the command, for the history of a message."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
