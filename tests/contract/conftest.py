"""The store contract runs on every driver in ``DRIVERS``, each time on the real thing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ingest.store import Database
from ingest.store.messages import Store
from tests.support.databases import DRIVERS, Driver


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    return DRIVERS[request.param](tmp_path)


@pytest.fixture
async def database(driver: Driver) -> AsyncIterator[Database]:
    database = driver.open()
    await database.migrate()
    yield database
    await database.close()


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)
