"""From SMTP to the ticket API, beside mail-parser alone on the same mails in the same minute.

    python -m benchmarks.end_to_end [--mails 1000] [--kind mixed] [--rounds 3] [--without-attachments] [--json]

The worker, the sandbox that stands in for the API, and the client are processes of their own. Printed: mails a second
and the ratio to mail-parser's rate (one process, nothing else running), the same with an API that takes 200 ms,
processor time a mail by process, and the time from ``250`` to posted when nothing else is going on."""

import argparse
import json
import os
import smtplib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx

from benchmarks import mails
from benchmarks.mails import Mail
from benchmarks.processes import cpu_seconds, free_port, started

TICKETS = 500
SESSIONS = 10
TOKEN = "sandbox-token"
LATENCY_MAILS = 200
MOST_REQUESTS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The system under measurement."""

    smtp: int
    sandbox_control: httpx.Client
    worker: int
    sandbox: int

    def posted(self) -> int:
        """Ticket messages at the API by now."""
        return int(self.sandbox_control.get("/sandbox/state").json()["posts"])

    def posts(self) -> list[dict[str, object]]:
        """What was posted, in order."""
        found: list[dict[str, object]] = self.sandbox_control.get("/sandbox/posts").json()
        return found

    def order_delay(self, seconds: float) -> None:
        """Have the API take ``seconds`` for each request from now on."""
        faults = [{"times": MOST_REQUESTS, "delay": seconds}]
        self.sandbox_control.post("/sandbox/faults", json=faults)


@contextmanager
def system(folder: Path, *, history: int = 0, settings: Mapping[str, str] | None = None) -> Iterator[Running]:
    """A sandbox and a worker, each a process, on an empty store that knows the outbound mails.

    Each ticket has ``history`` messages more than the outbound one. ``settings`` are environment variables of the
    worker."""
    data = folder / "sandbox.json"
    data.write_text(json.dumps(mails.sandbox_data(TICKETS, history=history)), "utf-8")
    smtp, api, web = free_port(), free_port(), free_port()
    environment = os.environ | {
        "RAVENNA_API_URL": f"http://127.0.0.1:{api}/api",
        "RAVENNA_API_TOKEN": TOKEN,
        "INGEST_DATABASE_URL": f"sqlite:///{folder / 'ingest.db'}",
        "INGEST_SMTP_LISTEN": f"127.0.0.1:{smtp}",
        "INGEST_HTTP_LISTEN": f"127.0.0.1:{web}",
        "INGEST_DOMAINS": mails.DOMAIN,
        "INGEST_LOG_LEVEL": "warning",
        "INGEST_DNS_SERVERS": "none",
        "INGEST_LOOP_EQUAL": "0",  # the mails of a benchmark are many, and much alike
        "INGEST_LOOP_SENDER": "0",
        "INGEST_LOOP_TICKET": "0",
        **(settings or {}),
    }
    known = folder / "threads.csv"
    known.write_text("".join(f"{mails.outbound_id(n)},{mails.ticket_id(n)}\n" for n in range(TICKETS)), "utf-8")
    ingest = [sys.executable, "-m", "ingest"]
    for command in (["migrate"], ["threads", "import", str(known)]):
        subprocess.run([*ingest, *command], env=environment, check=True, capture_output=True)
    with ExitStack() as stack:
        listen = ["--listen", f"127.0.0.1:{api}", "--data", str(data)]
        sandbox = stack.enter_context(started([*ingest, "sandbox", *listen], environment, api))
        worker = stack.enter_context(started([*ingest, "serve"], environment, smtp))
        control = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{api}"))
        yield Running(smtp=smtp, sandbox_control=control, worker=worker, sandbox=sandbox)


def send(port: int, batch: Sequence[Mail]) -> None:
    """One session that sends its mails one after the other. A bare socket, so that the client costs next to nothing;
    the mails have no line that begins with a dot."""
    with socket.create_connection(("127.0.0.1", port)) as client, client.makefile("rb") as replies:

        def expect(code: bytes) -> None:
            while (line := replies.readline())[3:4] == b"-":
                pass
            if not line.startswith(code):
                raise SystemExit(f"the worker answered {line!r}")

        expect(b"220")
        client.sendall(b"EHLO client.example\r\n")
        expect(b"250")
        for mail in batch:
            client.sendall(f"MAIL FROM:<{mail.sender}>\r\nRCPT TO:<{mail.recipient}>\r\nDATA\r\n".encode())
            for code in (b"250", b"250", b"354"):
                expect(code)
            client.sendall(mail.content + b".\r\n")
            expect(b"250")


def throughput(running: Running, batch: Sequence[Mail], seconds: float) -> dict[str, float]:
    """Mails a second from the first octet sent until all are posted, and processor milliseconds a mail."""
    before = running.posted()
    cpu = {name: cpu_seconds(pid) for name, pid in (("worker", running.worker), ("sandbox", running.sandbox))}
    begun = time.perf_counter()
    with ThreadPoolExecutor(SESSIONS) as pool:
        list(pool.map(lambda n: send(running.smtp, batch[n::SESSIONS]), range(SESSIONS)))
    accepted = time.perf_counter()
    until = accepted + seconds
    while running.posted() < before + len(batch):
        if time.perf_counter() > until:
            raise SystemExit(f"only {running.posted() - before} of {len(batch)} mails were posted in {seconds:.0f} s")
        time.sleep(0.05)
    ended = time.perf_counter()
    result = {"mails/s": len(batch) / (ended - begun), "accepted/s": len(batch) / (accepted - begun)}
    for name, pid in (("worker", running.worker), ("sandbox", running.sandbox)):
        now = cpu_seconds(pid)
        for part, used in now.items():
            result[f"cpu ms/mail, {name} {part}"] = (used - cpu[name].get(part, 0.0)) * 1000 / len(batch)
    return result


def latency(running: Running, batch: Sequence[Mail]) -> dict[str, float]:
    """Milliseconds from ``250`` to the API's own time of the message, one mail at a time."""
    taken = []
    with smtplib.SMTP("127.0.0.1", running.smtp) as client:
        for mail in batch:
            before = running.posted()
            client.sendmail(mail.sender, [mail.recipient], mail.content)
            accepted = time.time()
            while (now := running.posted()) == before:
                time.sleep(0.001)
            taken.append((accepted, now))
    created = [_created_at(post) for post in running.posts()[-len(batch) :]]
    waits = sorted((at - accepted) * 1000 for (accepted, _), at in zip(taken, created, strict=True))
    return {"p50 ms": statistics.median(waits), "p99 ms": waits[int(len(waits) * 0.99) - 1]}


def _created_at(post: dict[str, object]) -> float:
    return datetime.fromisoformat(str(post["createdAt"])).timestamp()


def parse_rate(folder: Path) -> float:
    """Mails a second that mail-parser alone parses, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.mail_parser_alone", str(folder)], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def measure(count: int, kind: str, seed: int) -> dict[str, float]:
    """One round: mail-parser alone, then the system, plain and with a slow API."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain, slow = (list(mails.make(count, kind, TICKETS, seed=seed * 10 + n)) for n in (1, 2))
        probe = list(mails.make(LATENCY_MAILS, "text", TICKETS, seed=seed * 10 + 3))
        written = folder / "mails"
        written.mkdir()
        for number, mail in enumerate(plain):
            (written / f"{number}.eml").write_bytes(mail.content)
        alone = parse_rate(written)
        with system(folder) as running:
            throughput(running, probe[:50], 60)  # warm up
            result = throughput(running, plain, 600)
            idle = latency(running, probe[50:])
            running.order_delay(0.2)
            delayed = throughput(running, slow, 600)
        return {
            "mail-parser alone, mails/s": alone,
            **result,
            "ratio to mail-parser": result["mails/s"] / alone,
            "API of 200 ms: mails/s": delayed["mails/s"],
            "API of 200 ms: ratio to mail-parser": delayed["mails/s"] / alone,
            **{f"idle, 250 to posted, {name}": value for name, value in idle.items()},
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mails", type=int, default=1000)
    parser.add_argument("--kind", choices=("text", "html", "outlook", "mixed"), default="mixed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-attachments", action="store_true", help="post the text alone, upload nothing")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    os.environ["INGEST_ATTACHMENTS"] = "false" if given.without_attachments else "true"
    rounds = [measure(given.mails, given.kind, seed) for seed in range(1, given.rounds + 1)]
    medians = {name: statistics.median(each.get(name, 0.0) for each in rounds) for name in rounds[0]}
    if given.json:
        print(json.dumps({"kind": given.kind, "medians": medians, "rounds": rounds}, indent=1))
        return
    print(f"{given.kind} mails, {given.mails} a round, medians of {given.rounds} rounds")
    for name, value in medians.items():
        print(f"{name:45} {value:10.2f}")


if __name__ == "__main__":
    main()
