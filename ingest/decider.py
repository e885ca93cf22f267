"""Decides what is to become of a message, step by step: everything between parsing it and the draft of its POST.

The steps only read, so that deciding can be repeated after a crash, and ``ingest explain`` does the same. Each returns
the decision with more in it; one that sets an outcome is the last.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from ingest import compose, loops, policy, screening
from ingest.api import Draft, PostedMessage, TicketApi, Unavailable
from ingest.attachments import reason_to_skip
from ingest.authentication.author import about_author, author_address, find_author, is_believed
from ingest.decision import Authenticator, Decision, PipelineSettings
from ingest.model.author import AuthorFault
from ingest.model.envelope import QueuedMessage
from ingest.model.message import ParsedMessage
from ingest.model.outcome import (
    Discarded,
    Quarantined,
    Resolution,
    RuleName,
    Waiting,
)
from ingest.model.trust import Trust
from ingest.model.verdict import Verdict
from ingest.parse_pool import ParsePool, PoisonMessage
from ingest.sender_lookup import SenderLookup
from ingest.ticket_lookup import TicketLookup


class Decider:
    """Takes a message through the steps of deciding."""

    def __init__(
        self,
        *,
        ticket_api: TicketApi,
        ticket_lookup: TicketLookup,
        parse_pool: ParsePool,
        settings: PipelineSettings,
        clock: Callable[[], float],
        authenticator: Authenticator | None = None,
    ) -> None:
        """``clock`` gives Unix seconds that never go back. Without an ``authenticator``, nothing is known of any
        sender."""
        self._ticket_api = ticket_api
        self._ticket_lookup = ticket_lookup
        self._parse_pool = parse_pool
        self._settings = settings
        self._clock = clock
        self._authenticator = authenticator
        self._sender_lookup = SenderLookup(
            ticket_api, staff_domains=settings.staff_domains, table=settings.decision_table
        )

    async def decide(self, queued: QueuedMessage, content: bytes) -> Decision:
        """Decide what is to become of a message. This only reads, so it can be called any number of times.

        An API that cannot answer now makes the outcome ``Deferred``; what was found out before that is kept.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        try:
            message, reply = await self._parse_pool.parse_and_extract(content)
        except PoisonMessage as error:
            return Decision(outcome=Quarantined(rule=RuleName.POISON, reason=str(error)))
        message = screening.settle_report(message, queued.envelope)
        decision = Decision(message=message, reply=reply)
        try:
            for step in (
                self._take_copy,
                self._screen,
                partial(self._authenticate, content),
                self._resolve_ticket,
                self._find_user,
                self._admit,
                self._judge,
                self._choose_author,
                self._stop_own_words,
                self._extract_reply,
                self._draft,
            ):
                decision = await step(queued, message, decision)
                if decision.outcome is not None:
                    break
        except Unavailable as error:
            return replace(decision, outcome=error.outcome)
        return decision

    async def _take_copy(self, queued: QueuedMessage, message: ParsedMessage, decision: Decision) -> Decision:
        """Stop a copy of outbound mail, which only teaches its Message-ID, unless an operator released it."""
        mark = self._ticket_lookup.find_copy_mark(queued, message) if queued.released_by is None else None
        if mark is None:
            return decision
        resolution, ticket_names = await self._ticket_lookup.resolve_copy(queued, message, mark)
        return replace(
            decision,
            copy_mark=mark,
            resolution=resolution,
            ticket_names=ticket_names,
            outcome=Discarded(rule=RuleName.SENT_COPY, reason=_copy_reason(resolution, message)),
        )

    async def _screen(self, queued: QueuedMessage, message: ParsedMessage, decision: Decision) -> Decision:
        """Stop mail that nobody wrote to us, unless an operator released it."""
        verdict = screening.screen(
            message,
            queued.envelope,
            self._settings.local_addresses,
            keys=self._settings.signals.keys,
            new_words=decision.reply.content,
        )
        decision = replace(decision, is_from_machine=queued.envelope.mail_from == "")
        if verdict is None:
            return decision
        if verdict.outcome is not None and queued.released_by is None:
            return replace(decision, outcome=verdict.outcome)
        return replace(
            decision,
            machine=verdict if verdict.is_machine else None,
            is_report=verdict.is_report,
            is_from_machine=decision.is_from_machine or verdict.is_machine,
        )

    async def _authenticate(
        self, content: bytes, queued: QueuedMessage, message: ParsedMessage, decision: Decision
    ) -> Decision:
        """Find out whether the domain of From sent the mail, where that can change anything."""
        if self._authenticator is None or decision.is_report or queued.released_by is not None:
            return decision
        return replace(decision, authentication=await self._authenticator.authenticate(queued, message, content))

    async def _resolve_ticket(self, queued: QueuedMessage, message: ParsedMessage, decision: Decision) -> Decision:
        resolution, ticket_names = await self._ticket_lookup.resolve(queued, message)
        decision = replace(decision, resolution=resolution, ticket_names=ticket_names)
        if resolution.missing and not decision.is_report and queued.released_by is None:
            return replace(decision, outcome=Waiting(missing=resolution.missing))
        if decision.machine is not None and decision.machine.is_person_if_known and resolution.names_known_mail:
            return replace(decision, machine=None, is_from_machine=queued.envelope.mail_from == "")
        return decision

    async def _find_user(self, _queued: QueuedMessage, message: ParsedMessage, decision: Decision) -> Decision:
        sender = author_address(message)
        if not sender or decision.is_report:
            return decision
        return replace(decision, user=await self._ticket_api.find_user(sender))

    async def _admit(self, queued: QueuedMessage, _message: ParsedMessage, decision: Decision) -> Decision:
        """Stop mail of which nobody could say which ticket it goes to."""
        is_released = queued.released_by is not None
        verdict = policy.admit(decision.resolution, is_released=is_released)
        if verdict is not None:
            return replace(decision, outcome=verdict.outcome)
        if decision.is_report and decision.machine is not None and not is_released:
            return self._with_mail_of_ours(decision, decision.machine)
        return decision

    def _with_mail_of_ours(self, decision: Decision, report: Verdict) -> Decision:
        """Stop a report that names no mail of ours. Who sent a report says nothing, since anybody can send one."""
        if decision.resolution.names_known_mail:
            return decision
        names_ticket = decision.resolution.ticket_id is not None
        return replace(decision, outcome=report.without_mail_of_ours(names_ticket=names_ticket))

    async def _judge(self, queued: QueuedMessage, message: ParsedMessage, decision: Decision) -> Decision:
        """Look the mail up in the decision table. What an operator released needs no other permission."""
        if decision.is_report or queued.released_by is not None:
            return decision
        author = find_author(message)
        if isinstance(author, AuthorFault):
            return replace(decision, outcome=Quarantined(rule=RuleName.MALFORMED, reason=author.meaning))
        if not is_believed(author, decision.authentication):
            return replace(decision, outcome=policy.hold_list(author).outcome)
        authentication = about_author(author, decision.authentication)
        settings, result, level = self._settings, authentication.result, decision.resolution.level
        who = await self._sender_lookup.who(
            author.address, decision.user, _ticket_names(decision), authentication=result, level=level
        )
        treatment = policy.decide(
            who=who,
            authentication=result,
            level=level,
            table=settings.decision_table,
            mode=settings.authentication_mode,
        )
        trust = Trust(who=who, authentication=authentication, level=level, treatment=treatment)
        decision = replace(decision, trust=trust, flag=policy.flag(trust, decision.resolution, author.remarks))
        if treatment.is_posted:
            return decision
        return replace(decision, outcome=policy.hold(trust, decision.resolution, decision.machine).outcome)

    async def _choose_author(self, queued: QueuedMessage, _message: ParsedMessage, decision: Decision) -> Decision:
        """Choose the sender where the table says so, else the fallback author, or whom an operator named."""
        if queued.released_author is not None:
            author_id = await self._find_author(queued.released_author)
        elif decision.user is not None and decision.trust is not None and decision.trust.treatment.is_as_sender:
            author_id = decision.user.id
        else:
            author_id = self._settings.fallback_author_id
        if author_id is None:
            return replace(decision, outcome=_no_author(queued, decision))
        return replace(decision, author_id=author_id)

    async def _find_author(self, named: str) -> str | None:
        """Return the id of the user that an operator named by address or id; ``None``: no user has that address."""
        if "@" not in named:
            return named
        user = await self._ticket_api.find_user(named)
        return user.id if user is not None else None

    async def _stop_own_words(self, queued: QueuedMessage, message: ParsedMessage, decision: Decision) -> Decision:
        """Stop our own notification that came back under another Message-ID and subject: it says what somebody said on
        the ticket, and nothing else. The ticket is asked only where the mail quotes nothing, as a notification."""
        may_be_ours = decision.reply.ambiguous or not (decision.reply.elided or message.in_reply_to)
        is_settled = queued.released_by is not None or queued.post_began_at is not None
        if not may_be_ours or is_settled or decision.is_report or message.attachments:
            return decision
        if not (loops.is_comparable(decision.reply.content) or self._has_id_of_ours(message)):
            return decision
        if not _is_own_mail(message, decision, await self._conversation_if_told(decision)):
            return decision
        reason = "it is a message of its ticket that came back: the same Message-ID and author, or the same words"
        return replace(decision, outcome=Discarded(rule=RuleName.LOOP, reason=reason))

    async def _conversation_if_told(self, decision: Decision) -> Sequence[PostedMessage]:
        """Return the ticket's messages; none where they cannot be had now. Nothing then shows that the mail is our own,
        and it is not put off for that: the limits of loops end a loop, too."""
        assert decision.resolution.ticket_id is not None
        try:
            return await self._ticket_api.conversation(decision.resolution.ticket_id)
        except Unavailable:
            return ()

    def _has_id_of_ours(self, message: ParsedMessage) -> bool:
        domain = (message.message_id or "").rpartition("@")[2]
        return self._settings.local_addresses.is_our_domain(domain)

    async def _extract_reply(self, queued: QueuedMessage, message: ParsedMessage, decision: Decision) -> Decision:
        """Extract the reply again where the ticket's messages or the operator's settings can change it.

        If that kills the parser, the first reading is kept."""
        with suppress(PoisonMessage):
            if decision.reply.ambiguous and (conversation := await self._conversation(queued, decision)):
                decision = await self._extract_beside(conversation, message, decision)
            reply = decision.reply
            if reply.markdown and self._settings.plain_content:
                content = await self._parse_pool.plain(reply.content)
                decision = replace(decision, reply=replace(reply, content=content, markdown=False))
        return decision

    async def _conversation(self, queued: QueuedMessage, decision: Decision) -> Sequence[PostedMessage]:
        """Return the ticket's messages; none, once they could not be had for ``PATIENCE_SECONDS``."""
        assert decision.resolution.ticket_id is not None
        try:
            return await self._ticket_api.conversation(decision.resolution.ticket_id)
        except Unavailable as error:
            reason_to_skip(queued, error, now=self._clock())
            return ()

    async def _extract_beside(
        self, conversation: Sequence[PostedMessage], message: ParsedMessage, decision: Decision
    ) -> Decision:
        """Extract the reply beside the ticket's messages, which tell a quote from answers typed into it."""
        sender_id = decision.user.id if decision.user is not None else decision.author_id
        own = (sender_id, "")  # whose author is not told may be the sender's: people repeat themselves
        sent = [posted.content for posted in conversation if posted.author_id not in own]
        written = [posted.content for posted in conversation if posted.author_id in own]
        return replace(decision, reply=await self._parse_pool.reply(message, sent, written))

    async def _draft(self, _queued: QueuedMessage, message: ParsedMessage, decision: Decision) -> Decision:
        assert decision.resolution.ticket_id is not None
        assert decision.author_id is not None
        draft = Draft(
            ticket_id=decision.resolution.ticket_id,
            author_id=decision.author_id,
            content=compose.compose_content(
                message,
                decision.reply,
                names_sender=decision.user is None or decision.user.id != decision.author_id,
                plain=self._settings.plain_content,
                warning=self._warning(decision),
                ticket_title=await self._title(decision) if compose.has_nothing_new(decision.reply) else "",
            ),
            private=_is_private(decision),
            email_message_id=message.message_id,
            email_in_reply_to=message.in_reply_to[0] if message.in_reply_to else None,
        )
        return replace(decision, draft=draft)

    async def _title(self, decision: Decision) -> str:
        """Return the title of the ticket, from which the writer may have changed the subject."""
        assert decision.resolution.ticket_id is not None
        ticket = await self._ticket_api.find_ticket(decision.resolution.ticket_id)
        return ticket.title if ticket is not None else ""

    def _warning(self, decision: Decision) -> str:
        if decision.trust is not None and decision.trust.treatment.is_private:
            return policy.warning(decision.trust, self._settings.authentication_mode)
        return policy.MACHINE_WARNING if decision.is_from_machine else ""


def _ticket_names(decision: Decision) -> tuple[str, ...]:
    """Return the ids and codes under which the ticket of the message was looked up."""
    ticket_id = decision.resolution.ticket_id
    if ticket_id is None:
        return ()
    return (ticket_id, *(name for name, named in decision.ticket_names.items() if named == ticket_id))


def _is_private(decision: Decision) -> bool:
    is_note = decision.trust is not None and decision.trust.treatment.is_private
    return is_note or decision.is_report or decision.is_from_machine


def _copy_reason(resolution: Resolution, message: ParsedMessage) -> str:
    if resolution.ticket_id is None:
        return "it is a copy of outbound mail, and nothing in it names one ticket: it teaches nothing"
    if message.message_id is None:
        return "it is a copy of outbound mail without a Message-ID: it teaches nothing"
    return f"it is a copy of outbound mail: answers to it go to ticket {resolution.ticket_id}"


def _is_own_mail(message: ParsedMessage, decision: Decision, conversation: Sequence[PostedMessage]) -> bool:
    """Whether a mail is a message of the ticket that came back. Its Message-ID alone is no proof: a customer may have
    copied it. What the sender wrote by mail before does not count, since people repeat themselves."""
    sender_id = decision.user.id if decision.user is not None else None
    perhaps_own = ("", sender_id)  # whose author is not told may be the sender's
    said = [
        posted
        for posted in conversation
        if posted.author_id not in perhaps_own or posted.source not in (None, "", "EMAIL")
    ]
    has_same_id = message.message_id is not None and any(
        posted.email_message_id == message.message_id and posted.author_id == sender_id for posted in said
    )
    return has_same_id or loops.are_our_words(decision.reply.content, (posted.content for posted in said))


def _no_author(queued: QueuedMessage, decision: Decision) -> Quarantined:
    """Return the end of a message that nobody can be named as the author of. The reason names no address."""
    advice = "set INGEST_FALLBACK_AUTHOR_ID and retry it, or release it with --author"
    if queued.released_author is not None:
        reason = "no API user has the address that `release --author` named: release it again with another"
        return Quarantined(rule=RuleName.UNKNOWN_AUTHOR, reason=reason)
    if decision.user is None:
        reason = f"no API user has the sender's address: add one and retry it; or {advice}"
        return Quarantined(rule=RuleName.UNKNOWN_AUTHOR, reason=reason)
    reason = f"it is to be posted under the fallback author, and none is set: {advice}"
    return Quarantined(rule=RuleName.NO_FALLBACK_AUTHOR, reason=reason)
