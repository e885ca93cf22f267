"""A whole worker without its sources, beside a stand-in of the ticket API: what acceptance tests put mail into."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ingest.app import Engine, start_engine
from ingest.config import Settings
from ingest.sandbox import Sandbox
from tests.fixture_mails import DOMAIN, FALLBACK_AUTHOR, SANDBOX, SIGNING_KEY


def settings(sandbox: Sandbox, database: Path, **changed: object) -> Settings:
    """Settings of a worker that works for ``sandbox``; ``changed`` by their names in the environment."""
    return Settings.model_validate(
        {
            "RAVENNA_API_URL": sandbox.url,
            "RAVENNA_API_TOKEN": sandbox.token,
            "INGEST_DATABASE_URL": f"sqlite:///{database}",
            "INGEST_DOMAINS": DOMAIN,
            "INGEST_SIGNING_KEY": SIGNING_KEY,
            "INGEST_FALLBACK_AUTHOR_ID": FALLBACK_AUTHOR,
            "INGEST_PARSE_CHILDREN": 1,
        }
        | changed
    )


@asynccontextmanager
async def started(database: Path, **changed: object) -> AsyncIterator[tuple[Engine, Sandbox]]:
    """A sandbox with the fixtures' tickets, and an engine that works for it."""
    async with Sandbox(data=SANDBOX) as sandbox, start_engine(settings(sandbox, database, **changed)) as engine:
        yield engine, sandbox
