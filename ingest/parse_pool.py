"""Runs the parser in separate processes that can be killed, so that a message that hangs or exhausts it hurts no other.

Each parser process is a fresh interpreter: forking a process that has threads, sockets and a database is not safe. It
holds one end of a socket pair and no other descriptor of ours, knows no secret, and does one job at a time. The worker
limits the time of a job; the parser process limits its own memory, and ends when the worker ends. A frame on the socket
is a kind (one byte), a length (eight bytes) and a pickle. The worker unpickles only classes of ``ingest.model``, so
that a parser process that was taken over by a hostile message cannot run code in the worker.
"""

import asyncio
import contextlib
import io
import json
import math
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from enum import Enum, EnumType
from typing import Any, Literal, cast

from ingest import metrics
from ingest.model.message import ParsedMessage, Reply
from ingest.model.signatures import DkimKeyName, DkimSignature
from ingest.parse_process import FRAME_HEAD, FrameKind

Cause = Literal["time", "memory", "crash"]

_MAX_ATTEMPTS = 2
"""How often a job is tried. The first failure may be another's fault: the kernel kills any process when memory is
short."""
_MAX_JOBS_PER_PROCESS = 10_000
"""Jobs after which a process is replaced. It bounds leaks of the libraries, and spreads the cost of a start over
many jobs."""
_START_SECONDS = 60.0
"""Time for a process to start and import the parser. Far more than it needs, because a loaded machine is slow."""
_EXIT_SECONDS = 5.0
"""How long a process that has closed its connection may take to end before it is killed."""
_RESTART_SECONDS = 1.0
"""Pause before a failed start is tried again: long enough not to load a machine that lacks memory or processes."""
_PASSED_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ")
_BOOT = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from ingest.parse_process import serve
serve(*sys.argv[2:])
"""
"""Program of a parser process: takes over our module path, which ``python -I`` does not have, and serves."""


class PoisonMessage(Exception):
    """A message that cannot be processed: it ran out of time or ended its parser process, twice, or ran out of memory.

    Trying again would not help. ``cause`` is ``time``, ``memory`` or ``crash``; ``reason`` is a sentence for people."""

    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause
        self.reason = str(self)


class ParsePoolStopped(Exception):
    """The pool is not running. That says nothing of the message: the job can be tried again later."""


class _ProcessEnded(Exception):
    """The parser process has closed its end of the connection."""


class _ParserProcess:
    """The worker's handle to one parser process."""

    def __init__(self, process: "subprocess.Popen[bytes]", reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._process = process
        self._reader = reader
        self._writer = writer
        self.jobs = 0
        """How many jobs it has been given."""

    async def receive(self) -> tuple[bytes, bytes]:
        """Read the next frame and return its kind and its content.

        Raises:
            _ProcessEnded: the process has closed the connection.
        """
        try:
            kind, length = FRAME_HEAD.unpack(await self._reader.readexactly(FRAME_HEAD.size))
            return kind, await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise _ProcessEnded from error

    async def run(self, job: bytes) -> tuple[bytes, bytes]:
        """Send one pickled job and return the kind and content of the answer. Raises as ``receive`` does."""
        self.jobs += 1
        try:
            self._writer.write(FRAME_HEAD.pack(FrameKind.RESULT, len(job)))
            self._writer.write(job)
            await self._writer.drain()
        except ConnectionError as error:
            raise _ProcessEnded from error
        return await self.receive()

    async def end(self) -> int:
        """Kill the process if it still runs, and return its exit code (negative: the number of a signal)."""
        self._writer.close()
        self._process.kill()
        return await asyncio.to_thread(self._process.wait)

    async def exit_code(self) -> int:
        """Wait for a process that has closed its connection, and return its exit code. Kills it after a few seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return await asyncio.to_thread(self._process.wait, _EXIT_SECONDS)
        return await self.end()


async def _start_parser_process(target: str, seconds: float, memory_bytes: int) -> _ParserProcess:
    """Start a parser process and return when it is ready for jobs.

    Raises:
        OSError: the system cannot start a process.
        TimeoutError: it was not ready within ``_START_SECONDS``.
        _ProcessEnded: it ended while it started.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        interpreter = _start_interpreter(theirs, target, str(math.ceil(seconds)), str(memory_bytes), str(os.getpid()))
    process = _ParserProcess(interpreter, *await asyncio.open_unix_connection(sock=ours))
    try:
        async with asyncio.timeout(_START_SECONDS):
            await process.receive()
    except BaseException:
        await process.end()
        raise
    return process


def _start_interpreter(connection: socket.socket, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start a fresh interpreter with our module path, and with ``connection`` as its standard input."""
    path = json.dumps([entry or os.getcwd() for entry in sys.path])
    return subprocess.Popen(
        [sys.executable, "-I", "-c", _BOOT, path, *arguments],
        stdin=connection.fileno(),
        stdout=subprocess.DEVNULL,
        env={name: os.environ[name] for name in _PASSED_ENVIRONMENT if name in os.environ},
        start_new_session=True,
    )


class ParsePool:
    """A pool of parser processes, which parse mail and extract replies.

    Args:
        processes: how many parser processes to keep.
        seconds: wall-clock time that one job may take.
        memory_bytes: limit of the address space of each process.
        target: ``module:function`` that does a job, given its name and arguments.
    """

    def __init__(
        self, *, processes: int, seconds: float, memory_bytes: int, target: str = "ingest.parse_process:do_job"
    ) -> None:
        self._size = processes
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._target = target
        self._idle: list[_ParserProcess] = []
        self._busy: set[_ParserProcess] = set()
        self._waiting: deque[asyncio.Future[_ParserProcess]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = False

    async def start(self) -> None:
        """Start the processes and return when all are ready.

        Raises:
            ParsePoolStopped: a process cannot be started.
        """
        self._running = True
        try:
            started = [await self._new_process() for _ in range(self._size)]
        except (OSError, _ProcessEnded, TimeoutError) as error:
            await self.stop()
            raise ParsePoolStopped(f"the parsing processes cannot be started: {error!r}") from error
        self._idle.extend(started)

    async def stop(self) -> None:
        """End all processes. Jobs that run or wait raise ``ParsePoolStopped``."""
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
        await asyncio.gather(*(process.end() for process in ending))

    async def parse_and_extract(self, content: bytes) -> tuple[ParsedMessage, Reply]:
        """Parse a message and extract what its sender newly wrote, in one job.

        Raises:
            PoisonMessage: it cannot be processed within the limits.
            ParsePoolStopped: the pool is not running.
        """
        return cast(tuple[ParsedMessage, Reply], await self._run_job("parse_and_extract", content))

    async def reply(self, message: ParsedMessage, sent: Sequence[str] = (), written: Sequence[str] = ()) -> Reply:
        """Extract what the sender newly wrote (``ingest.reply.extract``). Raises as ``parse_and_extract`` does."""
        return cast(Reply, await self._run_job("reply", message, tuple(sent), tuple(written)))

    async def plain(self, markdown: str) -> str:
        """Turn Markdown that ``extract`` made into plain text. Raises as ``parse_and_extract`` does."""
        return cast(str, await self._run_job("plain", markdown))

    async def attachment_bytes(self, content: bytes, part_numbers: Sequence[int]) -> tuple[bytes, ...]:
        """Return the decoded bytes of attachments (``ingest.parse.attachment_bytes``).

        Raises:
            LookupError: the message has no part of that number. Otherwise raises as ``parse_and_extract`` does.
        """
        return cast(tuple[bytes, ...], await self._run_job("attachment_bytes", content, tuple(part_numbers)))

    async def verify_dkim(
        self, content: bytes, keys: Mapping[DkimKeyName, Sequence[str]], received_at: float
    ) -> tuple[DkimSignature, ...]:
        """Verify those DKIM signatures of a message whose ``keys`` (TXT records by name) are given, as of the Unix time
        ``received_at``. Raises as ``parse_and_extract`` does."""
        job = ("verify_dkim", content, dict(keys), received_at)
        return cast(tuple[DkimSignature, ...], await self._run_job(*job))

    async def _run_job(self, *job: object) -> object:
        """Do a job, and try it once more where its process ended or was too slow: that may be another's fault."""
        failure: PoisonMessage | None = None
        for _ in range(_MAX_ATTEMPTS):
            process = await self._acquire()
            try:
                with metrics.PARSE_SECONDS.time():
                    async with asyncio.timeout(self._seconds):
                        kind, content = await process.run(pickle.dumps(job, protocol=5))
            except TimeoutError:
                self._replace(process)
                failure = _ended_by_message("time", f"took more than {self._seconds:g} seconds")
            except _ProcessEnded:
                self._replace(process)
                failure = await self._diagnose(process)
            except BaseException:
                self._replace(process)
                raise
            else:
                return self._result(process, kind, content)
        assert failure is not None
        raise failure

    async def _diagnose(self, process: _ParserProcess) -> PoisonMessage:
        """Return what the exit code of an ended process says about its message."""
        if not self._running:
            raise ParsePoolStopped("the parsing processes are being stopped")
        code = await process.exit_code()
        if code == -signal.SIGXCPU:
            return _ended_by_message("time", f"used more than {self._seconds:g} seconds of the processor")
        return _ended_by_message("crash", f"the parsing process died twice, last with {_exit_reason(code)}")

    def _result(self, process: _ParserProcess, kind: bytes, content: bytes) -> object:
        if kind == FrameKind.MEMORY:
            self._replace(process)
            raise _ended_by_message("memory", f"needed more than {self._memory_bytes} bytes")
        if process.jobs >= _MAX_JOBS_PER_PROCESS:
            self._replace(process)
        else:
            self._release(process)
        if kind == FrameKind.MISSING:
            raise LookupError(content.decode())
        if kind == FrameKind.ERROR:
            raise PoisonMessage("crash", content.decode())
        return _unpickle(content)

    async def _new_process(self) -> _ParserProcess:
        return await _start_parser_process(self._target, self._seconds, self._memory_bytes)

    async def _acquire(self) -> _ParserProcess:
        if not self._running:
            raise ParsePoolStopped("the parsing processes are not running")
        if self._idle:
            process = self._idle.pop()
        else:
            waiter: asyncio.Future[_ParserProcess] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                process = await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                    self._release(waiter.result())
                raise
        self._busy.add(process)
        return process

    def _release(self, process: _ParserProcess) -> None:
        self._busy.discard(process)
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(process)
                return
        self._idle.append(process)

    def _replace(self, process: _ParserProcess) -> None:
        """End a process and start another one in the background."""
        self._busy.discard(process)
        task = asyncio.create_task(self._replace_now(process))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _replace_now(self, process: _ParserProcess) -> None:
        await process.end()
        while self._running:
            try:
                self._release(await self._new_process())
            except (OSError, _ProcessEnded, TimeoutError):
                await asyncio.sleep(_RESTART_SECONDS)  # the machine lacks memory or processes: that passes
            else:
                return


def _ended_by_message(cause: Cause, detail: str) -> PoisonMessage:
    """Count a parser process that a message ended, and return the failure of the message."""
    metrics.PARSE_KILLED.labels(cause).inc()
    return PoisonMessage(cause, detail)


def _exit_reason(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit status {code}"


class _ResultUnpickler(pickle.Unpickler):
    """Loads classes that are defined in ``ingest.model`` and plain values. Anything else raises ``UnpicklingError``."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the class ``name`` of ``module``; ``pickle`` calls it for each name in a result."""
        if (module, name) == ("builtins", "getattr"):
            return _enum_member
        if module.startswith("ingest.model."):
            found = super().find_class(module, name)
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise pickle.UnpicklingError(f"a parser process sent {module}.{name}")


def _enum_member(owner: object, name: str) -> Enum:
    """Stand in for ``getattr``, by which Python before 3.11.4 pickles the members of an enum."""
    if not isinstance(owner, EnumType):
        raise pickle.UnpicklingError(f"a parser process sent the attribute {name} of something that is no enum")
    return cast(Enum, owner[name])


def _unpickle(content: bytes) -> object:
    try:
        return _ResultUnpickler(io.BytesIO(content)).load()
    except Exception as error:
        raise PoisonMessage("crash", f"the parsing process gave a result that cannot be read: {error}") from error
