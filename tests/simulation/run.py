"""Runs the simulation from the command line: one seed with its story, or seeds for as long as asked.

python -m tests.simulation.run 4711                 tell the story of one seed
python -m tests.simulation.run --seconds 60         as many seeds as fit, on all processors
python -m tests.simulation.run --seeds 100000
"""

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import count

from ingest.app import Engine
from tests.simulation.laws import violations
from tests.simulation.world import Simulation, World

BATCH_SEEDS = 50
"""Seeds that a process runs before it reports."""

_simulations: list[Simulation] = []


def run_seed(seed: int, *, change_engine: Callable[[Engine], None] | None = None) -> tuple[World, list[str]]:
    """Run one seed on the simulation of this process; return the run and the laws that it broke."""
    if not _simulations:
        _simulations.append(Simulation())
    world = _simulations[0].run(seed, change_engine=change_engine)
    return world, violations(world)


def run_batch(first: int) -> list[tuple[int, list[str]]]:
    """Run ``BATCH_SEEDS`` seeds; return those that failed."""
    gc.disable()
    failed = []
    for seed in range(first, first + BATCH_SEEDS):
        try:
            found = run_seed(seed)[1]
        except Exception as error:
            found = [f"{type(error).__name__}: {error}"]
        if found:
            failed.append((seed, found))
    gc.collect()
    return failed


def main() -> None:
    """Run what the command line asks for; exit with 1 where a law was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seed", nargs="?", type=int)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    wanted = parser.parse_args()
    sys.exit(_tell(wanted.seed) if wanted.seed is not None else _run_many(wanted))


def _tell(seed: int) -> int:
    world, found = run_seed(seed)
    print(world.plan)
    for queue_id, delivery in sorted((q, d) for d, q in world.queue_ids.items()):
        print(queue_id, delivery)
    trace = "\n".join(world.api.trace)
    for delivery, queue_id in world.queue_ids.items():
        trace = trace.replace(queue_id, f"mail {delivery.mail.number}")
    print(trace)
    print("\n".join(found) or "no law was broken", world.trace_hash(), sep="\n")
    return int(bool(found))


def _run_many(wanted: argparse.Namespace) -> int:
    began, failures, done = time.monotonic(), 0, 0
    batches = count(wanted.first, BATCH_SEEDS)
    with ProcessPoolExecutor(wanted.processes) as pool:
        while (done < wanted.seeds) if wanted.seeds else (time.monotonic() - began < wanted.seconds):
            for failed in pool.map(run_batch, [next(batches) for _ in range(wanted.processes * 4)]):
                done += BATCH_SEEDS
                for seed, found in failed:
                    failures += 1
                    print(f"seed {seed}: {'; '.join(found)}", flush=True)
    rate = done / (time.monotonic() - began) * 60
    print(f"{done} schedules, {failures} failed, {rate:.0f} a minute")
    return int(failures > 0)


if __name__ == "__main__":
    main()
