"""How fast mail is taken in durably, beside Postfix on the same disk in the same minute.

    python -m benchmarks.accept [--messages 2000] [--rounds 5] [--folder FOLDER] [--json]

Postfix (a private one, which syncs each mail and puts it on hold) and our way from socket to disk (SMTP, commit point,
SQLite, in a process of its own) are loaded in turn by the same client: Postfix's ``smtp-source`` for mails of 10 KB,
``benchmarks.load`` for the mixed set. What each has stored is counted afterwards. Printed: the median rates, and the
median of the ratios of neighbouring runs. Above 1.0 we are faster. ``smtp-sink``, which stores nothing, shows how fast
the client can be."""

import argparse
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from os import environ
from pathlib import Path

from benchmarks import load, mails
from benchmarks.mails import Mail
from benchmarks.postfix import held, postfix, require
from benchmarks.processes import free_port, started

MESSAGE_BYTES = 10 * 1024
MIXED_SESSIONS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One of those that are compared, and how to count what it has stored."""

    name: str
    port: int
    stored: Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One kind of traffic: ``send(port, run)`` returns the seconds that ``messages`` mails took."""

    name: str
    messages: int
    send: Callable[[int, str], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Mails a second in each round, by server."""

    load: str
    rates: dict[str, list[float]]

    @property
    def ratio(self) -> float:
        """Median over the rounds of our rate to Postfix's."""
        return statistics.median(
            ours / theirs for ours, theirs in zip(self.rates["ingest"], self.rates["postfix"], strict=True)
        )

    def median(self, server: str) -> float:
        return statistics.median(self.rates[server])


def loads(messages: int) -> list[Load]:
    """The traffic of the issue: 10 KB with few and many sessions, one mail a connection and many, and the mixed set."""
    ten_kilobytes = [
        Load(
            name=f"10 KB, {sessions} sessions, {'many mails' if many else 'one mail'} a connection",
            messages=messages,
            send=_smtp_source(messages, sessions, many),
        )
        for many in (False, True)
        for sessions in (10, 50)
    ]
    mixed = list(mails.make(messages // 2, "mixed", tickets=500))
    size = sum(len(mail.content) for mail in mixed) // len(mixed) // 1024
    return [
        *ten_kilobytes,
        Load(
            name=f"mixed set (mean {size} KB), {MIXED_SESSIONS} sessions",
            messages=len(mixed),
            send=_mixed(mixed),
        ),
    ]


def _smtp_source(messages: int, sessions: int, many: bool) -> Callable[[int, str], float]:
    options = ["-s", sessions, "-m", messages, "-l", MESSAGE_BYTES, *(["-d"] if many else [])]
    paths = ["-f", "alice@customer.example", "-t", f"help@{mails.DOMAIN}"]

    def send(port: int, _run: str) -> float:
        began = time.perf_counter()
        subprocess.run(["smtp-source", *map(str, options), *paths, f"127.0.0.1:{port}"], check=True)
        return time.perf_counter() - began

    return send


def _mixed(content: Sequence[Mail]) -> Callable[[int, str], float]:
    return lambda port, run: load.send(port, content, sessions=MIXED_SESSIONS, run=run)


@contextmanager
def servers(folder: Path) -> Iterator[list[Server]]:
    """All three, each with an empty store."""
    ours, theirs, sink = folder / "ingest", folder / "postfix", free_port()
    ours.mkdir()
    theirs.mkdir()
    port = free_port()
    worker = [sys.executable, "-m", "benchmarks.accept_worker", str(ours), str(port), mails.DOMAIN]
    with (
        postfix(theirs, mails.DOMAIN) as postfix_port,
        started(worker, environ, port),
        started(["smtp-sink", "-u", "nobody", f"127.0.0.1:{sink}", "1024"], environ, sink),
    ):
        yield [
            Server(name="postfix", port=postfix_port, stored=lambda: held(theirs)),
            Server(name="ingest", port=port, stored=lambda: _rows(ours / "mail.db")),
            Server(name="smtp-sink", port=sink, stored=lambda: -1),
        ]


def _rows(database: Path) -> int:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        count: int = connection.execute("SELECT count(*) FROM messages").fetchone()[0]
        return count


def measure(load: Load, rounds: int, folder: Path) -> Result:
    """Load the servers in turn; every mail that was accepted must be found stored."""
    rates: dict[str, list[float]] = {}
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        place.chmod(0o755)  # Postfix's own user has to reach its queue
        compared = stack.enter_context(servers(place))
        for number in range(rounds + 1):
            for server in compared:
                seconds = load.send(server.port, f"{number}")
                _check(server, load.messages * (number + 1))
                rates.setdefault(server.name, []).append(load.messages / seconds)
    return Result(load=load.name, rates={name: values[1:] for name, values in rates.items()})


def _check(server: Server, expected: int) -> None:
    stored = server.stored()
    if stored not in (-1, expected):
        raise SystemExit(f"{server.name} has accepted {expected} mails and stored {stored}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=2000, help="mails of one run (the mixed set: half of them)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each server, after one to warm up")
    parser.add_argument("--folder", type=Path, help="where to store; it should lie on the disk that will be used")
    parser.add_argument("--json", action="store_true", help="one JSON object for each kind of traffic")
    options = parser.parse_args(arguments)
    require()
    if not options.json:
        print(f"{'mails a second':52} {'postfix':>9} {'ingest':>9} {'ratio':>7} {'smtp-sink':>10}")
    for traffic in loads(options.messages):
        _print(measure(traffic, options.rounds, options.folder), options.json)


def _print(result: Result, as_json: bool) -> None:
    rates = {name: round(result.median(name), 1) for name in result.rates}
    if as_json:
        print(json.dumps({"load": result.load, "rates": rates, "ratio": round(result.ratio, 3), "runs": result.rates}))
        return
    columns = f"{rates['postfix']:9.0f} {rates['ingest']:9.0f} {result.ratio:7.2f} {rates['smtp-sink']:10.0f}"
    print(f"{result.load:52} {columns}", flush=True)


if __name__ == "__main__":
    main()
