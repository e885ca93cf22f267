"""The index of the decisions names each of them, with its title, date and status."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "docs" / "decisions"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
_PAGE = re.compile(r"# (?P<title>.+)\n\n\*(?P<date>\d{4}-\d\d-\d\d), (?P<status>[^*]+)\.\*\n")
_ROW = re.compile(r"^\| (\d{4}-\d\d-\d\d) \| \[(.+)\]\((.+\.md)\) \| (.+) \|$", re.MULTILINE)


def rows() -> dict[str, tuple[str, str, str]]:
    index = (FOLDER / "README.md").read_text("utf-8")
    return {name: (date, title, status) for date, title, name, status in _ROW.findall(index)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_decision_is_in_the_index_with_its_date_title_and_status(page: Path) -> None:
    head = _PAGE.match(page.read_text("utf-8"))
    assert head is not None, "the page begins with '# title', an empty line and '*date, status.*'"
    assert rows().get(page.name) == (head["date"], head["title"], head["status"])


def test_the_index_names_no_page_that_is_not_there() -> None:
    assert rows().keys() == {page.name for page in PAGES}
