"""Jobs for parser processes in tests: what a message must not be able to do to the worker."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path


def do(name: str, *arguments: object) -> object:
    """Do the job that the content names. ``ParsePool`` passes the name of its own job first; it is ignored."""
    content = arguments[0]
    assert isinstance(content, bytes)
    word, _, rest = content.decode().partition(" ")
    return _JOBS[word](rest)


def _loop(_rest: str) -> object:
    while True:
        pass


def _sleep(_rest: str) -> object:
    time.sleep(3600)
    return None


def _bomb(_rest: str) -> object:
    hoard = []
    while True:
        hoard.append(bytes(16 * 1024 * 1024))


def _die(_rest: str) -> object:
    os.kill(os.getpid(), signal.SIGKILL)
    return None


def _die_once(path: str) -> object:
    """Kill this process, unless the folder is gone, which says that it was killed before."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return "alive"
    return _die(path)


def _raise(_rest: str) -> object:
    raise ValueError("the customer's words")


def _evil(_rest: str) -> object:
    """Return a result that runs a program if it is unpickled without a check."""
    return Evil()


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("echo",)


_JOBS: dict[str, Callable[[str], object]] = {
    "loop": _loop,
    "sleep": _sleep,
    "bomb": _bomb,
    "die": _die,
    "die-once": _die_once,
    "raise": _raise,
    "evil": _evil,
    "echo": lambda rest: rest,
    "modules": lambda _rest: sorted(sys.modules),
    "pid": lambda _rest: os.getpid(),
    "environment": lambda _rest: sorted(os.environ),
    "descriptors": lambda _rest: sorted(int(each) for each in os.listdir("/proc/self/fd")),
    "write": lambda path: Path(path).write_bytes(b"x"),
}
