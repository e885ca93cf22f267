"""``ingest messages``: what is in the store, and what an operator decides about it."""

import asyncio
import json as jsons
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any

import typer

from ingest.cli import output
from ingest.cli.exit_codes import CommandError, ExitCode
from ingest.cli.store_access import By, Json, database_to_read, existing_store, store_to_read, user_name
from ingest.cli.trust_facts import trust_facts, trust_in_words
from ingest.model.outcome import State
from ingest.store import MessageRecord
from ingest.store.messages import Store
from ingest.store.operator import NotPossible
from ingest.store.uploads import Upload, Uploads

messages = typer.Typer(no_args_is_help=True, help="Look at mails, and decide about those that are stuck.")

QueueId = Annotated[
    str, typer.Argument(metavar="ID", help="Queue id, as the sender was told it and `messages list` shows it.")
]
QueueIds = Annotated[list[str], typer.Argument(metavar="ID", help="Queue ids of the mails.")]
Act = Callable[[Store, str], Awaitable[None]]

_TIMES = (
    "received_at",
    "next_attempt_at",
    "leased_until",
    "updated_at",
    "failing_since",
    "post_in_doubt_since",
    "post_not_found_at",
)


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.add_typer(messages, name="messages")


@messages.command("list")
def list_(
    state: Annotated[State | None, typer.Option(help="Only mails in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="So many, the latest first.")] = 50,
    before: Annotated[str | None, typer.Option(help="Only mails older than this queue id: the next page.")] = None,
    flagged: Annotated[
        bool, typer.Option("--flagged", help="Only mails that were posted although something is in question.")
    ] = False,
    json: Json = False,
) -> None:
    """List mails, the latest first."""
    found = asyncio.run(_list_flagged(limit) if flagged else _list(state, limit, before))
    if json:
        for record in found:
            output.emit(_facts(record))
        return
    columns = ("queue id", "received", "state", "ticket", "from", "subject", "reason")
    output.table(columns, map(_row, found))


@messages.command()
def show(queue_id: QueueId, json: Json = False) -> None:
    """Show all that is known about one mail.

    Its facts, the evidence for its ticket, what became of its attachments, and its history."""
    record, waiting_for, uploads = asyncio.run(_show(queue_id))
    facts = _facts(record) | {
        "waiting_for": list(waiting_for),
        "attachments": [_attachment(upload) for upload in uploads],
        "history": [_attempt(a) for a in record.history],
    }
    if json:
        output.emit(facts)
        return
    simple = [(name, value) for name, value in facts.items() if name not in _LISTS and name != "trust"]
    rows = [(name.replace("_", " "), _text(value)) for name, value in simple]
    output.table(("fact", "value"), [*rows, *(trust_in_words(record.trust) if record.trust is not None else ())])
    for name, columns in _LISTS.items():
        if facts[name] or name != "attachments":
            output.say("")
            output.table(tuple(columns), [tuple(item.get(key) for key in columns.values()) for item in facts[name]])


_LISTS = {
    "evidence": {"evidence": "signal", "value": "value", "ticket": "ticket_id", "strength": "strength", "note": "note"},
    "attachments": {"part": "part", "ticket": "ticket_id", "attachment": "attachment_id", "not uploaded": "reason"},
    "history": {
        "attempt": "number",
        "started": "started_at",
        "finished": "finished_at",
        "outcome": "outcome",
        "detail": "detail",
    },
}
"""Facts that are tables of their own: the heading of each column, and its key."""


@messages.command()
def raw(queue_id: QueueId) -> None:
    """Write a mail as it was received.

    On a terminal control characters are shown as escapes; redirect the output to get the exact bytes:
    ingest messages raw ID > mail.eml
    """
    content = asyncio.run(_content(queue_id))
    if not sys.stdout.isatty():
        sys.stdout.buffer.write(content)
        return
    for line in content.decode("utf-8", "backslashreplace").splitlines():
        output.say(line)


@messages.command()
def retry(
    queue_ids: QueueIds,
    now: Annotated[bool, typer.Option("--now", help="Also queued ones: they are due at once.")] = False,
    by: By = "",
) -> None:
    """Try mails once more.

    Quarantined, failed, waiting or discarded ones, under the same rules as before. With --now also queued ones, as if
    they had never failed; one that has to wait for an older mail of its ticket, or that a worker has, is refused."""
    who, time_now = by or user_name(), time.time()

    async def act(store: Store, queue_id: str) -> None:
        await store.retry(queue_id, by=who, now=time_now, at_once=now)

    asyncio.run(_each(queue_ids, "due now" if now else "queued again", act))


@messages.command()
def release(
    queue_ids: QueueIds,
    ticket: Annotated[str | None, typer.Option(help="Post to this ticket (id or code), whatever the evidence.")] = None,
    author: Annotated[
        str | None,
        typer.Option(help="Post as this API user (id or address); without, as the fallback author."),
    ] = None,
    by: By = "",
) -> None:
    """Let mails pass that a rule stopped.

    With --ticket they go to that ticket and need no other evidence. They are posted as the fallback author
    (INGEST_FALLBACK_AUTHOR_ID), with the sender named in the first line, unless --author names somebody else. Mail that
    a machine sent stays a private note."""
    who, now = by or user_name(), time.time()

    async def act(store: Store, queue_id: str) -> None:
        await store.release(queue_id, by=who, now=now, ticket=ticket, author=author)

    asyncio.run(_each(queue_ids, "released", act))


@messages.command()
def discard(
    queue_ids: QueueIds,
    reason: Annotated[str, typer.Option(help="Why nobody needs it, for the history.")],
    by: By = "",
) -> None:
    """End mails that nobody needs.

    Their content is kept for the retention time; `ingest messages retry` brings them back."""
    who, now = by or user_name(), time.time()

    async def act(store: Store, queue_id: str) -> None:
        await store.discard(queue_id, by=who, reason=reason, now=now)

    asyncio.run(_each(queue_ids, "discarded", act))


async def _list(state: State | None, limit: int, before: str | None) -> tuple[MessageRecord, ...]:
    async with store_to_read() as store:
        return await store.list_messages(state=state, limit=limit, before=before)


async def _list_flagged(limit: int) -> tuple[MessageRecord, ...]:
    async with store_to_read() as store:
        return await store.list_flagged(limit=limit)


async def _show(queue_id: str) -> tuple[MessageRecord, tuple[str, ...], tuple[Upload, ...]]:
    async with database_to_read() as database:
        store = Store(database)
        record = await store.message(queue_id)
        if record is None:
            raise _unknown(queue_id)
        return record, await store.waiting_for(queue_id), await Uploads(database).for_message(queue_id)


async def _content(queue_id: str) -> bytes:
    async with store_to_read() as store:
        if await store.message(queue_id) is None:
            raise _unknown(queue_id)
        try:
            return await store.content(queue_id)
        except KeyError:
            raise CommandError(
                f"{queue_id}: its content was deleted after INGEST_RETENTION_DAYS", ExitCode.NOT_FOUND
            ) from None


async def _each(queue_ids: list[str], done: str, act: Act) -> None:
    """Call ``act`` for each message. A failure does not stop the others; all are told at the end."""
    problems = []
    async with existing_store() as store:
        for queue_id in queue_ids:
            try:
                await act(store, queue_id)
                output.say(f"{queue_id} {done}")
            except NotPossible as error:
                problems.append(str(error))
    if problems:
        raise CommandError("\n".join(problems))


def _unknown(queue_id: str) -> CommandError:
    return CommandError(f"there is no message {queue_id}; `ingest messages list` shows them", ExitCode.NOT_FOUND)


def _row(record: MessageRecord) -> tuple[object, ...]:
    flag = f"flagged: {record.flag}" if record.flag else ""
    reason = ": ".join(filter(None, (record.rule, record.reason, flag)))
    received = output.iso(record.received_at)
    return record.queue_id, received, record.state, record.ticket_id, record.sender, record.subject, reason


def _facts(record: MessageRecord) -> dict[str, Any]:
    facts = asdict(record) | {name: output.iso(getattr(record, name)) for name in _TIMES}
    del facts["history"]
    facts["trust"] = trust_facts(record.trust)
    doubt = record.state is State.QUEUED and record.post_in_doubt_since is not None
    facts["looked_for_at"] = facts["next_attempt_at"] if doubt else None
    return facts | {"evidence": jsons.loads(record.evidence)}


def _attachment(upload: Upload) -> dict[str, Any]:
    facts = asdict(upload)
    return {"part": facts.pop("part_number")} | facts


def _attempt(attempt: Any) -> dict[str, Any]:
    return asdict(attempt) | {
        "started_at": output.iso(attempt.started_at),
        "finished_at": output.iso(attempt.finished_at),
    }


def _text(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list) else value
