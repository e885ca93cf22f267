"""Which messages keep their order: the names that a message shares with older ones (table ``order_keys``).

A message is stored with the names of its ticket and thread that can be read from it (``ingest.order_hints``). What is
learned later adds names and never takes one away, so a look-up that fails cannot make a message forget its order. Of
the messages that share a name, only the oldest unfinished one is worked on; the others are blocked by it.
"""

from collections.abc import Iterable

from ingest.store import Transaction

ID_PREFIX = "id:"
TICKET_PREFIX = "ticket:"

_ADD = "INSERT INTO order_keys (key, seq) VALUES (:key, :seq) ON CONFLICT DO NOTHING"
_REMOVE_ALL = "DELETE FROM order_keys WHERE seq = :seq"
_ADD_TO_HOLDERS = """
INSERT INTO order_keys (key, seq) SELECT :new, seq FROM order_keys WHERE key = :key ON CONFLICT DO NOTHING
"""
_SELECT_ALIAS = "SELECT ticket_id FROM ticket_aliases WHERE name = :name"
_SET_ALIAS = """
INSERT INTO ticket_aliases (name, ticket_id) VALUES (:name, :ticket_id)
ON CONFLICT (name) DO UPDATE SET ticket_id = excluded.ticket_id WHERE ticket_id <> excluded.ticket_id
RETURNING name
"""
NEAREST_OLDER = """
SELECT nearest.queue_id FROM messages AS nearest WHERE nearest.seq = (
    SELECT max((
        SELECT theirs.seq FROM order_keys AS theirs CROSS JOIN messages AS older ON older.seq = theirs.seq
        WHERE theirs.key = mine.key AND theirs.seq < mine.seq
            AND older.due_at IS NOT NULL AND older.ticket_message_id IS NULL
            AND (older.failing_since IS NULL OR older.failing_since > :stuck_before)
        ORDER BY theirs.seq DESC LIMIT 1))
    FROM order_keys AS mine WHERE mine.seq = messages.seq)
"""
"""The queue id of the message that blocks the row of ``messages`` around this statement: the nearest older one with a
common name that is queued, not posted yet, and has not been failing since before ``:stuck_before``."""

_SELECT_BLOCKER = f"SELECT ({NEAREST_OLDER}) FROM messages WHERE seq = :seq"  # noqa: S608 - joins fixed texts


def find_blocker(tx: Transaction, seq: int, stuck_before: float) -> str | None:
    """Return the queue id of the nearest older, unfinished message with a common name, which has to be posted first.

    The nearest, so that each message that leaves the queue unblocks one other and not all of them."""
    blocker: str | None = tx.execute(_SELECT_BLOCKER, {"seq": seq, "stuck_before": stuck_before})[0][0]
    return blocker


def add(tx: Transaction, seq: int, names: Iterable[str]) -> None:
    """Add names to a message, and for each name of a ticket the ticket that is known to stand behind it."""
    wanted = set(names)
    for name in tuple(wanted):
        if name.startswith(TICKET_PREFIX):
            wanted.update(ticket_key(ticket_id) for (ticket_id,) in tx.execute(_SELECT_ALIAS, {"name": name}))
    for key in sorted(wanted):
        tx.execute(_ADD, {"key": key, "seq": seq})


def message_ids(names: Iterable[str]) -> tuple[str, ...]:
    """The Message-IDs among names."""
    return tuple(name.removeprefix(ID_PREFIX) for name in names if name.startswith(ID_PREFIX))


def remove_all(tx: Transaction, seq: int) -> None:
    """Take the names off a message that is finished: it blocks nobody any more."""
    tx.execute(_REMOVE_ALL, {"seq": seq})


def learn_thread(tx: Transaction, message_id: str, ticket_id: str) -> None:
    """Add the ticket to every unfinished message that names this Message-ID."""
    tx.execute(_ADD_TO_HOLDERS, {"key": f"{ID_PREFIX}{message_id}", "new": ticket_key(ticket_id)})


def learn_alias(tx: Transaction, identifier: str, ticket_id: str) -> None:
    """Remember that a ticket's code or id means another ticket (a look-up told, or a merge), and add that ticket to
    every unfinished message that names it by ``identifier``."""
    name = ticket_key(identifier)
    if name != ticket_key(ticket_id) and tx.execute(_SET_ALIAS, {"name": name, "ticket_id": ticket_id}):
        tx.execute(_ADD_TO_HOLDERS, {"key": name, "new": ticket_key(ticket_id)})


def ticket_of(tx: Transaction, identifier: str) -> str:
    """Return the id of the ticket that an id or a code means, as far as it was looked up before."""
    found = tx.execute(_SELECT_ALIAS, {"name": ticket_key(identifier)})
    return str(found[0][0]) if found else identifier


def ticket_key(identifier: str) -> str:
    """The name of a ticket; letter case does not count, since mail systems change it in addresses."""
    return f"{TICKET_PREFIX}{identifier.lower()}"
