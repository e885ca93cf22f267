"""``ingest ledger``: is everything that was accepted still accounted for?"""

import asyncio
import time
from typing import Annotated

import typer

from ingest.cli import output
from ingest.cli.exits import Exit
from ingest.cli.operator import existing_store
from ingest.store import Ledger


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ledger")(ledger)


def ledger(
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> int:
    """Count what became of every accepted mail.

    The law of conservation: accepted = the sum of all states. Exit code 0 while it holds, 1 where it does not: a mail
    was lost, or came from nowhere.
    """
    found = asyncio.run(_read())
    if json:
        output.emit(_facts(found))
    else:
        output.table(("what", "mails"), [(name, count) for name, count in _facts(found).items() if name != "holds"])
        output.say("It holds." if found.holds else "IT DOES NOT HOLD: stop the worker and look before anything else.")
    return Exit.OK if found.holds else Exit.FAILED


async def _read() -> Ledger:
    async with existing_store() as store:
        return await store.ledger(now=time.time())


def _facts(found: Ledger) -> dict[str, int | bool]:
    states = {str(state): count for state, count in found.by_state.items()}
    return {
        "accepted": found.accepted,
        **states,
        "missing_content": found.missing_content,
        "expired_leases": found.expired_leases,
        "holds": found.holds,
    }
