"""Let a worker work until there is nothing to do."""

import asyncio

from ingest.worker import Worker


async def work_until_idle(worker: Worker) -> None:
    """Return when nothing is due and nothing is in progress. What is deferred stays deferred."""
    while await worker._claim() or worker._running:
        if worker._running:
            await asyncio.wait(worker._running, return_when=asyncio.FIRST_COMPLETED)
