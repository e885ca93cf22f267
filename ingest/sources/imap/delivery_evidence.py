"""Decides whether a failed FETCH counts against the message or is the server's own trouble.

Servers use the same words for both: ``NO [UNAVAILABLE]``, ``NO [SERVERBUG]``, ``BAD Server Unavailable``, or no word
and a closed connection. What tells them apart is whether another message could be fetched at about the same time. An
outage must never make good mail end as undeliverable, and one bad message must never hold up the others.
"""

from collections.abc import Callable

from ingest.sources.imap.fetch_retries import FetchRetries
from ingest.sources.imap.protocol.client import CommandRefused

MAX_REFUSED_IN_A_ROW = 3
"""After this many refused commands in a row, without a message delivered, the server is taken to be in trouble and the
session ends, so that an outage is not met with a command for each of thousands of messages."""


class DeliveryEvidence:
    """What one session knows of the server's ability to deliver mail. A pass is one call of ``Fetcher.take``."""

    def __init__(self, retries: FetchRetries, clock: Callable[[], float]) -> None:
        self._retries, self._clock = retries, clock
        self._unproven: set[int] = set()
        self._refused_in_a_row = 0
        self.has_delivered = False
        """Whether a message was delivered in this pass. Evidence of an earlier pass is too old: an outage may have
        begun since."""

    def begin_pass(self) -> None:
        """Forget what was delivered before."""
        self.has_delivered = False
        self._refused_in_a_row = 0

    def delivered(self) -> None:
        """Record that a message was delivered. It also proves the failures of others in this session."""
        self.has_delivered = True
        self._refused_in_a_row = 0
        for uid in self._unproven:
            self._retries.prove(uid)
        self._unproven.clear()

    def failed(self, uid: int, reason: str, *, is_answered: bool = False) -> None:
        """Record that a message was not delivered. One that was fetched among others is only isolated for now, because
        another message may have been the cause. ``is_answered``: the server said OK and sent nothing, so it works."""
        if uid not in self._retries:
            self._retries.isolate(uid)
        elif self.has_delivered or is_answered:
            self._retries.fail(uid, reason, self._clock())
        else:
            self._retries.postpone(uid, reason, self._clock())
            self._unproven.add(uid)

    def refused(self, refusal: CommandRefused) -> None:
        """Record that a FETCH was refused.

        Raises:
            CommandRefused: ``refusal``, if the server delivers nothing at all.
        """
        self._refused_in_a_row += 1
        if not self.has_delivered and self._refused_in_a_row >= MAX_REFUSED_IN_A_ROW:
            raise refusal
