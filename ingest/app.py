"""Builds the whole worker from the settings, starts it and stops it; the only module that knows every component.

The order is: lock, store, API client, parser processes, HTTP listener, sources, worker. It stops in reverse.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.routing import Route

from ingest import attachments, log, policy
from ingest.api import TicketApiClient
from ingest.attachments import AttachmentUploader
from ingest.authenticate import open_authenticator
from ingest.clock import SteadyClock
from ingest.config.settings import ConfigError, Settings
from ingest.config.types import subject_tag_pattern
from ingest.database_watch import DatabaseWatch
from ingest.decision import Authenticator, PipelineSettings
from ingest.doubt import SettleWindow
from ingest.housekeeping import Housekeeping
from ingest.model.local_addresses import LocalAddresses
from ingest.model.loops import LoopLimits
from ingest.model.mail_address import comparable_domain
from ingest.model.trust import AuthenticationMode
from ingest.pair_check import PairCheck
from ingest.parse_pool import ParsePool
from ingest.pipeline import Pipeline
from ingest.receive import Receiver
from ingest.reload import Reloader
from ingest.retry import DAY_SECONDS, Schedule
from ingest.sources import Source, SourceError
from ingest.sources.imap import ImapSource
from ingest.sources.smtp import SmtpSource
from ingest.sources.smtp.limits import SmtpLimits
from ingest.store import Database, StoreUnavailable
from ingest.store.api_profiles import ApiProfiles
from ingest.store.generation import PostCountFile
from ingest.store.imap import ImapStore
from ingest.store.messages import Store
from ingest.store.opening import WorkerLock, check_rescued, file_of, open_database
from ingest.store.uploads import Uploads
from ingest.sync import ThreadSync
from ingest.tickets import SignalSettings
from ingest.web import Web, create_app
from ingest.webhook import TicketMessageWebhook
from ingest.worker import Worker

UPLOADS_SHARE = 0.5
"""The share of a message's lease that its uploads may take. Below ``worker.WORK_SHARE_OF_LEASE``, so that a slow upload
ends as just that, and the message is posted without it when it has waited for long enough."""

WRITE_TEST_SECONDS = 1.0
"""How long the answer of a test write is reused. Each costs a sync of the disk."""

STEADY_CLOCK = SteadyClock()
"""The one clock of the process: what the store, the worker and the sources note must be comparable."""

_log = log.get("app")


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Everything behind the sources: what stores received mail, and what delivers it."""

    settings: Settings
    store: Store
    imap_store: ImapStore
    api: TicketApiClient
    receiver: Receiver
    pipeline: Pipeline
    worker: Worker
    sync: ThreadSync | None


@asynccontextmanager
async def start_engine(settings: Settings, *, clock: Callable[[], float] = STEADY_CLOCK) -> AsyncIterator[Engine]:
    """Open the store, the API client and the parse pool, and yield the engine; close them with the block.

    The worker's loop is not running yet. The caller must hold the ``WorkerLock``.

    Raises:
        StoreUnavailable: the database cannot be opened.
    """
    parse_pool = ParsePool(
        processes=settings.parse_children, seconds=settings.parse_seconds, memory_bytes=settings.parse_memory_bytes
    )
    async with open_database(settings.database_url) as database, _post_count(settings, database) as posts:
        profiles = ApiProfiles(database)
        if released := await Store(database).release_leases(now=clock()):
            _log.info("took over what an earlier worker left", messages=released)
        async with TicketApiClient(
            settings, profile=await profiles.load(), save_profile=profiles.save, steady_clock=clock
        ) as api:
            await parse_pool.start()
            try:
                async with open_authenticator(settings, parse_pool, clock=clock) as authenticator:
                    yield build_engine(
                        settings, database, api, parse_pool, clock, on_post=posts.note, authenticator=authenticator
                    )
            finally:
                await parse_pool.stop()


@asynccontextmanager
async def _post_count(settings: Settings, database: Database) -> AsyncIterator[PostCountFile]:
    """Learn whether the database was restored or copied since it was worked on last, and count the POSTs beside it."""
    file = PostCountFile(file_of(settings.database_url))
    try:
        doubted = await file.compare(database)
        if doubted:
            _log.warning(
                "the database was restored or copied: what is unfinished in it is looked for at the API before it is"
                " posted",
                messages=doubted,
            )
        yield file
    except OSError as error:
        raise StoreUnavailable(f"{file.path}: {error.strerror}; make it writable for this user") from error
    finally:
        file.close()


def pipeline_settings(settings: Settings) -> PipelineSettings:
    """Return those settings that decide what becomes of a message.

    Raises:
        ConfigError: the table ``[decision]`` has a hole or an unknown name.
    """
    try:
        table = policy.read_table(settings.decision)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return PipelineSettings(
        local_addresses=LocalAddresses(
            domains=frozenset(settings.domains),
            recipients=frozenset(settings.recipients),
            max_received=settings.max_received,
            lists=frozenset(settings.list_domains),
            own=frozenset(settings.own_addresses),
            wanted_machines=frozenset(settings.wanted_machines),
        ),
        signals=signal_settings(settings),
        fallback_author_id=settings.fallback_author_id,
        max_lookups_per_sender=settings.max_lookups_per_sender,
        plain_content=settings.content_format == "plain",
        staff_domains=frozenset(map(comparable_domain, settings.staff_domains)),
        authentication_mode=AuthenticationMode.named(settings.authentication),
        decision_table=table,
    )


def signal_settings(settings: Settings) -> SignalSettings:
    """Return those settings that tell which signals of a mail name a ticket."""
    return SignalSettings(
        domains=frozenset(settings.domains),
        keys=settings.signing_keys,
        subject_tag=subject_tag_pattern(settings.subject_tag),
        sent_address=settings.sent_address.get_secret_value().lower() if settings.sent_address else "",
    )


def loop_limits(settings: Settings) -> LoopLimits:
    """Return those settings that tell when a loop is likely."""
    return LoopLimits(
        equal_posts=settings.loop_equal,
        equal_seconds=settings.loop_equal_window,
        sender_posts=settings.loop_sender,
        ticket_posts=settings.loop_ticket,
        window_seconds=settings.loop_window,
    )


def _settle_window(settings: Settings) -> SettleWindow:
    return SettleWindow(
        post_timeout_seconds=settings.api_timeout,
        settle_seconds=settings.settle,
        second_look_seconds=settings.second_look,
    )


def _limits(settings: Settings) -> attachments.AttachmentLimits:
    return attachments.AttachmentLimits(
        enabled=settings.attachments,
        max_bytes=settings.max_attachment_bytes,
        refused_types=settings.refused_attachments,
    )


def _uploader(
    settings: Settings, store: Store, uploads: Uploads, api: TicketApiClient, parse_pool: ParsePool
) -> AttachmentUploader:
    return AttachmentUploader(
        store=store,
        parse_pool=parse_pool,
        uploads=uploads,
        api=api.attachments,
        limits=_limits(settings),
        seconds=settings.lease * UPLOADS_SHARE,
    )


def build_engine(
    settings: Settings,
    database: Database,
    api: TicketApiClient,
    parse_pool: ParsePool,
    clock: Callable[[], float],
    *,
    on_post: Callable[[int], None],
    authenticator: Authenticator | None = None,
) -> Engine:
    """Wire up the components on what is open already. The simulation of the tests begins here, too.

    ``on_post`` is told how many POSTs have begun since the database was made."""
    store = _store(settings, database, on_post)
    pipeline = Pipeline(
        store=store,
        ticket_api=api,
        parse_pool=parse_pool,
        uploader=_uploader(settings, store, Uploads(database), api, parse_pool),
        settings=pipeline_settings(settings),
        settle_window=_settle_window(settings),
        authenticator=authenticator,
        clock=clock,
    )
    worker = _worker(settings, store, pipeline, api, clock, on_waiting=lambda: sync.trigger() if sync else None)
    sync = _sync(settings, store, api, clock, on_learned=worker.wake)
    return Engine(
        settings=settings,
        store=store,
        imap_store=ImapStore(database),
        api=api,
        receiver=_receiver(settings, store, clock, on_stored=worker.wake),
        pipeline=pipeline,
        worker=worker,
        sync=sync,
    )


def _store(settings: Settings, database: Database, on_post: Callable[[int], None]) -> Store:
    return Store(
        database,
        order_hold=settings.order_hold,
        duplicate_window=settings.duplicate_window,
        sending_domains=settings.all_sending_domains,
        loop_limits=loop_limits(settings),
        on_post=on_post,
    )


def _sync(
    settings: Settings,
    store: Store,
    api: TicketApiClient,
    clock: Callable[[], float],
    *,
    on_learned: Callable[[], None],
) -> ThreadSync | None:
    """Return what looks for new Message-IDs in recently updated tickets; ``None`` where the settings want none."""
    if not settings.sync_interval:
        return None
    return ThreadSync(api, store, clock=clock, interval=settings.sync_interval, on_learned=on_learned)


def _worker(
    settings: Settings,
    store: Store,
    pipeline: Pipeline,
    api: TicketApiClient,
    clock: Callable[[], float],
    *,
    on_waiting: Callable[[], None],
) -> Worker:
    return Worker(
        store,
        pipeline,
        schedule=_schedule(settings),
        clock=clock,
        capacity=settings.deliveries,
        lease=settings.lease,
        max_unfinished=settings.max_unfinished,
        pair_check_seconds=_settle_window(settings).first_look_seconds,
        held_for=lambda: api.wait_seconds,
        on_waiting=on_waiting,
    )


def _schedule(settings: Settings) -> Schedule:
    return Schedule(first=settings.retry_first, cap=settings.retry_cap, max_age=settings.retry_max_days * DAY_SECONDS)


def _receiver(
    settings: Settings, store: Store, clock: Callable[[], float], *, on_stored: Callable[[], None]
) -> Receiver:
    return Receiver(
        store,
        signals=signal_settings(settings),
        clock=clock,
        max_backlog=settings.max_backlog,
        min_free_bytes=settings.min_free_bytes,
        on_stored=on_stored,
    )


class ComponentStopped(Exception):
    """A component ended that should run until the worker stops.

    The process must end too, so that a supervisor starts it anew: half a worker would receive mail and not deliver it,
    or the other way round."""


class App:
    """An engine with its sources, its housekeeping and its HTTP listener: what ``ingest serve`` runs."""

    def __init__(self, engine: Engine, *, clock: Callable[[], float] = STEADY_CLOCK) -> None:
        settings = engine.settings
        self.engine = engine
        self.sources = tuple(_sources(engine, clock))
        self.housekeeping = Housekeeping(
            engine.store,
            clock=clock,
            waiting_limit=settings.waiting_limit,
            retention_days=settings.retention_days,
            pair_check=PairCheck(engine.store, engine.api, clock=clock),
            facts_days=settings.facts_days,
        )
        self.watch = DatabaseWatch(engine.store, clock=clock, on_resume=self.resume)
        self.reloader = self._reloader()
        asgi = create_app(self.reasons, self.housekeeping.refresh_metrics, _webhook_routes(engine, clock))
        self.web = Web(asgi, settings.http_listen) if settings.http_listen else None
        self._started: list[Source] = []
        self._draining = False
        self._clock = clock
        self._wrote_at = float("-inf")

    async def reasons(self) -> dict[str, str]:
        """Return why no mail can be received now: component -> reason. Empty while it can."""
        if self._draining:
            return {"worker": "it is stopping"}
        if not self._started:
            return {"sources": "none is configured: set INGEST_SMTP_LISTEN, or mailboxes to read"}
        if (loss := self.engine.store.loss()) is not None:
            return {"store": loss}
        try:
            refusal = await self.engine.receiver.refusal()
            await self._try_writing()
        except StoreUnavailable as error:
            return {"store": str(error)}
        return {"intake": refusal} if refusal else {}

    async def _try_writing(self) -> None:
        """Raise ``StoreUnavailable`` if mail could not be stored now, unless one could a moment ago."""
        now = self._clock()
        if now - self._wrote_at >= WRITE_TEST_SECONDS:
            await self.engine.store.try_writing(now=now)
            self._wrote_at = now

    def resume(self) -> None:
        """Send again at once, although the API asked for a pause."""
        self.engine.api.resume()
        self.engine.worker.wake()

    def _reloader(self) -> Reloader:
        """Return what takes over settings that changed while the worker runs; those not named here need a restart."""
        engine = self.engine
        return Reloader(
            engine.settings,
            {
                ("api_token", "api_bearer"): engine.api.use_token,
                ("log_level", "log_format"): lambda new: log.configure(new.log_level, new.log_format),
                ("max_backlog", "min_free_bytes"): lambda new: engine.receiver.use_limits(
                    max_backlog=new.max_backlog, min_free_bytes=new.min_free_bytes
                ),
                ("waiting_limit", "retention_days", "facts_days"): lambda new: self.housekeeping.use_limits(
                    waiting_limit=new.waiting_limit, retention_days=new.retention_days, facts_days=new.facts_days
                ),
                ("retry_first", "retry_cap", "retry_max_days"): lambda new: engine.worker.use_schedule(_schedule(new)),
            },
            always=[self._reload_certificates],
        )

    def _reload_certificates(self, _settings: Settings) -> None:
        for source in self.sources:
            if isinstance(source, SmtpSource):
                source.reload_certificate()

    async def start(self) -> None:
        """Start the HTTP listener and all sources; return when mail can come in. Call ``stop`` even if this fails.

        Raises:
            SourceError: a port is in use, or a certificate is wrong; the text says which setting to change.
        """
        if self.web is not None:
            try:
                self.web.bind()
            except OSError as error:
                listen = self.engine.settings.http_listen
                raise SourceError(f"cannot listen on {listen}: {error.strerror}; change INGEST_HTTP_LISTEN") from error
        for source in self.sources:
            try:
                await source.start()
            except SourceError as error:
                setting = f"INGEST_{source.name.partition(':')[0].upper()}_LISTEN"
                raise SourceError(f"{error} ({setting})") from error
            self._started.append(source)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then let what is in progress finish.

        Raises:
            ComponentStopped: a component ended by itself.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                components = [tasks.create_task(component, name=name) for name, component in self._components()]
                await stop.wait()
                await self.stop(self.engine.settings.drain)
                for component in components:
                    component.cancel()
        except ExceptionGroup as errors:
            _log.exception("a part of the worker ended by itself; the process ends too")
            first = errors.exceptions[0]
            raise ComponentStopped(
                f"a part of the worker ended by itself ({type(first).__name__}): see the log"
            ) from errors

    async def stop(self, seconds: float) -> None:
        """Take in nothing new, finish what is in progress within ``seconds``, and close everything."""
        self._draining = True
        started, self._started = self._started, []
        await asyncio.gather(*(source.drain(seconds) for source in started), self.engine.worker.drain(seconds))
        if self.web is not None:
            self.web.stop()

    def endpoints(self) -> Iterator[tuple[str, str]]:
        """Yield name and address of what listens, and of the data, once started."""
        for source in self.sources:
            yield source.name.partition(":")[0], self.address(source)
        if self.web is not None:
            yield "http", f"{self.web.url}  (/healthz, /readyz, /metrics)"
        yield "store", self.engine.settings.database_url

    @staticmethod
    def address(source: Source) -> str:
        """Return ``host:port`` of a listener, and the name of any other source."""
        if not isinstance(source, SmtpSource):
            return source.name
        return f"[{source.host}]:{source.port}" if ":" in source.host else f"{source.host}:{source.port}"

    def _components(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        yield "worker", self.engine.worker.run()
        yield "housekeeping", self.housekeeping.run()
        yield "watch", self.watch.run()
        if self.engine.sync is not None:
            yield "sync", self.engine.sync.run()
        if self.web is not None:
            yield "web", self.web.run()


async def serve(settings: Settings, on_ready: Callable[[App], None], load: Callable[[], Settings]) -> None:
    """Run the worker until SIGTERM or SIGINT. ``on_ready`` is called when mail can come in. SIGHUP calls ``load``, and
    what it returns is taken over as far as that is possible without a restart.

    Raises:
        StoreUnavailable: the database cannot be used, or another worker has it.
        SourceError: a source or the HTTP port cannot be started.
        ComponentStopped: a component ended by itself.
    """
    stop = _stop_on_signals()
    check_rescued(settings.database_url)
    lock = WorkerLock(settings.database_url)
    if not lock.take():
        raise StoreUnavailable(
            f"another worker (process {lock.holder()}) works on {settings.database_url}; stop it first, or set"
            " INGEST_DATABASE_URL to another file"
        )
    try:
        async with start_engine(settings) as engine:
            app = App(engine)
            try:
                await app.start()
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, app.reloader.reload, load)
                on_ready(app)
                await app.run(stop)
            finally:
                await app.stop(0)
    finally:
        lock.release()


def _stop_on_signals() -> asyncio.Event:
    """Return an event that the first SIGTERM or SIGINT sets.

    A second signal ends the process at once: what it had in progress is taken up again at the next start."""
    stop = asyncio.Event()

    def received(number: int) -> None:
        if stop.is_set():
            os._exit(128 + number)
        _log.info("stopping; a second signal stops at once", signal=signal.Signals(number).name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, received, number)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _log.info, "starting; the settings are new anyway")
    return stop


def _webhook_routes(engine: Engine, clock: Callable[[], float]) -> Sequence[Route]:
    """Return the endpoint for the API's webhook, if the settings ask for it."""
    secret = engine.settings.webhook_secret
    if secret is None:
        return ()
    webhook = TicketMessageWebhook(
        engine.api,
        engine.store,
        secret=secret.get_secret_value(),
        clock=clock,
        on_learned=engine.worker.wake,
    )
    return webhook.routes()


def _sources(engine: Engine, clock: Callable[[], float]) -> Iterator[Source]:
    """Yield every source that the settings name."""
    settings, receiver = engine.settings, engine.receiver
    limits = SmtpLimits(settings, clock)
    listeners = [(listen, False) for listen in settings.smtp_listen] + [
        (listen, True) for listen in settings.lmtp_listen
    ]
    for listen, lmtp in listeners:
        yield SmtpSource(
            listen,
            receive=receiver.receive,
            refusal=receiver.refusal,
            settings=settings,
            clock=clock,
            lmtp=lmtp,
            limits=limits,
        )
    if settings.imap:
        yield ImapSource(
            settings.imap,
            receiver.receive,
            refusal=receiver.refusal,
            store=engine.imap_store,
            max_message_bytes=settings.max_message_bytes,
            clock=clock,
        )
