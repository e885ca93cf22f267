"""Messages that the server did not deliver: each is tried again alone a few times, and holds back only itself."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class FetchRetry:
    """What happened to one message so far."""

    failures: int = 0
    due_at: float = 0.0
    reason: str = ""
    headers_asked: bool = False
    """Its headers were asked for, as the last resort; if that broke the connection, it is not done again."""


class FetchRetries:
    """The messages of one folder that made trouble, for as long as the process lives. ``waits`` are the seconds
    between the tries."""

    def __init__(self, waits: tuple[float, ...]) -> None:
        self._waits = waits
        self._trials: dict[int, FetchRetry] = {}

    def __contains__(self, uid: int) -> bool:
        return uid in self._trials

    def is_due(self, uid: int, now: float) -> bool:
        """Whether a message may be asked for now; one that made no trouble always may."""
        trial = self._trials.get(uid)
        return trial is None or trial.due_at <= now

    def next_due(self) -> float | None:
        """When the next of them may be asked for."""
        return min((trial.due_at for trial in self._trials.values()), default=None)

    def suspect(self, uid: int) -> None:
        """A message may be to blame for a broken connection: from now on it is asked for alone."""
        self._trials.setdefault(uid, FetchRetry())

    def fail(self, uid: int, reason: str, now: float) -> None:
        """A message was asked for alone, and did not come."""
        trial = self._trials.get(uid, FetchRetry())
        wait = self._waits[min(trial.failures, len(self._waits) - 1)]
        self._trials[uid] = replace(trial, failures=trial.failures + 1, due_at=now + wait, reason=reason)

    def is_hopeless(self, uid: int) -> bool:
        """Whether it has been tried as often as we try."""
        return uid in self._trials and self._trials[uid].failures > len(self._waits)

    def reason(self, uid: int) -> str:
        """Why it did not come, the last time."""
        return self._trials[uid].reason

    def may_ask_headers(self, uid: int) -> bool:
        """True once: the headers of a hopeless message may be asked for."""
        trial = self._trials.get(uid, FetchRetry())
        self._trials[uid] = replace(trial, headers_asked=True)
        return not trial.headers_asked

    def end(self, uid: int) -> None:
        """A message is stored, whole or in part."""
        self._trials.pop(uid, None)

    def keep_only(self, uids: set[int]) -> None:
        """Forget the messages that are not missing any more: somebody deleted or moved them."""
        self._trials = {uid: trial for uid, trial in self._trials.items() if uid in uids}
