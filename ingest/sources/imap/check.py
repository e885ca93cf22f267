"""`ingest check` for an account: everything is tried, nothing is changed, and what is wrong is told with what to do."""

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Literal

import httpx

from ingest.config.imap_accounts import ImapAccount
from ingest.sources.imap.alarms import DAY, day_of
from ingest.sources.imap.auth.credentials import Credential, credential
from ingest.sources.imap.diagnosis import PROVEN_AFTER, diagnose
from ingest.sources.imap.protocol.client import Connection, Refused
from ingest.sources.imap.state import TokenMemory
from ingest.sources.imap.supervisor import connect
from ingest.sources.imap.timing import MiB, Timing

PATIENCE = 15.0

Level = Literal["ok", "warning", "error"]
Line = tuple[Level, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the answer."""

    account: str
    level: Level
    text: str


async def check(
    account: ImapAccount, memory: TokenMemory, *, clock: Callable[[], float] = time.time, patience: float = PATIENCE
) -> tuple[Finding, ...]:
    """Log in to ``account`` and look at its folders; at least one finding."""
    async with httpx.AsyncClient(trust_env=False) as http:
        way_in = credential(account, memory, http, clock)
        lines = [line async for line in _tried(account, way_in, patience)]
        lines += [line async for line in _ends(way_in, clock())]
    return tuple(Finding(account=account.name, level=level, text=text) for level, text in lines)


async def _tried(account: ImapAccount, way_in: Credential, patience: float) -> AsyncIterator[Line]:
    try:
        connection = await connect(account, way_in, patience=patience, max_literal=MiB)
    except Exception as error:
        yield "error", diagnose(error, account, PROVEN_AFTER).text
        return
    try:
        yield "ok", f"logged in to {account.host}:{account.tcp_port} as {account.user}"
        async for line in _looked_at(connection, account):
            yield line
    except Exception as error:
        yield "error", diagnose(error, account).text
    finally:
        await connection.logout()


async def _looked_at(connection: Connection, account: ImapAccount) -> AsyncIterator[Line]:
    there = await connection.folders()
    for folder in account.folders:
        try:
            await connection.select(folder, read_only=True)
            yield "ok", f"folder {folder!r} can be read and holds {connection.exists} mails"
        except Refused as refusal:
            names = ", ".join(repr(name) for name in there[:20])
            yield "error", f"folder {folder!r} cannot be opened ({refusal.status.text}); there are: {names}"
    if account.move_to and account.move_to not in there:
        yield "error", f"folder {account.move_to!r} of move_to does not exist: create it, or correct move_to"
    for line in _what_it_can_do(connection, account):
        yield line


def _what_it_can_do(connection: Connection, account: ImapAccount) -> list[Line]:
    can: frozenset[str] = connection.capabilities
    lines: list[Line] = []
    if "IDLE" not in can:
        lines.append(("warning", f"the server has no IDLE: new mail is looked for every {account.poll:g} s"))
    removes = account.after == "delete" or (account.after == "move" and "MOVE" not in can)
    if removes and "UIDPLUS" not in can:
        lines.append(("warning", "the server has no UIDPLUS: mail that is done with stays, marked as deleted"))
    return lines


async def _ends(way_in: Credential, now: float) -> AsyncIterator[Line]:
    try:
        ends_at = await way_in.ends_at()
    except Exception as error:
        yield "warning", f"cannot tell when the credential ends: {error}"
        return
    if ends_at is None:
        return
    days = int((ends_at - now) // DAY)
    told = f"the credential ends on {day_of(ends_at)}, in {days} days"
    if ends_at <= now:
        yield "error", f"the credential ended on {day_of(ends_at)}: renew it"
    elif ends_at - now < Timing().forewarning:
        yield "warning", f"{told}: renew it before"
    else:
        yield "ok", told
