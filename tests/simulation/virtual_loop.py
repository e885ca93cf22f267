"""An event loop on a virtual clock that runs ready callbacks in a seeded random order and can stop at any of them.

asyncio promises no order between tasks that are ready at the same time, so each order that this loop picks is one that
may happen. Time stands still while anything is ready and jumps to the next timer when nothing is, so an hour of waiting
costs nothing. There is no input or output: what a simulated program talks to is simulated, too.
"""

import asyncio
import heapq
from collections.abc import Coroutine, Generator
from contextlib import suppress
from itertools import count
from random import Random
from typing import Any

MAX_STEPS = 2_000_000
"""Callbacks that one run may take: a program that never ends fails the run instead of hanging the tests."""


class Crashed(Exception):
    """The simulated process was killed at the step that was chosen."""


class Stuck(Exception):
    """Nothing is ready and no timer is set, but the program has not ended."""


class NumberedTask(asyncio.Task[Any]):
    """A task whose hash is its number, so that sets of tasks have the same order in every run of a seed."""

    def __new__(cls, _coroutine: object, *, loop: "VirtualLoop", **_more: object) -> "NumberedTask":
        task = super().__new__(cls)
        task.number = next(loop.task_numbers)
        return task

    number: int

    def __hash__(self) -> int:
        return self.number


def _new_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> NumberedTask:
    return NumberedTask(coroutine, loop=loop, **more)  # type: ignore[arg-type]


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs one ready callback at a time, chosen by ``random``.

    Args:
        random: the only source of chance; the same seed gives the same run.
        start: the virtual time in seconds at which the loop begins.
    """

    def __init__(self, random: Random, *, start: float = 0.0) -> None:
        super().__init__()
        self._random = random
        self._virtual_time = start
        self.steps = 0
        """Callbacks run so far."""
        self.crash_at: int | None = None
        """The step at which the process is killed; ``None`` lets it live."""
        self.task_numbers = count()
        self.set_task_factory(_new_task)

    def crash_soon(self) -> None:
        """Have the process killed at the next step."""
        self.crash_at = self.steps

    def time(self) -> float:
        """The virtual time in seconds."""
        return self._virtual_time

    def _run_once(self) -> None:
        """One step: run a random ready callback, or let time jump to the next timer."""
        ready, timers = self._ready, self._scheduled  # type: ignore[attr-defined]  # fields of asyncio's base class
        while timers and (timers[0]._cancelled or timers[0]._when <= self._virtual_time):
            timer = heapq.heappop(timers)
            timer._scheduled = False
            if not timer._cancelled:
                ready.append(timer)
        if not ready:
            self._jump(timers)
            return
        self.steps += 1
        if self.crash_at is not None and self.steps >= self.crash_at:
            raise Crashed  # nothing was taken out of the queue, so every task is still there for ``abandon``
        if self.steps > MAX_STEPS:
            raise Stuck(f"more than {MAX_STEPS} steps")
        position = self._random.randrange(len(ready)) if len(ready) > 1 else 0
        handle = ready[position]
        del ready[position]
        if not handle._cancelled:
            handle._run()

    def _jump(self, timers: list[Any]) -> None:
        if self._stopping:  # type: ignore[attr-defined]
            return
        if not timers:
            raise Stuck("nothing is ready, and no timer is set")
        self._virtual_time = timers[0]._when


def run_until_crash(loop: VirtualLoop, program: Coroutine[Any, Any, None]) -> bool:
    """Run ``program`` on ``loop``; True where it ended by itself, False where the process was killed.

    A killed program runs none of its ``finally`` blocks as part of the story: its tasks are left where they were. The
    caller must make what they hold unusable and then call ``abandon``."""
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(program)
    except Crashed:
        return False
    finally:
        asyncio.set_event_loop(None)
    return True


def abandon(loop: VirtualLoop) -> None:
    """Take a killed loop's tasks apart and close it. Their ``finally`` blocks run now, at a known moment and without an
    effect, rather than whenever they are collected."""
    loop.set_exception_handler(lambda _loop, _context: None)
    for task in sorted(asyncio.all_tasks(loop), key=hash):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        coroutine = task.get_coro()
        assert isinstance(coroutine, Coroutine | Generator)
        with suppress(BaseException):
            coroutine.close()
    loop.close()
