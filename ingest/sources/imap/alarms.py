"""Alarms: mail that stays on a server though we should have it, and credentials that will end."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ingest import log, metrics
from ingest.sources.imap.auth.credentials import Credential
from ingest.sources.imap.reading import FolderStatus
from ingest.sources.imap.timing import Timing

DAY = 86_400.0

_log = log.get("imap")


@dataclass(slots=True)
class GapAlarm:
    """Looks at ``readings`` and at the ``credentials`` of their accounts by name."""

    readings: Sequence[FolderStatus]
    credentials: Mapping[str, Credential]
    clock: Callable[[], float]
    pace: Timing
    _alarmed: set[str] = field(default_factory=set)
    _warned: dict[str, int] = field(default_factory=dict)

    async def for_ever(self) -> None:
        """Look every ``pace.watch`` seconds."""
        while True:
            now = self.clock()
            for reading in self.readings:
                self.look_at_gap(reading, now)
            for account, credential in self.credentials.items():
                await self._look_at_end(account, credential, now)
            await asyncio.sleep(self.pace.watch)

    def look_at_gap(self, reading: FolderStatus, now: float) -> None:
        """Note how many messages we lack, and since when. A gap that lasts is an alarm, once until it closes; so is a
        folder that cannot be read for as long, since nobody knows what it holds."""
        record = reading.record
        missing = record.on_server - record.taken_in if record else 0
        began = (record.gap_since if record else None, reading.trouble_since)
        lasted = max((now - since for since in began if since is not None), default=0.0)
        labels = {"account": reading.account.name, "folder": reading.name}
        metrics.IMAP_GAP.labels(**labels).set(missing)
        metrics.IMAP_GAP_SECONDS.labels(**labels).set(lasted)
        if lasted < self.pace.alarm:
            self._alarmed.discard(reading.source)
        elif reading.source not in self._alarmed:
            self._alarmed.add(reading.source)
            reason = reading.paused or reading.trouble or "the server does not deliver it; see the lines above"
            _log.error("mail on the server is not taken in", **labels, messages=missing, reason=reason)

    async def _look_at_end(self, account: str, credential: Credential, now: float) -> None:
        try:
            ends_at = await credential.ends_at()
        except Exception as error:
            _log.debug("cannot tell when the credential ends", account=account, reason=str(error))
            return
        if ends_at is None:
            return
        metrics.IMAP_CREDENTIAL_ENDS.labels(account=account).set(ends_at)
        days = int((ends_at - now) // DAY)
        if ends_at - now < self.pace.forewarning and self._warned.get(account) != days:
            self._warned[account] = days
            _log.warning("credential ends soon", account=account, ends=day_of(ends_at), days_left=days)


def day_of(moment: float) -> str:
    """``moment`` as a date, in UTC."""
    return datetime.fromtimestamp(moment, UTC).date().isoformat()
