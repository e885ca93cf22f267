"""Changes of a message row that several events bring about: the audit trail, requeue, stop waiting, unblock.

Functions here run inside a transaction of the caller.
"""

from ingest.store import Transaction

_INSERT_ENTRY = """
INSERT INTO attempts (seq, number, started_at, finished_at, outcome, detail)
SELECT :seq, coalesce(max(number), 0) + 1, :now, :finished_at, :outcome, :detail FROM attempts WHERE seq = :seq
"""
_CLOSE_ENTRY = """
UPDATE attempts SET finished_at = :now, outcome = :outcome, detail = :detail
WHERE seq = :seq AND finished_at IS NULL AND number = (SELECT max(number) FROM attempts WHERE seq = :seq)
"""
_REQUEUE = """
UPDATE messages SET state = 'queued', rule = '', reason = :reason, updated_at = :now,
    due_at = :now, waiting_since = NULL, kept_since = NULL
WHERE seq = :seq
"""
_STOP_WAITING = "DELETE FROM waiting_for WHERE seq = :seq"
_UNBLOCK = "UPDATE messages SET due_at = :now, blocked_by = NULL WHERE blocked_by = :queue_id"


def open_attempt(tx: Transaction, seq: int, now: float) -> None:
    """Add the audit entry of an attempt that starts now. An entry that stays open tells of a crash."""
    tx.execute(_INSERT_ENTRY, {"seq": seq, "now": now, "finished_at": None, "outcome": "", "detail": ""})


def close_attempt(tx: Transaction, seq: int, now: float, outcome: str, detail: str) -> None:
    """Write the end and the outcome of the attempt in progress into its audit entry."""
    tx.execute(_CLOSE_ENTRY, {"seq": seq, "now": now, "outcome": outcome, "detail": detail})


def add_event(tx: Transaction, seq: int, now: float, outcome: str, detail: str) -> None:
    """Add an audit entry for an event without duration: an act of an operator, a limit that was reached."""
    tx.execute(_INSERT_ENTRY, {"seq": seq, "now": now, "finished_at": now, "outcome": outcome, "detail": detail})


def requeue(tx: Transaction, seq: int, now: float, reason: str) -> None:
    """Put a row that was not queued back into the queue, due at once."""
    stop_waiting(tx, seq)
    tx.execute(_REQUEUE, {"seq": seq, "now": now, "reason": reason})


def stop_waiting(tx: Transaction, seq: int) -> None:
    """Delete the Message-IDs that a row waits for. Every change out of state waiting must call this."""
    tx.execute(_STOP_WAITING, {"seq": seq})


def unblock_successors(tx: Transaction, queue_id: str, now: float) -> None:
    """Make the messages that were blocked by ``queue_id``, which has left the queue, due now."""
    tx.execute(_UNBLOCK, {"queue_id": queue_id, "now": now})
