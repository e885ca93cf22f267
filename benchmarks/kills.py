"""Random kills of the worker under load, with an API that misbehaves: is any mail lost, doubled or out of order?

    python -m benchmarks.kills [--kills 1000] [--seed 1] [--tickets 40] [--minutes 90] [--keep FOLDER]

The worker, its store and the sandbox are the real ones. Senders post mail for each ticket in turn, and repeat what was
not acknowledged. The worker is killed (SIGKILL) and started again at random times; in each of its lives the API makes
other trouble, drawn from the seed: errors and time-outs before or after the effect, effects after the client has gone,
late lists, slow and failing look-ups, 429s with and without effect, pages and sorting of its own, edits, deletions and
merges by agents. For the whole run it may post under another user, store another source or form of text, and have a
clock that is off. Each trouble stays within the settle window that the worker is told.

At the end the worker works all off in peace, and these laws are checked:

    lost        acknowledged, and neither on a ticket nor held for a person as perhaps posted
    failed      given up, although it was the API or a kill that failed
    doubled     on a ticket twice
    disordered  tickets whose mails were not posted in the order in which they were acknowledged

The exit code is 1 if any of them is broken. The seed fixes what is drawn, not how the processes interleave."""

import argparse
import asyncio
import json
import random
import shutil
import socket
import sqlite3
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

from benchmarks import mails
from ingest.sandbox import Behaviour, Fault, Sandbox
from ingest.sandbox.state import ApiError
from tests.support import sandbox_worker
from tests.support.sandbox_worker import World

POSTS = "/api/ticket-messages"
SENDERS = 8
MAX_BACKLOG = 150
"""Senders pause above this number of mails that were acknowledged and not posted: the run shall end with its kills."""
API_TIMEOUT, SETTLE, SECOND_LOOK = 0.8, 1.2, 0.4
MAX_EFFECT_AFTER, MAX_LIST_AFTER = 1.0, 0.4
"""Together well within API_TIMEOUT + SETTLE: beyond it nothing is promised."""
SHORT_LIFE, LONG_LIFE = (0.0, 1.2), (2.5, 5.0)
"""Seconds from listening to the kill. After a kill, doubts are settled only after API_TIMEOUT + SETTLE."""
LONG_LIVES = 0.35
DRAIN_SECONDS = 180.0
"""How long no mail may end in the peace at the end before the rest counts as stuck."""


@dataclass(slots=True)
class Run:
    """The state of a run."""

    world: World
    chance: random.Random
    tickets: int
    acknowledged: dict[int, list[str]] = field(default_factory=dict)
    """The names of the mails of each ticket in the order in which they were acknowledged."""
    drawn: Counter[str] = field(default_factory=Counter)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def name_of(self, content: str) -> str:
        """The name of the mail that a posted text is of."""
        words = content.replace("\\", "").replace("<p>", " ").replace("</p>", " ").split()
        return next((word for word in words if word.startswith("mail-")), "")

    @property
    def backlog(self) -> int:
        return sum(map(len, self.acknowledged.values())) - len(self.world.sandbox.state.posts)


def whole_run_behaviour(chance: random.Random) -> dict[str, Any]:
    """What the API does alike from its first to its last day."""
    return {
        "author_id": chance.choice([None, None, "cmagent000000000000000001"]),
        "source": chance.choice([None, None, "INTEGRATION"]),
        "content": chance.choice(["kept", "kept", "paragraphs", "reflowed", "escaped"]),
        "clock_offset": chance.choice([0.0, 0.0, 600.0, -600.0]),
    }


def draw_faults(chance: random.Random) -> list[tuple[str, Fault]]:
    """The faults of one life of the worker: none in some, several in others."""

    def seconds(most: float) -> float:
        return chance.uniform(0, most)

    post: dict[str, Any] = {"method": "POST", "path": POSTS, "times": None}
    get: dict[str, Any] = {"method": "GET", "times": None}
    kinds: dict[str, dict[str, Any]] = {
        "POST cut after its effect": post | {"effect": True, "cut": True},
        "POST cut before its effect": post | {"cut": True},
        "POST answered after our time-out": post | {"effect": True, "delay": 3600},
        "POST hangs without effect": post | {"delay": 3600},
        "effect after the client has gone": post | {"effect_after": seconds(MAX_EFFECT_AFTER), "cut": True},
        "effect after a while": post | {"effect_after": seconds(MAX_EFFECT_AFTER)},
        "503 with a late effect": post | {"effect_after": seconds(MAX_EFFECT_AFTER), "status": 503},
        "500 to POST": post | {"status": 500},
        "429 with effect": post | {"status": 429, "retry_after": "0", "effect": True},
        "429 without effect": post | {"status": 429, "retry_after": "0"},
        "500 to GET": get | {"status": 500},
        "GET cut": get | {"cut": True},
        "GET slow": get | {"delay": seconds(2 * API_TIMEOUT)},
        "a ticket's GETs hang": get | {"about": mails.ticket_id(chance.randrange(10)), "delay": 3600},
    }
    chosen = chance.sample(sorted(kinds), k=chance.choice([0, 1, 1, 2, 3]))
    return [(kind, Fault(chance=chance.choice([0.1, 0.3, 1.0]), **kinds[kind])) for kind in chosen]


async def make_trouble(run: Run, constant: dict[str, Any]) -> None:
    """Begin another life: other faults, and other behaviour within what stays the same."""
    chance = run.chance
    await run.world.forget()
    for kind, fault in draw_faults(chance):
        run.drawn[kind] += 1
        await run.world.order(fault)
    varying: dict[str, Any] = {
        "list_after": chance.choice([0.0, chance.uniform(0, MAX_LIST_AFTER)]),
        "ascending": chance.random() < 0.2,
        "page_limit": chance.choice([None, None, 3]),
        "date_offset": chance.choice([0.0, 3600.0]),
    }
    run.world.sandbox.state.behaviour = Behaviour(**constant, **varying)


def act_as_agent(run: Run) -> None:
    """Edit or delete one of the latest messages, or merge two tickets, now and then."""
    state, chance = run.world.sandbox.state, run.chance
    if state.posts and chance.random() < 0.1:
        edits: list[dict[str, Any]] = [{"content": "shortened"}, {"deleted": True}, {"deleted": True, "content": ""}]
        edit = chance.choice(edits)
        state.edit_message(chance.choice(state.posts[-10:])["id"], edit)
        run.drawn[f"agent: {' '.join(sorted(edit))}"] += 1
    if chance.random() < 0.02:
        one, into = chance.sample(range(run.tickets), 2)
        try:
            state.merge(mails.ticket_id(one), mails.ticket_id(into), move_messages=chance.random() < 0.5)
        except ApiError:
            return
        run.drawn["agent: merge"] += 1


def mail_of(ticket: int, name: str) -> bytes:
    """A reply to a ticket whose only word is its name."""
    return (
        f"From: <user{ticket}@customer.example>\r\nTo: <help+BEN-{mails.ticket_id(ticket)}@{mails.DOMAIN}>\r\n"
        f"Subject: Re: a ticket\r\nDate: Mon, 05 Oct 2026 11:00:00 +0200\r\nMessage-ID: <{name}@customer.example>\r\n"
        f"\r\nit is {name} again\r\n"
    ).encode()


async def send(run: Run, number: int) -> None:
    """Send mails for every ``SENDERS``-th ticket, one after the other, until the run is over."""
    own = [ticket for ticket in range(run.tickets) if ticket % SENDERS == number]
    count = 0
    while not run.stop.is_set():
        if run.backlog > MAX_BACKLOG:
            await asyncio.sleep(0.1)
            continue
        ticket = own[count % len(own)]
        name = f"mail-{ticket}-{len(run.acknowledged[ticket])}"
        await run.world.deliver(mail_of(ticket, name), recipient=f"help+BEN-{mails.ticket_id(ticket)}@{mails.DOMAIN}")
        run.acknowledged[ticket].append(name)
        count += 1


async def listens(port: int, worker: "Popen[bytes]") -> bool:
    """Wait until a worker listens; False: it has ended instead."""
    while worker.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        await asyncio.sleep(0.02)
    return False


async def live_and_die(run: Run) -> bool:
    """Start the worker and kill it at a random time; False: it did not come up."""
    chance = run.chance
    life = chance.uniform(*(LONG_LIFE if chance.random() < LONG_LIVES else SHORT_LIFE))
    kill_early = chance.random() < 0.05
    run.world.start()
    assert run.world.worker is not None
    if kill_early:
        await asyncio.sleep(chance.uniform(0, 1))
    elif await listens(run.world.port, run.world.worker):
        await asyncio.sleep(life)
    else:
        return False
    run.world.kill()
    return True


async def drain(run: Run, constant: dict[str, Any]) -> None:
    """Let the worker work all off without trouble, until nothing is left or nothing moves any more."""
    await run.world.forget()
    run.world.sandbox.state.behaviour = Behaviour(**constant)
    run.world.start()
    left, since = -1, time.monotonic()
    while time.monotonic() - since < DRAIN_SECONDS:
        now_left = sum(state in ("queued", "waiting") for state, _rule, _reason in run.world.rows())
        if run.stop.is_set() and now_left == 0:
            return
        if now_left != left:
            left, since = now_left, time.monotonic()
        await asyncio.sleep(0.2)


def ends(world: World) -> dict[str, tuple[str, ...]]:
    """How each mail ended: state, rule and reason, by its name."""
    query = "SELECT message_id, state, rule, reason FROM messages"
    with closing(sqlite3.connect(f"file:{world.database}?mode=ro", uri=True)) as database:
        return {
            str(name).partition("@")[0]: (state, rule, reason) for name, state, rule, reason in database.execute(query)
        }


def check(run: Run) -> dict[str, list[str]]:
    """The laws that are broken, each with the mails or tickets that break it."""
    posted = [run.name_of(post["content"]) for post in run.world.sandbox.state.posts]
    times, ended = Counter(posted), ends(run.world)
    expected = [name for names in run.acknowledged.values() for name in names]
    is_held = {name for name in expected if ended.get(name, ("", "", ""))[1] == "perhaps-posted"}
    first = {name: place for place, name in reversed(list(enumerate(posted)))}
    disordered = []
    for ticket, names in run.acknowledged.items():
        places = [first[name] for name in names if name in first and name not in is_held]
        if places != sorted(places):
            disordered.append(f"ticket {ticket}: {[posted[place] for place in sorted(places)]}")
    return {
        "lost": [f"{name} {ended.get(name)}" for name in expected if not times[name] and name not in is_held],
        "failed": [f"{name} {ended[name]}" for name in expected if ended.get(name, ("",))[0] == "failed"],
        "doubled": [f"{name} {times[name]} times" for name in expected if times[name] > 1],
        "disordered": disordered,
        "held": [name for name in expected if name in is_held],
        "held, and not posted": [name for name in expected if name in is_held and not times[name]],
    }


async def play(folder: Path, given: argparse.Namespace) -> bool:
    """Make the run and print what came of it; True if no law is broken."""
    chance = random.Random(given.seed)
    data = folder / "sandbox.json"
    data.write_text(json.dumps(mails.sandbox_data(given.tickets)), "utf-8")
    sandbox_worker.PATIENCE = 3600.0  # a sender waits as long as the worker is away
    async with Sandbox(data=data) as sandbox:
        world = World(folder, sandbox)
        world.environment |= {
            "INGEST_API_TIMEOUT": str(API_TIMEOUT),
            "INGEST_API_LOOKUP_TIMEOUT": str(API_TIMEOUT),
            "INGEST_SETTLE": str(SETTLE),
            "INGEST_SECOND_LOOK": str(SECOND_LOOK),
            "INGEST_MAX_UNFINISHED": "10",
            "INGEST_LOG_LEVEL": "error",
        }
        run = Run(world=world, chance=chance, tickets=given.tickets)
        run.acknowledged = {ticket: [] for ticket in range(given.tickets)}
        constant = whole_run_behaviour(chance)
        print(f"seed {given.seed}; the API all along: {constant}", flush=True)
        begun = time.monotonic()
        senders = [asyncio.create_task(send(run, number)) for number in range(SENDERS)]
        kills = 0
        while kills < given.kills and time.monotonic() - begun < given.minutes * 60:
            await make_trouble(run, constant)
            act_as_agent(run)
            if not await live_and_die(run):
                print("the worker did not come up", flush=True)
                break
            kills += 1
            if kills % 25 == 0:
                done = sum(map(len, run.acknowledged.values()))
                print(
                    f"{kills} kills, {time.monotonic() - begun:.0f} s, {done} mails acknowledged,"
                    f" {len(sandbox.state.posts)} posted",
                    flush=True,
                )
        run.stop.set()
        ending = asyncio.create_task(drain(run, constant))
        await asyncio.gather(*senders)
        await ending
        world.stop()
        return report(run, kills, time.monotonic() - begun)


def report(run: Run, kills: int, seconds: float) -> bool:
    """Print the counts, and each break of a law; True if there is none."""
    broken = check(run)
    states = Counter(f"{state} {rule}".strip() for state, rule, _reason in run.world.rows())
    print(f"{kills} kills in {seconds:.0f} s; {sum(map(len, run.acknowledged.values()))} mails: {dict(states)}")
    print(f"trouble: {dict(run.drawn.most_common())}")
    for law, cases in broken.items():
        print(f"{law:22} {len(cases)}")
        for case in cases[:10] if law in ("lost", "failed", "doubled", "disordered") else ():
            print(f"    {case}")
    return not any(broken[law] for law in ("lost", "failed", "doubled", "disordered"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tickets", type=int, default=40)
    parser.add_argument("--minutes", type=float, default=90.0, help="kill no more after this time")
    parser.add_argument("--keep", type=Path, help="copy the database here at the end")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        is_well = asyncio.run(play(Path(name), given))
        if given.keep is not None:
            given.keep.mkdir(parents=True, exist_ok=True)
            shutil.copytree(name, given.keep, dirs_exist_ok=True)
    raise SystemExit(0 if is_well else 1)


if __name__ == "__main__":
    main()
