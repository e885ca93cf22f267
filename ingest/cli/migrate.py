"""``ingest migrate``: bring the database up to date."""

import asyncio
import os

import typer

from ingest.cli import output
from ingest.config.settings import load
from ingest.store.opening import file_of
from ingest.store.sqlite import SqliteDatabase


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("migrate")(migrate)


def migrate() -> None:
    """Make the database, or bring it up to date.

    `ingest serve` does the same when it starts."""
    file = file_of(load(os.environ).database_url)
    applied = asyncio.run(_migrate(SqliteDatabase(file)))
    for name in applied:
        output.say(f"applied {name}")
    if not applied:
        output.say(f"{file} is up to date")


async def _migrate(database: SqliteDatabase) -> tuple[str, ...]:
    try:
        return await database.migrate()
    finally:
        await database.close()
