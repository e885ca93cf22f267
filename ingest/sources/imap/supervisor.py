"""Keeps one folder read for ever: connects, logs in, reads, and starts again after any failure."""

import asyncio
import random
import ssl
from functools import lru_cache
from pathlib import Path

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_never, wait_random_exponential

from ingest import log, metrics
from ingest.config.imap_accounts import ImapAccount
from ingest.model.imap_folder import Folder
from ingest.sources.imap.auth.credentials import Credential
from ingest.sources.imap.auth.login import LoginRefused, log_in
from ingest.sources.imap.context import FolderContext, LeaseLost, ReaderContext
from ingest.sources.imap.diagnosis import Failure, FailureKind, diagnose
from ingest.sources.imap.fetch_retries import FetchRetries
from ingest.sources.imap.folder import FolderSession, open_folder
from ingest.sources.imap.leases import Leases
from ingest.sources.imap.protocol.client import ImapConnection
from ingest.sources.imap.status import FolderEvent, FolderStatus, ReadingPaused

REMIND_EVERY_SECONDS = 3_600.0
"""A failure that lasts is logged again after this time: often enough to be seen, too rarely to fill the log."""

_log = log.get("imap")


@lru_cache
def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities, or only the one in ``ca_file``. Accounts that trust the
    same share a context, because each holds its own copy of some hundred certificates.

    Raises:
        OSError: the file cannot be read, or is no certificate.
    """
    return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)


async def connect(account: ImapAccount, credential: Credential, *, timeout: float, max_literal: int) -> ImapConnection:
    """Open a connection and log in. ``timeout`` is in seconds; ``max_literal`` is the largest literal to keep in bytes.

    Raises:
        Exception: pass it to ``diagnosis.diagnose`` to learn what it means.
    """
    secret = await credential.get()
    connection: ImapConnection = await ImapConnection.open(
        account.host,
        account.tcp_port,
        account.security,
        tls_context(account.ca_file),
        timeout=timeout,
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
    """Keeps one folder read while this process holds its lease. It owns the folder's status: sessions only report
    events to it."""

    def __init__(
        self, shared: ReaderContext, account: ImapAccount, name: str, credential: Credential, leases: Leases
    ) -> None:
        source = account.source(name)
        self.status = FolderStatus(account=account.name, folder=name, source=source)
        """How the folder does now."""
        self._folder = FolderContext(
            shared=shared,
            account=account,
            name=name,
            retries=FetchRetries(shared.timing.message_retry_seconds),
            holds_lease=lambda: leases.holds(source),
            failing_since=lambda: self.status.failing_since,
            report=self._on_event,
        )
        self._shared, self._account, self._timing = shared, account, shared.timing
        self._credential, self._leases = credential, leases
        self._backoff = wait_random_exponential(
            multiplier=shared.timing.first_retry_seconds, max=shared.timing.max_retry_seconds
        )
        self._failure = Failure(FailureKind.PASSING, "")
        self._logged_at = float("-inf")
        self._refused_logins = 0
        self._tried_fingerprint = ""
        self._labels = {"account": account.name, "folder": name}

    async def run(self) -> None:
        """Read the folder. Never returns; cancel it. Messages whose storing has begun are stored nevertheless."""
        while True:
            await self._retry_until_healthy()

    def _on_event(self, event: FolderEvent) -> None:
        if isinstance(event, ReadingPaused) and event.reason != self.status.paused:
            _log.warning("reading pauses", **self._labels, reason=event.reason)
        self.status = self.status.after(event)

    async def _retry_until_healthy(self) -> None:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(Exception), stop=stop_never, wait=self._wait, sleep=self._sleep
        ):
            with attempt:
                await self._attempt()

    async def _attempt(self) -> None:
        """Run one session; every session ends in an exception. It is not raised after a session that was healthy, so
        that the waits start again from the smallest."""
        began, stored = self._shared.clock(), self.status.stored
        try:
            await self._leases.acquire(self.status.source)
            await self._session()
        except LeaseLost:
            _log.info("another worker reads the folder now", **self._labels)
        except Exception as error:
            self._refused_logins = self._refused_logins + 1 if isinstance(error, LoginRefused) else 0
            self._failure = diagnose(error, self._account, self._refused_logins)
            lasted = self._shared.clock() - began
            healthy = lasted >= self._timing.healthy_session_seconds or self.status.stored > stored
            if not healthy or self._failure.kind is not FailureKind.PASSING:
                self._on_failure()
                raise
            _log.info("the connection ended; connecting again", **self._labels, reason=self._failure.text)
            jitter = random.random()  # noqa: S311 - spreads load, guards nothing
            await asyncio.sleep(self._timing.first_retry_seconds * jitter)
        finally:
            metrics.IMAP_CONNECTED.labels(**self._labels).set(0)
            await asyncio.shield(self._leases.release(self.status.source))

    async def _session(self) -> None:
        self._tried_fingerprint = await self._fingerprint()
        connection = await connect(
            self._account,
            self._credential,
            timeout=self._timing.timeout_seconds,
            max_literal=self._shared.max_message_bytes,
        )
        try:
            record = await open_folder(connection, self._folder)
            self._on_opened(record)
            await FolderSession(connection, self._folder, record).run()
        finally:
            connection.close()

    def _on_opened(self, record: Folder) -> None:
        metrics.IMAP_CONNECTED.labels(**self._labels).set(1)
        _log.info("reading mailbox", **self._labels)
        self.status, self._logged_at = self.status.opened(record), float("-inf")

    def _on_failure(self) -> None:
        """Count a failure, and log it if its text is new or an hour old."""
        failure, before, now = self._failure, self.status.failure, self._shared.clock()
        metrics.IMAP_FAILURES.labels(account=self._account.name, kind=failure.kind.value).inc()
        self.status = self.status.failed(failure.text, now)
        if failure.text == before and now - self._logged_at < REMIND_EVERY_SECONDS:
            return
        self._logged_at = now
        write = _log.error if failure.kind is FailureKind.REFUSED else _log.warning
        write("mailbox is not read", **self._labels, kind=failure.kind.value, reason=failure.text)

    def _wait(self, state: RetryCallState) -> float:
        """Return the seconds to wait until the next attempt."""
        if self._failure.kind is FailureKind.REFUSED:
            return self._timing.refused_retry_seconds
        return max(self._backoff(state), self._failure.retry_after or 0.0)

    async def _sleep(self, seconds: float) -> None:
        """Wait. While the credential is refused, a new credential ends the wait early."""
        if self._failure.kind is not FailureKind.REFUSED:
            await asyncio.sleep(seconds)
            return
        until = self._shared.clock() + seconds
        while True:
            await asyncio.sleep(min(seconds, self._timing.credential_poll_seconds))
            if self._shared.clock() >= until or await self._fingerprint() != self._tried_fingerprint:
                return

    async def _fingerprint(self) -> str:
        try:
            return await self._credential.fingerprint()
        except Exception as error:  # the store does not answer now; look again later
            _log.debug("cannot look for a new credential", reason=str(error), **self._labels)
            return ""
