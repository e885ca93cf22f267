"""docs/rules.md says what the enums say."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_of_rules_is_what_the_code_says() -> None:
    page = runpy.run_path(str(ROOT / "tools" / "rules"))["page"]
    assert (ROOT / "docs" / "rules.md").read_text("utf-8") == page(), "run .venv/bin/python tools/rules"
