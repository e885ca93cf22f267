# The two commands of the README, and what they stand on.

.PHONY: run test simulate lint unit format mutate benchmarks clean

run: .venv/.run
	.venv/bin/ingest serve --sandbox

test: lint
	.venv/bin/pytest -n 2 --dist loadgroup --cov

# make simulate SECONDS=600; make simulate SEEDS=100000; make simulate SEED=4711 tells the story of one seed
simulate: .venv/.dev
	.venv/bin/python -m tests.simulation.run $(SEED) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(SECONDS),--seconds $(SECONDS))

lint: .venv/.dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/codespell

unit: .venv/.dev
	.venv/bin/pytest tests/unit

format: .venv/.dev
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

mutate: .venv/.dev
	.venv/bin/python tools/mutate $(MUTATE)

benchmarks: .venv/.benchmarks
	.venv/bin/python -m benchmarks.content $(CORPORA)
	.venv/bin/python -m benchmarks.parse

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*

.venv/.run: pyproject.toml constraints.txt
	tools/venv ""
	@touch $@

.venv/.benchmarks: pyproject.toml constraints.txt
	tools/venv "[dev,benchmarks]"
	@touch $@ .venv/.dev .venv/.run

.venv/.dev: pyproject.toml constraints.txt
	tools/venv "[dev]"
	@touch $@ .venv/.run
