"""Running commands of ``ingest`` in tests: within this process, or as a process of its own."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from ingest import cli
from tests.support.measured import MEASURED

ROOT = Path(__file__).parents[2]
SECONDS = 60.0
NO_DNS = {"INGEST_DNS_SERVERS": "none"}
"""The only setting that all commands have: tests ask no DNS but one of their own."""


@dataclass(frozen=True, slots=True)
class Told:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The only line on standard error."""
        (line,) = self.err.splitlines()
        return line


class Shell:
    """Runs commands in this process, with no other settings than ``environment`` and ``NO_DNS``."""

    def __init__(self, capsys: pytest.CaptureFixture[str], environment: Mapping[str, str]) -> None:
        self._capsys = capsys
        self.environment = dict(environment)

    def __call__(self, *words: str | Path, **changed: str) -> Told:
        with (
            mock.patch.dict(os.environ, NO_DNS | self.environment | changed, clear=True),
            pytest.raises(SystemExit) as end,
        ):
            cli.main([str(word) for word in words])
        captured = self._capsys.readouterr()
        assert isinstance(end.value.code, int)
        return Told(int(end.value.code), captured.out, captured.err)


def run(*words: str | Path, **environment: str) -> Told:
    """Run a command as a process of its own, with no other settings than ``environment`` and ``NO_DNS``."""
    ended = subprocess.run(
        [sys.executable, "-m", "ingest", *map(str, words)],
        env={"PATH": os.environ["PATH"], **MEASURED, **NO_DNS, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return Told(ended.returncode, ended.stdout, ended.stderr)


async def run_beside(*words: str | Path, **environment: str) -> Told:
    """``run``, while the event loop of the test goes on."""
    return await asyncio.to_thread(run, *words, **environment)
