"""``ingest resume``: sends again at once, although the ticket API asked for a long pause."""

import asyncio
import time

import typer

from ingest.cli import output
from ingest.cli.store_access import By, existing_store, user_name
from ingest.store.controls import Control


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("resume")(resume)


def resume(by: By = "") -> None:
    """Send again at once, although the API asked for a pause.

    An API may answer one request with 429 and a Retry-After of hours, and the worker then sends nothing for as long.
    This ends the pause, and makes due what was put off. The worker looks for it every second, also in another
    container: the request goes through the database. If the API asks again, there is a new pause.
    """
    asyncio.run(_ask(by or user_name()))
    output.say("asked; a running worker sends again within a second or two")


async def _ask(by: str) -> None:
    async with existing_store() as store:
        await store.ask(Control.RESUME, by=by, now=time.time())
