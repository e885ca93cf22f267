"""The worker's way from socket to disk in a process of its own: SMTP, the commit point, the store; nothing delivers.

python -m benchmarks.accept_worker FOLDER PORT DOMAIN
"""

import asyncio
import signal
import sys
import time
from pathlib import Path

import uvloop

from ingest import log
from ingest.config.settings import Settings
from ingest.receive import Receiver
from ingest.sources.smtp import SmtpSource
from ingest.store.opening import open_store


async def serve(folder: Path, port: int, domain: str) -> None:
    """Take mail in until we are told to stop."""
    settings = Settings(domains=(domain,), hostname="mx.bench.example", database_url=f"sqlite:///{folder / 'mail.db'}")
    async with open_store(settings.database_url) as store:
        receiver = Receiver(
            store, clock=time.time, max_backlog=settings.max_backlog, min_free_bytes=settings.min_free_bytes
        )
        source = SmtpSource(
            f"127.0.0.1:{port}",
            receive=receiver.receive,
            refusal=receiver.refusal,
            settings=settings,
            clock=time.time,
        )
        await source.start()
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()
        await source.drain(5)


if __name__ == "__main__":
    log.configure("warning")
    uvloop.run(serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
