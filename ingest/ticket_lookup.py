"""Finds the ticket of a message: collects its signals, looks them up in the store and at the API, weighs them.

The rules of weighing are in ``tickets.py``, which does no input or output.
"""

import asyncio
from collections.abc import Iterable, Mapping

from ingest import tickets
from ingest.api import TicketApi
from ingest.model.envelope import QueuedMessage
from ingest.model.message import ParsedMessage
from ingest.model.outcome import Evidence, Finding, Resolution, Signal, Strength
from ingest.store.messages import Store


class TicketLookup:
    """Resolves messages to tickets.

    Args:
        domains: our own domains, in lower case.
        signing_key: the key of signed addresses and Message-IDs; without one, no signature is believed.
    """

    def __init__(
        self, store: Store, ticket_api: TicketApi, *, domains: frozenset[str], signing_key: bytes | None
    ) -> None:
        self._store = store
        self._ticket_api = ticket_api
        self._domains = domains
        self._signing_key = signing_key

    async def resolve(self, queued: QueuedMessage, message: ParsedMessage) -> tuple[Resolution, dict[str, str]]:
        """Return the ticket of a message, with all evidence that was looked at, and what each name of a ticket that was
        looked up means today.

        Every ticket is asked for at the API, also one that the store knows: it may have been merged or deleted since.
        Candidates that the sender could have invented are looked up only where no better evidence names a ticket.

        Raises:
            Unavailable: the API cannot answer now.
            StoreUnavailable: the store does not answer.
        """
        if queued.released_ticket is not None:
            named = await self._look_up([queued.released_ticket])
            return _operators_choice(queued, named), _known_names(named)
        found = tickets.find_signals(message, queued.envelope, domains=self._domains, key=self._signing_key)
        known = await self._store.tickets_of(found.related_ids) if found.related else {}
        certain = [e.ticket_id for e in found.proofs if e.ticket_id] + [ticket for ticket in known.values() if ticket]
        named = await self._look_up(certain)
        verified: dict[str, str] = {}
        if not any(named.values()):
            named |= await self._look_up(candidate.identifier for candidate in found.candidates)
            verified = await self._verify(found, named)
        return tickets.resolve(found, known=known, named=named, verified=verified), _known_names(named)

    async def learn_verified(self, resolution: Resolution, *, now: float) -> None:
        """Store which ancestors the API listed, so that the next reply to one of them need not ask again."""
        for evidence in resolution.evidence:
            if evidence.signal is Signal.VERIFIED_CANDIDATE and evidence.ticket_id is not None:
                await self._store.learn(evidence.value, evidence.ticket_id, learned_from="verified", now=now)

    async def _look_up(self, identifiers: Iterable[str]) -> dict[str, str | None]:
        """Map each identifier to the id of the ticket that it names today (``None``: the API has none), and so the ids
        of the tickets that were merged into that one."""
        wanted = tuple(dict.fromkeys(identifiers))
        found = await asyncio.gather(*(self._ticket_api.find_ticket(identifier) for identifier in wanted))
        former = {former_id: ticket.id for ticket in found if ticket for former_id in ticket.former_ids}
        return former | {name: ticket.id if ticket else None for name, ticket in zip(wanted, found, strict=True)}

    async def _verify(self, found: tickets.FoundSignals, named: Mapping[str, str | None]) -> dict[str, str]:
        """Map those ancestors to their ticket that the API lists among the messages of a candidate ticket."""
        ancestors = frozenset(found.related_ids)
        verified: dict[str, str] = {}
        for ticket_id in dict.fromkeys(filter(None, named.values())) if ancestors else ():
            async for posted in self._ticket_api.list_messages(ticket_id):
                if posted.email_message_id in ancestors:
                    verified[posted.email_message_id] = ticket_id
        return verified


def _known_names(named: Mapping[str, str | None]) -> dict[str, str]:
    return {name: ticket_id for name, ticket_id in named.items() if ticket_id is not None}


def _operators_choice(queued: QueuedMessage, named: Mapping[str, str | None]) -> Resolution:
    chosen = queued.released_ticket or ""
    ticket_id = named.get(chosen)
    evidence = Evidence(
        signal=Signal.OPERATOR,
        value=chosen,
        ticket_id=ticket_id,
        strength=Strength.PROOF if ticket_id else Strength.NONE,
        finding=Finding.RELEASED if ticket_id else Finding.NO_SUCH_TICKET,
        detail=queued.released_by or "",
    )
    return Resolution(ticket_id=ticket_id, evidence=(evidence,))
