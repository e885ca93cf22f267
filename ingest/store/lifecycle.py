"""The way of a message through the table ``messages``: receive, claim, identify, settle; release leases, expire waits.

Functions here run inside a transaction of the caller. A worker's writes are fenced: they name the lease token, and
write nothing if another worker has claimed the message since.
"""

import json
from collections.abc import Sequence

from ingest.model.envelope import Envelope, QueuedMessage, ReceivedMessage, SourceRef
from ingest.model.outcome import (
    Deferred,
    Delivered,
    Discarded,
    Evidence,
    Failed,
    Outcome,
    Quarantined,
    RuleName,
    State,
    Waiting,
)
from ingest.store import Identified, Row, Transaction, contents, threads, transitions

BLOCKED_RECHECK_SECONDS = 60.0
"""A blocked message is due again after this time in any case, so that it is not forgotten if the message that blocks
it turns out to belong to another ticket. It costs one statement a minute and message."""
MIN_BLOCK_BATCH_MESSAGES = 256
"""Blocked messages set aside by one statement at least, however few a worker wants to claim: ten thousand behind a
stuck ticket are passed in forty statements."""
EXPIRE_BATCH_MESSAGES = 500
"""Waiting messages quarantined in one transaction. Others wait for its end, so it is bounded."""

_INSERT = """
INSERT INTO messages (queue_id, dedupe_key, source, position, mail_from, rcpt_tos, helo, client, smtputf8, size,
    received_at, retry_window_start, due_at, updated_at, is_whole)
VALUES (:queue_id, :dedupe_key, :source, :position, :mail_from, :rcpt_tos, :helo, :client, :smtputf8, :size,
    :received_at, :received_at, :received_at, :received_at, :is_whole)
ON CONFLICT (dedupe_key) DO NOTHING RETURNING seq
"""
_COUNT_ACCEPTED = "UPDATE counters SET value = value + 1 WHERE name = 'accepted'"
_SELECT_BY_DEDUPE_KEY = "SELECT queue_id FROM messages WHERE dedupe_key = :dedupe_key"
_SET_POSITION = """
INSERT INTO source_positions (source, position) VALUES (:source, :position)
ON CONFLICT (source) DO UPDATE SET position = excluded.position
"""
_NEAREST_OLDER = """
SELECT older.queue_id FROM messages AS older
WHERE older.due_at IS NOT NULL AND older.ticket_id = messages.ticket_id AND older.seq < messages.seq
ORDER BY older.seq DESC LIMIT 1
"""
_DUE = "SELECT seq FROM messages WHERE due_at <= :now ORDER BY due_at, seq LIMIT :limit"
_BLOCK_DUE = f"""
UPDATE messages SET blocked_by = ({_NEAREST_OLDER}), due_at = :later, lease_token = NULL
WHERE seq IN ({_DUE}) AND ticket_id IS NOT NULL AND EXISTS ({_NEAREST_OLDER})
RETURNING seq
"""  # noqa: S608 - joins fixed texts; values are always parameters
_CLAIM = f"""
UPDATE messages SET lease_token = :token, due_at = :until, blocked_by = NULL,
    attempts = attempts + 1, unfinished = unfinished + 1, first_attempt_at = coalesce(first_attempt_at, :now)
WHERE seq IN ({_DUE} %s)
RETURNING seq, queue_id, mail_from, rcpt_tos, helo, client, smtputf8, source, position, size, received_at, attempts,
    unfinished, first_attempt_at, unconfirmed, released_by, released_ticket, retry_window_start,
    optional_failing_since, ticket_message_id, email_message_id
"""  # noqa: S608
_SELECT_NEXT_DUE = "SELECT min(due_at) FROM messages WHERE due_at IS NOT NULL"
_IDENTIFY = """
UPDATE messages SET message_id = :message_id, content_digest = :content_digest, ticket_id = :ticket_id,
    subject = :subject, sender = :sender, evidence = :evidence,
    post_fingerprints = replace(post_fingerprints, :post_fingerprint, '') || :post_fingerprint
WHERE queue_id = :queue_id AND lease_token = :lease_token
RETURNING seq, post_fingerprints
"""
_SELECT_OLDER_COPY = """
SELECT queue_id FROM messages
WHERE message_id = :message_id AND content_digest = :content_digest AND ticket_id IS NOT DISTINCT FROM :ticket_id
    AND seq < :seq AND state <> 'discarded'
ORDER BY seq LIMIT 1
"""
_SELECT_BLOCKER = f"SELECT ({_NEAREST_OLDER}) FROM messages WHERE seq = :seq"  # noqa: S608
_SETTLE = """
UPDATE messages SET state = :state, rule = :rule, reason = :reason, updated_at = :now,
    due_at = :due_at, waiting_since = :waiting_since, kept_since = :kept_since,
    lease_token = NULL, blocked_by = NULL, unfinished = unfinished - 1,
    unconfirmed = coalesce(:unconfirmed, unconfirmed),
    optional_failing_since = CASE WHEN :optional_step_failed THEN coalesce(optional_failing_since, :now) END,
    ticket_id = coalesce(:ticket_id, ticket_id),
    ticket_message_id = coalesce(:ticket_message_id, ticket_message_id),
    email_message_id = coalesce(:email_message_id, email_message_id)
WHERE queue_id = :queue_id AND lease_token = :lease_token
RETURNING seq, message_id
"""
_BLOCK = "UPDATE messages SET blocked_by = :blocked_by, due_at = :later WHERE seq = :seq"
_RELEASE_LEASES = """
UPDATE messages SET lease_token = NULL, due_at = received_at WHERE state = 'queued' AND lease_token IS NOT NULL
RETURNING seq
"""
_SELECT_EXPIRED = """
SELECT seq, queue_id FROM messages WHERE waiting_since < :before ORDER BY waiting_since LIMIT :limit
"""
_QUARANTINE = """
UPDATE messages SET state = 'quarantined', rule = :rule, reason = :reason, updated_at = :now,
    due_at = NULL, waiting_since = NULL
WHERE seq = :seq
"""


def receive(tx: Transaction, message: ReceivedMessage, queue_id: str, dedupe_key: str) -> str:
    """Store a message and return its queue id, or that of the row which has this ``dedupe_key`` already."""
    if message.source_ref.position is not None:
        set_position(tx, message.source_ref.source, message.source_ref.position)
    inserted = tx.execute(_INSERT, _new_row(message, queue_id, dedupe_key))
    if not inserted:
        return str(tx.execute(_SELECT_BY_DEDUPE_KEY, {"dedupe_key": dedupe_key})[0][0])
    contents.add(tx, inserted[0][0], message.content)
    tx.execute(_COUNT_ACCEPTED)
    if message.incomplete:
        _quarantine(tx, inserted[0][0], RuleName.INCOMPLETE, message.incomplete, message.received_at)
    return queue_id


def _new_row(message: ReceivedMessage, queue_id: str, dedupe_key: str) -> dict[str, object]:
    envelope = message.envelope
    return {
        "queue_id": queue_id,
        "dedupe_key": dedupe_key,
        "source": message.source_ref.source,
        "position": message.source_ref.position,
        "mail_from": envelope.mail_from,
        "rcpt_tos": json.dumps(envelope.rcpt_tos),
        "helo": envelope.helo,
        "client": envelope.client,
        "smtputf8": int(envelope.smtputf8),
        "size": len(message.content),
        "received_at": message.received_at,
        "is_whole": int(not message.incomplete),
    }


def set_position(tx: Transaction, source: str, position: str) -> None:
    """Store the position after which a source continues."""
    tx.execute(_SET_POSITION, {"source": source, "position": position})


def claim(
    tx: Transaction, *, token: str, limit: int, now: float, lease: float, claim_lock: str
) -> tuple[QueuedMessage, ...]:
    """Lease up to ``limit`` due messages for ``lease`` seconds, after all that are blocked by an older message of their
    ticket were set aside until that one leaves the queue."""
    batch = {"now": now, "limit": max(limit, MIN_BLOCK_BATCH_MESSAGES), "later": now + BLOCKED_RECHECK_SECONDS}
    while tx.execute(_BLOCK_DUE, batch):
        pass
    claimed = tx.execute(_CLAIM % claim_lock, {"token": token, "now": now, "until": now + lease, "limit": limit})
    claimed.sort()  # RETURNING promises no order; seq comes first
    for seq, *_ in claimed:
        transitions.open_attempt(tx, seq, now)
    return tuple(_queued(row, token) for row in claimed)


def _queued(row: Row, token: str) -> QueuedMessage:
    _, queue_id, mail_from, rcpt_tos, helo, client, smtputf8, source, position, size, received_at, *rest = row
    attempts, unfinished, first_attempt_at, unconfirmed, released_by, released_ticket, retry_window_start, *more = rest
    optional_failing_since, ticket_message_id, email_message_id = more
    return QueuedMessage(
        queue_id=queue_id,
        envelope=Envelope(
            mail_from=mail_from,
            rcpt_tos=tuple(json.loads(rcpt_tos)),
            helo=helo,
            client=client,
            smtputf8=bool(smtputf8),
        ),
        source_ref=SourceRef(source=source, position=position),
        size=size,
        received_at=received_at,
        retry_window_start=retry_window_start,
        attempts=attempts,
        unfinished_attempts=unfinished - 1,
        first_attempt_at=first_attempt_at,
        lease_token=token,
        unconfirmed=bool(unconfirmed),
        optional_failing_since=optional_failing_since,
        ticket_message_id=ticket_message_id,
        email_message_id=email_message_id,
        released_by=released_by,
        released_ticket=released_ticket,
    )


def next_due(tx: Transaction) -> float | None:
    """Return the earliest time at which a queued message is due; ``None``: none is queued."""
    due: float | None = tx.execute(_SELECT_NEXT_DUE)[0][0]
    return due


def identify(
    tx: Transaction, queue_id: str, lease_token: str, evidence: Sequence[Evidence], columns: dict[str, str | None]
) -> Identified:
    """Write what the worker found out about a message into its row, and return how it relates to the others."""
    fence = {"queue_id": queue_id, "lease_token": lease_token}
    held = tx.execute(_IDENTIFY, {**fence, **columns, "evidence": json.dumps([item.facts() for item in evidence])})
    if not held:
        return Identified(lease_held=False)
    seq, post_fingerprints = held[0]
    copies = tx.execute(_SELECT_OLDER_COPY, {"seq": seq, **columns})
    return Identified(
        lease_held=True,
        duplicate_of=copies[0][0] if copies else None,
        blocked_by=_find_blocker(tx, seq),
        post_fingerprints=tuple(post_fingerprints.split("\n")[:-1]),
    )


def _find_blocker(tx: Transaction, seq: int) -> str | None:
    """Return the queue id of the nearest older, unfinished message of the same ticket.

    The nearest, so that each message that leaves the queue unblocks one other and not all of them."""
    blocker: str | None = tx.execute(_SELECT_BLOCKER, {"seq": seq})[0][0]
    return blocker


def settle(
    tx: Transaction, queue_id: str, lease_token: str, outcome: Outcome, *, now: float, next_attempt_at: float | None
) -> bool:
    """Write the outcome of an attempt and all that follows from it: its audit entry, the messages it unblocks, the
    Message-IDs it waits for or that are known now. False: the lease was lost, and nothing is written."""
    fence = {"queue_id": queue_id, "lease_token": lease_token, "now": now}
    times = _time_columns(outcome.state, now, next_attempt_at)
    settled = tx.execute(_SETTLE, {**fence, **_outcome_columns(outcome), **times})
    if not settled:
        return False
    seq, message_id = settled[0]
    transitions.close_attempt(tx, seq, now, type(outcome).__name__, detail(outcome))
    if isinstance(outcome, Deferred):
        _block(tx, seq, outcome, now)
    else:
        transitions.unblock_successors(tx, queue_id, now)
    if isinstance(outcome, Waiting):
        threads.wait_for(tx, seq, outcome.missing, now)
    if isinstance(outcome, Delivered):
        _learn_delivered(tx, message_id, outcome, now)
    return True


def _time_columns(state: State, now: float, next_attempt_at: float | None) -> dict[str, object]:
    due_at = now if next_attempt_at is None else next_attempt_at
    return {
        "due_at": due_at if state is State.QUEUED else None,
        "waiting_since": now if state is State.WAITING else None,
        "kept_since": now if state in (State.DELIVERED, State.DISCARDED) else None,
    }


def _outcome_columns(outcome: Outcome) -> dict[str, object]:
    posted = getattr(outcome, "posted", None) or outcome
    return {
        "state": outcome.state.value,
        "rule": getattr(outcome, "rule", ""),
        "reason": detail(outcome),
        "unconfirmed": _unconfirmed_after(outcome),
        "optional_step_failed": int(isinstance(outcome, Deferred) and outcome.optional_step_failed),
        "ticket_id": getattr(posted, "ticket_id", None),
        "ticket_message_id": getattr(posted, "ticket_message_id", None),
        "email_message_id": getattr(posted, "email_message_id", None),
    }


def _unconfirmed_after(outcome: Outcome) -> int | None:
    """Return the new value of ``unconfirmed``; ``None`` leaves it as it is. Doubt about a POST lasts until the message
    is delivered."""
    match outcome:
        case Delivered():
            return 0
        case Deferred(unconfirmed=True) | Failed():
            return 1  # what was given up may have been in doubt to the end: whoever retries it shall look first
        case _:
            return None


def detail(outcome: Outcome) -> str:
    """Return the sentence about an outcome that a person reads in the audit trail."""
    match outcome:
        case Delivered():
            return outcome.note
        case Waiting():
            return f"waits for {', '.join(outcome.missing)}"
        case Deferred() | Discarded() | Quarantined() | Failed():
            return outcome.reason


def _block(tx: Transaction, seq: int, outcome: Deferred, now: float) -> None:
    blocked_by = _find_blocker(tx, seq) if outcome.blocked_by else None
    if blocked_by:
        tx.execute(_BLOCK, {"seq": seq, "blocked_by": blocked_by, "later": now + BLOCKED_RECHECK_SECONDS})


def _learn_delivered(tx: Transaction, message_id: str | None, outcome: Delivered, now: float) -> None:
    for name, origin in ((message_id, "mail"), (outcome.email_message_id, "api")):
        if name:
            threads.learn(tx, name, outcome.ticket_id, learned_from=origin, now=now)


def release_leases(tx: Transaction) -> int:
    """End every lease and return how many there were; their messages are due at once."""
    return len(tx.execute(_RELEASE_LEASES))


def expire_waiting(tx: Transaction, now: float, limit: float) -> int:
    """Quarantine up to ``EXPIRE_BATCH_MESSAGES`` messages that have been waiting for more than ``limit`` seconds, and
    return their number."""
    expired = tx.execute(_SELECT_EXPIRED, {"before": now - limit, "limit": EXPIRE_BATCH_MESSAGES})
    for seq, queue_id in expired:
        reason = f"waited in vain for {', '.join(threads.waiting_for(tx, queue_id))}"
        transitions.stop_waiting(tx, seq)
        _quarantine(tx, seq, RuleName.UNKNOWN_PARENT, reason, now)
    return len(expired)


def _quarantine(tx: Transaction, seq: int, rule: RuleName, reason: str, now: float) -> None:
    tx.execute(_QUARANTINE, {"seq": seq, "rule": rule.value, "reason": reason, "now": now})
    transitions.add_event(tx, seq, now, "Quarantined", reason)
