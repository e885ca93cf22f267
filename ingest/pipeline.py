"""The way of one message to its ticket. Start reading here.

receive   (receive.py) stores the mail; only then is it accepted.
          C1 crash before COMMIT: the sender sends it again. C2 crash after it: what is sent again is the same row.
claim     (worker.py) takes the mail under a lease, and calls ``process``.
decide    (decider.py) parse, screen, authenticate, resolve the ticket, find the user, admit, judge (who the sender is,
          and the cell of the decision table), choose the author, extract the reply, draft.
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
from contextlib import nullcontext
from dataclasses import replace

from ingest import attachments, compose, log, loops, metrics
from ingest.api import Claims, Draft, PostFingerprint, Rival, TicketApi, Unavailable
from ingest.attachments import AttachmentUploader, UploadResult
from ingest.authentication.author import author_address
from ingest.decider import Decider
from ingest.decision import Authenticator, Decision, PipelineSettings
from ingest.doubt import NO_WINDOW, Doubt, DoubtStep, SettleWindow, next_step
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
    RuleName,
)
from ingest.parse_pool import ParsePool
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
        self._clock = clock
        self._settle_window = settle_window
        self._began_at = clock()
        self._uploader = uploader
        self._ticket_lookup = TicketLookup(
            store,
            ticket_api,
            settings.signals,
            LookupBudget(settings.max_lookups_per_sender, clock) if uploader is not None else None,
        )
        self._decider = Decider(
            ticket_api=ticket_api,
            ticket_lookup=self._ticket_lookup,
            parse_pool=parse_pool,
            settings=settings,
            clock=clock,
            authenticator=authenticator,
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
        """Decide what is to become of a message, without storing or posting anything (``Decider.decide``)."""
        return await self._decider.decide(queued, content)

    async def _decide_with_bounded_memory(self, queued: QueuedMessage) -> Decision:
        async with self._large_mails if queued.size > LARGE_MAIL_BYTES else nullcontext():
            return await self.decide(queued, await self._store.content(queued.queue_id))

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
            sender=author_address(message),
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


def _unread(message: ParsedMessage) -> int:
    """Return how many parts the ticket message has to say are missing: none of a returned mail, which stays out."""
    return 0 if message.delivery_report is not None else message.unread_parts


def _count_treatment(decision: Decision, outcome: Outcome) -> None:
    """Count a message in the cell of the decision table that applied to it, once it has ended."""
    trust = decision.trust
    if trust is not None and outcome.state in FINAL_STATES:
        metrics.TREATED.labels(trust.who, trust.authentication.result, trust.level, trust.treatment).inc()
    if decision.flag and isinstance(outcome, Delivered):
        metrics.FLAGGED.inc()


def _outcome_before_post(identified: Identified, queued: QueuedMessage, decision: Decision) -> Outcome | None:
    """Return how the message ends without a POST; ``None`` where its draft is to be posted."""
    outcome = decision.outcome
    if not identified.lease_held:
        return LEASE_LOST
    if isinstance(outcome, Discarded) or decision.message is None:
        return outcome
    if (copy := _copy_that_counts(identified, queued, decision)) is not None:
        return Discarded(rule=RuleName.DUPLICATE, reason=f"the same mail has come already, as {copy}")
    if identified.blocked_by is not None and outcome is None:
        older = identified.blocked_by
        return Deferred(
            reason=f"an older message of its ticket, {older}, has to go first", blocked_by=older, cause=DeferCause.WAIT
        )
    return outcome or _held_by_others(identified, queued)


def _copy_that_counts(identified: Identified, queued: QueuedMessage, decision: Decision) -> str | None:
    """Return the queue id of the copy for which a message is a duplicate. A release passes a copy that is on no ticket,
    and none that is: what an operator releases late must not be there twice."""
    if identified.delivered_as is not None:
        return identified.delivered_as
    may_be_of_another_ticket = isinstance(decision.outcome, Deferred) and decision.resolution.ticket_id is None
    if queued.released_by is not None or may_be_of_another_ticket:
        return None
    return identified.duplicate_of


def _held_by_others(identified: Identified, queued: QueuedMessage) -> Outcome | None:
    """Return how a message ends that has a draft and all the same is not posted, for what was posted before it."""
    if identified.reported_by is not None and queued.released_by is None:
        reason = f"{identified.reported_by} reports the same of the same mail and recipients"
        return Discarded(rule=RuleName.DUPLICATE, reason=reason)
    if identified.pause is not None:
        return Quarantined(rule=RuleName.PAUSED, reason=loops.reason_of(identified.pause))
    return None


def _words_key(message: ParsedMessage, reply: Reply, draft: Draft | None) -> str | None:
    if draft is None:
        return None
    files = (attachment.sha256 for attachment in message.attachments)
    words = draft.content if message.delivery_report is not None else reply.content or draft.content
    return words_key(draft.ticket_id, author_address(message), words, files)


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
