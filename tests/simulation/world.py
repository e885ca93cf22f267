"""One simulated run: mails arrive, the real worker posts them to a model of the API, and the process is killed.

Everything that is drawn comes from the seed, so a seed is a story that can be told again:

    python -m tests.simulation.run SEED

At the end nothing fails any more, and the run goes on until all is settled; then ``laws.py`` checks what came out.
"""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from random import Random
from typing import Any
from unittest.mock import patch

import structlog
import tenacity

import ingest.worker
from ingest.api import TicketApiClient
from ingest.app import Engine, build_engine
from ingest.clock import SteadyClock
from ingest.config.settings import Settings
from ingest.model.envelope import Envelope, ReceivedMessage, SourceRef
from ingest.store import StoreUnavailable
from ingest.store.api_profiles import ApiProfiles
from ingest.store.messages import Store
from tests.simulation import mails
from tests.simulation.api_model import ApiModel, Faults, SimulatedHttp, Traits
from tests.simulation.inline_database import InlineDatabase, SimulatedDisk
from tests.simulation.inline_parse_pool import InlineParsePool
from tests.simulation.mails import Mail
from tests.simulation.virtual_loop import VirtualLoop, abandon, run_until_crash
from tests.support.decisions import table_where_anybody_may_write
from tests.support.factories import DOMAIN

EPOCH = 1_800_000_000.0
"""The true time at which every run begins."""
LOOK_SECONDS = 5.0
"""A run looks this often whether all is settled."""
POLL_SECONDS = 60.0
"""An idle worker looks this often for work of which nobody tells it: there is none here, and looking takes time."""
MAX_SETTLING_SECONDS = 4 * 3600.0
"""All must be settled this long after the last fault and the last arrival; longer than any wait that is meant."""
CLOCK_STEPS = (0.0, 0.0, 0.0, 3600.0, -3600.0, -90.0)
"""What the machine's clock is off by, in seconds; drawn for each life of the process."""

SETTINGS = Settings(
    domains=(DOMAIN,),
    signing_key=mails.SIGNING_KEY.decode(),  # type: ignore[arg-type]  # pydantic makes it secret
    fallback_author_id="fallback",
    authentication="advisory",
    loop_equal=0,
    loop_sender=0,
    loop_ticket=0,
    decision=table_where_anybody_may_write(),
    retry_cap=120.0,
    attachments=False,
    parse_children=1,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A mail on its way to us: it arrives again until it is acknowledged."""

    mail: Mail
    at: float
    """Virtual time of its first arrival."""
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is to be like, drawn from its seed."""

    settings: Settings
    tickets: int
    deliveries: tuple[Delivery, ...]
    traits: Traits
    faults: Faults
    crashes: int
    kill_on_post: float
    """The chance that the process is killed while a POST is on its way."""
    poison: frozenset[bytes]
    merge_at: float | None
    steps_clock: bool
    store_failures: float
    sabotage: Callable[[Engine], None] | None = None


@dataclass(kw_only=True)
class World:
    """A run in progress, and what is left of it."""

    seed: int
    plan: Plan
    random: Random
    disk: SimulatedDisk
    api: ApiModel
    loop: VirtualLoop
    queue_ids: dict[Delivery, str] = field(default_factory=dict)
    """What was acknowledged."""
    linked: set[int] = field(default_factory=set)
    """Deliveries (by position) at whose arrival the store knew which ticket each name means."""
    problems: list[str] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    """Mails that a person had to decide about."""
    lives: int = 0
    clock_error: float = 0.0

    def now(self) -> float:
        """The true time."""
        return EPOCH + self.loop.time()

    def wall(self) -> float:
        """What the machine's clock shows."""
        return self.now() + self.clock_error

    def trace_hash(self) -> str:
        """A digest of all that happened. Queue ids hold random bits, so mails go by their numbers."""
        story = "\n".join(self.api.trace)
        for delivery, queue_id in self.queue_ids.items():
            story = story.replace(queue_id, f"mail {delivery.mail.number}")
        return sha256(story.encode()).hexdigest()


def draw_plan(rng: Random) -> Plan:
    """Draw what a run is to be like."""
    wildness = rng.choice((0.0, 0.05, 0.2, 0.5))
    tickets = rng.randint(1, 4)
    last_arrival = rng.choice((1.0, 20.0, 120.0))
    quiet_from = rng.choice((0.0, 30.0, 120.0, 400.0)) if wildness or rng.random() < 0.5 else 0.0
    is_sick = tickets > 1 and rng.random() < 0.15
    deliveries = tuple(_draw_deliveries(rng, tickets, last_arrival))
    timeout, settle, second = rng.choice(((30.0, 15.0, 30.0), (30.0, 15.0, 30.0), (4.0, 6.0, 8.0)))
    plan = Plan(
        settings=SETTINGS.model_copy(
            update={
                "deliveries": rng.choice((1, 2, 4, 128)),
                "api_timeout": timeout,
                "settle": settle,
                "second_look": second,
            }
        ),
        tickets=tickets,
        deliveries=deliveries,
        traits=_draw_traits(rng, timeout + settle + rng.choice((0.0, second)) - 1.0),
        faults=Faults(
            post=wildness * rng.random(),
            get=wildness * rng.random(),
            outages=_draw_outages(rng, quiet_from) if rng.random() < 0.3 else (),
            until=EPOCH + quiet_from,
            edit=rng.choice((0.0, 0.0, 0.3)),
            broken_word=rng.choice((0.0, 0.0, 0.0, 0.1)),
        ),
        crashes=rng.choice((0, 0, 1, 1, 2, 3, 5)),
        kill_on_post=rng.choice((0.0, 0.0, 0.1, 0.5)),
        poison=frozenset(d.mail.content for d in deliveries if rng.random() < 0.02),
        merge_at=rng.random() * last_arrival * 2 if tickets > 1 and rng.random() < 0.2 else None,
        steps_clock=rng.random() < 0.3,
        store_failures=rng.choice((0.0, 0.0, 0.02)),
    )
    return _with_sick_ticket(plan) if is_sick else plan


def _with_sick_ticket(plan: Plan) -> Plan:
    """Make one ticket fail and nothing else, to see whether the others are served."""
    faults = Faults(sick_ticket=mails.ticket_id(0), until=EPOCH + 600.0)
    return replace(
        plan, faults=faults, crashes=0, kill_on_post=0.0, poison=frozenset(), merge_at=None, store_failures=0.0
    )


def _draw_outages(rng: Random, quiet_from: float) -> tuple[tuple[float, float], ...]:
    begin = EPOCH + rng.random() * quiet_from / 2
    return ((begin, begin + rng.random() * quiet_from / 2),)


def _draw_traits(rng: Random, window: float) -> Traits:
    if rng.random() < 0.4:
        return Traits(effect_window=window)
    return Traits(
        author=rng.choice(("named", "named", "token-user")),
        source=rng.choice(("EMAIL", "EMAIL", "API", None)),
        form=rng.choice(("same", "paragraph", "escaped")),
        clock_offset=rng.choice((0.0, 0.0, 600.0, -600.0)),
        longest_lateness=rng.choice((0.0, 6.0)),
        sorts=rng.random() < 0.8,
        page_items=rng.choice((500, 2)),
        effect_window=window,
    )


def _draw_deliveries(rng: Random, tickets: int, last_arrival: float) -> Iterator[Delivery]:
    drawn: list[Mail] = []
    namings = rng.choice((("signed",), ("detail",), ("signed", "detail", "subject", "known", "reply", "reply")))
    for number in range(rng.randint(3, 12)):
        mail = _draw_mail(rng, number, rng.randrange(tickets), namings, drawn)
        drawn.append(mail)
        at = rng.random() * last_arrival
        yield Delivery(mail=mail, at=at, recipients=(mail.recipient,))
        if rng.random() < 0.1:
            yield Delivery(mail=mail, at=at + rng.random() * 5, recipients=(mail.recipient, f"desk@{DOMAIN}"))


def _draw_mail(rng: Random, number: int, ticket: int, namings: tuple[str, ...], drawn: list[Mail]) -> Mail:
    parents = [mail for mail in drawn if mail.ticket == ticket and mail.has_id]
    naming = rng.choice(namings)
    if naming == "reply" and not parents:
        naming = "known"
    return Mail(
        number=number,
        ticket=ticket,
        naming=naming,
        sender=rng.choice(mails.SENDERS[:2] if naming == "subject" else mails.SENDERS),
        same_words=(has_id := rng.random() < 0.9) and rng.random() < 0.3,
        has_id=has_id,
        parent=rng.choice(parents).number if naming == "reply" else None,
    )


# A run


class Simulation:
    """Runs seeds, one after the other, on one disk."""

    def __init__(self) -> None:
        self._disk = SimulatedDisk()

    def run(self, seed: int, *, change_engine: Callable[[Engine], None] | None = None) -> World:
        """Run one seed to its end. ``change_engine`` may break the engine, to see whether the checks find it."""
        rng = Random(seed)
        plan = draw_plan(rng)
        if change_engine is not None:
            plan = replace(plan, sabotage=change_engine)
        self._disk.clear()
        api = ApiModel(random=rng, now=lambda: world.now(), traits=plan.traits, faults=plan.faults)
        world = World(seed=seed, plan=plan, random=rng, disk=self._disk, api=api, loop=VirtualLoop(rng))
        with _seeded(world):
            _furnish(world)
            while not _live(world):
                pass
        return world


@contextmanager
def _seeded(world: World) -> Iterator[None]:
    """Have the libraries below draw from the seed and read the virtual clock."""
    before, config = random.getstate(), structlog.get_config()
    random.seed(world.seed)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    clock = _VirtualTime(world)
    try:
        with (
            patch.object(tenacity, "time", clock),
            patch.object(ingest.worker, "POLL_SECONDS", POLL_SECONDS),
        ):
            yield
    finally:
        random.setstate(before)
        structlog.configure(**config)


class _VirtualTime:
    """Stands in for the module ``time``."""

    def __init__(self, world: World) -> None:
        self._world = world

    def monotonic(self) -> float:
        return self._world.loop.time()


def _furnish(world: World) -> None:
    """Give the API its tickets and users, and the store the Message-IDs that it knows."""
    api, tickets = world.api, range(world.plan.tickets)
    api.users = {sender: sender.partition("@")[0] for sender in mails.SENDERS[:2]}
    for ticket in tickets:
        api.tickets[mails.ticket_id(ticket)] = {
            "id": mails.ticket_id(ticket),
            "code": mails.code(ticket),
            "requesterId": "alice",
            "followers": [{"id": "bob"}],
            "mergedIntoId": None,
        }
        api.add_message(
            ticket_id=mails.ticket_id(ticket), author_id="agent", content="Hello.", source="WEB", at=EPOCH - 9
        )
        world.disk.connection.execute(
            "INSERT INTO threads (message_id, ticket_id, learned_from, learned_at) VALUES (?, ?, 'api', 0)",
            (mails.known_id(ticket), mails.ticket_id(ticket)),
        )
    if world.plan.merge_at is not None:
        api.plan(EPOCH + world.plan.merge_at, lambda _at: api.merge(mails.ticket_id(0), mails.ticket_id(1)))


def _live(world: World) -> bool:
    """Run one life of the process. True: it was the last one, and all is settled."""
    world.lives += 1
    is_last = world.lives > world.plan.crashes
    if world.plan.steps_clock:
        world.clock_error = world.random.choice(CLOCK_STEPS)
    started_at = world.loop.time() + (0.0 if world.lives == 1 else world.random.random() ** 3 * 100)
    world.loop = VirtualLoop(world.random, start=started_at)
    if not is_last:
        _plan_death(world)
    database = InlineDatabase(world.disk, world.random, failure_rate=world.plan.store_failures)
    world.api.trace.append(f"{world.now():.3f} life {world.lives}, clock off by {world.clock_error}")
    ended = run_until_crash(world.loop, _serve(world, database, is_last=is_last))
    world.api.trace.append(f"{world.now():.3f} {'ended' if ended else 'killed'}")
    database.kill()
    abandon(world.loop)
    return ended and is_last


def _plan_death(world: World) -> None:
    """Have the process of this life killed: at a random step, or while a POST is on its way."""
    rng, loop = world.random, world.loop
    loop.crash_at = int(rng.expovariate(1 / 400))

    def on_post() -> None:
        if rng.random() < world.plan.kill_on_post:
            loop.call_later(rng.random() ** 2 * 5, loop.crash_soon)

    world.api.on_post = on_post


async def _serve(world: World, database: InlineDatabase, *, is_last: bool) -> None:
    """What one process does: as ``ingest.app`` starts it, with senders of mail around it."""
    if is_last:
        world.api.on_post = lambda: None
    loop, settings = world.loop, world.plan.settings
    clock = SteadyClock(world.wall, loop.time)
    profiles = ApiProfiles(database)
    profile = await _until_stored(lambda: profiles.load())
    await _until_stored(lambda: Store(database).release_leases(now=clock()))
    http = SimulatedHttp(settings, world.api)
    async with TicketApiClient(
        settings,
        clock=loop.time,
        profile=profile,
        save_profile=profiles.save,
        http=http,
        steady_clock=clock,
    ) as api:
        pool = InlineParsePool(world.random, world.plan.poison)
        engine = build_engine(settings, database, api, pool, clock, on_post=lambda _count: None)
        if world.plan.sabotage is not None:
            world.plan.sabotage(engine)
        working = loop.create_task(engine.worker.run())
        tasks = [loop.create_task(_send(world, engine, delivery, clock)) for delivery in _unsent(world)]
        await _wait_until_settled(world, engine, clock, [working, *tasks])
        await engine.worker.drain(0)
        await working


async def _until_stored(call: Callable[[], Any]) -> Any:
    while True:
        try:
            return await call()
        except StoreUnavailable:
            await asyncio.sleep(1.0)


def _unsent(world: World) -> list[Delivery]:
    return [delivery for delivery in world.plan.deliveries if delivery not in world.queue_ids]


async def _send(world: World, engine: Engine, delivery: Delivery, clock: Callable[[], float]) -> None:
    """Send a mail as another mail system does: again and again until it is acknowledged."""
    await asyncio.sleep(max(delivery.at - world.loop.time(), world.random.random() * 0.01))
    while True:
        message = ReceivedMessage(
            envelope=Envelope(mail_from=delivery.mail.sender, rcpt_tos=delivery.recipients),
            content=delivery.mail.content,
            source_ref=SourceRef(source="smtp:25"),
            received_at=clock(),
        )
        try:
            world.queue_ids[delivery] = await engine.receiver.receive(message)
        except StoreUnavailable:
            await asyncio.sleep(world.random.random() * 10)
        else:
            return


async def _wait_until_settled(
    world: World, engine: Engine, clock: Callable[[], float], tasks: list["asyncio.Task[None]"]
) -> None:
    last_arrival = max(delivery.at for delivery in world.plan.deliveries)
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        for task in tasks:
            if task.done() and task.exception() is not None:
                raise task.exception()  # type: ignore[misc]
        quiet_from = max(world.plan.faults.until - EPOCH, last_arrival)
        if world.loop.time() > quiet_from + MAX_SETTLING_SECONDS:
            world.problems.append("not settled: " + str(_queued(world)))
            return
        if _unsent(world) or _queued(world) or world.api.last_planned > world.now():
            continue
        world.api.advance()
        if not await _look_as_person(world, engine, clock):
            return


def _queued(world: World) -> list[Any]:
    return world.disk.rows("SELECT seq, ticket_id, attempts, reason FROM messages WHERE state = 'queued'")


async def _look_as_person(world: World, engine: Engine, clock: Callable[[], float]) -> bool:
    """Decide about what was held as perhaps posted, as a person does who looks at the ticket. True: there was some."""
    held = world.disk.rows("SELECT queue_id FROM messages WHERE state = 'quarantined' AND rule = 'perhaps-posted'")
    posted = {message.queue_id for message in world.api.messages}
    world.held.update(queue_id for (queue_id,) in held)
    for (queue_id,) in held:
        if queue_id not in posted:
            await _until_stored(lambda q=queue_id: engine.store.release(q, by="olga", now=clock()))  # type: ignore[misc]
        else:
            await _until_stored(
                lambda q=queue_id: engine.store.discard(q, by="olga", reason="it is there", now=clock())  # type: ignore[misc]
            )
    engine.worker.wake()
    return bool(held)
