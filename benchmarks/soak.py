"""The worker under load for a long time: does it keep up, and does anything grow that should not?

    python -m benchmarks.soak [--minutes 10] [--rate 40] [--mix mixed=1,unquoted=1] [--history 20] [--every 60]

Mails of the mix go in at the rate. Each minute is printed: mails accepted and posted a second, mails that wait,
resident memory of the worker and of its parser processes, open files, size of the database, and the ledger. It exits
with 1 if the ledger does not hold, or if memory grows without bound: if the last third of the minutes has its least
memory a quarter and 32 MiB above that of the third before it."""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from benchmarks import mails
from benchmarks.end_to_end import SESSIONS, TICKETS, Running, send, system
from benchmarks.mails import Mail
from benchmarks.processes import children_of, resident_bytes

MIB = 1024 * 1024
MOST_GROWTH = 1.25
LEAST_GROWTH_BYTES = 32 * MIB
BATCH_MAILS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What was seen at the end of a minute."""

    accepted: int
    posted: int
    worker_bytes: int
    parser_bytes: int
    open_files: int
    database_bytes: int
    counts: dict[str, int | bool]


class Sender:
    """Sends mails at a rate from a thread, until it is stopped."""

    def __init__(self, port: int, stream: Iterator[Mail], rate: float) -> None:
        self._port, self._stream, self._rate = port, stream, rate
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._began = time.monotonic()
        self._taken = 0
        self.accepted = 0
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(SESSIONS)]

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Send nothing more; return when all sessions have ended."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                batch = [next(self._stream) for _ in range(BATCH_MAILS)]
                due = self._began + self._taken / self._rate
                self._taken += len(batch)
            if not self._stop.wait(max(0.0, due - time.monotonic())):
                send(self._port, batch)
                with self._lock:
                    self.accepted += len(batch)


def mixed_mails(mix: Mapping[str, int]) -> Iterator[Mail]:
    """Yield mails of the kinds in ``mix`` (kind: weight) without end; no two have one Message-ID."""
    draw = random.Random(7)
    for seed in count(1):
        streams = {kind: mails.make(TICKETS, kind, TICKETS, seed=seed * 100 + n) for n, kind in enumerate(mix)}
        for _ in range(TICKETS):
            (kind,) = draw.choices(list(mix), list(mix.values()))
            yield next(streams[kind])


def ledger(folder: Path) -> dict[str, int | bool]:
    """What ``ingest ledger`` counts in the database of a folder."""
    environment = os.environ | {"INGEST_DATABASE_URL": f"sqlite:///{folder / 'ingest.db'}"}
    command = [sys.executable, "-m", "ingest", "ledger", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if not done.stdout:
        raise SystemExit(f"ingest ledger: {done.stderr}")
    found: dict[str, int | bool] = json.loads(done.stdout)
    del found["mailboxes"]
    return found


def look(running: Running, folder: Path, accepted: int) -> Sample:
    """Measure everything once."""
    return Sample(
        accepted=accepted,
        posted=running.posted(),
        worker_bytes=resident_bytes(running.worker),
        parser_bytes=sum(map(resident_bytes, children_of(running.worker))),
        open_files=len(list(Path(f"/proc/{running.worker}/fd").iterdir())),
        database_bytes=sum(path.stat().st_size for path in folder.glob("ingest.db*")),
        counts=ledger(folder),
    )


def tell(minute: int, seconds: float, sample: Sample, before: Sample) -> None:
    """Print a line about the time between two samples."""
    accepted, posted = sample.accepted - before.accepted, sample.posted - before.posted
    queued = sample.counts.get("queued", 0)
    print(
        f"{minute:4}: accepted {accepted / seconds:6.1f}/s  posted {posted / seconds:6.1f}/s  queued {queued:6}"
        f"  worker {sample.worker_bytes / MIB:5.0f} MiB  parsers {sample.parser_bytes / MIB:5.0f} MiB"
        f"  files {sample.open_files:3}  database {sample.database_bytes / MIB:6.1f} MiB"
        f"  ledger {'holds' if sample.counts['holds'] else sample.counts}",
        flush=True,
    )


def grows(sizes: list[int]) -> bool:
    """Whether the least size of the last third is far above that of the third before it."""
    third = len(sizes) // 3
    if third == 0:
        return False
    before, last = min(sizes[-2 * third : -third]), min(sizes[-third:])
    return last > before * MOST_GROWTH and last > before + LEAST_GROWTH_BYTES


def soak(given: argparse.Namespace) -> bool:
    """Run for the given time; return whether all was well."""
    mix = {kind: int(weight) for kind, _, weight in (part.partition("=") for part in given.mix.split(","))}
    with tempfile.TemporaryDirectory() as name, system(Path(name), history=given.history) as running:
        sender = Sender(running.smtp, mixed_mails(mix), given.rate)
        samples = [look(running, Path(name), 0)]
        sender.start()
        at, until = time.monotonic(), time.monotonic() + given.minutes * 60
        while at < until:
            time.sleep(max(0.0, min(at + given.every, until) - time.monotonic()))
            began, at = at, time.monotonic()
            samples.append(look(running, Path(name), sender.accepted))
            tell(len(samples) - 1, at - began, samples[-1], samples[-2])
        sender.stop()
    growing = [what for what in ("worker_bytes", "parser_bytes") if grows([getattr(s, what) for s in samples])]
    if growing:
        print(f"grows without bound: {', '.join(growing)}")
    return not growing and all(sample.counts["holds"] for sample in samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=40.0, help="mails a second that are sent")
    parser.add_argument("--mix", default="mixed=1,unquoted=1", help="kinds of mails and their weights")
    parser.add_argument("--history", type=int, default=20, help="messages that each ticket has before")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two lines")
    raise SystemExit(not soak(parser.parse_args()))


if __name__ == "__main__":
    main()
