"""The backlog of an outage: how fast it drains at its start and at its end, with one sick ticket beside it.

    python -m benchmarks.outage [--messages 50000] [--tickets 500] [--without-sick-ticket]

The API cuts every connection until all messages are accepted. Then it is well, but for the look-ups of one ticket,
which hang. Printed: the rate for each tenth of the backlog, and what became of the sick ticket's messages. It exits
with 1 if the last fifth of the drain is more than 10 % slower than the first, or if the ledger does not hold.

The first and the last twentieth are left out: the worker adapts its pace, and what is left last is of few tickets."""

import argparse
import os
import tempfile
import time
from pathlib import Path

from benchmarks import load, mails
from benchmarks.end_to_end import TICKETS, Running, system
from benchmarks.soak import ledger

MOST_SLOWER = 0.1
STILL_SECONDS = 60.0
"""Seconds without a single post after which the drain is over, or stands still."""


def drain(running: Running, wanted: int) -> list[tuple[float, int]]:
    """Seconds since the API came back, and messages posted by then, until ``wanted`` are posted."""
    before, began = running.posted(), time.perf_counter()
    curve = [(0.0, 0)]
    while curve[-1][1] < wanted:
        time.sleep(0.25)
        now, posted = time.perf_counter() - began, running.posted() - before
        if posted > curve[-1][1]:
            curve.append((now, posted))
        elif now - curve[-1][0] > STILL_SECONDS:
            raise SystemExit(f"nothing was posted for {STILL_SECONDS:.0f} s; {posted} of {wanted} are")
    return curve


def rate(curve: list[tuple[float, int]], start: float, stop: float) -> float:
    """Messages a second between two shares of the backlog."""
    total = curve[-1][1]
    began = next(seconds for seconds, posted in curve if posted >= start * total)
    ended = next(seconds for seconds, posted in curve if posted >= stop * total)
    return (stop - start) * total / max(ended - began, 0.001)


def measure(messages: int, tickets: int, *, sick: bool) -> bool:
    """Build the backlog, drain it, print what was seen; return whether the drain did not slow down."""
    batch = list(mails.make(messages, "unquoted", tickets))
    of_sick = sum(mail.recipient == batch[0].recipient for mail in batch) if sick else 0
    with tempfile.TemporaryDirectory() as name, system(Path(name)) as running:
        running.sandbox_control.post("/sandbox/faults", json=[{"times": None, "cut": True}])
        seconds = load.send(running.smtp, batch, sessions=10, run="outage")
        print(f"{messages} messages to {tickets} tickets accepted while the API was down: {messages / seconds:.0f}/s")
        running.sandbox_control.delete("/sandbox/faults")
        if sick:
            hang = {"times": None, "about": mails.ticket_id(0), "delay": 30}
            running.sandbox_control.post("/sandbox/faults", json=[hang])
        curve = drain(running, messages - of_sick)
        for tenth in range(10):
            print(f"  {tenth * 10:3} to {tenth * 10 + 10:3} %: {rate(curve, tenth / 10, tenth / 10 + 0.1):7.1f}/s")
        first, last = rate(curve, 0.05, 0.25), rate(curve, 0.75, 0.95)
        counts = ledger(Path(name))
    print(f"all but the sick ticket's {of_sick} posted in {curve[-1][0]:.1f} s; ledger {counts}")
    print(f"first fifth {first:.1f}/s, last fifth {last:.1f}/s, ratio {last / first:.2f}")
    return bool(counts["holds"]) and last >= first * (1 - MOST_SLOWER)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--tickets", type=int, default=TICKETS, help=f"at most {TICKETS}")
    parser.add_argument("--without-sick-ticket", action="store_true")
    given = parser.parse_args()
    os.environ["INGEST_ATTACHMENTS"] = "false"
    raise SystemExit(not measure(given.messages, given.tickets, sick=not given.without_sick_ticket))


if __name__ == "__main__":
    main()
