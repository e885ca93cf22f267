"""Defects: what was wrong with a message, and what was done about it.

Each is a sentence with a stable word before its colon, so that policy can test for a kind and a person can read the
rest.
"""

from collections.abc import Callable
from typing import TypeVar

from ingest.parse.limits import MAX_DEFECTS

T = TypeVar("T")

EMPTY = "empty"
"""There is nothing to read: no octets, or trace fields alone."""
NOT_MAIL = "not a mail"
"""No field that a person's mail program writes: these octets are not a mail."""
ENCRYPTED = "encrypted"
"""The content is encrypted; only its recipient could read it."""
CUT = "cut"
"""A limit was reached; the rest stays in the stored octets."""
NESTED = "nested"
"""More multiparts lie in each other than any mail program writes."""
HEADER = "header"
"""The header block was broken and was repaired."""
DUPLICATE = "duplicate"
"""A field that may occur once occurs more often: a way to show different things to different readers."""
ADDRESS = "address"
"""An address field does not follow RFC 5322."""
DATE = "date"
"""The date cannot be read."""
CHARSET = "charset"
"""The declared charset is missing, unknown or wrong; another one was used."""
ENCODING = "encoding"
"""The transfer encoding is unknown, wrong or damaged."""
STRUCTURE = "structure"
"""The parts are not put together as MIME says."""
BODY = "body"
"""The body was put together in an unusual way."""
ATTACHMENT = "attachment"
"""A container could not be opened; it stays an attachment as it is."""
SIGNATURE = "signature"
"""The message is signed. The signature is left out of the attachments; it stays in the stored octets."""
INTERNAL = "internal"
"""A fault of ours; the message was read without the step that failed."""


class Defects:
    """The defects of one message, in the order found, each once, bounded."""

    def __init__(self) -> None:
        self._found: dict[str, None] = {}

    def note(self, word: str, sentence: str) -> None:
        """Record a defect; ``word`` is one of the constants of this module."""
        if len(self._found) < MAX_DEFECTS:
            self._found.setdefault(f"{word}: {sentence}")

    def found(self) -> tuple[str, ...]:
        """All defects so far."""
        return tuple(self._found)

    def guard(self, read: Callable[[], T], default: T) -> T:
        """What ``read`` gives; ``default`` and a defect where it fails, which is then a fault of ours.

        The defect names the fault and the function, never the data. ``MemoryError`` is the machine's and passes."""
        try:
            return read()
        except MemoryError:
            raise
        except Exception as error:
            self.note(INTERNAL, f"{type(error).__name__} in {_origin(error)}")
            return default


def _origin(error: BaseException) -> str:
    """The function that failed."""
    name, place = "", error.__traceback__
    while place is not None:
        name, place = place.tb_frame.f_code.co_name, place.tb_next
    return name
