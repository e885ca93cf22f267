"""How long it takes to look up a Message-ID among very many.

    python -m benchmarks.threads [--rows 10000000] [--looks 20000] [--folder FOLDER] [--json]

Fills the table of Message-IDs on disk, then looks up ids one after the other as the pipeline does: half of them known,
half not, spread over the whole table. ``look-up`` is the statement with its transaction, ``call`` the same through the
store's threads, which on a machine that has other work to do waits for a processor. The rows are written without syncs;
that is not measured."""

import argparse
import asyncio
import hashlib
import json
import random
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import apsw

from ingest.store import Transaction, threads
from ingest.store.messages import Store
from ingest.store.sqlite import SqliteDatabase

SQL = "INSERT INTO threads (message_id, ticket_id, learned_from, learned_at) VALUES (?, ?, 'mail', 0)"


SHARES = {"median ms": 0.5, "p99 ms": 0.99, "p99.9 ms": 0.999}


def message_id(number: int) -> str:
    """Return an id as mail programs make them: no order in it."""
    return f"{hashlib.blake2b(number.to_bytes(8, 'big'), digest_size=16).hexdigest()}@mail{number % 500}.example"


def rows(count: int) -> Iterator[tuple[str, str]]:
    """Yield the rows in the order of their ids, which is the fastest to write."""
    for number in sorted(range(count), key=message_id):
        yield message_id(number), f"cm7{number % 1_000_000:022d}"


def fill(path: Path, count: int) -> None:
    connection = apsw.Connection(str(path))
    connection.pragma("synchronous", "OFF")
    with connection:
        connection.executemany(SQL, rows(count))
    connection.close()


def wanted_ids(count: int, looks: int) -> Iterator[tuple[str, bool]]:
    """Yield ids to look up, each with whether it is known."""
    chosen = random.Random(1)
    for number in range(looks):
        yield message_id(chosen.randrange(count) + count * (number % 2)), number % 2 == 0


async def call_store(store: Store, count: int, looks: int) -> list[float]:
    """Return the seconds that each call of the store took, in order of size."""
    took = []
    for wanted, is_known in wanted_ids(count, looks):
        start = time.perf_counter()
        found = await store.tickets_of([wanted])
        took.append(time.perf_counter() - start)
        assert bool(found) == is_known
    return sorted(took)


async def look_up(database: SqliteDatabase, count: int, looks: int) -> list[float]:
    """Return the seconds that each look-up took, in order of size."""

    def timed(tx: Transaction, wanted: str) -> float:
        start = time.perf_counter()
        threads.tickets_of(tx, [wanted])
        return time.perf_counter() - start

    ids = [wanted for wanted, _is_known in wanted_ids(count, looks)]
    return sorted([await database.read(partial(timed, wanted=wanted)) for wanted in ids])


async def measure(path: Path, count: int, looks: int) -> dict[str, float]:
    database = SqliteDatabase(path)
    await database.migrate()
    fill(path, count)
    told: dict[str, float] = {"rows": count, "megabytes": path.stat().st_size // 10**6}
    for name, took in (
        ("look-up", await look_up(database, count, looks)),
        ("call", await call_store(Store(database), count, looks)),
    ):
        told |= {f"{name} {share}": 1000 * took[int(part * (len(took) - 1))] for share, part in SHARES.items()}
    await database.close()
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--looks", type=int, default=20_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        told = asyncio.run(measure(Path(folder, "threads.db"), given.rows, given.looks))
    if given.json:
        print(json.dumps(told))
    else:
        print("\n".join(f"{name:18} {value:12,.3f}" for name, value in told.items()))


if __name__ == "__main__":
    main()
