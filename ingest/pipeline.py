"""The way of one message to its ticket. Start reading here.

receive   (receive.py) stores the mail; only then is it accepted.
          C1 crash before COMMIT: the sender sends it again. C2 crash after it: what is sent again is the same row.
claim     (worker.py) takes the mail under a lease, and calls ``process``.
decide    parse, screen, authenticate, resolve the ticket, find the user, admit, judge (who the sender is, and the cell
          of the decision table), choose the author, extract the reply, draft.
          This only reads, so it can be repeated; ``ingest explain`` does no more than this.
          C3 crash: the lease runs out, another worker claims the message and decides the same again.
identify  stores what was found out; tells whether the message is a duplicate or must wait for an older one.
deliver   upload the attachments, look for an earlier post, post, connect the attachments.
          That a POST begins is stored before it. C4 crash or time-out in the POST, C5 crash after its 2xx: the next
          attempts wait until the POST must have shown, look for it at the API, and only then post again (doubt.py).
settle    (worker.py) writes the outcome. C6 crash after that: nothing is left to do.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial

from ingest import attachments, compose, log, loops, metrics, policy, screening
from ingest.api import Claims, Draft, PostedMessage, PostFingerprint, Rival, TicketApi, Unavailable
from ingest.attachments import AttachmentUploader, UploadResult, reason_to_skip
from ingest.authentication.author import about_author, author_address, find_author, is_believed
from ingest.decision import Authenticator, Decision, PipelineSettings
from ingest.doubt import NO_WINDOW, Doubt, DoubtStep, SettleWindow, next_step
from ingest.model.author import AuthorFault
from ingest.model.envelope import QueuedMessage
from ingest.model.loops import Pause, words_key
from ingest.model.message import ParsedMessage, Reply
from ingest.model.outcome import (
    FINAL_STATES,
    DeferCause,
    Deferred,
    Delivered,
    Discarded,
    Outcome,
    Quarantined,
    Resolution,
    RuleName,
    Waiting,
)
from ingest.model.trust import Trust
from ingest.model.verdict import Verdict
from ingest.parse_pool import ParsePool, PoisonMessage
from ingest.sender_lookup import SenderLookup
from ingest.store import Findings, Identified, PostInDoubt
from ingest.store.messages import Store
from ingest.ticket_lookup import LookupBudget, TicketLookup

LARGE_MAIL_BYTES = 2 * 1024 * 1024
"""Mail above this size is large. Nearly all mail is smaller, and needs no limit of its own."""
MAX_LARGE_MAILS_IN_MEMORY = 4
"""Large mails held in memory for parsing at once: 4 x 35 MiB at most, by default. More would mostly wait for a parsing
process there."""
CLOCK_STEP_SECONDS = 2 * 3600.0
"""How far the clock may have been set between two processes: a POST of an earlier one may have begun by this much
before the time that it noted. An hour is what a wrong time zone makes."""
SUBJECT_CHARACTERS = 200
"""What is kept of a subject beside the mail: enough to recognise it in ``ingest messages list``."""

LEASE_LOST = Deferred(
    reason="the lease was lost: another worker has the message, and this one must not post it", cause=DeferCause.WAIT
)


_log = log.get("pipeline")


class Pipeline:
    """Takes claimed messages through every step, up to their outcome."""

    def __init__(
        self,
        *,
        store: Store,
        ticket_api: TicketApi,
        parse_pool: ParsePool,
        settings: PipelineSettings,
        clock: Callable[[], float],
        settle_window: SettleWindow = NO_WINDOW,
        uploader: AttachmentUploader | None = None,
        authenticator: Authenticator | None = None,
    ) -> None:
        """``clock`` gives Unix seconds that never go back. Without an ``uploader``, attachments are not posted: enough
        for ``decide``. Without an ``authenticator``, nothing is known of any sender."""
        self._store = store
        self._ticket_api = ticket_api
        self._parse_pool = parse_pool
        self._settings = settings
        self._clock = clock
        self._settle_window = settle_window
        self._began_at = clock()
        self._uploader = uploader
        self._authenticator = authenticator
        self._sender_lookup = SenderLookup(
            ticket_api, staff_domains=settings.staff_domains, table=settings.decision_table
        )
        self._ticket_lookup = TicketLookup(
            store,
            ticket_api,
            settings.signals,
            LookupBudget(settings.max_lookups_per_sender, clock) if uploader is not None else None,
        )
        self._posted_here: set[str] = set()
        """Messages of which a POST began in this process and is in doubt."""
        self._large_mails = asyncio.Semaphore(MAX_LARGE_MAILS_IN_MEMORY)

    async def process(self, queued: QueuedMessage) -> Outcome:
        """Decide about a claimed message, identify it and deliver it; the caller settles the outcome.

        No older message of its ticket is unfinished, as far as the store knows the ticket; what is found out here may
        show one, and then this message is put behind it.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        if queued.ticket_message_id is not None:
            return await self._finish_posted(queued)
        decision = await self._decide_with_bounded_memory(queued)
        identified = await self._identify(queued, decision)
        if identified.pause is not None and identified.pause.is_new:
            _tell_of_pause(identified.pause)
        outcome = _outcome_before_post(identified, queued, decision)
        if decision.copy_mark is not None and decision.message is not None:
            ticket_id = decision.resolution.ticket_id
            await self._ticket_lookup.learn_copy(decision.message, ticket_id, decision.copy_mark, now=self._clock())
        if outcome is None:
            await self._ticket_lookup.learn_verified(decision.resolution, now=self._clock())
            outcome = await self._deliver(queued, decision, identified)
        elif not isinstance(outcome, Deferred):
            outcome = await self._look_before_ending(queued, decision, identified, outcome)
        _count_treatment(decision, outcome)
        return outcome

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

    async def _deliver(self, queued: QueuedMessage, decision: Decision, identified: Identified) -> Outcome:
        """Post the draft, once, with its attachments. The only step whose effect is seen outside."""
        message, draft = decision.message, decision.draft
        assert message is not None
        assert draft is not None
        if (wait := self._wait_for_settling(queued)) is not None:
            return wait
        try:
            uploaded = await self._upload_attachments(queued, message, draft)
            draft = replace(draft, appendix=compose.compose_appendix(uploaded.missing, _unread(message)))
            outcome = await self._find_earlier_post(queued, draft, identified.post_fingerprints)
            outcome = outcome or await self._post(queued, draft, has_begun=identified.post_count is not None)
        except Unavailable as error:
            return error.outcome
        if not isinstance(outcome, Delivered):
            return outcome
        return await self._connect_attachments(queued, draft, uploaded, outcome)

    # Decide: each step returns the decision with more in it; one that sets an outcome is the last.

    async def _decide_with_bounded_memory(self, queued: QueuedMessage) -> Decision:
        async with self._large_mails if queued.size > LARGE_MAIL_BYTES else nullcontext():
            return await self.decide(queued, await self._store.content(queued.queue_id))

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
        sender = _sender(message)
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
        if not _is_own_mail(message, decision, await self._conversation(queued, decision)):
            return decision
        reason = "it is a message of its ticket that came back: the same Message-ID and author, or the same words"
        return replace(decision, outcome=Discarded(rule=RuleName.LOOP, reason=reason))

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

    # Identify

    async def _identify(self, queued: QueuedMessage, decision: Decision) -> Identified:
        message, draft = decision.message, decision.draft
        if message is None:
            return Identified(lease_held=True)
        findings = Findings(
            message_id=message.message_id,
            content_digest=message.content_digest,
            ticket_id=decision.resolution.ticket_id,
            subject=message.subject[:SUBJECT_CHARACTERS],
            sender=_sender(message),
            evidence=decision.resolution.evidence,
            post_fingerprint=str(draft.fingerprint) if draft is not None else None,
            post_digest=draft.fingerprint.digest if draft is not None else None,
            ticket_names=decision.ticket_names,
            begins_post=self._posts_at_once(queued, decision),
            trust=decision.trust,
            authentication=decision.authentication if decision.authentication.reason else None,
            flag=decision.flag,
            words_key=_words_key(message, decision.reply, draft),
            written_at=loops.written_at(queued, message) if draft is not None else None,
            may_be_paused=queued.released_by is None and queued.post_began_at is None,
            report_keys=loops.report_keys(message) if decision.is_report and draft is not None else (),
        )
        return await self._store.identify(queued.queue_id, queued.lease_token, findings, now=self._clock())

    def _posts_at_once(self, queued: QueuedMessage, decision: Decision) -> bool:
        """Whether nothing comes between identifying the message and its POST: no doubt, nothing to upload."""
        message, draft = decision.message, decision.draft
        if message is None or draft is None or decision.outcome is not None or queued.post_began_at is not None:
            return False
        return self._uploader is None or not attachments.has_uploads(message)

    # Deliver

    async def _upload_attachments(self, queued: QueuedMessage, message: ParsedMessage, draft: Draft) -> UploadResult:
        if self._uploader is None or not attachments.has_uploads(message):
            return UploadResult()
        return await self._uploader.upload_all(queued, message, draft.ticket_id, now=self._clock())

    def _wait_for_settling(self, queued: QueuedMessage) -> Deferred | None:
        """Return the deferral of a message whose earlier POST may still take effect; ``None`` where it is time to look,
        or no POST is in doubt."""
        step, seconds = self._next_step(_doubt(queued))
        if step is not DoubtStep.WAIT:
            return None
        reason = "an earlier POST of it may still take effect; it is looked for after that"
        return Deferred(reason=reason, retry_after=seconds, cause=DeferCause.WAIT)

    def _next_step(self, doubt: Doubt | None) -> tuple[DoubtStep, float]:
        return next_step(doubt, self._settle_window, process_began_at=self._began_at, now=self._clock())

    async def _find_earlier_post(
        self, queued: QueuedMessage, draft: Draft, post_fingerprints: Sequence[str]
    ) -> Outcome | None:
        """Look for what an earlier POST in doubt created. ``None``: the draft may be posted.

        The API knows no idempotency key, so we look before posting again, twice where no answer came. What an earlier
        attempt would have posted may differ from today's draft, so its fingerprints are looked for as well."""
        if queued.post_began_at is None:
            return None
        fingerprints = tuple(map(PostFingerprint.parse, post_fingerprints))
        claims = Claims()

        async def find_claims(ticket_message_ids: Sequence[str]) -> Claims:
            nonlocal claims
            claims = await self._claims_of_others(queued, ticket_message_ids, (draft.fingerprint, *fingerprints))
            return claims

        began_at = self._earliest_beginning(queued.queue_id, queued.post_began_at)
        found = await self._ticket_api.find_posted(
            draft, began_at=began_at, find_claims=find_claims, post_fingerprints=fingerprints
        )
        if isinstance(found, Quarantined) and queued.released_by is not None:
            return None  # a person has looked
        if found is None and (wait := self._wait_for_rivals(claims.rivals)) is not None:
            return wait
        if found is not None or queued.absent_at is not None or queued.post_was_answered:
            return found
        seconds = self._settle_window.second_look_seconds
        reason = f"an earlier POST of it does not show; it is looked for once more in {seconds:.0f} seconds"
        return Deferred(reason=reason, retry_after=seconds, cause=DeferCause.WAIT, found_absent=True)

    async def _look_before_ending(
        self, queued: QueuedMessage, decision: Decision, identified: Identified, outcome: Outcome
    ) -> Outcome:
        """Look for what an earlier POST in doubt created before the message ends without a POST.

        The decision may have changed since that POST began (another setting, another answer of DNS or API). A message
        that is on its ticket must not be told to an operator as one that is not."""
        if queued.post_began_at is None or decision.message is None or not identified.post_fingerprints:
            return outcome
        if (wait := self._wait_for_settling(queued)) is not None:
            return wait
        earlier = PostFingerprint.parse(identified.post_fingerprints[-1])
        draft = Draft(
            ticket_id=earlier.ticket_id or queued.ticket_id or "",
            author_id=earlier.author_id,
            content="",  # only the fingerprints of the earlier drafts are looked for
            email_message_id=decision.message.message_id,
        )
        try:
            return await self._find_earlier_post(queued, draft, identified.post_fingerprints) or outcome
        except Unavailable as error:
            return error.outcome

    def _earliest_beginning(self, queue_id: str, noted_at: float) -> float:
        """Return the earliest time, by the clock of this process, at which a POST in doubt can have begun."""
        return noted_at if queue_id in self._posted_here else min(noted_at, self._began_at) - CLOCK_STEP_SECONDS

    async def _post(self, queued: QueuedMessage, draft: Draft, *, has_begun: bool) -> Outcome:
        """Post the draft. That the POST begins is stored before it, under the lease: a worker that has lost its lease
        must not post, and one that dies now leaves a trace of the POST. ``has_begun``: ``identify`` has stored it."""
        if not has_begun and not await self._store.begin_post(queued.queue_id, queued.lease_token, now=self._clock()):
            return LEASE_LOST
        self._posted_here.add(queued.queue_id)
        outcome = await self._ticket_api.post_message(draft, idempotency_key=queued.queue_id)
        if isinstance(outcome, Delivered):
            self._posted_here.discard(queued.queue_id)
        if isinstance(outcome, Delivered) and queued.post_began_at is not None:
            return replace(outcome, posted_after_doubt=True)
        return outcome

    async def _finish_posted(self, queued: QueuedMessage) -> Outcome:
        """Tie the attachments of a message that is posted already. Nothing about it is decided again."""
        assert queued.ticket_message_id is not None
        assert queued.ticket_id is not None
        posted = Delivered(
            ticket_id=queued.ticket_id,
            ticket_message_id=queued.ticket_message_id,
            email_message_id=queued.email_message_id,
        )
        if self._uploader is None:
            return posted
        uploaded = await self._uploader.uploaded_before(queued)
        return await self._uploader.connect(queued, queued.ticket_id, uploaded, posted, now=self._clock())

    def _wait_for_rivals(self, rivals: Sequence[Rival]) -> Deferred | None:
        """Return the deferral of a message that was not found while another one with the same words may still show:
        what was found went to that one, and what shows later may be ours."""
        beginnings = [Doubt(post_began_at=rival.began_at, absent_at=None) for rival in rivals]
        waits = [self._next_step(doubt)[1] for doubt in beginnings]
        if not any(waits):
            return None
        reason = "a POST of another message with the same words may still take effect; it is looked for after that"
        return Deferred(reason=reason, retry_after=max(waits), cause=DeferCause.WAIT)

    async def _claims_of_others(
        self, queued: QueuedMessage, ticket_message_ids: Sequence[str], fingerprints: Sequence[PostFingerprint]
    ) -> Claims:
        """Return which ticket messages other mails of ours became, or may be: two honest mails may say the same words.

        The message itself is not among them: once it is known as a ticket message, nobody looks for it."""
        assert queued.post_began_at is not None
        claims = await self._store.post_claims(
            queued.queue_id,
            ticket_message_ids,
            [fingerprint.digest for fingerprint in fingerprints],
        )
        return Claims(taken=claims.taken, rivals=tuple(map(_rival, claims.rivals)), began_at=queued.post_began_at)

    async def _connect_attachments(
        self, queued: QueuedMessage, draft: Draft, uploaded: UploadResult, posted: Delivered
    ) -> Outcome:
        if self._uploader is None:
            return posted
        return await self._uploader.connect(queued, draft.ticket_id, uploaded, posted, now=self._clock())


def _sender(message: ParsedMessage) -> str:
    """Return the address of the author, ``""`` where the mail names none."""
    return author_address(message)


def _unread(message: ParsedMessage) -> int:
    """Return how many parts the ticket message has to say are missing: none of a returned mail, which stays out."""
    return 0 if message.delivery_report is not None else message.unread_parts


def _ticket_names(decision: Decision) -> tuple[str, ...]:
    """Return the ids and codes under which the ticket of the message was looked up."""
    ticket_id = decision.resolution.ticket_id
    if ticket_id is None:
        return ()
    return (ticket_id, *(name for name, named in decision.ticket_names.items() if named == ticket_id))


def _is_private(decision: Decision) -> bool:
    is_note = decision.trust is not None and decision.trust.treatment.is_private
    return is_note or decision.is_report or decision.is_from_machine


def _count_treatment(decision: Decision, outcome: Outcome) -> None:
    """Count a message in the cell of the decision table that applied to it, once it has ended."""
    trust = decision.trust
    if trust is not None and outcome.state in FINAL_STATES:
        metrics.TREATED.labels(trust.who, trust.authentication.result, trust.level, trust.treatment).inc()
    if decision.flag and isinstance(outcome, Delivered):
        metrics.FLAGGED.inc()


def _copy_reason(resolution: Resolution, message: ParsedMessage) -> str:
    if resolution.ticket_id is None:
        return "it is a copy of outbound mail, and nothing in it names one ticket: it teaches nothing"
    if message.message_id is None:
        return "it is a copy of outbound mail without a Message-ID: it teaches nothing"
    return f"it is a copy of outbound mail: answers to it go to ticket {resolution.ticket_id}"


def _outcome_before_post(identified: Identified, queued: QueuedMessage, decision: Decision) -> Outcome | None:
    """Return how the message ends without a POST; ``None`` where its draft is to be posted."""
    outcome = decision.outcome
    if not identified.lease_held:
        return LEASE_LOST
    if isinstance(outcome, Discarded) or decision.message is None:
        return outcome
    may_be_of_another_ticket = isinstance(outcome, Deferred) and decision.resolution.ticket_id is None
    if identified.duplicate_of is not None and queued.released_by is None and not may_be_of_another_ticket:
        return Discarded(
            rule=RuleName.DUPLICATE, reason=f"the same mail has come already, as {identified.duplicate_of}"
        )
    if identified.blocked_by is not None and outcome is None:
        older = identified.blocked_by
        return Deferred(
            reason=f"an older message of its ticket, {older}, has to go first", blocked_by=older, cause=DeferCause.WAIT
        )
    return outcome or _held_by_others(identified, queued)


def _held_by_others(identified: Identified, queued: QueuedMessage) -> Outcome | None:
    """Return how a message ends that has a draft and all the same is not posted, for what was posted before it."""
    if identified.reported_by is not None and queued.released_by is None:
        reason = f"{identified.reported_by} reports the same of the same mail and recipients"
        return Discarded(rule=RuleName.DUPLICATE, reason=reason)
    if identified.pause is not None:
        return Quarantined(rule=RuleName.PAUSED, reason=loops.reason_of(identified.pause))
    return None


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


def _words_key(message: ParsedMessage, reply: Reply, draft: Draft | None) -> str | None:
    if draft is None:
        return None
    files = (attachment.sha256 for attachment in message.attachments)
    words = draft.content if message.delivery_report is not None else reply.content or draft.content
    return words_key(draft.ticket_id, _sender(message), words, files)


def _tell_of_pause(pause: Pause) -> None:
    """Raise the alarm about a thread once, when it is paused."""
    metrics.PAUSES.labels(pause.cause).inc()
    _log.error(
        "a loop is likely; mail to this ticket is held", ticket_id=pause.ticket_id, reason=loops.reason_of(pause)
    )


def _doubt(queued: QueuedMessage) -> Doubt | None:
    """Return what is known of an earlier POST of the message; ``None`` where none is in doubt."""
    if queued.post_began_at is None:
        return None
    return Doubt(post_began_at=queued.post_began_at, absent_at=queued.absent_at, was_answered=queued.post_was_answered)


def _rival(post: PostInDoubt) -> Rival:
    fingerprints = tuple(map(PostFingerprint.parse, post.post_fingerprints))
    tickets = {fingerprint.ticket_id for fingerprint in fingerprints if fingerprint.ticket_id}
    return Rival(began_at=post.began_at, fingerprints=fingerprints, tickets=tuple(sorted(tickets)))


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
