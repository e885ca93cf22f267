"""Changes of a row that more than one event brings about."""

from ingest.store import Transaction

_ADD_LINE = """
INSERT INTO attempts (seq, number, started_at, finished_at, outcome, detail)
SELECT :seq, coalesce(max(number), 0) + 1, :now, :finished_at, :outcome, :detail FROM attempts WHERE seq = :seq
"""
_FINISH_LINE = """
UPDATE attempts SET finished_at = :now, outcome = :outcome, detail = :detail
WHERE seq = :seq AND finished_at IS NULL AND number = (SELECT max(number) FROM attempts WHERE seq = :seq)
"""
_REQUEUE = """
UPDATE messages SET state = 'queued', rule = '', reason = :reason, updated_at = :now,
    due_at = :now, waiting_since = NULL, kept_since = NULL
WHERE seq = :seq
"""
_STOP_WAITING = "DELETE FROM waiting_for WHERE seq = :seq"
_LET_FOLLOW = "UPDATE messages SET due_at = :now, behind = NULL WHERE behind = :queue_id"


def open_attempt(tx: Transaction, seq: int, now: float) -> None:
    """Open the line of an attempt in the audit trail; one that stays open tells of a crash."""
    tx.execute(_ADD_LINE, {"seq": seq, "now": now, "finished_at": None, "outcome": "", "detail": ""})


def close_attempt(tx: Transaction, seq: int, now: float, outcome: str, detail: str) -> None:
    """Close the line of the attempt that runs now."""
    tx.execute(_FINISH_LINE, {"seq": seq, "now": now, "outcome": outcome, "detail": detail})


def add_event(tx: Transaction, seq: int, now: float, outcome: str, detail: str) -> None:
    """Add a line about something that took no time: an act of an operator, a limit that was reached."""
    tx.execute(_ADD_LINE, {"seq": seq, "now": now, "finished_at": now, "outcome": outcome, "detail": detail})


def requeue(tx: Transaction, seq: int, now: float, reason: str) -> None:
    """Queue a row that was not queued, due at once."""
    stop_waiting(tx, seq)
    tx.execute(_REQUEUE, {"seq": seq, "now": now, "reason": reason})


def stop_waiting(tx: Transaction, seq: int) -> None:
    """Forget what a row waits for; each that leaves the state has to."""
    tx.execute(_STOP_WAITING, {"seq": seq})


def unblock_successors(tx: Transaction, queue_id: str, now: float) -> None:
    """Make due what waited behind ``queue_id``, which has left the queue."""
    tx.execute(_LET_FOLLOW, {"queue_id": queue_id, "now": now})
