"""Decides about mails as the pipeline does, and posts and stores nothing: for ``explain`` and ``replay --dry-run``.

Needs neither a database nor an API. Where they are configured they are only read from.
"""

import asyncio
import tempfile
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from ingest import policy
from ingest.api import PostedMessage, Ticket, TicketApi, TicketApiClient, User
from ingest.app import pipeline_settings
from ingest.authenticate import open_authenticator
from ingest.config.settings import Settings
from ingest.decision import Authenticator, Decision, PipelineSettings
from ingest.model.envelope import Envelope, QueuedMessage
from ingest.model.message import Reply
from ingest.model.outcome import Evidence, Finding, Resolution
from ingest.model.trust import AuthenticationMode, Treatment, Trust
from ingest.parse_pool import ParsePool
from ingest.pipeline import Pipeline
from ingest.sources.replay import FileMail, SkippedMail, received_message
from ingest.store.messages import Store
from ingest.store.opening import SQLITE, file_of, open_store, open_to_read

NOT_LOOKED_UP = "an author who was not looked up"
"""The id of every user where there is no API to ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What would become of one mail, and why."""

    path: str
    """The file, and for an mbox the number of the mail in it: ``support.mbox#3``."""
    size_bytes: int
    decision: Decision
    reply: Reply
    """The text that was extracted, also if it would not be posted; empty if the mail cannot be read at all."""
    mode: AuthenticationMode = AuthenticationMode.REQUIRED
    """The value of ``INGEST_AUTHENTICATION`` by which it was decided."""
    other_treatment: Treatment | None = None
    """What the other value would make of it; ``None`` where the decision table was not asked."""


class DryRun:
    """Runs mails through the pipeline up to its decision, several at a time."""

    def __init__(
        self,
        store: Store,
        ticket_api: TicketApi,
        parse_pool: ParsePool,
        settings: Settings,
        authenticator: Authenticator | None = None,
    ) -> None:
        self._store = store
        self._ticket_api = ticket_api
        self._parse_pool = parse_pool
        self._authenticator = authenticator
        self._settings = settings
        self._pipeline_settings = pipeline_settings(settings)

    async def explain_all(
        self, mails: Iterable[FileMail | SkippedMail]
    ) -> AsyncGenerator[Explanation | SkippedMail, None]:
        """Yield an explanation of each mail, in the order of ``mails``, while the next ones are being worked on.

        A file that could not be read is passed through. Close the generator to end the work that is in progress.
        """
        width = self._settings.parse_children + 1
        running: deque[asyncio.Task[Explanation | SkippedMail]] = deque()
        source = iter(mails)
        try:
            while True:
                while len(running) < width and (mail := await asyncio.to_thread(next, source, None)) is not None:
                    running.append(asyncio.create_task(self._explain(mail)))
                if not running:
                    return
                yield await running.popleft()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _explain(self, mail: FileMail | SkippedMail) -> Explanation | SkippedMail:
        if isinstance(mail, SkippedMail):
            return mail
        queued = _as_if_queued(mail)
        pipeline = Pipeline(
            store=self._store,
            ticket_api=self._ticket_api,
            parse_pool=self._parse_pool,
            settings=self._settings_for(queued.envelope),
            authenticator=self._authenticator,
            clock=time.time,
        )
        decision = await pipeline.decide(queued, mail.content)
        if isinstance(self._ticket_api, NoTicketApi):
            decision = replace(decision, resolution=_mark_not_asked(decision.resolution))
        return Explanation(
            path=mail.path,
            size_bytes=len(mail.content),
            decision=decision,
            reply=decision.reply,
            mode=self._pipeline_settings.authentication_mode,
            other_treatment=self._other_treatment(decision.trust),
        )

    def _other_treatment(self, trust: Trust | None) -> Treatment | None:
        if trust is None:
            return None
        settings = self._pipeline_settings
        return policy.decide(
            who=trust.who,
            authentication=trust.authentication.result,
            level=trust.level,
            table=settings.decision_table,
            mode=settings.authentication_mode.other,
        )

    def _settings_for(self, envelope: Envelope) -> PipelineSettings:
        """Return the pipeline's settings; where no domain is configured, every recipient counts as ours."""
        if self._settings.domains:
            return self._pipeline_settings
        pairs = [address.rpartition("@")[::2] for address in envelope.rcpt_tos]
        local_addresses = replace(
            self._pipeline_settings.local_addresses,
            domains=frozenset(domain.lower() for _, domain in pairs),
            recipients=frozenset(local.partition("+")[0].lower() for local, _ in pairs),
        )
        signals = replace(self._pipeline_settings.signals, domains=local_addresses.domains)
        return replace(self._pipeline_settings, local_addresses=local_addresses, signals=signals)


@asynccontextmanager
async def open_dry_run(settings: Settings) -> AsyncIterator[DryRun]:
    """Yield a dry run that reads from the configured database and API, as far as they exist.

    Raises:
        StoreUnavailable: the database exists and cannot be used.
    """
    parse_pool = ParsePool(
        processes=settings.parse_children, seconds=settings.parse_seconds, memory_bytes=settings.parse_memory_bytes
    )
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(_store(settings))
        ticket_api = (
            NoTicketApi() if settings.api_token is None else await stack.enter_async_context(TicketApiClient(settings))
        )
        await parse_pool.start()
        stack.push_async_callback(parse_pool.stop)
        without_waiting = settings.model_copy(update={"dns_patience": 0.0})
        authenticator = await stack.enter_async_context(
            open_authenticator(without_waiting, parse_pool, clock=time.time)
        )
        yield DryRun(store, ticket_api, parse_pool, settings, authenticator)


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Store]:
    """Yield the configured store if its file exists, else an empty temporary one."""
    if file_of(settings.database_url).exists():
        async with open_to_read(settings.database_url) as database:
            yield Store(database)
        return
    with tempfile.TemporaryDirectory(prefix="ingest-") as folder:
        async with open_store(f"{SQLITE}{Path(folder, 'empty.db')}") as store:
            yield store


class NoTicketApi:
    """The ticket API of a dry run without a token: it sends no request.

    Every author counts as known and as the requester of the ticket, and every ticket id as existing. A code such as
    ``TAI-42`` finds no ticket, because only the API knows its id.
    """

    async def find_user(self, email: str) -> User | None:
        """Return a user with this address and no name: every author counts as known."""
        return User(id=NOT_LOOKED_UP, email=email, name="")

    async def find_ticket(self, identifier: str) -> Ticket | None:
        """Return a ticket with this id, or ``None`` for a code."""
        is_code = identifier.rpartition("-")[2].isdigit()
        return None if is_code else Ticket(id=identifier, code="", requester_id=NOT_LOOKED_UP)

    async def list_messages(self, _ticket_id: str) -> AsyncIterator[PostedMessage]:
        """Yield nothing: without an API, nobody knows what was said on a ticket."""
        nothing: tuple[PostedMessage, ...] = ()
        for message in nothing:
            yield message

    async def conversation(self, _ticket_id: str) -> tuple[PostedMessage, ...]:
        """Return no messages, as ``list_messages`` does."""
        return ()

    async def post_message(self, *_draft: object, **_options: object) -> NoReturn:
        """Raise ``AssertionError``: a dry run posts nothing."""
        raise AssertionError("a dry run posts nothing")

    async def find_posted(self, *_draft: object, **_options: object) -> NoReturn:
        """Raise ``AssertionError``: a dry run has no earlier attempt to look for."""
        raise AssertionError("a dry run posts nothing")


def _mark_not_asked(resolution: Resolution) -> Resolution:
    return replace(resolution, evidence=tuple(map(_as_not_asked, resolution.evidence)))


def _as_not_asked(evidence: Evidence) -> Evidence:
    if evidence.finding not in (Finding.NO_SUCH_TICKET, Finding.TICKET_GONE):
        return evidence
    return replace(evidence, finding=Finding.NOT_ASKED)


def _as_if_queued(mail: FileMail) -> QueuedMessage:
    now = time.time()
    message = received_message(mail, received_at=now)
    return QueuedMessage(
        queue_id="",
        envelope=message.envelope,
        source_ref=message.source_ref,
        size=len(mail.content),
        received_at=now,
        retry_window_start=now,
        attempts=1,
        lone_crashes=0,
        first_attempt_at=now,
        lease_token="",
    )
