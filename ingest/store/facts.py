"""Deletes the facts of messages that were finished long ago: who wrote, when, about what, and what was tried.

What stays: which ticket a Message-ID belongs to (``threads``), so that a late reply still finds it; a digest by which
the same delivery is known again (``pruned``); and a count, so that the ledger still holds. Functions here run inside a
transaction of the caller.
"""

from ingest.store import Transaction

PRUNE_BATCH_MESSAGES = 200
"""Messages pruned in one transaction. Each has rows in several tables; receiving and claiming wait meanwhile."""

_OLDEST = """
SELECT seq, updated_at, kept_since FROM messages WHERE state = :state ORDER BY seq LIMIT :limit
"""
_REMEMBER = """
INSERT INTO pruned (dedupe_key, queue_id, source, position, is_whole)
SELECT dedupe_key, queue_id, source, position, is_whole FROM messages WHERE seq = :seq ON CONFLICT DO NOTHING
"""
_DELETE_PARTS = tuple(
    f"DELETE FROM {table} WHERE seq = :seq"  # noqa: S608 - fixed names
    for table in ("attempts", "uploads", "waiting_for", "order_keys", "reported", "contents", "messages")
)
_COUNT = "UPDATE counters SET value = value + :count WHERE name = 'pruned'"
_PRUNED = "SELECT value FROM counters WHERE name = 'pruned'"
_SELECT_BY_DEDUPE_KEY = "SELECT queue_id FROM pruned WHERE dedupe_key = :dedupe_key"


def prune(tx: Transaction, before: float) -> int:
    """Delete the facts of some messages that were delivered or discarded before ``before`` and whose content is gone;
    return their number. 0: the oldest ones of each state are younger than that.

    Looks at the messages that arrived first, and so needs no index of its own: a message that an operator brought to
    its end lately among them is passed over."""
    old = [
        seq
        for state in ("delivered", "discarded")
        for seq, updated_at, kept_since in tx.execute(_OLDEST, {"state": state, "limit": PRUNE_BATCH_MESSAGES})
        if updated_at < before and kept_since is None
    ]
    for seq in old:
        tx.execute(_REMEMBER, {"seq": seq})
        for statement in _DELETE_PARTS:
            tx.execute(statement, {"seq": seq})
    if old:
        tx.execute(_COUNT, {"count": len(old)})
    return len(old)


def pruned(tx: Transaction) -> int:
    """Return the number of messages whose facts were deleted."""
    return int(tx.execute(_PRUNED)[0][0])


def queue_id_of(tx: Transaction, dedupe_key: str) -> str | None:
    """Return the queue id that a pruned message had; ``None``: no message with this key was pruned."""
    found = tx.execute(_SELECT_BY_DEDUPE_KEY, {"dedupe_key": dedupe_key})
    return found[0][0] if found else None
