"""Look-ups in the DNS, for authentication: over the network (``network.py``), or from a file (``zone.py``)."""

from typing import Protocol

from ingest.model.dns_records import DnsAnswer, Question


class DnsFailure(Exception):
    """A question has no answer for now: the name servers of its domain fail. That there is no such name or record is
    an answer. The text says why."""


class NoResolver(DnsFailure):
    """No question has an answer: there is no resolver, or it answers nothing."""

    def __init__(self, reason: str, *, is_lasting: bool) -> None:
        super().__init__(reason)
        self.is_lasting = is_lasting
        """It has never answered, or not for long: mail should not wait for it."""


class Resolver(Protocol):
    """Answers questions to the DNS."""

    async def query(self, question: Question) -> DnsAnswer:
        """Return the answer.

        Raises:
            DnsFailure: there is none for now.
        """

    async def close(self) -> None:
        """Give up the questions in progress."""
