"""How a command ends: one table of exit codes, and which expected error ends with which."""

from enum import IntEnum
from types import MappingProxyType

from ingest.config.settings import ConfigError
from ingest.sources import SourceError
from ingest.sources.replay import ReplayError
from ingest.store import StoreUnavailable


class Exit(IntEnum):
    """Exit codes of every command, for scripts. A command that is interrupted by a signal ends with 130."""

    OK = 0
    """Done, and all is well."""
    FAILED = 1
    """It went wrong: the worker died, a check did not pass, the ledger does not hold."""
    USAGE = 2
    """The command line or the settings are wrong."""
    NOT_FOUND = 3
    """There is nothing by that name: no such file, message, ticket or account."""
    UNAVAILABLE = 4
    """Something that it needs is taken or does not answer: database, API, mailbox, port."""
    LOOK = 5
    """A person must look: mails ended quarantined or failed, or could not be read."""
    UNFINISHED = 6
    """Mails are still queued or waiting; nothing is lost, and a running worker goes on with them."""


INTERRUPTED = 130

_EXPECTED = MappingProxyType(
    {
        ConfigError: Exit.USAGE,
        ReplayError: Exit.NOT_FOUND,
        StoreUnavailable: Exit.UNAVAILABLE,
        SourceError: Exit.UNAVAILABLE,
    }
)


class Problem(Exception):
    """An expected error. The text is one line (or one for each fault) that says what to do."""

    def __init__(self, text: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(text)
        self.code = code


def exit_code(error: Exception) -> Exit | None:
    """The exit code of an expected error; ``None`` where it is not expected and a traceback tells more."""
    if isinstance(error, Problem):
        return error.code
    return next((code for kind, code in _EXPECTED.items() if isinstance(error, kind)), None)
