"""How fast the store receives mail and works through it, compared with one COMMIT for each mail on the same disk.

    python -m benchmarks.store [--seconds 3] [--queued 50000] [--folder FOLDER] [--json]

``receive`` is measured with 1, 10 and 50 callers and mails of 10 KB, and with 20 callers and the mixed set; the ratio
is to a loop over bare SQLite (same settings, one table, one index) that was run just before. ``work`` takes messages
through claim, content, identify and settle, 64 at a time. Memory is what the process holds with 1,000 and with
``--queued`` messages in the queue."""

import argparse
import asyncio
import itertools
import json
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from os import getpid
from pathlib import Path

import apsw
import uvloop

from benchmarks import mails
from benchmarks.processes import resident_bytes
from ingest.model.envelope import Envelope, QueuedMessage, ReceivedMessage, SourceRef
from ingest.model.outcome import Delivered
from ingest.store import Findings
from ingest.store.messages import Store
from ingest.store.sqlite import WRITER_PRAGMAS, SqliteDatabase

TEN_KB = 10 * 1024
IN_PROGRESS_MESSAGES = 64
TICKETS = 1000
LATER = 10.0**9
MiB = 1024 * 1024
ENVELOPE = Envelope(mail_from="user@customer.example", rcpt_tos=(f"help@{mails.DOMAIN}",))


@contextmanager
def folder_in(parent: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=parent) as name:
        yield Path(name)


def contents_of(kind: str) -> list[bytes]:
    """Make three hundred mails to send in turn."""
    made = [mail.content for mail in mails.make(300, "text" if kind == "10 KB" else kind, TICKETS)]
    padding = b"It still does not work for me, sorry.\r\n" * 300
    return [(content + padding)[:TEN_KB] for content in made] if kind == "10 KB" else made


def commit_each(folder: Path, mails_sent: Sequence[bytes], seconds: float) -> float:
    """Return the mails a second of a loop over bare SQLite that syncs each."""
    database = apsw.Connection(str(folder / "bare.db"))
    for pragma in WRITER_PRAGMAS:
        database.pragma(*pragma)
    database.execute("CREATE TABLE mails (id INTEGER PRIMARY KEY, name TEXT UNIQUE, content BLOB)")
    start, stored, contents = time.perf_counter(), 0, itertools.cycle(mails_sent)
    while time.perf_counter() - start < seconds:
        values = (f"{random.getrandbits(128):x}", next(contents))
        database.execute("INSERT INTO mails (name, content) VALUES (?, ?)", values)
        stored += 1
    database.close()
    return stored / (time.perf_counter() - start)


async def receive(store: Store, number: int, content: bytes) -> None:
    source = SourceRef(source="benchmark")
    message = ReceivedMessage(envelope=ENVELOPE, content=content, source_ref=source, received_at=float(number))
    await store.receive(message, queue_id=f"{number:016X}", dedupe_key=f"{random.getrandbits(256):064x}")


async def in_parallel(callers: int, step: Callable[[int], Awaitable[None]], numbers: Iterator[int]) -> None:
    async def caller() -> None:
        for number in numbers:
            await step(number)

    await asyncio.gather(*(caller() for _ in range(callers)))


async def receiving(folder: Path, contents: Sequence[bytes], callers: int, seconds: float) -> float:
    """Return how many mails a second the store receives."""
    database = SqliteDatabase(folder / "store.db")
    await database.migrate()
    store, start = Store(database), time.perf_counter()
    numbers = itertools.takewhile(lambda _: time.perf_counter() - start < seconds, itertools.count())
    await in_parallel(callers, lambda n: receive(store, n, contents[n % len(contents)]), numbers)
    elapsed = time.perf_counter() - start
    received = (await store.ledger(now=0)).accepted
    await database.close()
    return received / elapsed


async def working(folder: Path, queued: int) -> tuple[float, int, int]:
    """Return the messages a second through the queue, and the resident bytes with 1,000 and with ``queued`` in it."""
    database = SqliteDatabase(folder / "store.db")
    await database.migrate()
    store, content = Store(database), contents_of("10 KB")[0]
    await in_parallel(50, lambda n: receive(store, n, content), iter(range(1000)))
    few = resident_bytes(getpid())
    await in_parallel(50, lambda n: receive(store, n, content), iter(range(1000, queued)))
    many = resident_bytes(getpid())
    start = time.perf_counter()
    done = await work_off(store, limit=5000)
    rate = done / (time.perf_counter() - start)
    await database.close()
    return rate, few, many


async def work_off(store: Store, limit: int) -> int:
    done = 0
    while done < limit and (claimed := await store.claim(limit=IN_PROGRESS_MESSAGES, now=LATER, lease=60)):
        await asyncio.gather(*(work_on(store, queued) for queued in claimed))
        done += len(claimed)
    return done


async def work_on(store: Store, queued: QueuedMessage) -> None:
    ticket, name = f"T{queued.received_at}", f"{queued.queue_id}@customer.example"
    await store.content(queued.queue_id)
    await store.identify(
        queued.queue_id,
        queued.lease_token,
        Findings(
            message_id=name,
            content_digest=queued.queue_id,
            ticket_id=ticket,
            subject="Printer",
            sender=ENVELOPE.mail_from,
            evidence=(),
        ),
        now=LATER,
    )
    outcome = Delivered(ticket_id=ticket, ticket_message_id=queued.queue_id, email_message_id=f"api-{name}")
    await store.settle(queued.queue_id, queued.lease_token, outcome, now=LATER)


def measure(parent: Path | None, seconds: float, queued: int) -> Iterator[dict[str, object]]:
    for kind, callers in (("10 KB", 1), ("10 KB", 10), ("10 KB", 50), ("mixed", 20)):
        contents = contents_of(kind)
        with folder_in(parent) as folder:
            bare = commit_each(folder, contents, seconds)
            ours = uvloop.run(receiving(folder, contents, callers, seconds))
        yield {"what": f"receive {kind}, {callers} callers", "rate": ours, "bare": bare, "ratio": ours / bare}
    with folder_in(parent) as folder:
        rate, few, many = uvloop.run(working(folder, queued))
    yield {"what": f"work, {queued} queued", "rate": rate, "few_mib": few / MiB, "many_mib": many / MiB}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--queued", type=int, default=50_000)
    parser.add_argument("--folder", type=Path, help="where to put the databases; the disk that is measured")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    for result in measure(arguments.folder, arguments.seconds, arguments.queued):
        line = json.dumps(result) if arguments.json else "  ".join(_shown(*item) for item in result.items())
        print(line, flush=True)


def _shown(name: str, value: object) -> str:
    return f"{value:<28}" if name == "what" else f"{name} {value:,.1f}"


if __name__ == "__main__":
    main()
