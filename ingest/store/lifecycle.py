"""The way of a message through the table ``messages``: receive, claim, settle; release leases, expire waits.

Functions here run inside a transaction of the caller. A worker's writes are fenced: they name the lease token, and
write nothing if another worker has claimed the message since.
"""

import json
from collections.abc import Sequence

from ingest.model.envelope import Envelope, QueuedMessage, ReceivedMessage, SourceRef
from ingest.model.outcome import (
    FINAL_STATES,
    DeferCause,
    Deferred,
    Delivered,
    Discarded,
    Failed,
    Outcome,
    PostEffect,
    Quarantined,
    RuleName,
    State,
    Waiting,
)
from ingest.model.teachers import Teacher
from ingest.model.trust import Authentication, AuthenticationResult
from ingest.store import (
    PostedAfterDoubt,
    Row,
    Transaction,
    contents,
    facts,
    order_keys,
    threads,
    transitions,
)

BLOCKED_RECHECK_SECONDS = 900.0
"""A blocked message is due again after this time in any case, so that it is not forgotten if the message that blocks
it turns out to belong to another ticket. With 50,000 blocked messages that is 55 a second, which costs little."""
BLOCK_BATCH_MESSAGES = 256
"""Messages looked at by one statement where those at the head of the queue are blocked: ten thousand behind a stuck
ticket are passed in forty statements."""
MAX_BLOCK_BATCHES = 8
"""Such statements in one transaction: others that write wait for its end, and mail that arrives is one of them."""
SUSPECTED_CRASHES = 3
"""A message that was held with others at this many crashes in a row is worked on alone, to learn whether it is to
blame. Fewer, and every crash of an innocent kind (a restart of the machine) would slow its messages down."""
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
_SELECT_REPEATED = "SELECT seq FROM messages WHERE dedupe_key = :dedupe_key AND received_at < :since"
_FREE_DEDUPE_KEY = "UPDATE messages SET dedupe_key = dedupe_key || ':' || seq WHERE seq = :seq"
_SET_POSITION = """
INSERT INTO source_positions (source, position) VALUES (:source, :position)
ON CONFLICT (source) DO UPDATE SET position = excluded.position
"""
_DUE = "SELECT seq FROM messages WHERE due_at <= :now ORDER BY due_at, seq LIMIT :limit"
_DUE_UNSUSPECTED = """
SELECT seq FROM messages WHERE due_at <= :now AND suspected < :suspected ORDER BY due_at, seq LIMIT :limit
"""
_BLOCK_DUE = f"""
UPDATE messages SET blocked_by = ({order_keys.NEAREST_OLDER}), due_at = :later, lease_token = NULL
WHERE seq IN ({_DUE}) AND EXISTS ({order_keys.NEAREST_OLDER})
RETURNING seq
"""  # noqa: S608 - joins fixed texts; values are always parameters
_CLAIM_ROW = """
UPDATE messages SET lease_token = :token, due_at = :until, blocked_by = NULL,
    first_attempt_at = coalesce(first_attempt_at, :now), attempts = attempts + 1
"""
_CLAIMED_COLUMNS = """
RETURNING seq, queue_id, mail_from, rcpt_tos, helo, client, smtputf8, source, position, size, received_at, attempts,
    failures, lone_crashes, first_attempt_at, post_began_at, post_was_answered, absent_at, released_by,
    released_ticket, released_author, retry_window_start, optional_failing_since, ticket_id, ticket_message_id,
    email_message_id, authentication, authentication_domain, authentication_reason
"""
_CLAIM = f"{_CLAIM_ROW} WHERE seq IN ({_DUE_UNSUSPECTED} %s) {_CLAIMED_COLUMNS}"
_CLAIM_SUSPECT = f"""{_CLAIM_ROW} WHERE seq = (
    SELECT seq FROM messages WHERE due_at <= :now AND suspected >= :suspected AND NOT EXISTS
    ({order_keys.NEAREST_OLDER}) ORDER BY due_at, seq LIMIT 1) {_CLAIMED_COLUMNS}
"""  # noqa: S608
_SELECT_NEXT_DUE = "SELECT min(due_at) FROM messages WHERE due_at IS NOT NULL"
_SETTLE = """
UPDATE messages SET state = :state, rule = :rule, reason = :reason, updated_at = :now,
    due_at = :due_at, waiting_since = :waiting_since, kept_since = :kept_since,
    lease_token = NULL, blocked_by = NULL, lone_crashes = 0, suspected = 0,
    failures = failures + :is_fault,
    post_began_at = CASE WHEN :ends_doubt THEN NULL ELSE post_began_at END,
    first_post_number = CASE WHEN :ends_doubt THEN NULL ELSE first_post_number END,
    post_was_answered = CASE WHEN :ends_doubt THEN 0 WHEN :was_answered THEN 1 ELSE post_was_answered END,
    absent_at = CASE WHEN :ends_doubt THEN NULL WHEN :found_absent THEN coalesce(absent_at, :now) ELSE absent_at END,
    failing_since = CASE WHEN :is_fault THEN coalesce(failing_since, :now)
        WHEN :is_final THEN NULL ELSE failing_since END,
    pair_check_at = coalesce(:pair_check_at, pair_check_at),
    optional_failing_since = CASE WHEN :optional_step_failed THEN coalesce(optional_failing_since, :now) END,
    ticket_id = coalesce(:ticket_id, ticket_id),
    ticket_message_id = coalesce(:ticket_message_id, ticket_message_id),
    email_message_id = coalesce(:email_message_id, email_message_id),
    perhaps_posted_as = coalesce(:perhaps_posted_as, perhaps_posted_as),
    held_at_post_number = CASE WHEN :perhaps_posted_as IS NULL THEN held_at_post_number
        ELSE (SELECT value FROM counters WHERE name = 'posts') END
WHERE queue_id = :queue_id AND lease_token = :lease_token
RETURNING seq, message_id
"""
_BLOCK = "UPDATE messages SET blocked_by = :blocked_by, due_at = :later WHERE seq = :seq"
_COUNT_LEASED = "SELECT count(*) FROM messages WHERE state = 'queued' AND lease_token IS NOT NULL"
_RELEASE_LEASES = """
UPDATE messages SET lease_token = NULL, due_at = min(received_at, :now), lone_crashes = lone_crashes + CASE WHEN :shared
OR post_began_at IS NOT NULL THEN 0 ELSE 1 END,
    suspected = suspected + :shared
WHERE state = 'queued' AND lease_token IS NOT NULL
RETURNING seq
"""
_MAKE_FUTURE_DUE = """
UPDATE messages SET due_at = min(received_at, :now) WHERE state = 'queued' AND blocked_by IS NULL AND updated_at > :now
RETURNING seq
"""
_SELECT_PAIRS_TO_CHECK = """
SELECT queue_id, ticket_id, first_attempt_at, post_fingerprints FROM messages
WHERE pair_check_at <= :now AND ticket_id IS NOT NULL ORDER BY pair_check_at LIMIT :limit
"""
_END_PAIR_CHECK = "UPDATE messages SET pair_check_at = NULL WHERE queue_id = :queue_id RETURNING seq"
_SELECT_STUCK = "SELECT queue_id FROM messages WHERE failing_since <= :before AND due_at IS NOT NULL ORDER BY seq"
_SELECT_EXPIRED = """
SELECT seq, queue_id FROM messages WHERE waiting_since < :before ORDER BY waiting_since LIMIT :limit
"""
_QUARANTINE = """
UPDATE messages SET state = 'quarantined', rule = :rule, reason = :reason, updated_at = :now,
    due_at = NULL, waiting_since = NULL
WHERE seq = :seq
"""


def receive(
    tx: Transaction,
    message: ReceivedMessage,
    queue_id: str,
    dedupe_key: str,
    order_names: Sequence[str],
    *,
    repeat_window: float | None,
) -> str:
    """Store a message and return its queue id, or that of the row which has this ``dedupe_key`` already.

    ``order_names`` are the names that it shares with the older messages which it must not overtake. A row that is older
    than ``repeat_window`` seconds is another message with equal bytes; ``None``: never."""
    if message.source_ref.position is not None:
        set_position(tx, message.source_ref.source, message.source_ref.position)
    if repeat_window is not None:
        _allow_repeat(tx, dedupe_key, message.received_at - repeat_window)
    elif (pruned_id := facts.queue_id_of(tx, dedupe_key)) is not None:
        return pruned_id
    inserted = tx.execute(_INSERT, _new_row(message, queue_id, dedupe_key))
    if not inserted:
        return str(tx.execute(_SELECT_BY_DEDUPE_KEY, {"dedupe_key": dedupe_key})[0][0])
    contents.add(tx, inserted[0][0], message.content)
    _add_order(tx, inserted[0][0], order_names)
    tx.execute(_COUNT_ACCEPTED)
    if message.incomplete:
        _quarantine(tx, inserted[0][0], RuleName.INCOMPLETE, message.incomplete, message.received_at)
    return queue_id


def _allow_repeat(tx: Transaction, dedupe_key: str, since: float) -> None:
    """Free the key of a row that was received before ``since``: its repetitions have stopped by now."""
    for (seq,) in tx.execute(_SELECT_REPEATED, {"dedupe_key": dedupe_key, "since": since}):
        tx.execute(_FREE_DEDUPE_KEY, {"seq": seq})


def _add_order(tx: Transaction, seq: int, names: Sequence[str]) -> None:
    """Give a message its place behind the older ones with a common name, also by the tickets that are known."""
    tickets = threads.tickets_of(tx, order_keys.message_ids(names)).values()
    order_keys.add(tx, seq, (*names, *(order_keys.ticket_key(ticket_id) for ticket_id in tickets if ticket_id)))


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
    tx: Transaction, *, token: str, limit: int, now: float, lease: float, hold: float, claim_lock: str
) -> tuple[QueuedMessage, ...]:
    """Lease up to ``limit`` due messages for ``lease`` seconds, after those that are blocked by an older message with a
    common name were set aside until that one leaves the queue. A message that has been failing for ``hold`` seconds
    blocks nobody. Where very many are blocked, none is leased yet; the next call goes on."""
    if not _block_due(tx, limit, now=now, stuck_before=now - hold):
        return ()
    claimed = tx.execute(
        _CLAIM % claim_lock,
        {"token": token, "now": now, "until": now + lease, "limit": limit, "suspected": SUSPECTED_CRASHES},
    )
    claimed.sort()  # RETURNING promises no order; seq comes first
    for seq, *_ in claimed:
        transitions.open_attempt(tx, seq, now)
    return tuple(_queued(row, token) for row in claimed)


def _block_due(tx: Transaction, limit: int, *, now: float, stuck_before: float) -> bool:
    """Set aside what is blocked, until the first ``limit`` due messages are not. False: that takes more than one
    transaction should last."""
    values = {"now": now, "later": now + BLOCKED_RECHECK_SECONDS, "stuck_before": stuck_before}
    many = max(limit, BLOCK_BATCH_MESSAGES)
    batch = limit
    for _ in range(MAX_BLOCK_BATCHES):
        blocked = len(tx.execute(_BLOCK_DUE, {**values, "limit": batch}))
        if blocked == 0:
            return True
        batch = limit if blocked < batch == many else many
    return False


def claim_suspect(tx: Transaction, *, token: str, now: float, lease: float, hold: float) -> QueuedMessage | None:
    """Lease the oldest due message that is suspected of the worker's crashes, unless an older message blocks it."""
    found = tx.execute(
        _CLAIM_SUSPECT,
        {"token": token, "now": now, "until": now + lease, "stuck_before": now - hold, "suspected": SUSPECTED_CRASHES},
    )
    for seq, *_ in found:
        transitions.open_attempt(tx, seq, now)
    return _queued(found[0], token) if found else None


def _queued(row: Row, token: str) -> QueuedMessage:
    _, queue_id, mail_from, rcpt_tos, helo, client, smtputf8, source, position, size, received_at, *rest = row
    attempts, failures, lone_crashes, first_attempt_at, post_began_at, was_answered, absent_at, *more = rest
    released_by, released_ticket, released_author, retry_window_start, optional_failing_since, *last = more
    ticket_id, ticket_message_id, email_message_id, *authentication = last
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
        failures=failures,
        lone_crashes=lone_crashes,
        first_attempt_at=first_attempt_at,
        lease_token=token,
        post_began_at=post_began_at,
        post_was_answered=bool(was_answered),
        absent_at=absent_at,
        optional_failing_since=optional_failing_since,
        ticket_id=ticket_id,
        ticket_message_id=ticket_message_id,
        email_message_id=email_message_id,
        released_by=released_by,
        released_ticket=released_ticket,
        released_author=released_author,
        authentication=_authentication(*authentication),
    )


def _authentication(result: str, domain: str, reason: str) -> Authentication | None:
    """Return what an earlier attempt found out; ``None``: nothing, or in a word that this version does not know."""
    if result not in set(AuthenticationResult):
        return None
    return Authentication(result=AuthenticationResult.named(result), domain=domain, reason=reason)


def next_due(tx: Transaction) -> float | None:
    """Return the earliest time at which a queued message is due; ``None``: none is queued."""
    due: float | None = tx.execute(_SELECT_NEXT_DUE)[0][0]
    return due


def settle(
    tx: Transaction,
    queue_id: str,
    lease_token: str,
    outcome: Outcome,
    *,
    now: float,
    next_attempt_at: float | None,
    pair_check_at: float | None,
    hold: float,
    sending_domains: frozenset[str],
) -> bool:
    """Write the outcome of an attempt and all that follows from it: its audit entry, the messages it unblocks, the
    Message-IDs it waits for or that are known now. False: the lease was lost, and nothing is written."""
    fence = {"queue_id": queue_id, "lease_token": lease_token, "now": now}
    times = _time_columns(outcome.state, now, next_attempt_at)
    settled = tx.execute(
        _SETTLE,
        {**fence, **_outcome_columns(outcome), **_doubt_columns(outcome), **times, "pair_check_at": pair_check_at},
    )
    if not settled:
        return False
    seq, message_id = settled[0]
    transitions.close_attempt(tx, seq, now, type(outcome).__name__, detail(outcome))
    if isinstance(outcome, Deferred):
        _block(tx, seq, outcome, now, hold)
    if not isinstance(outcome, Deferred) or outcome.posted is not None:
        transitions.unblock_successors(tx, queue_id, now)
    if outcome.state in FINAL_STATES:
        order_keys.remove_all(tx, seq)
    if isinstance(outcome, Waiting):
        threads.wait_for(tx, seq, outcome.missing, now)
    if isinstance(outcome, Delivered):
        _learn_delivered(tx, message_id, outcome, now, sending_domains)
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
        "optional_step_failed": int(isinstance(outcome, Deferred) and outcome.optional_step_failed),
        "ticket_id": getattr(posted, "ticket_id", None),
        "ticket_message_id": getattr(posted, "ticket_message_id", None),
        "email_message_id": getattr(posted, "email_message_id", None),
        "perhaps_posted_as": getattr(outcome, "perhaps_posted_as", None),
    }


def _doubt_columns(outcome: Outcome) -> dict[str, object]:
    """Return what an outcome says about the doubt of a POST and about whose fault the attempt was.

    Doubt lasts until the message is delivered, or a POST is proved to have had no effect; also where the message is
    given up: whoever retries it shall look first."""
    effect = outcome.post_effect if isinstance(outcome, Deferred | Failed) else PostEffect.NOT_POSTED
    cause = outcome.cause if isinstance(outcome, Deferred) else None
    return {
        "ends_doubt": int(isinstance(outcome, Delivered) or effect is PostEffect.NONE),
        "was_answered": int(effect is PostEffect.ANSWERED),
        "found_absent": int(isinstance(outcome, Deferred) and outcome.found_absent),
        "is_fault": int(cause is DeferCause.FAULT),
        "is_final": int(cause is None),
    }


def detail(outcome: Outcome) -> str:
    """Return the sentence about an outcome that a person reads in the audit trail."""
    match outcome:
        case Delivered():
            return outcome.note
        case Waiting():
            return f"waits for {', '.join(outcome.missing)}"
        case Deferred() | Discarded() | Quarantined() | Failed():
            return outcome.reason


def _block(tx: Transaction, seq: int, outcome: Deferred, now: float, hold: float) -> None:
    blocked_by = order_keys.find_blocker(tx, seq, now - hold) if outcome.blocked_by else None
    if blocked_by:
        tx.execute(_BLOCK, {"seq": seq, "blocked_by": blocked_by, "later": now + BLOCKED_RECHECK_SECONDS})


def _learn_delivered(
    tx: Transaction, message_id: str | None, outcome: Delivered, now: float, sending_domains: frozenset[str]
) -> None:
    """Learn the Message-IDs of a delivered mail and of its ticket message.

    The sender has chosen the first: one of a domain that sends for us would have the answers to that mail of ours go to
    another ticket. An API that only repeats it knows no more of it."""
    if message_id and not threads.is_of_domains(message_id, sending_domains):
        threads.learn(tx, message_id, outcome.ticket_id, learned_from=Teacher.MAIL, now=now)
    if outcome.email_message_id and outcome.email_message_id != message_id:
        threads.learn(tx, outcome.email_message_id, outcome.ticket_id, learned_from=Teacher.API, now=now)


def release_leases(tx: Transaction, now: float) -> int:
    """End every lease and return how many there were; their messages are due at once. So is what was put off by a clock
    that was ahead of ours.

    The crash of a worker that held one message counts against this message, unless a POST of it was on its way: then
    the worker may have been killed for an API that hangs. Where it held several, none is blamed; each is only
    suspected."""
    shared = int(tx.execute(_COUNT_LEASED)[0][0] > 1)
    tx.execute(_MAKE_FUTURE_DUE, {"now": now})
    return len(tx.execute(_RELEASE_LEASES, {"shared": shared, "now": now}))


def pairs_to_check(tx: Transaction, now: float, limit: int) -> tuple[PostedAfterDoubt, ...]:
    """Return the messages for which it is time to look whether they are on their ticket twice."""
    found = tx.execute(_SELECT_PAIRS_TO_CHECK, {"now": now, "limit": limit})
    return tuple(
        PostedAfterDoubt(
            queue_id=queue_id,
            ticket_id=ticket_id,
            first_attempt_at=first_attempt_at,
            post_fingerprints=tuple(post_fingerprints.split("\n")[:-1]),
        )
        for queue_id, ticket_id, first_attempt_at, post_fingerprints in found
    )


def pair_checked(tx: Transaction, queue_id: str, count: int, now: float) -> None:
    """Note that a message was looked for, and how often it is on its ticket; more than once is an audit entry."""
    for (seq,) in tx.execute(_END_PAIR_CHECK, {"queue_id": queue_id}):
        if count > 1:
            transitions.add_event(
                tx, seq, now, "Double", f"it is on its ticket {count} times; delete all but one there"
            )


def pass_stuck(tx: Transaction, now: float, hold: float) -> tuple[str, ...]:
    """Make the messages due that are blocked by one which has been failing for ``hold`` seconds; return the queue ids
    of those that have been failing."""
    stuck = [queue_id for (queue_id,) in tx.execute(_SELECT_STUCK, {"before": now - hold})]
    for queue_id in stuck:
        transitions.unblock_successors(tx, queue_id, now)
    return tuple(stuck)


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
    order_keys.remove_all(tx, seq)
    tx.execute(_QUARANTINE, {"seq": seq, "rule": rule.value, "reason": reason, "now": now})
    transitions.add_event(tx, seq, now, "Quarantined", reason)
