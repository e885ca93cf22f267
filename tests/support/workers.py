"""Processes for the crash tests of the store: ``python -m tests.support.workers receive|claim DATABASE``.

Each prints a line, at once, for every message that the store acknowledged or gave to it.
"""

import asyncio
import itertools
import sys
from pathlib import Path

from ingest.store.messages import Store
from ingest.store.sqlite import SqliteDatabase
from tests.support.store import START, receive

RECEIVERS = 20


def content_of(number: int) -> bytes:
    """Make the content of the ``number``-th message: different for each, up to some 200,000 bytes."""
    return b"Subject: %d\r\n\r\n" % number * (1 + number * 7919 % 10_000)


async def receive_for_ever(store: Store) -> None:
    """Receive messages until the process is killed; print the number of each when it is acknowledged."""
    numbers = itertools.count()

    async def one_by_one() -> None:
        for number in numbers:
            await receive(store, number, content=content_of(number))
            print(number, flush=True)

    await asyncio.gather(*(one_by_one() for _ in range(RECEIVERS)))


async def claim_all(store: Store) -> None:
    """Claim until nothing is left; print the queue id of each message."""
    while claimed := await store.claim(limit=3, now=START + 10**6, lease=10**6):
        for queued in claimed:
            print(queued.queue_id, flush=True)


async def main(what: str, path: Path) -> None:
    database = SqliteDatabase(path)
    await database.migrate()
    await {"receive": receive_for_ever, "claim": claim_all}[what](Store(database))
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
