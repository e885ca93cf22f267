"""Identifying a claimed message: what was found out is written into its row, and how it relates to others is told.

Writes are fenced: they name the lease token, and write nothing if another worker has claimed the message since.
"""

import json
from collections.abc import Mapping

from ingest.model.loops import LoopLimits
from ingest.model.outcome import HELD_FOR_TRUST
from ingest.store import Findings, Identified, Transaction, generation, loops, order_keys

_IDENTIFY = """
UPDATE messages SET message_id = :message_id, content_digest = :content_digest,
    ticket_id = coalesce(:ticket_id, ticket_id), subject = :subject, sender = :sender, evidence = :evidence,
    post_digest = coalesce(:post_digest, post_digest),
    cell = CASE WHEN :cell = '' THEN cell ELSE :cell END,
    authentication = CASE WHEN :authentication = '' THEN authentication ELSE :authentication END,
    authentication_domain = CASE WHEN :cell || :authentication = '' THEN authentication_domain
        ELSE :authentication_domain END,
    authentication_reason = CASE WHEN :cell || :authentication = '' THEN authentication_reason
        ELSE :authentication_reason END,
    flag = :flag, words_key = :words_key, written_at = :written_at,
    post_fingerprints = replace(post_fingerprints, :post_fingerprint, '') || :post_fingerprint
WHERE queue_id = :queue_id AND lease_token = :lease_token
RETURNING seq, post_fingerprints, received_at
"""
_IS_OF_SAME_TICKET = """(ticket_id IS NOT DISTINCT FROM :ticket_id OR EXISTS (
    SELECT 1 FROM ticket_aliases
    WHERE name = 'ticket:' || lower(messages.ticket_id) AND ticket_aliases.ticket_id = :ticket_id))"""
_IS_SAME_MAIL = f"message_id = :message_id AND content_digest = :content_digest AND {_IS_OF_SAME_TICKET}"
_HELD_FOR_TRUST = ", ".join(f"'{rule.value}'" for rule in HELD_FOR_TRUST)
_SELECT_OLDER_COPY = f"""
SELECT queue_id FROM messages
WHERE {_IS_SAME_MAIL} AND seq < :seq AND state <> 'discarded'
    AND (:post_digest IS NULL OR state <> 'quarantined' OR rule NOT IN ({_HELD_FOR_TRUST}))
ORDER BY seq LIMIT 1
"""  # noqa: S608
_SELECT_DELIVERED_COPY = f"""
SELECT queue_id FROM messages WHERE {_IS_SAME_MAIL} AND seq > :seq AND ticket_message_id IS NOT NULL
ORDER BY seq LIMIT 1
"""  # noqa: S608
_SELECT_OLDER_COPY_WITHOUT_ID = f"""
SELECT queue_id FROM messages
WHERE message_id IS NULL AND content_digest = :content_digest AND sender = :sender AND sender <> ''
    AND {_IS_OF_SAME_TICKET} AND seq < :seq AND received_at > :since AND state <> 'discarded'
ORDER BY seq LIMIT 1
"""  # noqa: S608
_BEGIN_POST = """
UPDATE messages SET post_began_at = :now, post_was_answered = 0, absent_at = NULL,
    first_post_number = CASE WHEN post_began_at IS NULL THEN (SELECT value + 1 FROM counters WHERE name = 'posts')
        ELSE first_post_number END
WHERE queue_id = :queue_id AND lease_token = :lease_token AND due_at > :now
RETURNING seq
"""


def identify(
    tx: Transaction,
    queue_id: str,
    lease_token: str,
    findings: Findings,
    *,
    now: float,
    stuck_before: float,
    duplicate_window: float,
    loop_limits: LoopLimits,
) -> Identified:
    """Write what the worker found out about a message into its row, and return how it relates to the others. Where its
    POST follows at once, that it begins ``now`` is written as well, unless it is a duplicate, blocked or held."""
    held = tx.execute(_IDENTIFY, {"queue_id": queue_id, "lease_token": lease_token, **_columns(findings)})
    if not held:
        return Identified(lease_held=False)
    seq, post_fingerprints, received_at = held[0]
    _learn_order(tx, seq, findings.ticket_id, findings.ticket_names)
    duplicate_of = _older_copy(tx, seq, findings, received_at - duplicate_window)
    delivered_as = _delivered_copy(tx, seq, findings)
    blocked_by = order_keys.find_blocker(tx, seq, stuck_before)
    is_next = duplicate_of is None and delivered_as is None and blocked_by is None
    reported_by = loops.reported_by(tx, seq, findings.report_keys) if is_next else None
    may_be_paused = findings.may_be_paused and is_next and reported_by is None
    pause = loops.find_pause(tx, seq, findings, loop_limits, now) if may_be_paused else None
    begins_post = findings.begins_post and is_next and reported_by is None and pause is None
    return Identified(
        lease_held=True,
        duplicate_of=duplicate_of,
        delivered_as=delivered_as,
        blocked_by=blocked_by,
        post_count=begin_post(tx, queue_id, lease_token, now) if begins_post else None,
        post_fingerprints=tuple(post_fingerprints.split("\n")[:-1]),
        pause=pause,
        reported_by=reported_by,
    )


def _columns(findings: Findings) -> dict[str, str | float | None]:
    trust = findings.trust
    authentication = findings.authentication or (trust.authentication if trust else None)
    return {
        "message_id": findings.message_id,
        "content_digest": findings.content_digest,
        "ticket_id": findings.ticket_id,
        "subject": findings.subject,
        "sender": findings.sender,
        "evidence": json.dumps([item.facts() for item in findings.evidence]),
        "post_digest": findings.post_digest,
        "post_fingerprint": f"{findings.post_fingerprint}\n" if findings.post_fingerprint else "",
        "cell": trust.cell if trust else "",
        "authentication": authentication.result if authentication and authentication.is_lasting else "",
        "authentication_domain": authentication.domain if authentication else "",
        "authentication_reason": authentication.reason if authentication else "",
        "flag": findings.flag,
        "words_key": findings.words_key,
        "written_at": findings.written_at,
    }


def _learn_order(tx: Transaction, seq: int, ticket_id: str | None, ticket_names: Mapping[str, str]) -> None:
    """Keep what the names mean that were looked up, and give the message its place on its ticket."""
    for name, meaning in ticket_names.items():
        order_keys.learn_alias(tx, name, meaning)
    if ticket_id is not None:
        order_keys.add(tx, seq, [order_keys.ticket_key(ticket_id)])


def _older_copy(tx: Transaction, seq: int, findings: Findings, since: float) -> str | None:
    """Return the queue id of an older message that is the same mail, if there is one.

    One that is held for how it came does not count where this one may be posted: a forwarder may have broken its
    signature, or somebody may have sent a forged copy ahead."""
    statement = _SELECT_OLDER_COPY if findings.message_id is not None else _SELECT_OLDER_COPY_WITHOUT_ID
    copies = tx.execute(statement, {"seq": seq, "since": since, **_columns(findings)})
    return copies[0][0] if copies else None


def _delivered_copy(tx: Transaction, seq: int, findings: Findings) -> str | None:
    """Return the queue id of a younger message that is the same mail and was posted while this one was held."""
    if findings.message_id is None:
        return None
    copies = tx.execute(_SELECT_DELIVERED_COPY, {"seq": seq, **_columns(findings)})
    return copies[0][0] if copies else None


def begin_post(tx: Transaction, queue_id: str, lease_token: str, now: float) -> int | None:
    """Write that a POST of the message begins now, and return the number of POSTs so far (``generation``). ``None``:
    the lease is lost or over, so it must not be posted."""
    begun = tx.execute(_BEGIN_POST, {"queue_id": queue_id, "lease_token": lease_token, "now": now})
    return generation.count_post(tx) if begun else None
