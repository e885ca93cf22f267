"""Where mail comes from. A source reads octets, hands them to ``receive``, and acknowledges them after it returned."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from ingest.model.envelope import ReceivedMessage

Receive = Callable[[ReceivedMessage], Awaitable[str]]
"""Stores a message durably and returns its queue id (of the row that it already has, if it has it already).

Raises ``store.StoreUnavailable`` when nothing was stored. A source may be cancelled while it waits; the store
finishes or leaves the commit by itself, and a repeated message meets its own row."""


class Source(Protocol):
    """One place that mail comes from, for as long as the worker runs."""

    name: str
    """As in ``SourceRef.source``."""

    async def start(self) -> None:
        """Begin to listen or read; returns when mail can come in.

        Raises:
            SourceError: it cannot start, and what the operator should do about it.
        """
        ...

    async def drain(self, seconds: float) -> None:
        """Take in nothing new; give what is half-way up to ``seconds`` to finish, then close everything."""
        ...


class SourceError(Exception):
    """A source cannot work as configured. The text is one line that says what to do."""
