"""tools/mutate finds what can be changed in a file, and each change gives another program."""

import runpy
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MUTATE = runpy.run_path(str(ROOT / "tools" / "mutate"))
SOURCE = b'''"""Not 1 docstring."""

_OLD = "SELECT seq FROM messages WHERE due_at <= :now AND lease_token IS NULL ORDER BY seq"


def claim(\xc3\xa4: int = 3, *, early: bool = False) -> int | None:
    if early and \xc3\xa4 is not None:
        log.info("early", count=1)
        store.release(\xc3\xa4)
    return \xc3\xa4 + 1
'''


def changes() -> set[tuple[str, str]]:
    found: list[Any] = MUTATE["find_mutants"]("ingest/x.py", SOURCE)
    return {(SOURCE[mutant.start : mutant.end].decode(), mutant.new) for mutant in found}


def test_operators_conditions_constants_statements_and_sql_are_changed() -> None:
    python = {("3", "4"), ("False", "True"), ("and", "or"), ("is not", "is"), ("+", "-"), ("1", "2")}
    sql = {("<=", "<"), ("AND", "OR"), ("IS NULL", "IS NOT NULL")}
    assert python | sql | {("store.release(ä)", "pass")} <= changes()


def test_docstrings_annotations_and_log_lines_are_left() -> None:
    assert not {old for old, _new in changes()} & {'log.info("early", count=1)', "|"}
    assert not [old for old, _new in changes() if "docstring" in old]


def test_each_area_has_files_and_tests_that_exist() -> None:
    for area, groups in MUTATE["AREAS"].items():
        assert list(MUTATE["area_files"](area))
        assert all((ROOT / tests).exists() for group in groups for tests in group)
