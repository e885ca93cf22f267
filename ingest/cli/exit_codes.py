"""The exit codes of all commands, and the exception by which a command ends with one."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command, for scripts. A command that a signal interrupts ends with ``INTERRUPTED``."""

    OK = 0
    """The command did what it was asked to do, and found nothing wrong."""
    FAILED = 1
    """The command failed: the worker died, a check did not pass, the ledger does not hold."""
    USAGE = 2
    """The command line or the settings are wrong."""
    NOT_FOUND = 3
    """A file, message, ticket or account of the given name does not exist."""
    UNAVAILABLE = 4
    """Something that the command needs does not answer or is in use: database, API, mailbox, port."""
    PERSON_NEEDED = 5
    """A person must look at some mail: it ended quarantined or failed, or could not be read."""
    UNFINISHED = 6
    """Some mail is still queued or waiting. Nothing is lost, and a running worker continues with it."""


INTERRUPTED = 130
"""Exit code after SIGINT: 128 + 2, as shells report it. Not in ``ExitCode``, because no command chooses it."""


class CommandError(Exception):
    """An expected error that ends the command. The text is one line, or one for each fault, and says what to do."""

    def __init__(self, text: str, exit_code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(text)
        self.exit_code = exit_code
