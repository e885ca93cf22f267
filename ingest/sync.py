"""Learns the Message-IDs of outbound mail: the help desk sends it, and its API tells which id each message got.

This is opt-in, because it lists the recently updated tickets of the API again and again. A message that waits for a
parent which the store does not know triggers a look at once, so that it need not wait for the next interval.
"""

import asyncio
from collections.abc import Callable

from ingest import log
from ingest.api import Ticket, TicketApiClient, Unavailable
from ingest.model.teachers import Teacher
from ingest.store import StoreUnavailable
from ingest.store.messages import Store

TICKETS_PER_LOOK = 50
"""Tickets listed by one look, the most recently updated first. One request whatever the number; with more than this
many updated between two looks, the older ones are missed until they change again."""
MAX_REMEMBERED_TICKETS = 10_000
"""Tickets whose last update is remembered, so that their messages are listed only after it has changed. At this number
the memory takes a few megabytes."""
MIN_PAUSE_SECONDS = 1.0
"""Pause after each look at least, however often it is triggered: it spares the API."""

_log = log.get("sync")


class ThreadSync:
    """Looks at the API every ``interval`` seconds, and sooner when triggered."""

    def __init__(
        self,
        api: TicketApiClient,
        store: Store,
        *,
        clock: Callable[[], float],
        interval: float,
        on_learned: Callable[[], None] = lambda: None,
    ) -> None:
        """``on_learned`` is called after something new was learned: a waiting message may have been requeued."""
        self._api = api
        self._store = store
        self._clock = clock
        self._interval = interval
        self._on_learned = on_learned
        self._triggered = asyncio.Event()
        self._updated_at: dict[str, str] = {}
        """Ticket id -> its ``updatedAt`` when its messages were listed last, the longest unchanged first."""

    def trigger(self) -> None:
        """Look soon: a message waits for a Message-ID that the store does not know."""
        self._triggered.set()

    async def run(self) -> None:
        """Look for ever. If the API or the store does not answer, the next look tries again."""
        while True:
            self._triggered.clear()
            try:
                if await self.look():
                    self._on_learned()
            except (Unavailable, StoreUnavailable) as error:
                _log.warning("could not look for new Message-IDs; trying again", reason=str(error))
            await asyncio.sleep(MIN_PAUSE_SECONDS)
            try:
                async with asyncio.timeout(max(0.0, self._interval - MIN_PAUSE_SECONDS)):
                    await self._triggered.wait()
            except TimeoutError:
                continue

    async def look(self) -> int:
        """Learn the Message-IDs of the tickets that changed since the last look, and return how many were new.

        Raises:
            Unavailable: the API does not answer.
            StoreUnavailable: the store does not answer.
        """
        learned = 0
        for ticket in await self._api.list_tickets(limit=TICKETS_PER_LOOK):
            if self._updated_at.get(ticket.id) != ticket.updated_at:
                learned += await self._learn_messages(ticket)
                self._remember(ticket)
        return learned

    async def _learn_messages(self, ticket: Ticket) -> int:
        now = self._clock()
        ids = [m.email_message_id async for m in self._api.list_messages(ticket.id) if m.email_message_id]
        return sum([await self._store.learn(i, ticket.id, learned_from=Teacher.SYNC, now=now) for i in ids])

    def _remember(self, ticket: Ticket) -> None:
        self._updated_at.pop(ticket.id, None)
        self._updated_at[ticket.id] = ticket.updated_at
        if len(self._updated_at) > MAX_REMEMBERED_TICKETS:
            del self._updated_at[next(iter(self._updated_at))]
