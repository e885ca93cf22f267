"""The parser as a library: what importing it loads and what it leaves alone."""

import doctest
import subprocess
import sys

import ingest.parse
from tests.support.measured import UNMEASURED

WORKER_ONLY = "aiosmtpd apsw httpx pydantic prometheus_client rich starlette structlog typer uvicorn ingest.log".split()  # noqa: SIM905 a list of words reads better

IMPORT = f"""
import sys
from ingest.parse import parse
loaded = [name for name in {WORKER_ONLY!r} if name in sys.modules]
assert not loaded, loaded
assert parse(b"From: alice@customer.example\\n\\nHello").text == "Hello"
loaded = [name for name in {WORKER_ONLY!r} if name in sys.modules]
assert not loaded, loaded
"""

REGISTERED = """
import codecs, logging
registered = []
for name in ("register", "register_error"):
    setattr(codecs, name, lambda *arguments, name=name: registered.append(arguments[-1].__module__))
import ingest.parse
ours = [module for module in registered if module.startswith("ingest")]
assert not ours, ours
assert logging.getLogger("mailparser").level == logging.NOTSET
"""


def _run(program: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", program], env=UNMEASURED, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_the_example_in_the_package_gives_what_it_says() -> None:
    result = doctest.testmod(ingest.parse)
    assert result.attempted > 5
    assert result.failed == 0


def test_parsing_loads_nothing_that_only_the_worker_needs() -> None:
    _run(IMPORT)


def test_importing_the_parser_registers_no_codec_and_no_error_handler_and_sets_no_log_level() -> None:
    _run(REGISTERED)
