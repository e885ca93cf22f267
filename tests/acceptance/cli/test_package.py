"""The package away from its checkout: the wheel is built, unpacked, and run in an empty folder."""

import os
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest import __version__
from tests.support.commands import ROOT

SECONDS = 30.0
SCRIPTS = ("ingest", "email-ingest")

RUN_SCRIPT = """
import sys
from importlib.metadata import distribution
import ingest
assert ingest.__file__.startswith(sys.argv[1]), ingest.__file__
(script,) = distribution("email-ingest").entry_points.select(group="console_scripts", name=sys.argv[2])
sys.argv[:3] = [sys.argv[2]]
script.load()()
"""
"""What the script that an installer makes does, with a look at which copy of the package it runs."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without the network: hatchling is one of the development packages."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def command(installed: Path, script: str, *words: str) -> list[str]:
    return [sys.executable, "-c", RUN_SCRIPT, str(installed), script, *words]


def environment(installed: Path, **settings: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed), **settings}


@pytest.fixture
def sandbox_output(installed: Path, tmp_path: Path) -> Iterator[Iterator[str]]:
    """The lines that ``ingest serve --sandbox`` prints in an empty folder; it is stopped at the end."""
    listeners = {"INGEST_SMTP_LISTEN": "127.0.0.1:0", "INGEST_HTTP_LISTEN": "127.0.0.1:0"}
    with subprocess.Popen(
        command(installed, "ingest", "serve", "--sandbox"),
        env=environment(installed, INGEST_SANDBOX_LISTEN="127.0.0.1:0", **listeners),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield iter(process.stdout)
        finally:
            process.terminate()
            assert process.wait(SECONDS) == 0


def test_the_wheel_has_what_is_no_python_file_but_needed(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    needed = [*(ROOT / "ingest").rglob("*.sql"), *(ROOT / "ingest").rglob("*.toml"), *(ROOT / "ingest").rglob("*.json")]
    assert {str(path.relative_to(ROOT)) for path in needed} <= names
    assert "ingest/py.typed" in names
    info = f"email_ingest-{__version__}.dist-info"
    assert {f"{info}/licenses/LICENSE", f"{info}/licenses/ingest/parse/charsets/UNICODE-LICENSE.txt"} <= names


def test_the_wheel_carries_no_tests_and_no_fixtures(wheel: Path) -> None:
    assert {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()} == {
        "ingest",
        f"email_ingest-{__version__}.dist-info",
    }


@pytest.mark.parametrize("script", SCRIPTS)
def test_both_scripts_are_the_same_program(installed: Path, tmp_path: Path, script: str) -> None:
    told = subprocess.run(
        command(installed, script, "--version"),
        env=environment(installed),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == f"ingest {__version__}\n"


@pytest.mark.timeout(SECONDS)
def test_in_an_empty_folder_the_worker_runs_beside_the_sandbox_and_its_tickets(sandbox_output: Iterator[str]) -> None:
    page = next(line.split()[-1] for line in sandbox_output if line.startswith("and look at "))
    with urllib.request.urlopen(page, timeout=SECONDS) as answer:
        assert "TAI-42" in answer.read().decode()
