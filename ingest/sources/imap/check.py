"""`ingest check` for an IMAP account: logs in and opens every folder, changes nothing, and says what to do."""

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Literal

import httpx

from ingest.config.imap_accounts import ImapAccount
from ingest.sources.imap.alarms import utc_date
from ingest.sources.imap.auth.credentials import Credential, credential_for
from ingest.sources.imap.diagnosis import PROVEN_AFTER_REFUSALS, diagnose
from ingest.sources.imap.folder_names import missing_folder
from ingest.sources.imap.protocol.client import CommandRefused, ImapConnection
from ingest.sources.imap.supervisor import connect
from ingest.sources.imap.timing import DAY_SECONDS, MiB, Timing
from ingest.store.imap import ImapStore

TIMEOUT_SECONDS = 15.0
"""How long a server may keep a person who waits at a terminal waiting; a worker has more patience."""

Level = Literal["ok", "warning", "error"]
LevelAndText = tuple[Level, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFinding:
    """One line of the result of ``check``."""

    account: str
    level: Level
    text: str


async def check(
    account: ImapAccount, store: ImapStore, *, clock: Callable[[], float] = time.time, timeout: float = TIMEOUT_SECONDS
) -> tuple[AccountFinding, ...]:
    """Log in to ``account`` and open its folders read-only. Returns at least one finding; never raises."""
    async with httpx.AsyncClient(trust_env=False) as http:
        credential = credential_for(account, store, http, clock)
        try:
            lines = [line async for line in _check_log_in(account, credential, timeout)]
            lines += [line async for line in _check_end(credential, clock())]
        finally:
            await credential.finish(timeout)
    return tuple(AccountFinding(account=account.name, level=level, text=text) for level, text in lines)


async def _check_log_in(account: ImapAccount, credential: Credential, timeout: float) -> AsyncIterator[LevelAndText]:
    try:
        connection = await connect(account, credential, timeout=timeout, max_literal=MiB)
    except Exception as error:
        yield "error", diagnose(error, account, PROVEN_AFTER_REFUSALS).text
        return
    try:
        yield "ok", f"logged in to {account.host}:{account.tcp_port} as {account.user}"
        async for line in _check_folders(connection, account):
            yield line
    except Exception as error:
        yield "error", diagnose(error, account).text
    finally:
        await connection.logout()


async def _check_folders(connection: ImapConnection, account: ImapAccount) -> AsyncIterator[LevelAndText]:
    existing = await connection.folders()
    for folder in account.folders:
        try:
            await connection.select(folder, read_only=True)
            yield "ok", f"folder {folder!r} can be read and holds {connection.exists} mails"
        except CommandRefused as refusal:
            names = ", ".join(repr(name) for name in existing[:20])
            yield "error", f"folder {folder!r} cannot be opened ({refusal.status.text}); existing folders: {names}"
    if account.move_to and account.move_to not in existing:
        yield "error", f"{missing_folder(account.move_to, existing)}: create it, or correct move_to"
    for line in _check_capabilities(connection, account):
        yield line


def _check_capabilities(connection: ImapConnection, account: ImapAccount) -> list[LevelAndText]:
    offered: frozenset[str] = connection.capabilities
    lines: list[LevelAndText] = []
    if "IDLE" not in offered:
        lines.append(("warning", f"the server has no IDLE: it is asked for new mail every {account.poll:g} s"))
    removes = account.after == "delete" or (account.after == "move" and "MOVE" not in offered)
    if removes and "UIDPLUS" not in offered:
        lines.append(("warning", "the server has no UIDPLUS: stored mail stays in the folder, marked as deleted"))
    return lines


async def _check_end(credential: Credential, now: float) -> AsyncIterator[LevelAndText]:
    try:
        ends_at = await credential.ends_at()
    except Exception as error:
        yield "warning", f"cannot tell when the credential ends: {error}"
        return
    if ends_at is None:
        return
    days = int((ends_at - now) // DAY_SECONDS)
    text = f"the credential ends on {utc_date(ends_at)}, in {days} days"
    if ends_at <= now:
        yield "error", f"the credential ended on {utc_date(ends_at)}: renew it"
    elif ends_at - now < Timing().credential_warning_seconds:
        yield "warning", f"{text}: renew it before"
    else:
        yield "ok", text
