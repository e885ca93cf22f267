"""What the pipeline and ``ingest explain`` ask of a ticket API.

There are two: ``TicketApiClient`` over HTTP, and the one of ``ingest explain`` where no API is configured.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Protocol

from ingest.api.post_search import FindClaims
from ingest.api.records import Draft, PostedMessage, PostFingerprint, Ticket, User
from ingest.model.outcome import Delivered, Outcome, Quarantined


class TicketApi(Protocol):
    """A ticket API. Every method but ``post_message`` raises ``Unavailable`` if the API cannot answer now."""

    async def find_user(self, email: str) -> User | None:
        """Return the user with this address, or ``None`` if there is none."""

    async def find_ticket(self, identifier: str) -> Ticket | None:
        """Return the ticket with this id, short id or code (``TAI-42``), or the ticket that it was merged into."""

    def list_messages(self, ticket_id: str) -> AsyncIterator[PostedMessage]:
        """Iterate over all messages of a ticket."""

    async def conversation(self, ticket_id: str) -> Sequence[PostedMessage]:
        """Return the public messages of a ticket, oldest first, as far as the token may list them."""

    async def post_message(self, draft: Draft, *, idempotency_key: str) -> Outcome:
        """Post a draft, and return what became of it."""

    async def find_posted(
        self, draft: Draft, *, began_at: float, find_claims: FindClaims, post_fingerprints: Collection[PostFingerprint]
    ) -> Delivered | Quarantined | None:
        """Return the ticket message that a POST in doubt created, that a person has to decide, or ``None``: there is
        none.

        ``began_at`` is the Unix time at which the POST began. ``find_claims`` tells which ticket messages belong, or
        may belong, to other mails."""
