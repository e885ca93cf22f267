"""The drawings and the table of answers in docs/architecture.md say what the code says."""

import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from ingest.model.outcome import Outcome, State
from ingest.store.operator import DISCARDABLE, RETRIABLE

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
ANSWERS = re.findall(r"^\| ([^|]+\?) \| (.+) \|$", PAGE, re.MULTILINE)


def modules(layer: str) -> set[str]:
    return {name.strip().strip("()").removeprefix("ingest.") for name in re.split(r"[|·:]", layer)}


def test_the_layers_drawn_are_those_that_lint_checks() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    drawn = re.findall(r"L\d+\[\"([^\"]+)\"\]", PAGE)
    assert [modules(layer) for layer in drawn] == [modules(layer) for layer in layers]


def test_the_arrows_between_layers_point_down_from_each_to_the_next() -> None:
    arrows = re.findall(r"L(\d+)(?:\[[^\]]*\])? --> L(\d+)", PAGE)
    assert [(int(upper), int(lower)) for upper, lower in arrows] == [(n, n + 1) for n in range(1, len(arrows) + 1)]


def test_the_states_drawn_and_their_changes_are_those_of_the_code() -> None:
    drawn = set(re.findall(r"^    (\w+) --> (\w+)(?: :|$)", PAGE, re.MULTILINE))
    settled = {(State.QUEUED.value, kind.state.value) for kind in get_args(Outcome)}
    again = {(state.value, State.QUEUED.value) for state in RETRIABLE}
    ended = {(state.value, State.DISCARDED.value) for state in DISCARDABLE}
    assert drawn == settled | again | ended | {(State.WAITING.value, State.QUARANTINED.value)}


def test_every_crash_point_has_its_row_and_its_test() -> None:
    points = re.findall(r"^\| (C\d) \|", PAGE, re.MULTILINE)
    assert points == ["C1", "C2", "C3", "C4", "C5", "C6"]


@pytest.mark.parametrize(("question", "answer"), ANSWERS, ids=[question for question, _ in ANSWERS])
def test_each_path_of_an_answer_exists(question: str, answer: str) -> None:
    paths = re.findall(r"`((?:ingest|tests|docs|fixtures)/[^`\s]*)`", answer)
    assert paths or "INGEST_" in answer or "pytest" in answer
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_each_page_of_the_index_exists_and_each_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    linked = {(ROOT / "docs" / link).resolve() for link in re.findall(r"\]\(([^)]+)\)", index)}
    assert {path for path in linked if not path.exists()} == set()
    assert {path.resolve() for path in (ROOT / "docs").glob("*.md")} - {ROOT / "docs" / "README.md"} <= linked


def test_the_glossary_has_each_word_once_and_in_order() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    words = re.findall(r"^\| \*\*(.+?)\*\* \|", glossary, re.MULTILINE)
    assert words == sorted(set(words), key=str.lower)
