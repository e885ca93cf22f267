"""What a command asks of the running worker (table ``controls``), and what all queued messages are told.

The table is how a command reaches a worker in another container: both have the database, and nothing else in common.
"""

from enum import StrEnum

from ingest.store import Transaction

_ASK = """
INSERT INTO controls (name, asked_by, asked_at) VALUES (:name, :by, :now)
ON CONFLICT (name) DO UPDATE SET asked_by = excluded.asked_by, asked_at = excluded.asked_at
"""
_SELECT = "SELECT 1 FROM controls LIMIT 1"
_TAKE = "DELETE FROM controls RETURNING name, asked_by"
_MAKE_DUE = """
UPDATE messages SET due_at = received_at WHERE due_at > :now AND lease_token IS NULL AND blocked_by IS NULL
RETURNING seq
"""
_PROBE = """
INSERT INTO upkeep (name, value) VALUES ('written_at', :now) ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""


class Control(StrEnum):
    """What a worker can be asked for. The values are in the database."""

    RESUME = "resume"
    """Send again at once, although the API asked for a pause."""


def ask(tx: Transaction, control: Control, by: str, now: float) -> None:
    """Ask the worker, which looks every second. Asking twice is asking once."""
    tx.execute(_ASK, {"name": control.value, "by": by, "now": now})


def is_asked(tx: Transaction) -> bool:
    """Whether there is anything to ``take``; it only reads."""
    return bool(tx.execute(_SELECT))


def take(tx: Transaction) -> dict[Control, str]:
    """Return what is asked for and by whom, and forget it. What a newer version can be asked for is passed over."""
    known = set(Control)
    return {Control(name): by for name, by in tx.execute(_TAKE) if name in known}


def make_due(tx: Transaction, now: float) -> int:
    """Make every queued message due that waits for a time to come, oldest first, and return their number."""
    return len(tx.execute(_MAKE_DUE, {"now": now}))


def try_writing(tx: Transaction, now: float) -> None:
    """Write a row, to learn whether the database can be written."""
    tx.execute(_PROBE, {"now": str(now)})
