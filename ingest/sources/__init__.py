"""Sources: where mail comes from. A source reads mail, hands each message to ``receive``, and acknowledges it to the
server or client only after ``receive`` has returned."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from ingest.model.envelope import ReceivedMessage

Receive = Callable[[ReceivedMessage], Awaitable[str]]
"""Stores a message durably and returns its queue id; for a message that is stored already, the id of that row.

Raises ``store.StoreUnavailable`` when nothing was stored. A source may be cancelled while it waits: the store then
finishes or abandons the commit by itself, and a message that is received again is found in the store."""

Refusal = Callable[[], Awaitable[str | None]]
"""Returns why no mail can be taken now (store failing, disk full, backlog too long), or ``None`` while it can.

May raise ``store.StoreUnavailable``, which means the same as a reason."""


class Source(Protocol):
    """A listener or reader that takes mail in for as long as the worker runs."""

    name: str
    """Name of the source, in the form that ``SourceRef.source`` has: ``smtp:<port>``, ``imap:<account>/<folder>``."""

    async def start(self) -> None:
        """Begin to listen or read, and return when mail can come in.

        Raises:
            SourceError: it cannot start. The text says what the operator should do.
        """
        ...

    async def drain(self, seconds: float) -> None:
        """Accept nothing new, wait up to ``seconds`` for messages that are being received, then close everything."""
        ...


class SourceError(Exception):
    """A source cannot work as configured. The text is one line that says what to do."""
