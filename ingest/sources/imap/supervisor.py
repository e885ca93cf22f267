"""Keeps one folder read, for ever: connects, logs in, reads, and does so again after whatever goes wrong."""

import asyncio
import random
import ssl
from functools import lru_cache
from pathlib import Path

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_never, wait_random_exponential

from ingest import log, metrics
from ingest.config.imap_accounts import ImapAccount
from ingest.sources.imap.auth.credentials import Credential
from ingest.sources.imap.auth.login import LoginRefused, log_in
from ingest.sources.imap.diagnosis import Failure, Kind, diagnose
from ingest.sources.imap.folder import FolderSession, open_folder
from ingest.sources.imap.leases import Leases
from ingest.sources.imap.protocol.client import Connection
from ingest.sources.imap.reading import FolderStatus, LeaseLost

REMIND_EVERY = 3_600.0
"""Seconds after which a trouble that lasts is logged again."""

_log = log.get("imap")


@lru_cache
def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """The rules for certificates: the system's authorities, or the one in ``ca_file``. Shared by all accounts that
    trust the same, because each context holds its own copy of some hundred certificates.

    Raises:
        OSError: the file cannot be read, or is no certificate.
    """
    return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)


async def connect(account: ImapAccount, credential: Credential, *, patience: float, max_literal: int) -> Connection:
    """A connection that is logged in.

    Raises:
        Exception: what ``trouble.diagnose`` explains.
    """
    secret = await credential.get()
    connection = await Connection.open(
        account.host,
        account.tcp_port,
        account.security,
        tls_context(account.ca_file),
        patience=patience,
        max_literal=max_literal,
    )
    try:
        await log_in(connection, account, secret)
        await connection.identify()
    except LoginRefused:
        credential.reject(secret)
        connection.close()
        raise
    except BaseException:
        connection.close()
        raise
    return connection


class FolderSupervisor:
    """Keeps the folder of ``reading`` read, while this process holds its lease."""

    def __init__(self, reading: FolderStatus, credential: Credential, leases: Leases) -> None:
        self._reading, self._credential, self._leases = reading, credential, leases
        self._house, self._account = reading.house, reading.account
        self._pace = reading.house.pace
        self._backoff = wait_random_exponential(multiplier=self._pace.retry_first, max=self._pace.retry_cap)
        self._trouble = Failure(Kind.PASSING, "")
        self._told_at = float("-inf")
        self._refusals = 0
        self._tried = ""
        self._labels = {"account": self._account.name, "folder": reading.name}
        reading.still_ours = lambda: leases.holds(reading.source)

    async def run(self) -> None:
        """Never returns; cancel it. What is being stored then is stored."""
        while True:
            await self._until_it_went_well()

    async def _until_it_went_well(self) -> None:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(Exception), stop=stop_never, wait=self._wait, sleep=self._sleep
        ):
            with attempt:
                await self._attempt()

    async def _attempt(self) -> None:
        """One session, which ends in an exception. After a good one that is no failure, and the waits begin anew."""
        began, stored = self._house.clock(), self._reading.stored
        try:
            await self._leases.acquire(self._reading.source)
            await self._session()
        except LeaseLost:
            _log.info("another worker reads the folder now", **self._labels)
        except Exception as error:
            self._refusals = self._refusals + 1 if isinstance(error, LoginRefused) else 0
            self._trouble = diagnose(error, self._account, self._refusals)
            went_well = self._house.clock() - began >= self._pace.healthy or self._reading.stored > stored
            if not went_well or self._trouble.kind is not Kind.PASSING:
                self._report()
                raise
            _log.info("the connection ended; connecting again", **self._labels, reason=self._trouble.text)
            await asyncio.sleep(self._pace.retry_first * random.random())  # noqa: S311 - spreads load, guards nothing
        finally:
            metrics.IMAP_CONNECTED.labels(**self._labels).set(0)
            await asyncio.shield(self._leases.release(self._reading.source))

    async def _session(self) -> None:
        self._tried = await self._fingerprint()
        connection = await connect(
            self._account,
            self._credential,
            patience=self._pace.patience,
            max_literal=self._house.max_message_bytes,
        )
        try:
            record = await open_folder(connection, self._reading)
            self._is_well()
            await FolderSession(connection, self._reading, record).run()
        finally:
            connection.close()

    def _is_well(self) -> None:
        metrics.IMAP_CONNECTED.labels(**self._labels).set(1)
        _log.info("reading mailbox", **self._labels)
        self._reading.trouble, self._reading.trouble_since, self._told_at = "", None, float("-inf")

    def _report(self) -> None:
        """A line when something goes wrong, or another thing does, and now and then while it lasts."""
        trouble, now = self._trouble, self._house.clock()
        self._reading.trouble_since = self._reading.trouble_since or now
        metrics.IMAP_FAILURES.labels(account=self._account.name, kind=trouble.kind.value).inc()
        if trouble.text == self._reading.trouble and now - self._told_at < REMIND_EVERY:
            return
        self._reading.trouble, self._told_at = trouble.text, now
        tell = _log.error if trouble.kind is Kind.REFUSED else _log.warning
        tell("mailbox is not read", **self._labels, kind=trouble.kind.value, reason=trouble.text)

    def _wait(self, state: RetryCallState) -> float:
        """Seconds until the next attempt."""
        if self._trouble.kind is Kind.REFUSED:
            return self._pace.refused
        return max(self._backoff(state), self._trouble.retry_after or 0.0)

    async def _sleep(self, seconds: float) -> None:
        """Wait; while the credential is refused, a new one ends the waiting."""
        if self._trouble.kind is not Kind.REFUSED:
            await asyncio.sleep(seconds)
            return
        until = self._house.clock() + seconds
        while True:
            await asyncio.sleep(min(seconds, self._pace.look_for_credential))
            if self._house.clock() >= until or await self._fingerprint() != self._tried:
                return

    async def _fingerprint(self) -> str:
        try:
            return await self._credential.fingerprint()
        except Exception as error:  # the store does not answer now; look again later
            _log.debug("cannot look for a new credential", reason=str(error), **self._labels)
            return ""
