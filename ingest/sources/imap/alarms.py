"""Alarms: mail that stays on a server although we should have stored it, and credentials that will end soon."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ingest import log, metrics
from ingest.sources.imap.auth.credentials import Credential
from ingest.sources.imap.status import FolderStatus
from ingest.sources.imap.timing import DAY_SECONDS, Timing

_log = log.get("imap")


@dataclass(slots=True)
class GapAlarm:
    """Sets metrics and logs alarms from the status of each folder and from the end of each account's credential."""

    statuses: Callable[[], Sequence[FolderStatus]]
    credentials: Mapping[str, Credential]
    """Credentials by account name."""
    clock: Callable[[], float]
    timing: Timing
    _alarmed: set[str] = field(default_factory=set)
    """Sources of the folders whose gap has been logged and has not closed since."""
    _warned: dict[str, int] = field(default_factory=dict)
    """Days left at the last warning about each account's credential."""

    async def run(self) -> None:
        """Check every ``timing.watch_seconds``. Never returns; cancel it."""
        while True:
            now = self.clock()
            for status in self.statuses():
                self.check_gap(status, now)
            for account, credential in self.credentials.items():
                await self._check_credential(account, credential, now)
            await asyncio.sleep(self.timing.watch_seconds)

    def check_gap(self, status: FolderStatus, now: float) -> None:
        """Set the metrics of missing messages and of how long they are missing. Log an error once per gap that lasts
        ``gap_alarm_seconds``. A folder that cannot be read counts as a gap, because nobody knows what it holds."""
        record = status.record
        missing = record.on_server - record.taken_in if record else 0
        began = (record.gap_since if record else None, status.failing_since)
        lasted = max((now - since for since in began if since is not None), default=0.0)
        labels = {"account": status.account, "folder": status.folder}
        metrics.IMAP_GAP.labels(**labels).set(missing)
        metrics.IMAP_GAP_SECONDS.labels(**labels).set(lasted)
        if lasted < self.timing.gap_alarm_seconds:
            self._alarmed.discard(status.source)
        elif status.source not in self._alarmed:
            self._alarmed.add(status.source)
            reason = status.paused or status.failure or "the server does not deliver it; see earlier log lines"
            _log.error("mail on the server is not taken in", **labels, messages=missing, reason=reason)

    async def _check_credential(self, account: str, credential: Credential, now: float) -> None:
        try:
            ends_at = await credential.ends_at()
        except Exception as error:
            _log.debug("cannot tell when the credential ends", account=account, reason=str(error))
            return
        if ends_at is None:
            return
        metrics.IMAP_CREDENTIAL_ENDS.labels(account=account).set(ends_at)
        days = int((ends_at - now) // DAY_SECONDS)
        if ends_at - now < self.timing.credential_warning_seconds and self._warned.get(account) != days:
            self._warned[account] = days
            _log.warning("credential ends soon", account=account, ends=utc_date(ends_at), days_left=days)


def utc_date(moment: float) -> str:
    """Return the Unix time ``moment`` as an ISO date in UTC."""
    return datetime.fromtimestamp(moment, UTC).date().isoformat()
