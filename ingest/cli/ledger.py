"""``ingest ledger``: counts whether every accepted mail is accounted for."""

import asyncio
import time
from typing import Annotated

import typer

from ingest.cli import output
from ingest.cli.exit_codes import ExitCode
from ingest.cli.store_access import database_to_read
from ingest.model.imap_folder import Folder
from ingest.store import Ledger
from ingest.store.imap import ImapStore
from ingest.store.messages import Store


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("ledger")(ledger)


def ledger(
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> int:
    """Count what became of every accepted mail.

    And of each mailbox, what its server held past our start at the last count, and what of it was taken in.

    The law of conservation: accepted = the sum of all states, with what was pruned after INGEST_FACTS_DAYS. Exit code 0
    while it holds, 1 where it does not: a mail was lost, or came from nowhere. It is about rows; damage in the file is
    found by `ingest check`.
    """
    found, folders = asyncio.run(_read())
    mailboxes = [_mailbox(folder) for folder in folders]
    if json:
        output.emit({**_facts(found), "mailboxes": mailboxes})
        return ExitCode.OK if found.holds else ExitCode.FAILED
    output.table(("what", "mails"), [(name, count) for name, count in _facts(found).items() if name != "holds"])
    if mailboxes:
        output.table(tuple(mailboxes[0]), [tuple(mailbox.values()) for mailbox in mailboxes])
    output.say("It holds." if found.holds else "IT DOES NOT HOLD: stop the worker and look before anything else.")
    return ExitCode.OK if found.holds else ExitCode.FAILED


async def _read() -> tuple[Ledger, tuple[Folder, ...]]:
    async with database_to_read() as database:
        return await Store(database).ledger(now=time.time()), await ImapStore(database).folders()


def _facts(found: Ledger) -> dict[str, int | bool]:
    states = {str(state): count for state, count in found.by_state.items()}
    return {
        "accepted": found.accepted,
        **states,
        "pruned": found.pruned,
        "missing_content": found.missing_content,
        "expired_leases": found.expired_leases,
        "holds": found.holds,
    }


def _mailbox(folder: Folder) -> dict[str, object]:
    """Return what the last count of a folder found, of the mail that came after we began to read it."""
    return {
        "mailbox": folder.source,
        "on_server": folder.on_server,
        "taken_in": folder.taken_in,
        "gap_since": output.iso(folder.gap_since),
        "counted_at": output.iso(folder.counted_at),
    }
