"""The octets of messages: kept exactly, packed where it pays, deleted after the retention time. Units of work."""

import zlib

from ingest.store import Transaction

PACKED_SIZES = range(16 * 1024, 128 * 1024)
"""Here is HTML with its quotes, which shrinks to a third at little cost. Below, a page or two are all there is to win.
Above, mail is base64 for the most part, which shrinks by a quarter, and more slowly than mail comes in."""
WORTH_PACKING = 0.75
PURGE_BATCH = 50

_ADD = "INSERT INTO contents (seq, encoding, octets) VALUES (:seq, :encoding, :octets)"
_READ = """
SELECT contents.encoding, contents.octets FROM messages JOIN contents ON contents.seq = messages.seq
WHERE messages.queue_id = :queue_id
"""
_MARK_PURGED = """
UPDATE messages SET kept_since = NULL WHERE seq IN (
    SELECT seq FROM messages WHERE kept_since < :before ORDER BY kept_since LIMIT :limit)
RETURNING seq
"""
_DELETE = "DELETE FROM contents WHERE seq = :seq"


def add(tx: Transaction, seq: int, octets: bytes) -> None:
    """Keep the octets of a new row."""
    encoding, stored = _pack(octets)
    tx.execute(_ADD, {"seq": seq, "encoding": encoding, "octets": stored})


def _pack(octets: bytes) -> tuple[str, bytes]:
    if len(octets) in PACKED_SIZES:
        packed = zlib.compress(octets, 1)
        if len(packed) < len(octets) * WORTH_PACKING:
            return "zlib", packed
    return "", octets


def read(tx: Transaction, queue_id: str) -> bytes:
    """The octets of a message.

    Raises:
        KeyError: there is no such message, or its octets are past their retention time.
    """
    found = tx.execute(_READ, {"queue_id": queue_id})
    if not found:
        raise KeyError(queue_id)
    encoding, stored = found[0]
    return zlib.decompress(stored) if encoding == "zlib" else bytes(stored)


def purge(tx: Transaction, before: float) -> int:
    """Delete the octets of a batch of messages that were delivered or discarded before ``before``; of how many."""
    purged = tx.execute(_MARK_PURGED, {"before": before, "limit": PURGE_BATCH})
    tx.execute_many(_DELETE, [{"seq": seq} for (seq,) in purged])
    return len(purged)
