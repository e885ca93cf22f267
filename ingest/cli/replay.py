"""``ingest replay``: mails from files, through the same pipeline as those that come by SMTP."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from ingest import log
from ingest.app import Engine, signal_settings, start_engine
from ingest.cli import output
from ingest.cli.dry_run import Explanation, open_dry_run
from ingest.cli.exit_codes import ExitCode
from ingest.cli.explain import Paths, outcome
from ingest.cli.replay_feed import StoredFile, feed, watch
from ingest.config.settings import REQUIRED_TO_SERVE, Settings, load
from ingest.model.outcome import State
from ingest.receive import Receiver
from ingest.sources import replay as files
from ingest.sources.replay import SkippedMail
from ingest.store import MessageRecord
from ingest.store.messages import Store
from ingest.store.opening import WorkerLock, open_store

UNREAD = "unread"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one mail, or would become of it in a dry run."""

    path: str
    state: str
    rule: str | None = None
    reason: str | None = None
    ticket_id: str | None = None
    ticket_message_id: str | None = None
    queue_id: str | None = None
    known: bool = False
    """True if the mail had been stored before this replay began."""


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("replay")(replay)


def replay(
    paths: Paths,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would happen; store and post nothing.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line and mail.")] = False,
) -> int:
    """Take in mails from files.

    They go through the same pipeline as mail that comes by SMTP, and a table tells what became of each.

    If a worker (`ingest serve`) runs on the database, it does the work, and this command watches. Otherwise this
    command works until nothing is left to do now. Replaying the same files again posts nothing twice.

    Exit code 0 where every mail was delivered or discarded, 5 where a person must look at some, 6 where some are put
    off or wait for their parent: a worker goes on with them.
    """
    files.check_paths(paths)
    log.configure("error")
    results = asyncio.run(_dry_run(paths) if dry_run else _replay(paths))
    foreign = [item for item in results if isinstance(item, SkippedMail) and item.foreign]
    told = [item for item in results if isinstance(item, Result)]
    _print(told, json=json)
    if foreign:
        output.note(f"ingest: skipped {len(foreign)} files that look like no mail, such as {foreign[0].path}")
    return _exit_code(told)


Results = list[Result | SkippedMail]


async def _dry_run(paths: list[Path]) -> Results:
    settings = load(os.environ)
    results: Results = []
    with output.progress("reading", files.total_bytes(paths)) as advance:
        mails = files.read_mails(paths, limit=settings.max_message_bytes)
        async with open_dry_run(settings) as dry_run, aclosing(dry_run.explain_all(mails)) as explained:
            async for item in explained:
                if isinstance(item, Explanation):
                    results.append(_would_be(item))
                    advance(item.size_bytes)
                else:
                    results.append(_unread(item))
    return results


async def _replay(paths: list[Path]) -> Results:
    lock = WorkerLock(load(os.environ).database_url)
    if not lock.take():
        return await _beside_a_worker(load(os.environ), paths)
    try:
        return await _by_ourselves(load(os.environ, required=REQUIRED_TO_SERVE), paths)
    finally:
        lock.release()


async def _beside_a_worker(settings: Settings, paths: list[Path]) -> Results:
    async with open_store(settings.database_url) as store:
        receiver = Receiver(
            store,
            signals=signal_settings(settings),
            clock=time.time,
            max_backlog=settings.max_backlog,
            min_free_bytes=settings.min_free_bytes,
        )
        return await _feed_and_watch(settings, store, receiver, paths)


async def _by_ourselves(settings: Settings, paths: list[Path]) -> Results:
    async with start_engine(settings) as engine, _working(engine):
        return await _feed_and_watch(settings, engine.store, engine.receiver, paths)


@asynccontextmanager
async def _working(engine: Engine) -> AsyncIterator[None]:
    """Run the worker of the engine while the block runs; at the end let it finish what is in progress."""
    async with asyncio.TaskGroup() as tasks:
        parts = [tasks.create_task(engine.worker.run())]
        if engine.sync is not None:
            parts.append(tasks.create_task(engine.sync.run()))
        try:
            yield
        finally:
            await engine.worker.drain(engine.settings.drain)
            for part in parts:
                part.cancel()


async def _feed_and_watch(settings: Settings, store: Store, receiver: Receiver, paths: list[Path]) -> Results:
    started = time.time()
    with output.progress("storing", files.total_bytes(paths)) as advance:
        fed = await feed(files.read_mails(paths, limit=settings.max_message_bytes), receiver, advance)
    queue_ids = [item.queue_id for item in fed if isinstance(item, StoredFile)]
    with output.progress("delivering", len(set(queue_ids))) as advance:
        records = await watch(store, queue_ids, advance)
    return [
        _became(item.path, records[item.queue_id], started) if isinstance(item, StoredFile) else _unread(item)
        for item in fed
    ]


def _became(path: str, record: MessageRecord, started: float) -> Result:
    return Result(
        path=path,
        state=record.state,
        rule=record.rule or None,
        reason=record.reason or None,
        ticket_id=record.ticket_id,
        ticket_message_id=record.ticket_message_id,
        queue_id=record.queue_id,
        known=record.received_at < started,
    )


def _would_be(item: Explanation) -> Result:
    end = outcome(item.decision)
    return Result(
        path=item.path,
        state=str(end["state"]),
        rule=end["rule"],
        reason=end["reason"],
        ticket_id=item.decision.resolution.ticket_id,
    )


def _unread(item: SkippedMail) -> Result | SkippedMail:
    return item if item.foreign else Result(path=item.path, state=UNREAD, reason=item.reason)


def _print(results: Sequence[Result], *, json: bool) -> None:
    if json:
        for result in results:
            output.emit(asdict(result))
        return
    output.table(("mail", "outcome", "ticket", "reason"), map(_row, results))
    counts = Counter(result.state for result in results)
    known = sum(result.known for result in results)
    summary = ", ".join(f"{count} {state}" for state, count in counts.most_common())
    output.say(f"{len(results)} mails: {summary or 'none'}" + (f"; {known} of them taken in before" if known else ""))


def _row(result: Result) -> tuple[object, ...]:
    reason = ": ".join(filter(None, (result.rule, result.reason, "taken in before" if result.known else None)))
    return result.path, result.state, result.ticket_id, reason


def _exit_code(results: Sequence[Result]) -> ExitCode:
    states = {result.state for result in results}
    if states & {State.QUARANTINED, State.FAILED, UNREAD}:
        return ExitCode.PERSON_NEEDED
    return ExitCode.UNFINISHED if states & {State.QUEUED, State.WAITING} else ExitCode.OK
