"""Which ticket a Message-ID belongs to: the tables ``threads`` (with stubs and aliases) and ``waiting_for``.

Functions here run inside a transaction of the caller.
"""

from collections.abc import Sequence

from ingest.model.teachers import Teacher
from ingest.store import ThreadRecord, Transaction, order_keys, transitions

MAX_ALIASES = 8
"""Aliases followed from one Message-ID. Real chains have one or two; the limit ends a ring of them."""

_SELECT = "SELECT ticket_id, alias_of FROM threads WHERE message_id = :message_id"
_RANK = "CASE threads.learned_from {} ELSE 0 END".format(
    " ".join(f"WHEN '{teacher.value}' THEN {teacher.rank}" for teacher in Teacher)
)
_LEARN = f"""
INSERT INTO threads (message_id, ticket_id, learned_from, learned_at, alias_of)
VALUES (:message_id, :ticket_id, :learned_from, :now, :alias_of)
ON CONFLICT (message_id) DO UPDATE SET ticket_id = excluded.ticket_id, learned_from = excluded.learned_from,
    learned_at = excluded.learned_at, alias_of = coalesce(excluded.alias_of, threads.alias_of),
    disputed_ticket_id = NULL, disputed_from = NULL, disputed_at = NULL
WHERE threads.ticket_id IS NULL OR :force = 1 OR {_RANK} < :rank
RETURNING message_id
"""  # noqa: S608 - joins fixed texts; values are always parameters
_DISPUTE = """
UPDATE threads SET disputed_ticket_id = :ticket_id, disputed_from = :learned_from, disputed_at = :now
WHERE message_id = :message_id AND ticket_id <> :ticket_id
    AND NOT (disputed_ticket_id IS :ticket_id AND disputed_from IS :learned_from)
    AND NOT EXISTS (SELECT 1 FROM ticket_aliases
        WHERE name = 'ticket:' || lower(threads.ticket_id) AND ticket_aliases.ticket_id = :ticket_id)
    AND NOT EXISTS (SELECT 1 FROM ticket_aliases
        WHERE name = 'ticket:' || lower(:ticket_id) AND ticket_aliases.ticket_id = threads.ticket_id)
"""
_ADD_STUB = """
INSERT INTO threads (message_id, ticket_id, learned_from, learned_at) VALUES (:message_id, NULL, 'stub', :now)
ON CONFLICT (message_id) DO NOTHING
"""
_ADD_WAIT = "INSERT INTO waiting_for (message_id, seq) VALUES (:message_id, :seq) ON CONFLICT DO NOTHING"
_SELECT_WAITERS = """
WITH RECURSIVE names (name) AS (
    SELECT :message_id UNION SELECT message_id FROM threads JOIN names ON threads.alias_of = names.name)
SELECT DISTINCT seq FROM waiting_for WHERE message_id IN (SELECT name FROM names) ORDER BY seq
"""
_SELECT_WAITING_FOR = """
SELECT waiting_for.message_id FROM waiting_for JOIN messages ON messages.seq = waiting_for.seq
WHERE messages.queue_id = :queue_id ORDER BY waiting_for.message_id
"""
_LIST = """
SELECT message_id, ticket_id, learned_from, learned_at, alias_of, disputed_ticket_id, disputed_from FROM threads
"""
_LATEST = "ORDER BY learned_at DESC, message_id LIMIT :limit"
_FILTERS = {
    (False, False): "",
    (True, False): "WHERE message_id = :message_id",
    (False, True): "WHERE ticket_id = :ticket_id",
    (True, True): "WHERE message_id = :message_id AND ticket_id = :ticket_id",
}


def tickets_of(tx: Transaction, message_ids: Sequence[str]) -> dict[str, str | None]:
    """Map each Message-ID to its ticket, or to ``None`` if it is a stub. Ids that the store has never met are left
    out."""
    found: dict[str, str | None] = {}
    for message_id in message_ids:
        _follow_aliases(tx, message_id, found)
    return found


def _follow_aliases(tx: Transaction, message_id: str, found: dict[str, str | None]) -> None:
    """Put the ticket of a Message-ID into ``found``. If it is an alias, the ticket of the id it stands for wins over
    the one stored with the alias."""
    name: str | None = message_id
    for _ in range(MAX_ALIASES):
        known = tx.execute(_SELECT, {"message_id": name})
        if not known:
            return
        ticket_id, name = known[0]
        found[message_id] = ticket_id or found.get(message_id)
        if name is None:
            return


def learn(
    tx: Transaction,
    message_id: str,
    ticket_id: str,
    *,
    learned_from: Teacher,
    now: float,
    alias_of: str | None = None,
    force: bool = False,
) -> bool:
    """Store the ticket of a Message-ID, and of the id that it is an alias of, and requeue the messages that wait for
    either.

    A teacher of a higher rank corrects one of a lower rank; ``force`` corrects anybody. False: nothing was changed,
    because a ticket is known for the id already. If it is another one, and not merged with this one, the dispute is
    noted with the id."""
    if alias_of is not None:
        learn(tx, alias_of, ticket_id, learned_from=learned_from, now=now)
    taught = {"message_id": message_id, "ticket_id": ticket_id, "learned_from": learned_from.value, "now": now}
    learned = tx.execute(_LEARN, {**taught, "alias_of": alias_of, "force": int(force), "rank": learned_from.rank})
    if not learned:
        tx.execute(_DISPUTE, taught)
    else:
        order_keys.learn_thread(tx, message_id, ticket_id)
        for (seq,) in tx.execute(_SELECT_WAITERS, {"message_id": message_id}):
            transitions.requeue(tx, seq, now, f"{message_id} is known now")
    return bool(learned)


def wait_for(tx: Transaction, seq: int, message_ids: Sequence[str], now: float) -> None:
    """Store which Message-IDs a row in state waiting waits for. If one of them is known by now, requeue it at once."""
    for message_id in message_ids:
        tx.execute(_ADD_STUB, {"message_id": message_id, "now": now})
        tx.execute(_ADD_WAIT, {"message_id": message_id, "seq": seq})
    known = [message_id for message_id, ticket_id in tickets_of(tx, message_ids).items() if ticket_id]
    if known:
        transitions.requeue(tx, seq, now, f"{known[0]} is known now")


def waiting_for(tx: Transaction, queue_id: str) -> tuple[str, ...]:
    """Return the Message-IDs that a row waits for."""
    return tuple(message_id for (message_id,) in tx.execute(_SELECT_WAITING_FOR, {"queue_id": queue_id}))


def list_threads(
    tx: Transaction, message_id: str | None, ticket_id: str | None, limit: int
) -> tuple[ThreadRecord, ...]:
    """The latest threads, of one id or one ticket where these are given."""
    where = _FILTERS[message_id is not None, ticket_id is not None]
    found = tx.execute(f"{_LIST} {where} {_LATEST}", {"message_id": message_id, "ticket_id": ticket_id, "limit": limit})
    return tuple(
        ThreadRecord(
            message_id=name,
            ticket_id=ticket,
            learned_from=origin,
            learned_at=learned_at,
            alias_of=alias,
            disputed=f"{disputed_ticket} ({disputed_from})" if disputed_ticket else "",
        )
        for name, ticket, origin, learned_at, alias, disputed_ticket, disputed_from in found
    )


def is_of_domains(message_id: str, domains: frozenset[str]) -> bool:
    """Return whether a Message-ID was made in one of these domains (in lower case), or below one of them."""
    labels = message_id.rpartition("@")[2].lower().strip(".").split(".")
    return any(".".join(labels[start:]) in domains for start in range(len(labels)))
