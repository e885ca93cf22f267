"""Each test of the listener runs on both event loops: uvloop, which the worker uses, and asyncio's own."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

from tests.support.smtp import Inbox


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()
