"""What an operator lists, retries, releases and discards; the ledger.

Functions here run inside a transaction of the caller.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.model.outcome import RuleName, State
from ingest.model.trust import Trust
from ingest.store import AuditEntry, Ledger, MessageRecord, Row, Transaction, facts, loops, order_keys, transitions

_COLUMNS = """
    queue_id, source, mail_from, rcpt_tos, received_at, size, state, rule, reason, attempts, due_at, lease_token,
    released_by, message_id, subject, sender, ticket_id, ticket_message_id, email_message_id, evidence,
    EXISTS (SELECT 1 FROM contents WHERE contents.seq = messages.seq), updated_at, blocked_by, failing_since,
    post_began_at, absent_at, cell, authentication_domain, authentication_reason, flag, released_author
"""
_SELECT = f"SELECT {_COLUMNS} FROM messages"  # noqa: S608 - joins fixed texts; values are always parameters
_LIST = _SELECT + " WHERE seq < :before ORDER BY seq DESC LIMIT :limit"
_LIST_STATE = _SELECT + " WHERE state = :state AND seq < :before ORDER BY seq DESC LIMIT :limit"
_LIST_FLAGGED = _SELECT + " WHERE flag <> '' AND seq < :before ORDER BY seq DESC LIMIT :limit"
_SELECT_SEQ = "SELECT seq FROM messages WHERE queue_id = :queue_id"
_SELECT_ONE = _SELECT + " WHERE queue_id = :queue_id"
_SELECT_HISTORY = """
SELECT number, started_at, finished_at, outcome, detail FROM attempts
WHERE seq = (SELECT seq FROM messages WHERE queue_id = :queue_id) ORDER BY number
"""
_SELECT_STATE = """
SELECT seq, state, lease_token, due_at, EXISTS (SELECT 1 FROM contents WHERE contents.seq = messages.seq),
    ticket_id, ticket_message_id, message_id, rule
FROM messages WHERE queue_id = :queue_id
"""
_RESET_RETRIES = """
UPDATE messages SET lone_crashes = 0, suspected = 0, failures = 0, failing_since = NULL, lease_token = NULL,
    retry_window_start = :now, optional_failing_since = NULL, authentication = ''
WHERE seq = :seq
"""
_MAKE_DUE = "UPDATE messages SET due_at = :now, blocked_by = NULL WHERE seq = :seq"
_RELEASE = """
UPDATE messages SET released_by = :by, released_ticket = :ticket, released_author = :author,
    ticket_message_id = CASE WHEN :ticket IS NULL THEN ticket_message_id END
WHERE seq = :seq
"""
_DISCARD = """
UPDATE messages SET state = 'discarded', rule = 'operator', reason = :reason, updated_at = :now,
    due_at = NULL, waiting_since = NULL, kept_since = :now, lease_token = NULL, blocked_by = NULL
WHERE seq = :seq
"""
_BY_STATE = "SELECT state, count(*) FROM messages GROUP BY state"
_BY_CELL = "SELECT cell, count(*) FROM messages GROUP BY cell"
_MISSING_CONTENT = """
SELECT count(*) FROM messages WHERE state IN ('queued', 'waiting', 'quarantined', 'failed')
    AND NOT EXISTS (SELECT 1 FROM contents WHERE contents.seq = messages.seq)
"""
_EXPIRED_LEASES = "SELECT count(*) FROM messages WHERE due_at <= :now AND lease_token IS NOT NULL"
_ACCEPTED = "SELECT value FROM counters WHERE name = 'accepted'"

RETRIABLE = frozenset({State.QUARANTINED, State.FAILED, State.WAITING, State.DISCARDED})
"""States out of which an operator can retry or release a message."""
DISCARDABLE = frozenset({State.QUARANTINED, State.FAILED, State.WAITING, State.QUEUED})
"""States out of which an operator can discard a message."""
MAX_SEQ = 2**62
"""More than any ``seq``, so that a listing begins at the newest message."""


class NotPossible(Exception):
    """The state of the message does not allow what the operator asked. The text is one line for the operator."""


def list_messages(tx: Transaction, state: State | None, limit: int, before: str | None) -> tuple[MessageRecord, ...]:
    """Return the newest messages, without their history. ``before``: only those received before the message of this
    queue id."""
    older_than = tx.execute(_SELECT_SEQ, {"queue_id": before}) if before else [(MAX_SEQ,)]
    if not older_than:
        return ()
    page = {"before": older_than[0][0], "limit": limit}
    found = tx.execute(_LIST, page) if state is None else tx.execute(_LIST_STATE, {**page, "state": state.value})
    return tuple(_record(row, ()) for row in found)


def list_flagged(tx: Transaction, limit: int) -> tuple[MessageRecord, ...]:
    """Return the newest messages that are flagged, without their history. Reads rows until there are enough."""
    return tuple(_record(row, ()) for row in tx.execute(_LIST_FLAGGED, {"before": MAX_SEQ, "limit": limit}))


def message(tx: Transaction, queue_id: str) -> MessageRecord | None:
    """Return one message with its history; ``None``: there is none of this queue id."""
    found = tx.execute(_SELECT_ONE, {"queue_id": queue_id})
    history = tx.execute(_SELECT_HISTORY, {"queue_id": queue_id})
    return _record(found[0], history) if found else None


def _record(row: Row, history: Sequence[Row]) -> MessageRecord:
    queue_id, source, mail_from, rcpt_tos, received_at, size, state, rule, reason, attempts, due_at, token, *rest = row
    released_by, message_id, subject, sender, ticket_id, ticket_message_id, email_message_id, *last = rest
    evidence, has_content, updated_at, blocked_by, failing_since, post_began_at, absent_at, *trust = last
    cell, authentication_domain, authentication_reason, flag, released_author = trust
    return MessageRecord(
        queue_id=queue_id,
        source=source,
        mail_from=mail_from,
        rcpt_tos=tuple(json.loads(rcpt_tos)),
        received_at=received_at,
        size=size,
        state=State(state),
        rule=rule,
        reason=reason,
        attempts=attempts,
        next_attempt_at=None if token else due_at,
        leased_until=due_at if token else None,
        released_by=released_by,
        message_id=message_id,
        subject=subject,
        sender=sender,
        ticket_id=ticket_id,
        ticket_message_id=ticket_message_id,
        email_message_id=email_message_id,
        evidence=evidence,
        has_content=bool(has_content),
        updated_at=updated_at,
        blocked_by=blocked_by,
        failing_since=failing_since,
        post_in_doubt_since=None if ticket_message_id else post_began_at,
        post_not_found_at=None if ticket_message_id else absent_at,
        trust=Trust.parse(cell, authentication_domain, authentication_reason),
        flag=flag,
        released_author=released_author,
        history=tuple(
            AuditEntry(number=number, started_at=started_at, finished_at=finished_at, outcome=outcome, detail=detail)
            for number, started_at, finished_at, outcome, detail in history
        ),
    )


def retry(tx: Transaction, queue_id: str, by: str, now: float) -> None:
    """Queue a message once more.

    Raises:
        NotPossible: it is queued already, or delivered, or its content was purged.
    """
    _start_again(tx, queue_id, "retry", f"by {by}", now)


def retry_at_once(tx: Transaction, queue_id: str, by: str, now: float, hold: float) -> None:
    """Make a queued message due now, as if it had never failed; queue any other as ``retry`` does.

    A POST in doubt stays so: it is looked for first, after its settle window.

    Raises:
        NotPossible: an older message has to go first, a worker has it now, or it cannot be retried.
    """
    row = _find_row(tx, queue_id, now)
    if row.state is not State.QUEUED:
        retry(tx, queue_id, by, now)
        return
    if row.is_leased:
        raise NotPossible(f"{queue_id} is being worked on; try again in a moment")
    if blocker := order_keys.find_blocker(tx, row.seq, now - hold):
        raise NotPossible(
            f"{queue_id} comes after {blocker}, an older message of its ticket: retry or discard that one first"
        )
    tx.execute(_RESET_RETRIES, {"seq": row.seq, "now": now})
    tx.execute(_MAKE_DUE, {"seq": row.seq, "now": now})
    transitions.add_event(tx, row.seq, now, "retry", f"by {by}, at once")


def release(tx: Transaction, queue_id: str, *, by: str, ticket_id: str | None, author: str | None, now: float) -> None:
    """Queue a message once more, and record who let policy pass it, to which ticket and as whose. If it was held
    because its thread was paused, the thread is resumed.

    Raises:
        NotPossible: it is queued already, or delivered, or its content was purged.
    """
    destination = f" to ticket {ticket_id}" if ticket_id else ""
    destination += f" as {author}" if author else ""
    row = _start_again(tx, queue_id, "release", f"by {by}{destination}", now)
    tx.execute(_RELEASE, {"seq": row.seq, "by": by, "ticket": ticket_id, "author": author})
    if row.rule == RuleName.PAUSED:
        loops.resume_of_message(tx, row.seq, by, now)
    if ticket_id is not None:
        order_keys.add(tx, row.seq, [order_keys.ticket_key(ticket_id)])


def _start_again(tx: Transaction, queue_id: str, act: str, detail: str, now: float) -> "_FoundRow":
    """Queue a message with a new retry window and its names in the order of posting, and add the act to its audit
    trail; return the row as it was."""
    row = _find_row(tx, queue_id, now)
    if row.state not in RETRIABLE:
        hint = "; `ingest messages retry --now` makes it due" if (row.state, act) == (State.QUEUED, "retry") else ""
        raise NotPossible(f"{queue_id} is {row.state}; there is nothing to {act}{hint}")
    if not row.has_content:
        raise NotPossible(f"{queue_id}: its content was deleted after the retention time; it cannot be sent again")
    tx.execute(_RESET_RETRIES, {"seq": row.seq, "now": now})
    transitions.requeue(tx, row.seq, now, f"{act} {detail}")
    order_keys.add(tx, row.seq, row.order_names)
    transitions.add_event(tx, row.seq, now, act, detail)
    return row


def discard(tx: Transaction, queue_id: str, by: str, reason: str, now: float) -> None:
    """Move a message to state discarded.

    Raises:
        NotPossible: it is delivered, posted or discarded, or a worker has it now.
    """
    row = _find_row(tx, queue_id, now)
    if row.is_leased:
        raise NotPossible(f"{queue_id} is being worked on; try again in a moment")
    if row.state not in DISCARDABLE:
        raise NotPossible(f"{queue_id} is {row.state}; there is nothing to discard")
    if row.ticket_message_id is not None:
        raise NotPossible(
            f"{queue_id} was posted to ticket {row.ticket_id} as {row.ticket_message_id}; it cannot be discarded"
        )
    tx.execute(_DISCARD, {"seq": row.seq, "reason": reason, "now": now})
    transitions.stop_waiting(tx, row.seq)
    order_keys.remove_all(tx, row.seq)
    transitions.add_event(tx, row.seq, now, "discard", f"by {by}: {reason}")
    transitions.unblock_successors(tx, queue_id, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class _FoundRow:
    """What the acts of an operator depend on."""

    seq: int
    state: State
    rule: str
    """The rule that stopped it; empty: none did."""
    is_leased: bool
    """A worker has it now."""
    has_content: bool
    ticket_id: str | None
    ticket_message_id: str | None
    order_names: tuple[str, ...]
    """Its names in the order of posting, made again: those of a finished message were deleted."""


def _find_row(tx: Transaction, queue_id: str, now: float) -> _FoundRow:
    """Return a row.

    Raises:
        NotPossible: there is no such message.
    """
    found = tx.execute(_SELECT_STATE, {"queue_id": queue_id})
    if not found:
        raise NotPossible(f"there is no message {queue_id}; `ingest messages list` shows them")
    seq, state, lease_token, due_at, has_content, ticket_id, ticket_message_id, message_id, rule = found[0]
    names = [order_keys.ticket_key(ticket_id)] if ticket_id else []
    names += [f"{order_keys.ID_PREFIX}{message_id}"] if message_id else []
    return _FoundRow(
        seq=seq,
        state=State(state),
        rule=rule,
        is_leased=lease_token is not None and due_at > now,
        has_content=bool(has_content),
        ticket_id=ticket_id,
        ticket_message_id=ticket_message_id,
        order_names=tuple(names),
    )


def ledger(tx: Transaction, now: float) -> Ledger:
    """Count the messages accepted, those in each state, and what is wrong among them."""
    return Ledger(
        accepted=tx.execute(_ACCEPTED)[0][0],
        by_state=dict.fromkeys(State, 0) | {State(name): count for name, count in tx.execute(_BY_STATE)},
        missing_content=tx.execute(_MISSING_CONTENT)[0][0],
        pruned=facts.pruned(tx),
        expired_leases=tx.execute(_EXPIRED_LEASES, {"now": now})[0][0],
    )


def cells(tx: Transaction) -> dict[str, int]:
    """Count the messages in each cell of the decision table; under ``""`` those of which none is stored."""
    return dict(tx.execute(_BY_CELL))
