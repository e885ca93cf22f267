"""THE STORY of one message: what it is, which ticket, who wrote it, what is new in it, and then one POST.

    decide     read -> screen -> resolve -> admit -> author -> draft                 reads only; can be done again
    identify   the facts are written to the row, and the row learns where it stands  one write
    deliver    bring the attachments, POST (unconfirmed? look first), connect them   the one effect that leaves us
    (settle)   the worker writes the outcome                                         one write

    C3  crash while deciding: the lease runs out, another worker claims, and decides the same from the same octets.
    C4  crash or time-out in the POST, C5 crash after its 2xx: the attempt never finished, or said "unconfirmed";
        the next one looks for the message at the API before it posts.

Decide first, write once: everything above ``identify`` also serves ``ingest explain``, which posts nothing.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from ingest import attachments, compose, policy, tickets
from ingest.api import Draft, PostedMessage, TicketApi, Unavailable, User, post_fingerprint
from ingest.attachments import AttachmentUploader, reason_to_skip
from ingest.model.envelope import QueuedMessage
from ingest.model.message import ParsedMessage, Reply
from ingest.model.outcome import (
    Deferred,
    Delivered,
    Discarded,
    Evidence,
    Finding,
    Outcome,
    Quarantined,
    Resolution,
    RuleName,
    Signal,
    Strength,
    Waiting,
)
from ingest.parse_pool import PoisonMessage
from ingest.store import Identified

SUBJECT_CHARACTERS = 200
LARGE_BYTES = 2 * 1024 * 1024
LARGE_AT_ONCE = 4
"""Large messages whose octets wait in memory for a parsing process at the same time."""
UNRESOLVED = Resolution(ticket_id=None)


class Facts(Protocol):
    """What the story asks the store."""

    async def content(self, queue_id: str) -> bytes: ...
    async def tickets_of(self, message_ids: Sequence[str]) -> dict[str, str | None]: ...
    async def learn(self, message_id: str, ticket_id: str, *, learned_from: str, now: float) -> bool: ...
    async def owners(self, ticket_message_ids: Sequence[str]) -> dict[str, str]: ...
    async def identify(
        self,
        queue_id: str,
        lease_token: str,
        *,
        message_id: str | None,
        content_digest: str,
        ticket_id: str | None,
        subject: str,
        sender: str,
        evidence: tuple[Evidence, ...],
        post_fingerprint: str | None,
    ) -> Identified: ...


class Reader(Protocol):
    """What the story asks the parsing processes; ``children.Poisoned`` where a mail killed one."""

    async def read(self, content: bytes) -> tuple[ParsedMessage, Reply]: ...
    async def reply(self, message: ParsedMessage, sent: Sequence[str], written: Sequence[str]) -> Reply: ...
    async def plain(self, markdown: str) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to become of a message, and everything that was found out on the way there."""

    message: ParsedMessage | None = None
    resolution: Resolution = UNRESOLVED
    reply: Reply | None = None
    draft: Draft | None = None
    """What to post; ``None`` where nothing is."""
    outcome: Outcome | None = None
    """The end, where nothing is posted; ``None`` where ``draft`` is to be posted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The operator's choices that the story depends on."""

    house: policy.LocalAddresses
    signing_key: bytes | None
    fallback_author_id: str | None
    plain_content: bool = False


class Pipeline:
    """Tells the story, with the collaborators it was given."""

    def __init__(
        self,
        *,
        facts: Facts,
        desk: TicketApi,
        reader: Reader,
        rules: Rules,
        clock: Callable[[], float],
        carrier: AttachmentUploader | None = None,
    ) -> None:
        """Without a ``carrier``, attachments stay behind: enough to decide."""
        self._facts = facts
        self._desk = desk
        self._reader = reader
        self._carrier = carrier
        self._rules = rules
        self._clock = clock
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)

    async def process(self, queued: QueuedMessage, *, turn: AbstractAsyncContextManager[None]) -> Outcome:
        """The whole story of a claimed message; its outcome is for the worker to settle.

        ``turn`` is entered between deciding and identifying, so that messages are identified in the order in which
        they arrived: a reply cannot overtake an older one of its ticket that took longer to read.

        Raises:
            StoreUnavailable: the store does not answer; nothing was posted.
        """
        async with self._large if queued.size > LARGE_BYTES else nullcontext():
            decision = await self.decide(queued, await self._facts.content(queued.queue_id))
        async with turn:
            identifying = asyncio.create_task(self._identify(queued, decision))
        standing = await identifying
        if (outcome := _stand(standing, queued, decision)) is not None:
            return outcome
        assert decision.draft is not None
        assert decision.message is not None
        await self._learn_verified(decision.resolution)
        return await self._deliver(queued, decision.message, decision.draft, standing.post_fingerprints)

    async def decide(self, queued: QueuedMessage, content: bytes) -> Decision:
        """What is to become of the message. Reads only, so it can be done any number of times.

        An API that does not answer is a ``Deferred`` outcome, beside all that was found out before."""
        try:
            message, reply = await self._reader.read(content)
        except PoisonMessage as error:
            return Decision(outcome=Quarantined(rule=RuleName.POISON, reason=str(error)))
        decision = Decision(message=message, reply=reply)
        verdict = policy.screen(message, queued.envelope, self._rules.house)
        if verdict is not None and verdict.outcome is not None and queued.released_by is None:
            return replace(decision, outcome=verdict.outcome)
        is_note = verdict is not None and verdict.action is policy.Action.NOTE
        try:
            decision = replace(decision, resolution=await self._resolve(queued, message))
            return await self._draft(queued, decision, message, reply, is_note=is_note)
        except Unavailable as error:
            return replace(decision, outcome=error.outcome)

    # Which ticket

    async def _resolve(self, queued: QueuedMessage, message: ParsedMessage) -> Resolution:
        if queued.released_ticket is not None:
            return _operators_choice(queued, await self._look_up([queued.released_ticket]))
        found = tickets.signals(
            message, queued.envelope, domains=self._rules.house.domains, key=self._rules.signing_key
        )
        known = await self._facts.tickets_of(found.related_ids) if found.related else {}
        certain = {e.ticket_id for e in found.proofs if e.ticket_id} | {ticket for ticket in known.values() if ticket}
        named = await self._look_up(certain)
        verified: dict[str, str] = {}
        if not any(named.values()):
            named |= await self._look_up(candidate.identifier for candidate in found.candidates)
            verified = await self._verify(found, named)
        return tickets.resolve(found, known=known, named=named, verified=verified)

    async def _look_up(self, identifiers: Iterable[str]) -> dict[str, str | None]:
        """Each identifier, and the id of the ticket that it names today (``None``: the API has none)."""
        wanted = tuple(dict.fromkeys(identifiers))
        answers = await asyncio.gather(*(self._desk.find_ticket(identifier) for identifier in wanted))
        return {name: ticket.id if ticket else None for name, ticket in zip(wanted, answers, strict=True)}

    async def _verify(self, found: tickets.Signals, named: Mapping[str, str | None]) -> dict[str, str]:
        """The ancestors that the API lists among the messages of a candidate ticket."""
        ancestors = frozenset(found.related_ids)
        verified: dict[str, str] = {}
        for ticket_id in dict.fromkeys(filter(None, named.values())) if ancestors else ():
            async for posted in self._desk.list_messages(ticket_id):
                if posted.email_message_id in ancestors:
                    verified[posted.email_message_id] = ticket_id
        return verified

    # Who wrote it, may they, and what

    async def _draft(
        self, queued: QueuedMessage, decision: Decision, message: ParsedMessage, reply: Reply, *, is_note: bool
    ) -> Decision:
        resolution = decision.resolution
        if resolution.missing and not is_note and queued.released_by is None:
            return replace(decision, outcome=Waiting(missing=resolution.missing))
        sender = message.from_[0].addr_spec if message.from_ else ""
        user = await self._desk.find_user(sender) if sender and not is_note else None
        is_participant = resolution.strength is Strength.WEAK and await self._is_participant(resolution, user, sender)
        verdict = policy.admit(
            resolution, is_note=is_note, is_participant=is_participant, is_released=queued.released_by is not None
        )
        if verdict is not None or resolution.ticket_id is None:
            return replace(decision, outcome=verdict.outcome if verdict else None)
        author_id = user.id if user is not None else self._rules.fallback_author_id
        if author_id is None:
            return replace(decision, outcome=_unknown_author(sender))
        reply = await self._reread(queued, message, reply, resolution.ticket_id, author_id)
        content = compose.content(message, reply, names_sender=user is None, plain=self._rules.plain_content)
        draft = Draft(
            ticket_id=resolution.ticket_id,
            author_id=author_id,
            content=content,
            private=is_note,
            email_message_id=message.message_id,
            email_in_reply_to=message.in_reply_to[0] if message.in_reply_to else None,
        )
        return replace(decision, reply=reply, draft=draft)

    async def _reread(
        self, queued: QueuedMessage, message: ParsedMessage, reply: Reply, ticket_id: str, author_id: str
    ) -> Reply:
        """The reply, read once more where what was said on the ticket tells a quote from answers typed into it, and in
        the form that the operator wants. What kills its reader stays as it was read first."""
        with suppress(PoisonMessage):
            if reply.ambiguous and (said := await self._conversation(queued, ticket_id)):
                own = (author_id, "")  # whose author is not told may be the sender's: people repeat themselves
                sent = [posted.content for posted in said if posted.author_id not in own]
                written = [posted.content for posted in said if posted.author_id in own]
                reply = await self._reader.reply(message, sent, written)
            if reply.markdown and self._rules.plain_content:
                reply = replace(reply, content=await self._reader.plain(reply.content), markdown=False)
        return reply

    async def _conversation(self, queued: QueuedMessage, ticket_id: str) -> Sequence[PostedMessage]:
        """What was said on the ticket; a mail does not wait for it for ever."""
        try:
            return await self._desk.conversation(ticket_id)
        except Unavailable as error:
            reason_to_skip(queued, error, now=self._clock())
            return ()

    async def _is_participant(self, resolution: Resolution, user: User | None, sender: str) -> bool:
        """Whether the sender is on the ticket, or has written to it before."""
        ticket = await self._desk.find_ticket(resolution.ticket_id) if resolution.ticket_id else None
        if ticket is None:
            return False
        if user is not None and user.id in (ticket.requester_id, ticket.author_id, *ticket.follower_ids):
            return True
        earlier = self._desk.list_messages(ticket.id)
        return any([posted.author_email.lower() == sender.lower() async for posted in earlier])

    # What is written, here and there

    async def _identify(self, queued: QueuedMessage, decision: Decision) -> Identified:
        message = decision.message
        if message is None:
            return Identified(lease_held=True)
        resolution = decision.resolution
        return await self._facts.identify(
            queued.queue_id,
            queued.lease_token,
            message_id=message.message_id,
            content_digest=message.content_digest,
            ticket_id=resolution.ticket_id,
            subject=message.subject[:SUBJECT_CHARACTERS],
            sender=message.from_[0].addr_spec if message.from_ else "",
            evidence=resolution.evidence,
            post_fingerprint=post_fingerprint(draft.author_id, draft.content)
            if (draft := decision.draft) is not None
            else None,
        )

    async def _learn_verified(self, resolution: Resolution) -> None:
        """Remember what the API confirmed, so that the next reply in this thread need not ask."""
        for evidence in resolution.evidence:
            if evidence.signal is Signal.VERIFIED_CANDIDATE and evidence.ticket_id is not None:
                await self._facts.learn(evidence.value, evidence.ticket_id, learned_from="verified", now=self._clock())

    async def _deliver(
        self, queued: QueuedMessage, message: ParsedMessage, draft: Draft, post_fingerprints: Sequence[str]
    ) -> Outcome:
        """The one effect that leaves us, with the attachments before and behind it."""
        try:
            if self._carrier is None or not attachments.applies(draft, message):
                return await self._post(queued, draft, post_fingerprints)
            brought = await self._carrier.bring(queued, message, draft.ticket_id, now=self._clock())
        except Unavailable as error:
            return error.outcome
        outcome = await self._post(
            queued, replace(draft, appendix=compose.appendix(brought.missing)), post_fingerprints
        )
        if not isinstance(outcome, Delivered):
            return outcome
        return await self._carrier.connect(queued, draft.ticket_id, brought, outcome, now=self._clock())

    async def _post(self, queued: QueuedMessage, draft: Draft, post_fingerprints: Sequence[str]) -> Outcome:
        """After doubt, look before posting again: the API knows no idempotency key. What an earlier attempt would have
        posted may differ from today's draft, so its imprint is looked for as well."""
        if queued.ticket_message_id is not None:
            return _posted_before(queued.ticket_message_id, queued.email_message_id, draft)
        if queued.unconfirmed or queued.unfinished_attempts:
            owned = partial(self._owned_by_others, queued.queue_id)
            try:
                found = await self._desk.find_posted(
                    draft, since=queued.first_attempt_at, owned=owned, post_fingerprints=post_fingerprints
                )
            except Unavailable as error:
                return error.outcome
            if found is not None:
                return found
        return await self._desk.post_message(draft, idempotency_key=queued.queue_id)

    async def _owned_by_others(self, queue_id: str, ticket_message_ids: Sequence[str]) -> frozenset[str]:
        """Those ticket messages that another mail of ours became: two honest mails may say the same words."""
        owners = await self._facts.owners(ticket_message_ids)
        return frozenset(posted for posted, owner in owners.items() if owner != queue_id)


def _stand(standing: Identified, queued: QueuedMessage, decision: Decision) -> Outcome | None:
    """How the message ends without a POST; ``None`` where its draft is to be posted."""
    outcome = decision.outcome
    if not standing.lease_held:
        return Deferred(reason="the lease was lost: another worker has the message, and this one must not post it")
    if isinstance(outcome, Discarded) or decision.message is None:
        return outcome
    if standing.duplicate_of is not None and queued.released_by is None:
        return Discarded(rule=RuleName.DUPLICATE, reason=f"the same mail has come already, as {standing.duplicate_of}")
    if standing.blocked_by is not None and outcome is None:
        older = standing.blocked_by
        return Deferred(reason=f"an older message of its ticket, {older}, has to go first", blocked_by=older)
    return outcome


def _posted_before(ticket_message_id: str, email_message_id: str | None, draft: Draft) -> Delivered:
    return Delivered(ticket_id=draft.ticket_id, ticket_message_id=ticket_message_id, email_message_id=email_message_id)


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


def _unknown_author(sender: str) -> Quarantined:
    return Quarantined(
        rule=RuleName.UNKNOWN_AUTHOR,
        reason=f"no API user has the address {sender!r}: add one, or set INGEST_FALLBACK_AUTHOR_ID, then retry",
    )
