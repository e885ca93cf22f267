"""What runs in a parser process: it limits itself, and does the jobs that ``ParsePool`` sends over a socket.

This is a module of its own, so that a parser process imports the parser and none of what only the worker needs.
"""

import ctypes
import importlib
import math
import os
import pickle
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable
from enum import Enum
from typing import IO, Any, cast

from ingest.authentication.dkim_verification import Keys, verify_signatures
from ingest.model.message import ParsedMessage, Reply
from ingest.model.signatures import DkimSignature
from ingest.parse import attachment_bytes, parse
from ingest.parse.defect_log import DefectLog
from ingest.parse.mime.header import parse_message_header
from ingest.reply import extract
from ingest.reply.plain import plain

_CPU_GRACE_SECONDS = 5
"""Processor time beyond the limit of wall-clock time after which the kernel ends the process (SIGXCPU). It matters only
when the worker itself hangs, so that it must not strike first."""
_PR_SET_PDEATHSIG = 1
"""Option of ``prctl(2)``: the signal that a process gets when its parent ends."""
FRAME_HEAD = struct.Struct("<cQ")
"""Head of a frame: its kind and the length of its content in bytes."""


class FrameKind(bytes, Enum):
    """Kinds of the frames that a parser process sends."""

    RESULT = b"R"
    """The pickled result of a job; without content, the sign that the process is ready."""
    MISSING = b"L"
    """The text of a ``LookupError``."""
    ERROR = b"E"
    """The name of the class of any other exception."""
    MEMORY = b"M"
    """The process ran out of memory, and ends."""


def _parse_and_extract(content: bytes) -> tuple[ParsedMessage, Reply]:
    message = parse(content)
    return message, extract(message)


def _verify_dkim(content: bytes, keys: Keys, received_at: float) -> tuple[DkimSignature, ...]:
    author_field = parse_message_header(content, DefectLog()).get("from")
    return verify_signatures(content, keys, author_field=author_field, received_at=received_at)


_JOBS: dict[str, Callable[..., object]] = {
    "parse_and_extract": _parse_and_extract,
    "reply": extract,
    "plain": plain,
    "attachment_bytes": attachment_bytes,
    "verify_dkim": _verify_dkim,
}


def do_job(name: str, *arguments: Any) -> object:
    """Do the job ``name`` of ``ParsePool`` and return its result."""
    return _JOBS[name](*arguments)


def serve(target: str, seconds: str, memory_bytes: str, parent: str) -> None:
    """Do the jobs that arrive on the socket that is standard input, until it is closed. Runs in the parser process."""
    _die_with_parent(int(parent))
    module, _, function = target.partition(":")
    do_one = getattr(importlib.import_module(module), function)
    _limit_resources(int(memory_bytes))
    with socket.socket(fileno=0) as connection:
        stream = cast("IO[bytes]", connection.makefile("rwb", buffering=1 << 20))
        _send(stream, FrameKind.RESULT, b"")
        while _do_next(stream, do_one, int(seconds)):
            pass


def _die_with_parent(parent: int) -> None:
    """Make Linux kill this process when its parent ends. Elsewhere the closed socket ends it after the running job."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


def _limit_resources(memory_bytes: int) -> None:
    """Limit the memory, and forbid what a parser does not need: writing files and core dumps."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _do_next(stream: IO[bytes], do_one: Callable[..., object], seconds: int) -> bool:
    """Do one job. Return whether the process can do another: not after a lack of memory or a closed socket."""
    head = stream.read(FRAME_HEAD.size)
    if len(head) < FRAME_HEAD.size:
        return False
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = math.ceil(used.ru_utime + used.ru_stime) + seconds + _CPU_GRACE_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
    try:
        job = pickle.loads(stream.read(FRAME_HEAD.unpack(head)[1]))  # noqa: S301 it comes from the worker
        kind, content = FrameKind.RESULT, pickle.dumps(do_one(*job), protocol=5)
    except MemoryError:
        kind, content = FrameKind.MEMORY, b""
    except Exception as error:
        kind = FrameKind.MISSING if type(error) is LookupError else FrameKind.ERROR
        content = (str(error) if kind == FrameKind.MISSING else type(error).__name__).encode()
    _send(stream, kind, content)
    return kind != FrameKind.MEMORY


def _send(stream: IO[bytes], kind: bytes, content: bytes) -> None:
    stream.write(FRAME_HEAD.pack(kind, len(content)))
    stream.write(content)
    stream.flush()
