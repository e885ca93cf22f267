"""Looks whether a message that was posted after doubt is on its ticket twice, and tells the operator.

A POST whose end was not known was looked for twice and not found, so it was repeated. If the first one showed up after
all, later than the settle window, the ticket has a pair: no program can undo that without a risk, a person can.
"""

from collections.abc import Callable

from ingest import log, metrics
from ingest.api import PostFingerprint, TicketApiClient, Unavailable
from ingest.store.messages import Store

CHECKED_AT_ONCE = 50
"""Messages checked in one round: each costs a list of its ticket."""

_log = log.get("pair-check")


class PairCheck:
    """Checks the messages that are due for it."""

    def __init__(self, store: Store, api: TicketApiClient, *, clock: Callable[[], float]) -> None:
        self._store = store
        self._api = api
        self._clock = clock

    async def run_once(self) -> None:
        """Check what is due. A ticket that the API cannot list now is checked in the next round.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        for posted in await self._store.pairs_to_check(now=self._clock(), limit=CHECKED_AT_ONCE):
            fingerprints = [PostFingerprint.parse(stored) for stored in posted.post_fingerprints]
            try:
                count = await self._api.count_posted(
                    posted.ticket_id, began_at=posted.first_attempt_at, post_fingerprints=fingerprints
                )
            except Unavailable as error:
                if not error.refused:
                    continue
                count = 1
            await self._store.pair_checked(posted.queue_id, count=count, now=self._clock())
            if count > 1:
                metrics.DOUBLES.inc()
                _log.error(
                    "a message is on its ticket twice: the API took a POST long after it was answered",
                    queue_id=posted.queue_id,
                    ticket=posted.ticket_id,
                    to_do="delete one of the two on the ticket; raise INGEST_SETTLE if it happens again",
                )
