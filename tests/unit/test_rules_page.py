"""The generated pages say what the code says."""

import runpy
import tomllib
from pathlib import Path

from ingest import policy

ROOT = Path(__file__).parents[2]


def test_the_page_of_rules_is_what_the_code_says() -> None:
    page = runpy.run_path(str(ROOT / "tools" / "rules"))["page"]
    assert (ROOT / "docs" / "rules.md").read_text("utf-8") == page(), "run .venv/bin/python tools/rules"


def test_the_page_of_decisions_is_what_the_code_decides() -> None:
    page = runpy.run_path(str(ROOT / "tools" / "rules"))["decision_page"]
    assert (ROOT / "docs" / "decision-table.md").read_text("utf-8") == page(), "run .venv/bin/python tools/rules"


def test_the_table_on_the_page_of_decisions_can_be_put_into_the_settings_file() -> None:
    page = (ROOT / "docs" / "decision-table.md").read_text("utf-8")
    block = page.partition("```toml\n")[2].partition("```")[0]
    assert policy.read_table(tomllib.loads(block)["decision"]) == policy.DECISION_TABLE
