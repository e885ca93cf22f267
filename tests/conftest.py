"""Reads all output of the test run: no secret and no full address may stand in what the worker writes.

pytest captures what each test writes, and the processes that it starts. A test that passed fails here if its output has
something private in it. The reasons of outcomes are read where the store is told them: operators and logs see them.
"""

import signal
from collections.abc import Generator
from typing import Any

import pytest
import structlog

from ingest.store.messages import Store
from tests.support.private_output import private_in

_MAX_SHOWN = 5
_reasons: list[str] = []
"""What the store was told since the last test."""


def pytest_configure() -> None:
    """Have the store note each reason that it is told, and the processes of tests hear SIGINT: a shell that runs the
    tests in the background has all of them ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    settle = Store.settle

    async def settle_and_note(self: Store, queue_id: str, lease_token: str, outcome: Any, **facts: Any) -> bool:
        _reasons.append(getattr(outcome, "reason", ""))
        return await settle(self, queue_id, lease_token, outcome, **facts)

    Store.settle = settle_and_note  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _log_is_configured_anew() -> None:
    """Log to the output of this test: a command that an earlier one ran in this process logs to a file that is closed
    by now. Without settings, structlog writes the local variables of each frame, which the worker never does."""
    structlog.reset_defaults()
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test in whose output or reasons something private stands."""
    report = yield
    if not report.passed:
        return report
    written = [text for name, text in report.sections if name.endswith(report.when)]
    found = private_in("\n".join([*written, *_reasons]))
    _reasons.clear()
    if found:
        report.outcome = "failed"
        report.longrepr = f"its output or a reason has {'; '.join(found[:_MAX_SHOWN])}"
    return report
