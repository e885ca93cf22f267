"""Retries of messages that the server did not deliver. Each is fetched alone a few more times, so that one bad message
does not hold up the others."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class FetchRetry:
    """What is known of one message that was not delivered."""

    failures: int = 0
    """Attempts to fetch it alone that have failed while the server delivered other mail."""
    unproven: int = 0
    """Failed attempts since then of which nobody knows whether the message or the server was the cause."""
    due_at: float = 0.0
    """Unix time before which it is not fetched again."""
    reason: str = ""
    """Why the last attempt failed."""
    headers_asked: bool = False
    """Its headers were asked for, as the last resort. If that broke the connection, it is not done again."""


class FetchRetries:
    """The messages of one folder, by UID, that must be fetched alone. Kept as long as the process lives."""

    def __init__(self, waits: tuple[float, ...]) -> None:
        """``waits`` are the seconds between the attempts."""
        self._waits = waits
        self._entries: dict[int, FetchRetry] = {}

    def __contains__(self, uid: int) -> bool:
        return uid in self._entries

    def is_due(self, uid: int, now: float) -> bool:
        """Return whether a message may be fetched now; one without an entry always may."""
        entry = self._entries.get(uid)
        return entry is None or entry.due_at <= now

    def next_due(self) -> float | None:
        """Return the Unix time at which the first entry is due, or ``None`` if there are no entries."""
        return min((entry.due_at for entry in self._entries.values()), default=None)

    def isolate(self, uid: int) -> None:
        """Fetch this message alone from now on, because it may be why a connection broke."""
        self._entries.setdefault(uid, FetchRetry())

    def fail(self, uid: int, reason: str, now: float) -> None:
        """Record that a message was fetched alone and did not come, and when it is due again."""
        self.postpone(uid, reason, now)
        self.prove(uid)

    def postpone(self, uid: int, reason: str, now: float) -> None:
        """Record that a message did not come, and when it is due again, without counting that against it: the server
        may have delivered nothing at all."""
        entry = self._entries.get(uid, FetchRetry())
        wait = self._waits[min(entry.failures + entry.unproven // 2, len(self._waits) - 1)]
        self._entries[uid] = replace(entry, unproven=entry.unproven + 1, due_at=now + wait, reason=reason)

    def prove(self, uid: int) -> None:
        """Count the failures that ``postpone`` recorded as one: the server has delivered another message since."""
        entry = self._entries.get(uid)
        if entry is not None and entry.unproven:
            self._entries[uid] = replace(entry, failures=entry.failures + 1, unproven=0)

    def is_unproven(self, uid: int) -> bool:
        """Return whether it is not known if the last failure of a message was its own."""
        return uid in self._entries and self._entries[uid].unproven > 0

    def attempts(self, uid: int) -> int:
        """Return how often a message was fetched alone and did not come."""
        entry = self._entries.get(uid, FetchRetry())
        return entry.failures + entry.unproven

    def is_exhausted(self, uid: int) -> bool:
        """True once the message has used up its retries."""
        return uid in self._entries and self._entries[uid].failures > len(self._waits)

    def reason(self, uid: int) -> str:
        """Return why the last attempt to fetch a message failed."""
        return self._entries[uid].reason

    def may_ask_headers(self, uid: int) -> bool:
        """Return True on the first call for a message, and False afterwards: its headers are asked for once."""
        entry = self._entries.get(uid, FetchRetry())
        self._entries[uid] = replace(entry, headers_asked=True)
        return not entry.headers_asked

    def remove(self, uid: int) -> None:
        """Remove a message that is stored, whole or in part, or that is gone from the folder."""
        self._entries.pop(uid, None)

    def keep_only(self, uids: set[int]) -> None:
        """Remove all entries but ``uids``, the messages that are still missing: others were deleted or moved."""
        self._entries = {uid: entry for uid, entry in self._entries.items() if uid in uids}
