"""Who may write to which ticket under whose name, measured: forged and honest mail, machines, loops, look-ups.

    python -m benchmarks.trust [PART...] [--bounces FOLDER] [--ids 10000000]

    matrix   720 mails of an attacker: posted under a wrong name or wrongly in public: 0
    honest   the replies among our fixtures, with and without authentication: at most 0.5 % held or noted
    bounces  a folder of delivery reports: at least 99 % recognised, and how many are tied to their message
    loops    machines that answer each other: posts until the thread is paused
    lookup   the ticket of a Message-ID among many: p99 below 2 ms
    referee  the machine mails of PyPI's ``testinghq``, where it is installed: all held or noted, none public

Without PART all of them run, but for those whose input is missing. It exits with 1 where a limit is not kept."""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks.trust_matrix import CAROL, DOMAIN, claimed, engine_with, rows, spoof_matrix
from ingest import log, screening
from ingest.decision import Decision
from ingest.model.envelope import Envelope, ReceivedMessage, SourceRef
from ingest.model.local_addresses import LocalAddresses
from ingest.model.teachers import Teacher
from ingest.model.trust import EvidenceLevel
from ingest.parse import parse
from ingest.store.opening import open_store
from tests.support.fixture_mails import SIGNING_KEY, FixtureMail, load
from tests.support.work import work_until_idle

MOST_WRONG_SHARE = 0.005
LEAST_RECOGNISED = 0.99
LEAST_TIED_SHARE = 275 / 315
MOST_LOOKUP_SECONDS = 0.002
LOOKUPS = 20_000
MOST_MACHINE_POSTS = 40
LOOP_MAILS = 200

Part = Callable[[argparse.Namespace, Path], Coroutine[None, None, bool | None]]
"""Prints its figures, and returns whether the limits are kept; ``None``: its input is missing."""


async def matrix(_given: argparse.Namespace, folder: Path) -> bool:
    score = await spoof_matrix(folder)
    print("\n".join([*score.lines(), *rows(score.wrong)]))
    return not score.wrong


# Honest mail


async def honest(_given: argparse.Namespace, folder: Path) -> bool:
    """Each fixture that a person wrote and that is to be delivered, from its own domain, with proof and without."""
    mails = [mail for mail in load() if _is_of_a_person(mail) and not mail.after]
    domains = {mail.envelope.mail_from.rpartition("@")[2] for mail in mails}
    proving = {domain: {"TXT": ["v=spf1 ip4:127.0.0.0/8 -all"]} for domain in domains if domain}
    kept = True
    for name, zone in (("with authentication", proving), ("without", dict[str, object]())):
        place = folder / name.partition(" ")[0]
        place.mkdir()
        kept &= _tell_honest(name, [pair async for pair in _decide_all(place, mails, zone)])
    return kept


def _is_of_a_person(mail: FixtureMail) -> bool:
    is_private = bool(mail.expected.get("post", {}).get("private"))
    return mail.expected["outcome"]["state"] == "delivered" and not is_private


async def _decide_all(
    folder: Path, mails: Iterable[FixtureMail], zone: Mapping[str, object]
) -> AsyncIterator[tuple[FixtureMail, Decision]]:
    async with engine_with(folder, zone, INGEST_SIGNING_KEY=SIGNING_KEY) as (engine, _sandbox):
        for mail in mails:
            queued = replace(claimed(mail.envelope.mail_from, ""), envelope=replace(mail.envelope, client="127.0.0.1"))
            yield mail, await engine.pipeline.decide(queued, mail.content)


def _tell_honest(name: str, decided: list[tuple[FixtureMail, Decision]]) -> bool:
    """Mail whose ticket anybody can guess and that nothing proves is a note by the table; it is counted by itself."""
    ends: Counter[str] = Counter()
    wrong: list[str] = []
    for mail, decision in decided:
        end = _end(decision)
        is_guess = decision.resolution.level is EvidenceLevel.GUESSABLE
        ends[f"{end}{', ticket guessable' if is_guess else ''}"] += 1
        is_report = bool(decision.message and decision.message.delivery_report)
        is_stranger = decision.trust is not None and decision.trust.who in ("unknown", "api-user")
        if end != "public" and not is_report and not is_stranger and not (is_guess and name == "without"):
            wrong.append(f"{end}: {mail.name}")
    share = len(wrong) / len(decided)
    print(f"{name}: {len(decided)} mails, {dict(ends)}, held or noted wrongly {len(wrong)} ({share:.1%})")
    print("\n".join(rows(wrong)))
    return share <= MOST_WRONG_SHARE


def _end(decision: Decision) -> str:
    if decision.draft is not None:
        return "note" if decision.draft.private else "public"
    return f"{decision.outcome.state}" if decision.outcome else "nothing"


# Machines


async def bounces(given: argparse.Namespace, _folder: Path) -> bool | None:
    if given.bounces is None:
        return None
    local = LocalAddresses(domains=frozenset({DOMAIN}), recipients=frozenset({"*"}), max_received=50)
    recognised, tied, missed = 0, 0, []
    paths = sorted(given.bounces.glob("*.eml"))
    for path in paths:
        message = parse(path.read_bytes())
        verdict = screening.screen(message, Envelope(mail_from="", rcpt_tos=(f"help@{DOMAIN}",)), local)
        report = message.delivery_report
        if report is None and verdict is None:
            missed.append(path.name)
        recognised += report is not None or verdict is not None
        tied += report is not None and bool(report.original_message_id)
    print(f"{len(paths)} reports, recognised {recognised} ({recognised / len(paths):.1%}), with the id {tied}")
    print("\n".join(rows(missed)))
    return recognised >= LEAST_RECOGNISED * len(paths) and tied >= LEAST_TIED_SHARE * len(paths)


async def referee(_given: argparse.Namespace, folder: Path) -> bool | None:
    try:
        from testinghq.pipeline import loop  # type: ignore[import-not-found]
    except ImportError:
        return None
    made = loop.build_machine_corpus(1, loop.DEFAULT_COUNT, "t")
    made.append(loop.build_loop_bait(1, len(made), "t", f"help+TAI-44@{DOMAIN}", "tai-44-1@mail.ravenna.example"))
    public = []
    async with engine_with(folder, {}, INGEST_AUTHENTICATION="advisory") as (engine, _sandbox):
        for mail in made:
            content = _content_of(mail.email, loop)
            for recipient in (f"help@{DOMAIN}", f"help+TAI-44@{DOMAIN}"):
                decision = await engine.pipeline.decide(claimed(mail.email.envelope.from_addr, recipient), content)
                if decision.draft is not None and not decision.draft.private:
                    public.append(f"public: {mail.kind} to {recipient}")
    print(f"{len(made)} machine mails, each to two addresses, public {len(public)}")
    print("\n".join(rows(public)))
    return not public


def _content_of(email, loop) -> bytes:  # type: ignore[no-untyped-def]
    if loop.is_dsn(email):
        return bytes(loop.dsn_bytes(email, "boundary"))
    fields = [("From", email.from_addr), ("To", email.to), ("Subject", email.subject), *email.headers.items()]
    return ("\r\n".join(f"{name}: {value}" for name, value in fields) + f"\r\n\r\n{email.text}\r\n").encode()


# Loops


def _loops() -> Mapping[str, Callable[[int], tuple[str, str]]]:
    """Machines without any header that tells: sender and text of their nth answer."""
    return {
        "one sender, always the same words": lambda _: (CAROL, "I have received your mail and answer soon."),
        "one sender, a number in the words": lambda n: (CAROL, f"Your request {n * 7919} has been received."),
        "many senders, one ticket": lambda n: (f"robot{n}@customer.example", f"Request {n * 104729} is open."),
    }


async def loops(_given: argparse.Namespace, folder: Path) -> bool:
    kept = True
    for number, (name, make) in enumerate(_loops().items()):
        place = folder / f"loop-{number}"
        place.mkdir()
        async with engine_with(place, {}, INGEST_AUTHENTICATION="advisory") as (engine, sandbox):
            for turn in range(LOOP_MAILS):
                sender, text = make(turn)
                await engine.receiver.receive(_answer(turn, sender, text))
                await work_until_idle(engine.worker)
            posts = len(sandbox.state.posts)
        print(f"{name}: {LOOP_MAILS} mails, posts until stopped {posts}")
        kept &= posts <= MOST_MACHINE_POSTS
    return kept


def _answer(turn: int, sender: str, text: str) -> ReceivedMessage:
    header = (
        f"From: <{sender}>\r\nTo: <help@{DOMAIN}>\r\nSubject: Re: VPN\r\nMessage-ID: <loop-{turn}@customer.example>\r\n"
        "In-Reply-To: <tai-44-1@mail.ravenna.example>\r\n"
    )
    return ReceivedMessage(
        envelope=Envelope(mail_from=sender, rcpt_tos=(f"help@{DOMAIN}",), client="127.0.0.1"),
        content=f"{header}\r\n{text}\r\n".encode(),
        source_ref=SourceRef(source="smtp:25"),
        received_at=time.time(),
    )


# Look-ups


async def lookup(given: argparse.Namespace, folder: Path) -> bool:
    database = folder / "lookup.db"
    async with open_store(f"sqlite:///{database}") as store:
        await store.learn("first@mail.ravenna.example", "T0", learned_from=Teacher.API, now=1.0)
    _fill(database, given.ids)
    source = random.Random(1)
    seconds = []
    async with open_store(f"sqlite:///{database}") as store:
        for _ in range(LOOKUPS):
            number = source.randrange(given.ids)
            began = time.perf_counter()
            found = await store.tickets_of([_id(number)])
            seconds.append(time.perf_counter() - began)
            assert found[_id(number)] == f"T{number % 1000}"
    p50, p99 = statistics.median(seconds), statistics.quantiles(seconds, n=100)[98]
    size = database.stat().st_size / 2**20
    print(f"{given.ids} ids ({size:.0f} MiB): one look-up {p50 * 1000:.2f} ms, p99 {p99 * 1000:.2f} ms")
    return p99 <= MOST_LOOKUP_SECONDS


def _id(number: int) -> str:
    return f"{number * 2654435761 % 2**32:08x}.{number}@mail.ravenna.example"


def _fill(database: Path, count: int) -> None:
    import sqlite3

    with sqlite3.connect(database) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(threads)")]
        assert {"message_id", "ticket_id", "learned_from", "learned_at"} <= set(columns)
        connection.executemany(
            "INSERT INTO threads (message_id, ticket_id, learned_from, learned_at) VALUES (?, ?, 'api', 1.0)",
            ((_id(number), f"T{number % 1000}") for number in range(count)),
        )


PARTS: Mapping[str, Part] = {
    "matrix": matrix,
    "honest": honest,
    "bounces": bounces,
    "loops": loops,
    "lookup": lookup,
    "referee": referee,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[*PARTS, []])
    parser.add_argument("--bounces", type=Path, help="folder of delivery reports (*.eml)")
    parser.add_argument("--ids", type=int, default=10_000_000, help="Message-IDs that the store knows")
    given = parser.parse_args()
    log.configure("error")
    missed = [name for name in given.parts or PARTS if not _run(name, given)]
    raise SystemExit(f"limits not kept: {', '.join(missed)}" if missed else 0)


def _run(name: str, given: argparse.Namespace) -> bool:
    print(f"\n{name}")
    with tempfile.TemporaryDirectory() as folder:
        kept = asyncio.run(PARTS[name](given, Path(folder)))
    if kept is None:
        print("not run: its input is missing")
    return kept is not False


if __name__ == "__main__":
    main()
