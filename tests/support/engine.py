"""A whole worker without its sources, beside a stand-in of the ticket API: what acceptance tests put mail into."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ingest.app import Engine, start_engine
from ingest.config.settings import load
from ingest.sandbox import Sandbox
from tests.support.fixture_mails import DOMAIN, FALLBACK_AUTHOR, SANDBOX, SIGNING_KEY

Environment = Mapping[str, str]


def environment(sandbox: Sandbox, database: Path) -> dict[str, str]:
    """Settings of a worker that works for ``sandbox``. No mail of the tests is signed, so that nothing is known of any
    sender: that is to be enough, but where trust is what a test is about."""
    return {
        "RAVENNA_API_URL": sandbox.url,
        "RAVENNA_API_TOKEN": sandbox.token,
        "INGEST_DATABASE_URL": f"sqlite:///{database}",
        "INGEST_DOMAINS": DOMAIN,
        "INGEST_SIGNING_KEY": SIGNING_KEY,
        "INGEST_FALLBACK_AUTHOR_ID": FALLBACK_AUTHOR,
        "INGEST_PARSE_CHILDREN": "1",
        "INGEST_DNS_SERVERS": "none",
        "INGEST_AUTHENTICATION": "advisory",
        "INGEST_LOOP_EQUAL": "0",
        "INGEST_LOOP_SENDER": "0",
        "INGEST_LOOP_TICKET": "0",
    }


@asynccontextmanager
async def started(database: Path, **changed: str) -> AsyncIterator[tuple[Engine, Sandbox]]:
    """A sandbox with the fixtures' tickets, and an engine that works for it; ``changed`` are settings."""
    async with (
        Sandbox(data=SANDBOX) as sandbox,
        start_engine(load(environment(sandbox, database) | changed)) as engine,
    ):
        yield engine, sandbox


async def told_by(settings: Environment, *command: str) -> list[dict[str, Any]]:
    """What a command of ``ingest`` prints with ``--json``, line by line. Its exit code says that it went through."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ingest", *command, "--json", env=os.environ | settings, stdout=PIPE, stderr=PIPE
    )
    printed, complained = await process.communicate()
    assert process.returncode in (0, 5, 6), complained.decode()
    return [json.loads(line) for line in printed.splitlines()]
