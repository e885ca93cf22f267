"""Parsing in processes that can be killed: a message that would hang or exhaust the parser hurts only itself.

Each child is a fresh interpreter (nothing is forked from a process that has threads, sockets and a database), holds one
end of a socket pair and nothing else of ours, knows no secret, and does one job at a time. The parent limits its time;
the child limits its own memory, and dies with its parent. A frame is a kind, a length and a pickle; the parent
unpickles only the classes of ``ingest.model``, so that even a child that was taken over cannot reach further.
"""

import asyncio
import contextlib
import ctypes
import importlib
import io
import json
import math
import os
import pickle
import resource
import signal
import socket
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO, Any, Literal, cast

from ingest.model.message import ParsedMessage, Reply
from ingest.parse import attachments, parse
from ingest.reply import extract
from ingest.reply.plain import plain

Cause = Literal["time", "memory", "crash"]

_LENGTH = struct.Struct("<cQ")
_RESULT, _MISSING, _ERROR, _MEMORY = b"R", b"L", b"E", b"M"
_ATTEMPTS = 2
_JOBS_PER_CHILD = 10_000
_START_SECONDS = 60.0
_RESPAWN_SECONDS = 1.0
_CPU_GRACE_SECONDS = 5
_PR_SET_PDEATHSIG = 1
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ")
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from ingest.parse_pool import serve; serve(*sys.argv[2:])"
)


def _read(content: bytes) -> tuple[ParsedMessage, Reply]:
    message = parse(content)
    return message, extract(message)


_JOBS: dict[str, Callable[..., object]] = {
    "read": _read,
    "parse": parse,
    "reply": extract,
    "plain": plain,
    "attachments": attachments,
}


class PoisonMessage(Exception):
    """A message cannot be processed: it used up the time or killed its child, twice, or it used up the memory.

    Trying again would not help."""

    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause
        self.reason = str(self)


class ParsePoolStopped(Exception):
    """The pool is not running: the message is as good as before, try again later."""


class _Died(Exception):
    """The child's end of the connection is closed."""


class _ParserProcess:
    """The parent's end of one child process."""

    def __init__(self, process: "subprocess.Popen[bytes]", reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._process = process
        self._reader = reader
        self._writer = writer
        self.jobs = 0

    async def receive(self) -> tuple[bytes, bytes]:
        """The next frame: its kind and its octets."""
        try:
            kind, length = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            return kind, await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise _Died from error

    async def run(self, job: bytes) -> tuple[bytes, bytes]:
        """Do one job."""
        self.jobs += 1
        try:
            self._writer.write(_LENGTH.pack(_RESULT, len(job)))
            self._writer.write(job)
            await self._writer.drain()
        except ConnectionError as error:
            raise _Died from error
        return await self.receive()

    async def end(self) -> int:
        """Kill the process, if it lives, and tell how it ended: a negative number is a signal."""
        self._writer.close()
        self._process.kill()
        return await asyncio.to_thread(self._process.wait)

    async def exit_code(self) -> int:
        """How a process that has closed its connection ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return await asyncio.to_thread(self._process.wait, 5.0)
        return await self.end()


async def _spawn(target: str, seconds: float, memory_bytes: int) -> _ParserProcess:
    """Start a child; returns when it is ready to work.

    Raises:
        OSError, TimeoutError, _Died: it did not get so far.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        process = _start_process(theirs, target, str(math.ceil(seconds)), str(memory_bytes), str(os.getpid()))
    child = _ParserProcess(process, *await asyncio.open_unix_connection(sock=ours))
    try:
        async with asyncio.timeout(_START_SECONDS):
            await child.receive()
    except BaseException:
        await child.end()
        raise
    return child


def _start_process(connection: socket.socket, *arguments: str) -> "subprocess.Popen[bytes]":
    """A fresh interpreter that finds modules where we do, with ``connection`` as its standard input."""
    path = json.dumps([entry or os.getcwd() for entry in sys.path])
    return subprocess.Popen(
        [sys.executable, "-I", "-c", _BOOT, path, *arguments],
        stdin=connection.fileno(),
        stdout=subprocess.DEVNULL,
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        start_new_session=True,
    )


class ParsePool:
    """A pool of child processes that parse mail and take replies out of it.

    Args:
        children: how many processes.
        seconds: wall-clock time that one job may take.
        memory_bytes: address space of each process.
        target: ``module:function`` that does a job, given its name and arguments.
    """

    def __init__(
        self, *, children: int, seconds: float, memory_bytes: int, target: str = "ingest.parse_pool:do_job"
    ) -> None:
        self._size = children
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._target = target
        self._idle: list[_ParserProcess] = []
        self._busy: set[_ParserProcess] = set()
        self._waiting: deque[asyncio.Future[_ParserProcess]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = False

    async def start(self) -> None:
        """Start the processes; returns when all can work.

        Raises:
            ChildrenStopped: they cannot be started.
        """
        self._running = True
        try:
            started = [await self._new_child() for _ in range(self._size)]
        except (OSError, _Died, TimeoutError) as error:
            await self.stop()
            raise ParsePoolStopped(f"the parsing processes cannot be started: {error!r}") from error
        self._idle.extend(started)

    async def stop(self) -> None:
        """End all processes. What is running or waiting raises ``ParsePoolStopped``."""
        self._running = False
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(ParsePoolStopped("the parsing processes are being stopped"))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        ending = [*self._idle, *self._busy]
        self._idle.clear()
        self._busy.clear()
        await asyncio.gather(*(child.end() for child in ending))

    async def read(self, content: bytes) -> tuple[ParsedMessage, Reply]:
        """Parse a message and take out what the sender newly wrote, in one go. Raises as ``parse`` does."""
        return cast(tuple[ParsedMessage, Reply], await self._do("read", content))

    async def parse(self, content: bytes) -> ParsedMessage:
        """Read a message (``ingest.parse.parse``).

        Raises:
            Poisoned: it cannot be read within the limits.
            ChildrenStopped: the pool is not running.
        """
        return cast(ParsedMessage, await self._do("parse", content))

    async def reply(self, message: ParsedMessage, sent: Sequence[str] = (), written: Sequence[str] = ()) -> Reply:
        """Take out what the sender newly wrote (``ingest.reply.extract``). Raises as ``parse`` does."""
        return cast(Reply, await self._do("reply", message, tuple(sent), tuple(written)))

    async def plain(self, markdown: str) -> str:
        """Markdown of ours as plain text (``ingest.reply.plain``). Raises as ``parse`` does."""
        return cast(str, await self._do("plain", markdown))

    async def attachments(self, content: bytes, parts: Sequence[int]) -> tuple[bytes, ...]:
        """The octets of attachments (``ingest.parse.attachments``).

        Raises:
            LookupError: there is no such part. Else as ``parse`` does.
        """
        return cast(tuple[bytes, ...], await self._do("attachments", content, tuple(parts)))

    async def _do(self, *job: object) -> object:
        """One job, and once more where its child died or was too slow: it may have been killed for another's sake."""
        failure: PoisonMessage | None = None
        for _ in range(_ATTEMPTS):
            child = await self._take()
            try:
                async with asyncio.timeout(self._seconds):
                    kind, octets = await child.run(pickle.dumps(job, protocol=5))
            except TimeoutError:
                self._replace(child)
                failure = PoisonMessage("time", f"took more than {self._seconds:g} seconds")
            except _Died:
                self._replace(child)
                failure = await self._diagnose(child)
            except BaseException:
                self._replace(child)
                raise
            else:
                return self._settle(child, kind, octets)
        assert failure is not None
        raise failure

    async def _diagnose(self, child: _ParserProcess) -> PoisonMessage:
        """What the death of a child says about its message."""
        if not self._running:
            raise ParsePoolStopped("the parsing processes are being stopped")
        code = await child.exit_code()
        if code == -signal.SIGXCPU:
            return PoisonMessage("time", f"used more than {self._seconds:g} seconds of the processor")
        return PoisonMessage("crash", f"the parsing process died twice, last with {_name_of(code)}")

    def _settle(self, child: _ParserProcess, kind: bytes, octets: bytes) -> object:
        if kind == _MEMORY:
            self._replace(child)
            raise PoisonMessage("memory", f"needed more than {self._memory_bytes} octets")
        if child.jobs >= _JOBS_PER_CHILD:
            self._replace(child)
        else:
            self._give(child)
        if kind == _MISSING:
            raise LookupError(octets.decode())
        if kind == _ERROR:
            raise PoisonMessage("crash", octets.decode())
        return _load(octets)

    async def _new_child(self) -> _ParserProcess:
        return await _spawn(self._target, self._seconds, self._memory_bytes)

    async def _take(self) -> _ParserProcess:
        if not self._running:
            raise ParsePoolStopped("the parsing processes are not running")
        if self._idle:
            child = self._idle.pop()
        else:
            waiter: asyncio.Future[_ParserProcess] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                child = await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                    self._give(waiter.result())
                raise
        self._busy.add(child)
        return child

    def _give(self, child: _ParserProcess) -> None:
        self._busy.discard(child)
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(child)
                return
        self._idle.append(child)

    def _replace(self, child: _ParserProcess) -> None:
        """End a child and start another in its place, while the caller goes on."""
        self._busy.discard(child)
        task = asyncio.create_task(self._replace_now(child))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _replace_now(self, child: _ParserProcess) -> None:
        await child.end()
        while self._running:
            try:
                self._give(await self._new_child())
            except (OSError, _Died, TimeoutError):
                await asyncio.sleep(_RESPAWN_SECONDS)  # no memory or no process to be had: that passes
            else:
                return


def _name_of(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit status {code}"


class _ResultUnpickler(pickle.Unpickler):
    """Loads classes that are defined in ``ingest.model`` and plain values. Anything else raises ``UnpicklingError``."""

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("ingest.model."):
            found = super().find_class(module, name)
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise pickle.UnpicklingError(f"a parser process sent {module}.{name}")


def _load(octets: bytes) -> object:
    try:
        return _ResultUnpickler(io.BytesIO(octets)).load()
    except Exception as error:
        raise PoisonMessage("crash", f"the parsing process gave a result that cannot be read: {error}") from error


# What follows runs in the child.


def do_job(name: str, *arguments: Any) -> object:
    """Do one job of ``ParsePool``."""
    return _JOBS[name](*arguments)


def serve(target: str, seconds: str, memory_bytes: str, parent: str) -> None:
    """Do the jobs that come in on standard input's socket, until it is closed."""
    _die_with_parent(int(parent))
    module, _, function = target.partition(":")
    do = getattr(importlib.import_module(module), function)
    _limit(int(memory_bytes))
    with socket.socket(fileno=0) as connection:
        stream = cast("IO[bytes]", connection.makefile("rwb", buffering=1 << 20))
        _send(stream, _RESULT, b"")
        while _do_next(stream, do, int(seconds)):
            pass


def _die_with_parent(parent: int) -> None:
    """Linux kills us when the parent's thread ends; elsewhere the closed socket ends us after the job."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


def _limit(memory_bytes: int) -> None:
    """Memory, and what a parser has no need of: files to write, core dumps."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _do_next(stream: IO[bytes], do: Callable[..., object], seconds: int) -> bool:
    """Do one job; whether there may be another."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return False
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = math.ceil(used.ru_utime + used.ru_stime) + seconds + _CPU_GRACE_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
    try:
        job = pickle.loads(stream.read(_LENGTH.unpack(head)[1]))  # noqa: S301 it comes from our parent
        kind, octets = _RESULT, pickle.dumps(do(*job), protocol=5)
    except MemoryError:
        kind, octets = _MEMORY, b""
    except Exception as error:
        kind = _MISSING if type(error) is LookupError else _ERROR
        octets = (str(error) if kind == _MISSING else type(error).__name__).encode()
    _send(stream, kind, octets)
    return kind != _MEMORY


def _send(stream: IO[bytes], kind: bytes, octets: bytes) -> None:
    stream.write(_LENGTH.pack(kind, len(octets)))
    stream.write(octets)
    stream.flush()
