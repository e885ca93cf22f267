"""Looks at the API for the ticket message that a POST in doubt created. What is ours, ``recognition.py`` knows."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace

from ingest.api import records
from ingest.api.reader import ApiReader, creation_time, parse
from ingest.api.recognition import Claims, Rival, Search, assign, is_rival
from ingest.api.records import Draft, PostedMessage, Ticket
from ingest.model.outcome import Delivered, Quarantined, RuleName

SEARCH_PAGE_ITEMS = 500
"""Items in a page when a POST in doubt is looked for: a ticket of 10,000 messages takes twenty requests."""
MAX_SEARCH_PAGES = 1_000
"""Pages of such a search. Half a million messages of one ticket are no ticket any more."""
FindClaims = Callable[[Sequence[str]], Awaitable[Claims]]
"""Returns what other mails of ours may claim of the ticket messages with the given ids."""


class PostSearch:
    """Searches the tickets. ``fresh_ticket`` returns a ticket, or that which it was merged into, as it is now."""

    def __init__(self, reader: ApiReader, fresh_ticket: Callable[[str], Awaitable[Ticket | None]]) -> None:
        self._reader = reader
        self._fresh_ticket = fresh_ticket

    async def find(self, search: Search, find_claims: FindClaims) -> Delivered | Quarantined | None:
        """Return the message that was posted, that a person has to decide, or ``None``: there is none. See
        ``TicketApiClient.find_posted``."""
        candidates = await self._candidates(search)
        if not candidates:
            return None
        claims = await find_claims(list(candidates))
        free = [message for name, message in candidates.items() if name not in claims.taken]
        certain = [message for message in free if search.is_ours(message) and not message.deleted]
        rivals = [await self._follow_merges(rival) for rival in claims.rivals if is_rival(rival, certain, search)]
        ours, theirs = assign(certain, search, replace(claims, rivals=rivals))
        if ours is not None:
            return _found(ours, search.draft)
        changed = next((message for message in free if message.id not in theirs), None)
        return _perhaps_posted(changed) if changed is not None else None

    async def count(self, search: Search) -> int:
        """Return how many messages of the draft's ticket are the one that was posted."""
        listed = await self._list_since(search.draft.ticket_id, search.earliest)
        # By their ids: a page that begins at a number shows a message again when a newer one came in between.
        return len({message.id for message in listed if search.is_ours(message) and not message.deleted})

    async def _candidates(self, search: Search) -> dict[str, PostedMessage]:
        """Return by their ids the ticket messages that a POST in doubt may have created. A page that begins at a number
        shows a message again when a newer one came in between; here it counts once."""
        named = (fingerprint.ticket_id for fingerprint in search.fingerprints if fingerprint.ticket_id)
        tickets = await self._with_merges((search.draft.ticket_id, *named))
        listed = [message for ticket in tickets for message in await self._list_since(ticket, search.earliest)]
        return {message.id: message for message in listed if search.is_ours(message) or search.may_be_changed(message)}

    async def _follow_merges(self, rival: Rival) -> Rival:
        return replace(rival, tickets=await self._with_merges(rival.tickets))

    async def _with_merges(self, ticket_ids: Iterable[str]) -> tuple[str, ...]:
        """Return these tickets and those that they were merged into by now: a merge may take the messages along."""
        found: dict[str, None] = {}
        for ticket_id in dict.fromkeys(ticket_ids):
            today = await self._fresh_ticket(ticket_id)
            found |= dict.fromkeys((ticket_id, today.id) if today is not None else (ticket_id,))
        return tuple(found)

    async def _list_since(self, ticket_id: str, earliest: float) -> list[PostedMessage]:
        """Return the messages of a ticket that the API stored at ``earliest`` (by its clock) or later.

        They are asked for newest first. Where the API really sorts so, reading stops at the first older one; else the
        whole ticket is read."""
        params = {"ticketId": ticket_id, "sortBy": "createdAt", "sortDirection": "desc"}
        items = self._reader.items(
            "ticket-messages", params, absent=(), page_items=SEARCH_PAGE_ITEMS, max_pages=MAX_SEARCH_PAGES
        )
        listed: list[PostedMessage] = []
        async with aclosing(items):
            async for item in items:
                listed.append(parse(records.parse_message, item))
                if _is_newest_first(listed) and creation_time(listed[-1]) < earliest:
                    break
        return [message for message in listed if message.created_at is None or message.created_at >= earliest]


def _is_newest_first(listed: Sequence[PostedMessage]) -> bool:
    """Whether the API has shown that it sorts: the last message is older than the first, and than the one before it."""
    if len(listed) < 2 or listed[-1].created_at is None:
        return False
    return creation_time(listed[-1]) <= creation_time(listed[-2]) and creation_time(listed[-1]) < creation_time(
        listed[0]
    )


def _perhaps_posted(message: PostedMessage) -> Quarantined:
    found = f"ticket message {message.id} may be this mail, edited or deleted since a POST whose end is not known"
    return Quarantined(
        rule=RuleName.PERHAPS_POSTED,
        perhaps_posted_as=message.id,
        reason=f"{found}; look at the ticket, then discard this mail if it is there, or release it to post it",
    )


def _found(message: PostedMessage, draft: Draft) -> Delivered:
    return Delivered(
        ticket_id=message.ticket_id or draft.ticket_id,
        ticket_message_id=message.id,
        email_message_id=message.email_message_id,
        email_in_reply_to=message.email_in_reply_to,
        note="found by looking after an unconfirmed attempt",
    )
