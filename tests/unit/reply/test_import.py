"""``ingest.reply`` is a library: another program uses it without what only the worker needs."""

import doctest
import subprocess
import sys

import pytest

import ingest.reply
from tests.support.measured import UNMEASURED

WORKER_ONLY = (
    *("aiosmtpd", "apsw", "httpx", "prometheus_client", "pydantic", "pydantic_settings", "rich", "starlette"),
    *("structlog", "typer", "uvicorn", "uvloop"),
)


def _printed_by(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], env=UNMEASURED, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("name", ["extract", "*"])
def test_it_imports_nothing_that_only_the_worker_needs(name: str) -> None:
    imported = set(_printed_by(f"from ingest.reply import {name}; import sys; print(*sys.modules)"))
    assert imported.isdisjoint({*WORKER_ONLY, "asyncio", "socket", "sqlite3"})
    assert not {module for module in imported if module.startswith(("ingest.config", "ingest.log", "ingest.metrics"))}


def test_it_changes_nothing_for_the_program_that_imports_it() -> None:
    program = (
        "import codecs, logging\n"
        "levels = lambda: {name: logging.getLogger(name).level for name in list(logging.root.manager.loggerDict)}\n"
        "registered = []\n"
        "codecs.register = codecs.register_error = lambda *given: registered.append(given)\n"
        "before = logging.root.level, list(logging.root.handlers)\n"
        "import ingest.reply\n"
        "assert not registered, registered\n"
        "assert (logging.root.level, list(logging.root.handlers)) == before\n"
        "assert not any(levels().values()), levels()\n"
        "print('unchanged')"
    )
    assert _printed_by(program) == ["unchanged"]


def test_its_public_names_are_what_it_promises() -> None:
    assert _printed_by("from ingest.reply import *; print(extract.__module__)") == ["ingest.reply"]


def test_its_examples_hold() -> None:
    result = doctest.testmod(ingest.reply)
    assert result.attempted >= 5
    assert result.failed == 0
