"""``ingest loops``: tickets that are paused, and whose mail is held, because a loop is likely."""

import asyncio
import time
from dataclasses import asdict
from typing import Annotated

import typer

from ingest.cli import output
from ingest.cli.exit_codes import CommandError, ExitCode
from ingest.cli.store_access import By, Json, existing_store, store_to_read, user_name
from ingest.model.loops import Pause
from ingest.store.messages import Store
from ingest.store.operator import NotPossible

loops = typer.Typer(
    no_args_is_help=True,
    help="Show and resume tickets that are paused for a loop.\n\nTheir mail is held. INGEST_LOOP_EQUAL, _SENDER and"
    " _TICKET say when that is.",
)


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.add_typer(loops, name="loops")


@loops.command("list")
def list_(json: Json = False) -> None:
    """List what is paused, and how many mails wait for it."""
    found = asyncio.run(_list())
    rows = [asdict(pause) | {"paused_at": output.iso(pause.paused_at), "held": held} for pause, held in found]
    columns = ("ticket_id", "sender", "cause", "paused_at", "held")
    if json:
        for row in rows:
            output.emit({name: row[name] for name in columns})
    else:
        output.table(columns, (tuple(row[name] for name in columns) for row in rows))


@loops.command()
def resume(
    ticket: Annotated[str, typer.Argument(metavar="TICKET", help="Id or code of the ticket.")],
    sender: Annotated[str | None, typer.Option(help="Only the mail of this address.")] = None,
    release: Annotated[bool, typer.Option("--release", help="Also post the mails that were held.")] = False,
    discard: Annotated[bool, typer.Option("--discard", help="Also discard the mails that were held.")] = False,
    by: By = "",
) -> None:
    """Let mail to a ticket pass again.

    What was posted before does not count any more. The mails that were held stay quarantined, unless --release posts
    them or --discard discards them."""
    if release and discard:
        raise CommandError("--release and --discard: give one of them", ExitCode.USAGE)
    act = "release" if release else "discard" if discard else ""
    asyncio.run(_resume(ticket, sender, by or user_name(), act))


async def _list() -> list[tuple[Pause, int]]:
    async with store_to_read() as store:
        return [
            (pause, len(await store.held_by_pause(pause.ticket_id, sender=pause.sender or None)))
            for pause in await store.paused_threads()
        ]


async def _resume(ticket: str, sender: str | None, by: str, act: str) -> None:
    async with existing_store() as store:
        now = time.time()
        held = await store.held_by_pause(ticket, sender=sender)
        resumed = await store.resume_threads(ticket, sender=sender, by=by, now=now)
        if not resumed and not held:
            raise CommandError(f"nothing of ticket {ticket} is paused; `ingest loops list` shows what is")
        output.say(f"resumed: {resumed}; held mails: {len(held)}")
        for queue_id in held if act else ():
            await _settle(store, queue_id, act, by, now)


async def _settle(store: Store, queue_id: str, act: str, by: str, now: float) -> None:
    try:
        if act == "release":
            await store.release(queue_id, by=by, now=now)
        else:
            await store.discard(queue_id, by=by, reason="held as part of a loop", now=now)
    except NotPossible as error:
        output.say(f"{queue_id}: {error}")
    else:
        output.say(f"{queue_id} {act}{'d' if act.endswith('e') else 'ed'}")
