"""What the history of a ticket costs: replies without a quote are read again beside all messages of their ticket.

    python -m benchmarks.conversation [--mails 500] [--history 200] [--tickets 1] [--rounds 3]

Printed: mails a second from SMTP to posted, with tickets that have no history and with tickets that have, in turns,
and the ratio of the two. It exits with 1 if tickets with history have less than half the rate."""

import argparse
import statistics
import tempfile
from pathlib import Path

from benchmarks import mails
from benchmarks.end_to_end import TICKETS, system, throughput

LEAST_RATIO = 0.5


def rate(count: int, tickets: int, history: int, seed: int) -> float:
    """Mails a second to ``tickets`` tickets, each with ``history`` messages."""
    warm_up = list(mails.make(20, "unquoted", tickets, seed=seed * 10 + 1))
    batch = list(mails.make(count, "unquoted", tickets, seed=seed * 10 + 2))
    with tempfile.TemporaryDirectory() as folder, system(Path(folder), history=history) as running:
        throughput(running, warm_up, 120)
        return throughput(running, batch, 600)["mails/s"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mails", type=int, default=500)
    parser.add_argument("--history", type=int, default=200, help="messages that each ticket has before")
    parser.add_argument("--tickets", type=int, default=1, help=f"tickets that the mails answer, at most {TICKETS}")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    ratios = []
    for seed in range(1, given.rounds + 1):
        plain, beside = (rate(given.mails, given.tickets, history, seed) for history in (0, given.history))
        ratios.append(beside / plain)
        print(f"without history {plain:8.1f} mails/s   with {beside:8.1f} mails/s   ratio {ratios[-1]:.2f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.2f}, at least {LEAST_RATIO}")
    raise SystemExit(statistics.median(ratios) < LEAST_RATIO)


if __name__ == "__main__":
    main()
