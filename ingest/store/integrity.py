"""Looks for damage in the database itself, which counting rows does not show."""

from ingest.store import Transaction

MAX_FAULTS = 5
"""Faults told at most: one is enough to restore a backup, and a damaged file has thousands."""


def find_damage(tx: Transaction, *, deep: bool) -> tuple[str, ...]:
    """Read the whole database and return what is wrong with it, as SQLite says it; nothing if it is sound.

    ``deep`` also compares each index with its table, which takes several times as long. Damage inside the content of a
    large mail is not seen by either: SQLite has no checksums."""
    pragma = "integrity_check" if deep else "quick_check"
    found = [str(text) for (text,) in tx.execute(f"PRAGMA {pragma}({MAX_FAULTS})")]
    return tuple(line for text in found for line in text.splitlines() if line != "ok")
