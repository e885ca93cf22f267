"""Finds the ticket of a message: collects its signals, looks them up in the store and at the API, weighs them.

The rules of weighing are in ``tickets.py``, which does no input or output.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from ingest import tickets
from ingest.api import TicketApi, Unavailable
from ingest.authentication.author import author_address
from ingest.model.envelope import Envelope, QueuedMessage
from ingest.model.message import ParsedMessage
from ingest.model.outcome import DeferCause, Deferred, Evidence, Finding, Resolution, Signal, Strength
from ingest.model.teachers import Teacher
from ingest.sent_copies import CopyMark, find_copy_mark
from ingest.store.messages import Store

MAX_KNOWN_TICKETS = 8
"""Tickets of signatures and ancestors that are looked up, the nearest first. Each is a request that a stranger
causes; a mail that names more is a conflict."""
OPTIONAL_LOOKUP_SECONDS = 5.0
"""How long a message waits for the look-up of a candidate that cannot change its ticket."""
MAX_REMEMBERED_SENDERS = 10_000
"""Senders whose look-ups are remembered, which bounds memory; the one that was quiet for longest is forgotten first."""
WINDOW_SECONDS = 60.0
"""The settings speak of look-ups a minute."""


class LookupBudget:
    """Bounds the tickets that one sender makes us ask the API for in a minute, by naming them where anybody can.

    The API allows so many requests in all; a stranger who counts up ticket numbers must not use up what others need. A
    ticket that was asked for in the same minute costs nothing."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        """``per_minute`` is the number of tickets; 0 is no limit."""
        self._per_minute = per_minute
        self._clock = clock
        self._asked: dict[str, tuple[float, set[str]]] = {}
        """Sender -> (when the minute ends, what was asked for), the one that was quiet for longest first."""

    def take(self, sender: str, identifiers: Iterable[str]) -> None:
        """Count the look-ups of a sender.

        Raises:
            Unavailable: these would be too many, and none is counted; the message is deferred to the next minute.
        """
        now, wanted = self._clock(), set(identifiers)
        ends_at, asked = self._asked.pop(sender, (now + WINDOW_SECONDS, set()))
        if now >= ends_at:
            ends_at, asked = now + WINDOW_SECONDS, set()
        self._asked[sender] = (ends_at, asked)
        if len(self._asked) > MAX_REMEMBERED_SENDERS:
            del self._asked[next(iter(self._asked))]
        if not self._per_minute or not asked or len(asked | wanted) <= self._per_minute:
            asked |= wanted if self._per_minute else set()
            return
        reason = f"its sender has named more than {self._per_minute} tickets in a minute; it goes on in the next"
        raise Unavailable(Deferred(reason=reason, retry_after=ends_at - now, cause=DeferCause.WAIT))


class TicketLookup:
    """Resolves messages to tickets."""

    def __init__(
        self,
        store: Store,
        ticket_api: TicketApi,
        signals: tickets.SignalSettings,
        budget: LookupBudget | None = None,
    ) -> None:
        self._store = store
        self._ticket_api = ticket_api
        self._signals = signals
        self._budget = budget

    async def resolve(self, queued: QueuedMessage, message: ParsedMessage) -> tuple[Resolution, dict[str, str]]:
        """Return the ticket of a message, with all evidence that was looked at, and what each name of a ticket that was
        looked up means today.

        Every ticket is asked for at the API, also one that the store knows: it may have been merged or deleted since.
        Candidates that the sender could have invented are looked up, too, ``tickets.MAX_CANDIDATES`` at most. Where
        better evidence names a ticket they can only disagree with it, so the message does not wait for them.

        Raises:
            Unavailable: the API cannot answer now.
            StoreUnavailable: the store does not answer.
        """
        if queued.released_ticket is not None:
            named = await self._look_up([queued.released_ticket])
            return _operators_choice(queued, named), _known_names(named)
        found = tickets.find_signals(message, queued.envelope, self._signals, now=queued.received_at)
        return await self._resolve(found, _counted_sender(queued, message))

    def find_copy_mark(self, queued: QueuedMessage, message: ParsedMessage) -> CopyMark | None:
        """Return what shows that a message is a copy of outbound mail; ``None`` for any other mail."""
        return find_copy_mark(
            message,
            queued.envelope,
            domains=self._signals.domains,
            keys=self._signals.keys,
            secret_address=self._signals.sent_address,
            now=queued.received_at,
        )

    async def resolve_copy(
        self, queued: QueuedMessage, message: ParsedMessage, mark: CopyMark
    ) -> tuple[Resolution, dict[str, str]]:
        """Return the ticket of a copy of outbound mail, as ``resolve`` does: the one that its mark names, or else the
        one that answers to it would name, by its Reply-To or From, its subject and its ancestors."""
        if mark.ticket_id is not None:
            evidence = Evidence(
                signal=Signal.SENT_COPY, value=mark.found_in, ticket_id=mark.ticket_id, strength=Strength.PROOF
            )
            return Resolution(ticket_id=mark.ticket_id, evidence=(evidence,)), {}
        answers_to = Envelope(
            mail_from="", rcpt_tos=tuple(address.addr_spec for address in (*message.reply_to, *message.from_))
        )
        return await self._resolve(tickets.find_signals(message, answers_to, self._signals, now=queued.received_at))

    async def learn_copy(self, message: ParsedMessage, ticket_id: str | None, mark: CopyMark, *, now: float) -> None:
        """Store the ticket of a copy's Message-ID, if it has both. Messages that wait for it go on."""
        if ticket_id is not None and message.message_id is not None:
            await self._store.learn(message.message_id, ticket_id, learned_from=mark.teacher, now=now)

    async def _resolve(
        self, found: tickets.FoundSignals, sender: str | None = None
    ) -> tuple[Resolution, dict[str, str]]:
        """``sender`` is whose budget the look-ups of candidates count against; ``None`` if nobody's."""
        known = await self._store.tickets_of(found.related_ids) if found.related else {}
        certain = dict.fromkeys([*(e.ticket_id for e in found.proofs if e.ticket_id), *filter(None, known.values())])
        named = await self._look_up(islice(certain, MAX_KNOWN_TICKETS))
        verified: dict[str, str] = {}
        if _is_certain(found, known, named):
            named |= await self._look_up_if_answered(_may_disagree(found.candidates, named))
        else:
            if self._budget is not None and sender is not None:
                self._budget.take(sender, (candidate.identifier for candidate in found.candidates))
            named |= await self._look_up(candidate.identifier for candidate in found.candidates)
            verified = await self._verify(found, named)
        return tickets.resolve(found, known=known, named=named, verified=verified), _known_names(named)

    async def learn_verified(self, resolution: Resolution, *, now: float) -> None:
        """Store which ancestors the API listed, so that the next reply to one of them need not ask again."""
        for evidence in resolution.evidence:
            if evidence.signal is Signal.VERIFIED_CANDIDATE and evidence.ticket_id is not None:
                await self._store.learn(evidence.value, evidence.ticket_id, learned_from=Teacher.VERIFIED, now=now)

    async def _look_up(self, identifiers: Iterable[str]) -> dict[str, str | None]:
        """Map each identifier to the id of the ticket that it names today (``None``: the API has none), and so the
        codes of these tickets and the ids of those that were merged into them."""
        wanted = tuple(dict.fromkeys(identifiers))
        found = await asyncio.gather(*(self._ticket_api.find_ticket(identifier) for identifier in wanted))
        others = {name: ticket.id for ticket in found if ticket for name in (*ticket.former_ids, ticket.code) if name}
        return others | {name: ticket.id if ticket else None for name, ticket in zip(wanted, found, strict=True)}

    async def _look_up_if_answered(self, identifiers: Iterable[str]) -> dict[str, str | None]:
        """Map those identifiers of which the API tells the ticket now. Nothing hangs on the others, so an API that
        fails or is slow does not hold the message."""
        found = await asyncio.gather(*map(self._look_up_one_if_answered, identifiers))
        return {name: ticket_id for answered in found for name, ticket_id in answered.items()}

    async def _look_up_one_if_answered(self, identifier: str) -> dict[str, str | None]:
        try:
            async with asyncio.timeout(OPTIONAL_LOOKUP_SECONDS):
                return await self._look_up([identifier])
        except (Unavailable, TimeoutError):
            return {}

    async def _verify(self, found: tickets.FoundSignals, named: Mapping[str, str | None]) -> dict[str, str]:
        """Map those ancestors to their ticket that the API lists among the messages of a candidate ticket."""
        ancestors = frozenset(found.related_ids)
        verified: dict[str, str] = {}
        for ticket_id in dict.fromkeys(filter(None, named.values())) if ancestors else ():
            async for posted in self._ticket_api.list_messages(ticket_id):
                if posted.email_message_id in ancestors:
                    verified[posted.email_message_id] = ticket_id
        return verified


def _counted_sender(queued: QueuedMessage, message: ParsedMessage) -> str | None:
    """Return the sender against whom look-ups count: nobody, if an operator has released the message."""
    if queued.released_by is not None:
        return None
    return (author_address(message) or queued.envelope.mail_from).lower()


def _is_certain(found: tickets.FoundSignals, known: Mapping[str, str | None], named: Mapping[str, str | None]) -> bool:
    """Return whether a ticket that exists is named by something that strangers cannot make up."""
    proved = [proof.ticket_id for proof in found.proofs if proof.is_certain]
    return any(named.get(ticket_id) for ticket_id in (*proved, *known.values()) if ticket_id)


def _may_disagree(candidates: Iterable[tickets.Candidate], named: Mapping[str, str | None]) -> tuple[str, ...]:
    """Return the candidates whose ticket has to be looked up to see whether it is another one than the ticket found.

    Codes that are no tags are mostly none; they count only with the letters of the codes of tickets that were found."""
    prefixes = {name.rpartition("-")[0] for name in named}
    return tuple(
        candidate.identifier
        for candidate in candidates
        if candidate.identifier not in named
        and (candidate.signal is not Signal.SUBJECT_CODE or candidate.identifier.rpartition("-")[0] in prefixes)
    )


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
