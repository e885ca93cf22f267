"""``ingest check``: tries everything that the worker needs, one by one."""

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ingest.api import TicketApiClient, Unavailable
from ingest.cli import output
from ingest.cli.check_dns import dns_results
from ingest.cli.check_result import CheckResult
from ingest.cli.check_trust import server_results, switch_results, trust_results
from ingest.cli.exit_codes import ExitCode
from ingest.config.settings import REQUIRED_TO_SERVE, MiB, Settings, load, unknown_names
from ingest.signing_keys import weakness_of
from ingest.sources.imap.check import check as check_account
from ingest.sources.smtp.tls import Certificate
from ingest.store import Database, StoreUnavailable
from ingest.store.imap import ImapStore
from ingest.store.integrity import find_damage
from ingest.store.messages import Store
from ingest.store.opening import file_of, open_database, open_to_read

MAX_BYTES_READ_THROUGH = 2 * 1024 * MiB
"""A database up to this size is looked through without being asked: that takes some ten seconds at most."""


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("check")(check)


def check(
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line and finding.")] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Look for damage also in a large database, and in its indexes.")
    ] = False,
    authentication: Annotated[
        bool,
        typer.Option(
            "--authentication", help="Count the stored mails that the other INGEST_AUTHENTICATION would change."
        ),
    ] = False,
) -> int:
    """Try everything that the worker needs.

    Settings, certificate, API token, database, and each mailbox: each is tried, and each is told. The database is read
    through for damage, unless it is large. Nothing is posted, no mailbox is changed. Exit code 0 where nothing is
    wrong (there may be warnings), else 1.
    """
    settings = load(os.environ)
    findings = asyncio.run(_all(settings, deep=deep, authentication=authentication))
    if json:
        for finding in findings:
            output.emit(asdict(finding))
    else:
        output.table(("what", "result", ""), [(f.what, f.level, f.text) for f in findings])
    return ExitCode.FAILED if any(finding.level == "error" for finding in findings) else ExitCode.OK


async def _all(settings: Settings, *, deep: bool, authentication: bool) -> list[CheckResult]:
    return [
        *_settings(settings),
        *server_results(settings),
        *_certificate(settings),
        *[finding async for finding in _api(settings)],
        *[finding async for finding in dns_results(settings)],
        *[finding async for finding in _database(settings, deep=deep)],
        *([finding async for finding in switch_results(settings)] if authentication else ()),
        *[finding async for finding in _mailboxes(settings)],
    ]


def _settings(settings: Settings) -> Iterator[CheckResult]:
    values = {"RAVENNA_API_TOKEN": settings.api_token, "INGEST_DOMAINS": settings.domains}
    missing = [name for name in REQUIRED_TO_SERVE if not values[name]]
    for name in missing:
        yield CheckResult(what="settings", level="error", text=f"{name} is not set: {REQUIRED_TO_SERVE[name]}")
    for line in unknown_names(os.environ):
        yield CheckResult(what="settings", level="warning", text=line)
    if settings.signing_key is None:
        text = "INGEST_SIGNING_KEY is not set: signed reply addresses and Message-IDs prove nothing"
        yield CheckResult(what="settings", level="warning", text=text)
    if any(weakness_of(key.get_secret_value().encode()) for key in settings.signing_keys_old):
        text = "INGEST_SIGNING_KEYS_OLD has a weak key: what it signed is no proof"
        yield CheckResult(what="settings", level="warning", text=text)
    if (problem := _problem_of_sent_address(settings)) is not None:
        yield CheckResult(what="settings", level="error", text=problem)
    if settings.fallback_author_id is None:
        text = "INGEST_FALLBACK_AUTHOR_ID is not set: mail of senders whom the API does not know is quarantined"
        yield CheckResult(what="settings", level="warning", text=text)
    yield from trust_results(settings)
    if not missing:
        yield CheckResult(what="settings", level="ok", text=f"mail for {', '.join(settings.domains)} is taken in")


def _problem_of_sent_address(settings: Settings) -> str | None:
    """Return why copies of outbound mail cannot come in at the secret address, without telling the address."""
    if settings.sent_address is None:
        return None
    local, _at, domain = settings.sent_address.get_secret_value().lower().rpartition("@")
    if domain not in settings.domains:
        return "INGEST_SENT_ADDRESS is in none of INGEST_DOMAINS: mail to it is refused"
    if not {"*", local.partition("+")[0]} & set(settings.recipients):
        return "INGEST_SENT_ADDRESS is none of INGEST_RECIPIENTS: mail to it is refused"
    return None


def _certificate(settings: Settings) -> Iterator[CheckResult]:
    chain, key = settings.tls_certificate, settings.tls_key
    if chain is None or key is None:
        return
    try:
        Certificate(chain, key)
    except (OSError, ssl.SSLError) as error:
        yield CheckResult(what="certificate", level="error", text=f"cannot use {chain} with {key}: {error}")
    else:
        yield CheckResult(what="certificate", level="ok", text=f"{chain} goes with its key")


async def _api(settings: Settings) -> AsyncIterator[CheckResult]:
    if settings.api_token is None:
        return
    async with TicketApiClient(settings) as api:
        try:
            await api.list_tickets(limit=1)
        except Unavailable as error:
            yield CheckResult(what="api", level="error", text=f"{settings.api_url}: {error}")
        else:
            yield CheckResult(what="api", level="ok", text=f"{settings.api_url} answers, and takes the token")


async def _database(settings: Settings, *, deep: bool) -> AsyncIterator[CheckResult]:
    """Check the database; a missing one is made. One that is there is only read."""
    file = file_of(settings.database_url)
    is_new = not file.exists()
    try:
        async with (open_database if is_new else open_to_read)(settings.database_url) as database:
            yield await _damage(file, database, deep=deep)
            yield await _ledger(str(file), database, is_new)
    except StoreUnavailable as error:
        yield CheckResult(what="database", level="error", text=str(error))


async def _damage(file: Path, database: Database, *, deep: bool) -> CheckResult:
    size = os.stat(file).st_size
    if size > MAX_BYTES_READ_THROUGH and not deep:
        text = f"{file} has {size // MiB} MiB and was not looked through for damage; `ingest check --deep` does it"
        return CheckResult(what="damage", level="ok", text=text)
    found = await database.read(lambda tx: find_damage(tx, deep=deep))
    if found:
        text = f"{file} is damaged ({'; '.join(found)}): stop the worker, and restore a backup (docs/operations.md)"
        return CheckResult(what="damage", level="error", text=text)
    return CheckResult(what="damage", level="ok", text=f"{file} is sound, as far as SQLite can tell")


async def _mailboxes(settings: Settings) -> AsyncIterator[CheckResult]:
    """Check each mailbox. Their tokens are kept in the database, and a new one may have to be saved."""
    if not settings.imap:
        return
    try:
        async with open_database(settings.database_url) as database:
            for account in settings.imap:
                for found in await check_account(account, ImapStore(database)):
                    yield CheckResult(what=f"imap {found.account}", level=found.level, text=found.text)
    except StoreUnavailable as error:
        yield CheckResult(what="imap", level="error", text=str(error))


async def _ledger(file: str, database: Database, is_new: bool) -> CheckResult:
    ledger = await Store(database).ledger(now=time.time())
    free = database.free_bytes()
    room = "" if free is None else f", {free // MiB} MiB of disk are free"
    if not ledger.holds:
        text = f"{file}: the ledger does not hold; see `ingest ledger`"
        return CheckResult(what="database", level="error", text=text)
    text = f"{file}{' was made' if is_new else ''}: {ledger.accepted} mails accepted, all accounted for{room}"
    return CheckResult(what="database", level="ok", text=text)
