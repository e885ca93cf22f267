"""Collects the defects of one message while it is read."""

from collections.abc import Callable
from typing import TypeVar

from ingest.model.defects import Defect, DefectKind
from ingest.parse.limits import MAX_DEFECTS

T = TypeVar("T")


class DefectLog:
    """The defects of one message in the order found, each once, at most ``MAX_DEFECTS``."""

    def __init__(self) -> None:
        self._found: dict[Defect, None] = {}

    def note(self, kind: DefectKind, detail: str) -> None:
        """Record a defect, unless it is known already or the limit is reached."""
        if len(self._found) < MAX_DEFECTS:
            self._found.setdefault(Defect(kind, detail))

    def found(self) -> tuple[Defect, ...]:
        """Return all defects recorded so far."""
        return tuple(self._found)

    def guard(self, step: Callable[[], T], default: T) -> T:
        """Return what ``step`` returns. If it raises, record an ``INTERNAL`` defect and return ``default``.

        The defect names the class of the exception and the function that raised it, never data of the mail.
        ``MemoryError`` is not caught: it says something of the machine, not of the message.
        """
        try:
            return step()
        except MemoryError:
            raise
        except Exception as error:
            self.note(DefectKind.INTERNAL, f"{type(error).__name__} in {_failed_function(error)}")
            return default


def _failed_function(error: BaseException) -> str:
    name, traceback = "", error.__traceback__
    while traceback is not None:
        name, traceback = traceback.tb_frame.f_code.co_name, traceback.tb_next
    return name
