"""Remembering look-ups: for a while, so many, and one request for all who ask at once."""

import asyncio
from collections.abc import Callable

import pytest

from ingest.api.cache import Cache


class Source:
    """Answers each key with the number of the request; waits while it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        self.now = 0.0
        self.error: Exception | None = None

    async def fetch(self, key: str) -> int | None:
        self.asked.append(key)
        number = len(self.asked)
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return None if key == "nobody" else number

    def cache(self, seconds: float = 10.0, max_entries: int = 100) -> Cache[int | None]:
        return Cache(self.fetch, seconds=seconds, max_entries=max_entries, clock=lambda: self.now)


@pytest.fixture
async def source() -> Source:
    return Source()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def test_an_answer_is_remembered_until_its_time_is_over(source: Source) -> None:
    cache = source.cache(seconds=10)
    assert await cache.get("a") == 1
    source.now = 9.9
    assert await cache.get("a") == 1
    source.now = 10.0
    assert await cache.get("a") == 2


async def test_that_there_is_nothing_is_remembered_too(source: Source) -> None:
    cache = source.cache()
    assert await cache.get("nobody") is None
    assert await cache.get("nobody") is None
    assert source.asked == ["nobody"]


async def test_those_who_ask_at_the_same_time_share_one_request(source: Source) -> None:
    cache = source.cache()
    source.open.clear()
    askers = [asyncio.create_task(cache.get("a")) for _ in range(20)]
    await until(lambda: bool(source.asked))
    source.open.set()
    assert await asyncio.gather(*askers) == [1] * 20
    assert source.asked == ["a"]


async def test_one_who_gives_up_waiting_does_not_take_the_others_along(source: Source) -> None:
    cache = source.cache()
    source.open.clear()
    first, second = asyncio.create_task(cache.get("a")), asyncio.create_task(cache.get("a"))
    await until(lambda: bool(source.asked))
    first.cancel()
    source.open.set()
    assert await second == 1
    assert first.cancelled() or first.cancelling()


async def test_an_error_reaches_all_who_wait_and_is_not_remembered(source: Source) -> None:
    cache = source.cache()
    source.error = RuntimeError("not now")
    results = await asyncio.gather(cache.get("a"), cache.get("a"), return_exceptions=True)
    assert [str(result) for result in results] == ["not now", "not now"]
    source.error = None
    assert await cache.get("a") == 2


async def test_the_oldest_answers_make_room_for_new_ones(source: Source) -> None:
    cache = source.cache(max_entries=2)
    for key in ("a", "b", "c"):
        await cache.get(key)
    assert await cache.get("c") == 3
    assert await cache.get("a") == 4


async def test_what_is_forgotten_is_asked_for_again(source: Source) -> None:
    cache = source.cache()
    await cache.get("a")
    cache.forget("a")
    assert await cache.get("a") == 2


async def test_closing_ends_the_requests_under_way(source: Source) -> None:
    cache = source.cache()
    source.open.clear()
    asker = asyncio.create_task(cache.get("a"))
    await until(lambda: bool(source.asked))
    await cache.close()
    with pytest.raises(asyncio.CancelledError):
        await asker
