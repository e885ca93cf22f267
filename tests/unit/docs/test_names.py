"""Each path, module and setting that the pages mention exists."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.cli import COMMANDS
from tests.support.commands import ROOT

FOLDERS = ("ingest", "tests", "docs", "fixtures", "benchmarks", "tools")
PAGES = sorted(
    path
    for pattern in (
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "docs/*.md",
        "docs/decisions/*.md",
        "fixtures/README.md",
    )
    for path in ROOT.glob(pattern)
)
SETTINGS = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE))
NO_SETTING_OF_THE_TABLE = {"INGEST_CONFIG", "RAVENNA_API_TOKEN_FILE", "INGEST_SIGNING_KEY_FILE"}

_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\((?!\w+:)([^)#]+)[^)]*\)")
_PATH = re.compile(r"[\w./-]*\w\.(?:py|md|toml|txt|json|sql)|(?:ingest|tests|docs|fixtures|benchmarks|tools)/[\w./-]+")
_MODULE = re.compile(r"ingest(?:\.[a-z_]\w*)*(?:\.[A-Z]\w*)?(?:\.\w+)*")
_MADE_BY_OPERATORS = re.compile(r"NAME|^mail\.|\.example|^/")


def _resolves(path: str, page: Path) -> bool:
    """Whether the path exists from the root, from the page, or (a bare file name) below a folder of ours."""
    if (ROOT / path).exists() or (page.parent / path).exists():
        return True
    return any(found for folder in FOLDERS for found in (ROOT / folder).rglob(path))


def _paths(page: Path) -> Iterator[str]:
    text = page.read_text("utf-8")
    for code in _CODE.findall(text):
        yield from (word for word in code.split() if _PATH.fullmatch(word) and not _MADE_BY_OPERATORS.search(word))
    yield from _LINK.findall(text)


def _missing_part(name: str) -> str | None:
    """Return the first part of a dotted name that is neither a module nor an attribute."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        try:
            spec = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            continue
        if spec is None:
            continue
        value: object = importlib.import_module(module)
        for part in parts[length:]:
            if not hasattr(value, part) and part not in getattr(value, "__annotations__", {}):
                return part
            value = getattr(value, part, None)
        return None
    return name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_path_that_a_page_names_exists(page: Path) -> None:
    assert [path for path in _paths(page) if not _resolves(path, page)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_module_class_and_function_that_a_page_names_exists(page: Path) -> None:
    names = [code for code in _CODE.findall(page.read_text("utf-8")) if "." in code and _MODULE.fullmatch(code)]
    names = [name for name in names if not _PATH.fullmatch(name)]
    assert [name for name in names if _missing_part(name) is not None] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_file_of_tests_and_each_test_that_a_page_names_without_its_path_exists(page: Path) -> None:
    named = {code for code in _CODE.findall(page.read_text("utf-8")) if re.fullmatch(r"test_\w+", code)}
    assert {name for name in named if not any((ROOT / "tests").rglob(f"{name}.py"))} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_setting_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"\b(?:INGEST|RAVENNA)_[A-Z_]*[A-Z]\b", page.read_text("utf-8")))
    assert named - SETTINGS - NO_SETTING_OF_THE_TABLE == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_command_that_a_page_names_exists(page: Path) -> None:
    named = {word for code in _CODE.findall(page.read_text("utf-8")) for word in re.findall(r"^ingest ([a-z]+)", code)}
    assert named <= COMMANDS.keys()
