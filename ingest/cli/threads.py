"""``ingest threads``: which ticket a Message-ID belongs to."""

import asyncio
import csv
import json as jsons
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from ingest.cli import output
from ingest.cli.exit_codes import CommandError, ExitCode
from ingest.cli.store_access import Json, existing_store, store_to_read
from ingest.model.teachers import Teacher
from ingest.store import ThreadRecord
from ingest.store.messages import Store

threads = typer.Typer(
    no_args_is_help=True,
    help="Show and teach which ticket a Message-ID belongs to.\n\nMails that wait for an id go on when it is added.",
)

BATCH_PAIRS = 500
"""Pairs that are stored at the same time, so that they share a commit, without a task for each line of a large file."""
MAX_ID_CHARACTERS = 998
"""Longest line of a mail without its line end (RFC 5322 section 2.1.1), and so the longest Message-ID."""

Pair = tuple[str, str]
Force = Annotated[bool, typer.Option("--force", help="Also where the id is known for another ticket.")]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.add_typer(threads, name="threads")


@threads.command("list")
def list_(
    ticket: Annotated[str | None, typer.Option(help="Only ids of this ticket (its id).")] = None,
    message_id: Annotated[str | None, typer.Option(help="Only this id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="So many, the latest first.")] = 100,
    json: Json = False,
) -> None:
    """List what is known.

    An id without a ticket is one that mails refer to and nobody has seen. Disputed is what somebody said of it who was
    not believed: --force decides."""
    wanted = message_id and normalised(message_id)
    found = asyncio.run(_list(wanted, ticket, limit))
    rows = [asdict(thread) | {"learned_at": output.iso(thread.learned_at)} for thread in found]
    if json:
        for row in rows:
            output.emit(row)
    else:
        columns = ("message_id", "ticket_id", "learned_from", "learned_at", "alias_of", "disputed")
        output.table(columns, (tuple(row[name] for name in columns) for row in rows))


@threads.command()
def add(
    message_id: Annotated[
        str, typer.Argument(metavar="MESSAGE-ID", help="Message-ID, with or without angle brackets.")
    ],
    ticket: Annotated[str, typer.Argument(metavar="TICKET", help="Id of the ticket (not its code).")],
    alias_of: Annotated[str | None, typer.Option(help="The id under which the same mail was sent.")] = None,
    force: Force = False,
) -> None:
    """Note the ticket of a Message-ID."""
    pair = (normalised(message_id), ticket)
    learned = asyncio.run(_learn([pair], alias_of and normalised(alias_of), force))
    if not learned:
        raise CommandError(
            f"{pair[0]} is known already: see `ingest threads list --message-id {pair[0]}`, or use --force"
        )
    output.say(f"{pair[0]} belongs to {ticket}")


@threads.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV (message_id,ticket_id) or JSON lines with these keys.")
    ],
    force: Force = False,
) -> None:
    """Note many at once.

    Such as the outbound mail of the time before this worker. Doing it twice does no harm.

    CSV: one message_id,ticket_id a line; a first line with these names may be there.
    JSON lines: {"message_id": "<1@example.com>", "ticket_id": "cm7y0q4kt000q5gneqf0tbspg"}
    """
    pairs = read_pairs(file)
    learned = asyncio.run(_learn(pairs, None, force))
    output.say(f"{learned} learned, {len(pairs) - learned} known before")


async def _list(message_id: str | None, ticket: str | None, limit: int) -> tuple[ThreadRecord, ...]:
    async with store_to_read() as store:
        return await store.list_threads(message_id=message_id, ticket_id=ticket, limit=limit)


async def _learn(pairs: list[Pair], alias_of: str | None, force: bool) -> int:
    """Store the pairs and return how many were new. The writes of a batch run together, so that they share a commit."""
    learned, rest = 0, iter(pairs)
    async with existing_store() as store:
        with output.progress("learning", len(pairs)) as advance:
            while batch := list(islice(rest, BATCH_PAIRS)):
                learned += sum(await asyncio.gather(*(_learn_one(store, pair, alias_of, force) for pair in batch)))
                advance(len(batch))
    return learned


async def _learn_one(store: Store, pair: Pair, alias_of: str | None, force: bool) -> bool:
    message_id, ticket_id = pair
    return await store.learn(
        message_id, ticket_id, learned_from=Teacher.OPERATOR, now=time.time(), alias_of=alias_of, force=force
    )


def read_pairs(file: Path) -> list[Pair]:
    """Return all pairs of a file.

    Raises:
        CommandError: the file cannot be read, or a line has neither form. Nothing has been stored then.
    """
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CommandError(f"cannot read {file}: {why}", ExitCode.NOT_FOUND) from None
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if numbered and not numbered[0][1].lstrip().startswith("{") and "@" not in numbered[0][1]:
        del numbered[0]
    return list(_pairs(file, numbered))


def _pairs(file: Path, numbered: Iterable[tuple[int, str]]) -> Iterator[Pair]:
    for number, line in numbered:
        try:
            message_id, ticket_id = _json_pair(line) if line.lstrip().startswith("{") else _csv_pair(line)
            yield _normalised(message_id), _ticket(ticket_id)
        except (ValueError, KeyError, TypeError):
            raise CommandError(
                f'{file}, line {number}: write message_id,ticket_id or {{"message_id": ..., "ticket_id": ...}}',
                ExitCode.USAGE,
            ) from None


def _json_pair(line: str) -> Pair:
    item = jsons.loads(line)
    return str(item["message_id"]), str(item["ticket_id"])


def _csv_pair(line: str) -> Pair:
    message_id, ticket_id = next(csv.reader([line]))
    return message_id, ticket_id


def _ticket(text: str) -> str:
    ticket_id = text.strip()
    if not ticket_id or not ticket_id.isprintable() or " " in ticket_id:
        raise ValueError("no ticket id")
    return ticket_id


def normalised(message_id: str) -> str:
    """Return a Message-ID as the store has it: without angle brackets, the domain in lower case.

    Raises:
        CommandError: the text is not a Message-ID.
    """
    try:
        return _normalised(message_id)
    except ValueError:
        raise CommandError(f"{message_id!r} is no Message-ID: write it as <left@right>", ExitCode.USAGE) from None


def _normalised(message_id: str) -> str:
    text = message_id.strip().removeprefix("<").removesuffix(">")
    local, at, domain = text.rpartition("@")
    if not local or not domain or not text.isprintable() or " " in text or len(text) > MAX_ID_CHARACTERS:
        raise ValueError("no Message-ID")
    return f"{local}{at}{domain.lower()}"
