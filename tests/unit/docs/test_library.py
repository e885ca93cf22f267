"""The examples of docs/library.md run as written."""

import doctest
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "library.md"


def test_each_example_of_the_library_page_gives_what_the_page_says() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False)
    assert result.attempted > 5
    assert result.failed == 0
