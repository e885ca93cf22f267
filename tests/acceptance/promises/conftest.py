from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.sandbox_worker import World, new_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A world whose worker waits seconds where a real one waits up to a minute."""
    async with new_world(tmp_path) as made:
        made.environment |= {
            "INGEST_API_TIMEOUT": "2",
            "INGEST_API_LOOKUP_TIMEOUT": "2",
            "INGEST_SETTLE": "1",
            "INGEST_SECOND_LOOK": "1",
        }
        yield made
