"""Learning the Message-IDs of outbound mail: the help desk sends it, and its API tells which id it gave each message.

Opt-in, since it asks the API for recently updated tickets again and again. A mail that waits for a parent which nobody
knows triggers a look at once, so that it need not wait for the next round.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from ingest import log
from ingest.api import PostedMessage, Ticket, Unavailable
from ingest.store import StoreUnavailable

TICKETS_A_ROUND = 50
REMEMBERED_TICKETS = 10_000
SHORTEST_PAUSE_SECONDS = 1.0

_log = log.get("sync")


class Desk(Protocol):
    """What the look needs of the ticket API."""

    async def list_tickets(self, *, limit: int) -> tuple[Ticket, ...]: ...
    def list_messages(self, ticket_id: str) -> AsyncIterator[PostedMessage]: ...


class Threads(Protocol):
    """What the look needs of the store."""

    async def learn(self, message_id: str, ticket_id: str, *, learned_from: str, now: float) -> bool: ...


class ThreadSync:
    """Looks at the API every ``interval`` seconds, and sooner when triggered."""

    def __init__(
        self,
        desk: Desk,
        threads: Threads,
        *,
        clock: Callable[[], float],
        interval: float,
        on_learned: Callable[[], None] = lambda: None,
    ) -> None:
        """``on_learned`` is called when something new was learned: a waiting mail may have been resumed."""
        self._desk = desk
        self._threads = threads
        self._clock = clock
        self._interval = interval
        self._on_learned = on_learned
        self._triggered = asyncio.Event()
        self._looked_at: dict[str, str] = {}

    def trigger(self) -> None:
        """Look soon: a mail waits for an id that is not known."""
        self._triggered.set()

    async def run(self) -> None:
        """Look for ever. An API or a store that does not answer is asked again in the next round."""
        while True:
            self._triggered.clear()
            try:
                if await self.look():
                    self._on_learned()
            except (Unavailable, StoreUnavailable) as error:
                _log.warning("could not look for new Message-IDs; trying again", reason=str(error))
            await asyncio.sleep(SHORTEST_PAUSE_SECONDS)
            try:
                async with asyncio.timeout(max(0.0, self._interval - SHORTEST_PAUSE_SECONDS)):
                    await self._triggered.wait()
            except TimeoutError:
                continue

    async def look(self) -> int:
        """Look once at the tickets that changed since the last look; how many Message-IDs were learned.

        Raises:
            Unavailable: the API does not answer.
            StoreUnavailable: the store does not answer.
        """
        learned = 0
        for ticket in await self._desk.list_tickets(limit=TICKETS_A_ROUND):
            if self._looked_at.get(ticket.id) != ticket.updated_at:
                learned += await self._learn_messages(ticket)
                self._remember(ticket)
        return learned

    async def _learn_messages(self, ticket: Ticket) -> int:
        now = self._clock()
        ids = [m.email_message_id async for m in self._desk.list_messages(ticket.id) if m.email_message_id]
        return sum([await self._threads.learn(i, ticket.id, learned_from="sync", now=now) for i in ids])

    def _remember(self, ticket: Ticket) -> None:
        self._looked_at.pop(ticket.id, None)
        self._looked_at[ticket.id] = ticket.updated_at
        if len(self._looked_at) > REMEMBERED_TICKETS:
            del self._looked_at[next(iter(self._looked_at))]
