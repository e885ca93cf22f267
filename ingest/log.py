"""Structured logs: one event a line, with ``queue_id`` on each line about a message; nothing private, nothing raw.

Mail is untrusted: a subject can carry terminal escapes, a path can carry line ends. Every value is made printable
before it is written, addresses are shortened to what an operator needs to recognise them, and bodies are never logged.
"""

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

MAX_VALUE_CHARACTERS = 500
"""A longer value is cut: whoever sends mail must not fill the log, and a reason or an address fits."""


def printable(text: str, limit: int = MAX_VALUE_CHARACTERS) -> str:
    """Return ``text`` with control and invisible characters written as escapes, cut to ``limit`` characters."""
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text[: limit + 1]
    )
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def redact_address(address: str) -> str:
    """Return ``alice@customer.example`` as ``a…@customer.example``: enough to recognise, too little to collect."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}…{at}{domain}" if at else printable(address, 3) + "…"


def _make_printable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: _shown(key, value) if isinstance(value, str) else value for key, value in event.items()}


def _shown(key: str, value: str) -> str:
    """Make a value printable. A traceback keeps its lines, each made printable, since its last one can quote a mail."""
    return "\n".join(map(printable, value.splitlines())) if key == "exception" else printable(value)


def configure(level: str = "info", form: str = "console") -> None:
    """Log to standard error, for the whole process. ``form`` is ``console`` or ``json`` (one object a line)."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _make_printable,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,  # else a level that is changed at run time would not reach the loggers
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")


def get(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of one component; ``name`` is shown with each line."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(part=name)
    return logger
