"""Stops loops: counts the posts on a ticket, pauses a thread, resumes it; and knows which reports have a note already.

What counts are rows that have a ticket message, so that nothing has to be kept in step with them. Messages of a ticket
are posted one after another, so that each sees all before it. Functions here run inside a transaction of the caller.
"""

from collections.abc import Sequence

from ingest.model.loops import LoopCause, LoopLimits, Pause
from ingest.store import Findings, Transaction, order_keys

_SELECT_PAUSE = """
SELECT sender, cause, paused_at FROM paused_threads
WHERE ticket_id = :ticket_id AND sender IN ('', :sender) AND resumed_at IS NULL
"""
_SELECT_RESUMED = """
SELECT coalesce(max(resumed_at), 0) FROM paused_threads WHERE ticket_id = :ticket_id AND sender IN ('', :sender)
"""
_COUNT_EQUAL = """
SELECT count(*) FROM (
    SELECT 1 FROM messages
    WHERE words_key = :words_key AND written_at BETWEEN :since AND :written_at AND seq <> :seq
        AND ticket_message_id IS NOT NULL AND updated_at > :resumed_at
    LIMIT :limit)
"""
_SELECT_SENDERS = """
SELECT lower(sender) FROM messages
WHERE ticket_id = :ticket_id AND written_at BETWEEN :since AND :written_at AND seq <> :seq
    AND ticket_message_id IS NOT NULL AND updated_at > :resumed_at
ORDER BY written_at DESC LIMIT :limit
"""
_PAUSE = """
INSERT INTO paused_threads (ticket_id, sender, cause, paused_at) VALUES (:ticket_id, :sender, :cause, :now)
ON CONFLICT (ticket_id, sender) DO UPDATE SET cause = :cause, paused_at = :now, resumed_at = NULL
"""
_LIST = """
SELECT ticket_id, sender, cause, paused_at FROM paused_threads WHERE resumed_at IS NULL ORDER BY paused_at
"""
_COUNT = "SELECT count(*) FROM paused_threads WHERE resumed_at IS NULL"
_RESUME = """
UPDATE paused_threads SET resumed_at = :now, resumed_by = :by
WHERE ticket_id = :ticket_id AND (:sender IS NULL OR sender IN ('', :sender)) AND resumed_at IS NULL
RETURNING sender
"""
_RESUME_OF_MESSAGE = """
UPDATE paused_threads SET resumed_at = :now, resumed_by = :by
WHERE resumed_at IS NULL AND EXISTS (
    SELECT 1 FROM messages WHERE seq = :seq AND messages.ticket_id = paused_threads.ticket_id
        AND paused_threads.sender IN ('', lower(messages.sender)))
"""
_SELECT_HELD = """
SELECT queue_id FROM messages
WHERE ticket_id = :ticket_id AND written_at IS NOT NULL AND state = 'quarantined' AND rule = 'paused'
    AND (:sender IS NULL OR lower(sender) = :sender)
ORDER BY seq
"""
_ADD_REPORT = "INSERT INTO reported (key, seq) VALUES (:key, :seq) ON CONFLICT DO NOTHING"
_SELECT_REPORTED = """
SELECT messages.queue_id FROM reported JOIN messages ON messages.seq = reported.seq
WHERE reported.key = :key AND reported.seq <> :seq AND messages.ticket_message_id IS NOT NULL LIMIT 1
"""


def find_pause(tx: Transaction, seq: int, findings: Findings, limits: LoopLimits, now: float) -> Pause | None:
    """Return the pause that holds a message; ``None`` where it may be posted. A message that exceeds a limit pauses its
    thread."""
    if findings.words_key is None or findings.written_at is None or findings.ticket_id is None:
        return None
    thread = {"ticket_id": findings.ticket_id, "sender": findings.sender.lower()}
    for sender, cause, paused_at in tx.execute(_SELECT_PAUSE, thread):
        return Pause(ticket_id=findings.ticket_id, sender=sender, cause=LoopCause(cause), paused_at=paused_at)
    cause = _exceeded(tx, seq, findings, limits, thread)
    if cause is None:
        return None
    sender = "" if cause is LoopCause.TICKET else thread["sender"]
    tx.execute(_PAUSE, {"ticket_id": findings.ticket_id, "sender": sender, "cause": cause.value, "now": now})
    return Pause(ticket_id=findings.ticket_id, sender=sender, cause=cause, paused_at=now, is_new=True)


def _exceeded(
    tx: Transaction, seq: int, findings: Findings, limits: LoopLimits, thread: dict[str, str]
) -> LoopCause | None:
    """Return the limit that a post of the message would exceed."""
    assert findings.written_at is not None
    fixed = {**thread, "seq": seq, "written_at": findings.written_at, "words_key": findings.words_key}
    fixed["resumed_at"] = tx.execute(_SELECT_RESUMED, thread)[0][0]
    if limits.equal_posts:
        limit = limits.equal_posts - 1
        equal = {**fixed, "since": findings.written_at - limits.equal_seconds, "limit": limit}
        if tx.execute(_COUNT_EQUAL, equal)[0][0] >= limit:
            return LoopCause.EQUAL
    most = max(limits.sender_posts, limits.ticket_posts)
    recent = {**fixed, "since": findings.written_at - limits.window_seconds, "limit": most}
    senders = [sender for (sender,) in tx.execute(_SELECT_SENDERS, recent)] if most else []
    if limits.sender_posts and senders.count(thread["sender"]) >= limits.sender_posts:
        return LoopCause.SENDER
    return LoopCause.TICKET if limits.ticket_posts and len(senders) >= limits.ticket_posts else None


def paused(tx: Transaction) -> tuple[Pause, ...]:
    """Return the threads that are paused, the longest first."""
    return tuple(
        Pause(ticket_id=ticket_id, sender=sender, cause=LoopCause(cause), paused_at=paused_at)
        for ticket_id, sender, cause, paused_at in tx.execute(_LIST)
    )


def count_paused(tx: Transaction) -> int:
    """Return how many threads are paused."""
    return int(tx.execute(_COUNT)[0][0])


def resume(tx: Transaction, ticket: str, sender: str | None, by: str, now: float) -> int:
    """Resume the threads of a ticket (its id, or a code that was looked up): all, or that of one sender. Return how
    many were paused."""
    thread = {"ticket_id": order_keys.ticket_of(tx, ticket), "sender": sender and sender.lower()}
    return len(tx.execute(_RESUME, {**thread, "by": by, "now": now}))


def resume_of_message(tx: Transaction, seq: int, by: str, now: float) -> None:
    """Resume the thread for which a message was held."""
    tx.execute(_RESUME_OF_MESSAGE, {"seq": seq, "by": by, "now": now})


def held(tx: Transaction, ticket: str, sender: str | None) -> tuple[str, ...]:
    """Return the queue ids of the messages that wait because a thread of the ticket was paused, the oldest first."""
    thread = {"ticket_id": order_keys.ticket_of(tx, ticket), "sender": sender and sender.lower()}
    return tuple(queue_id for (queue_id,) in tx.execute(_SELECT_HELD, thread))


def reported_by(tx: Transaction, seq: int, report_keys: Sequence[str]) -> str | None:
    """Note what a report is about. Return the queue id of an earlier one if earlier reports have notes about all of
    it; ``None`` where something is new."""
    earlier = [tx.execute(_SELECT_REPORTED, {"key": key, "seq": seq}) for key in report_keys]
    for key in report_keys:
        tx.execute(_ADD_REPORT, {"key": key, "seq": seq})
    return earlier[0][0][0] if report_keys and all(earlier) else None
