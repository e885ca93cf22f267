"""The memory that all folders share."""

import asyncio

from ingest.sources.imap.context import MemoryBudget


async def test_who_wants_more_than_is_free_waits_until_it_is_released() -> None:
    budget = MemoryBudget(10)
    granted = await budget.reserve(7)
    waiting = asyncio.ensure_future(budget.reserve(4))
    await asyncio.sleep(0)
    assert not waiting.done()
    await budget.release(granted)
    assert await waiting == 4


async def test_a_message_larger_than_the_budget_gets_all_of_it() -> None:
    assert await MemoryBudget(10).reserve(11) == 10
