"""Seeds of the simulation: those that found something once, and some hundreds more. See ``world.py``."""

import pytest

from tests.simulation.run import BATCH_SEEDS, run_batch, run_seed
from tests.simulation.sabotage import SABOTAGES

# fmt: off
FOUND_SOMETHING = (17, 72, 105, 170, 193, 194, 218, 242, 271, 407, 532, 582, 624, 636, 687, 815, 924, 1023, 1314, 1941,
    2140, 30059, 50788, 1011761)
# fmt: on
"""Seeds that broke a law before the fault was mended. A change of what a run draws makes other stories of them."""
BATCHES = 8


@pytest.mark.parametrize("seed", FOUND_SOMETHING)
def test_a_seed_that_found_something_keeps_the_laws(seed: int) -> None:
    _world, broken = run_seed(seed)
    assert not broken, f"make simulate SEED={seed}"


@pytest.mark.parametrize("batch", range(BATCHES))
def test_seeds_keep_the_laws(batch: int) -> None:
    failed = run_batch(100_000 + batch * BATCH_SEEDS)
    assert not failed, "; ".join(f"make simulate SEED={seed}" for seed, _broken in failed)


@pytest.mark.parametrize("seed", range(5))
def test_a_seed_tells_the_same_story_each_time(seed: int) -> None:
    first, second = run_seed(seed)[0], run_seed(seed)[0]
    assert first.trace_hash() == second.trace_hash()


@pytest.mark.parametrize("name", ["begin_post", "order"])
def test_a_broken_engine_is_seen(name: str) -> None:
    assert any(run_seed(seed, change_engine=SABOTAGES[name])[1] for seed in range(200))
