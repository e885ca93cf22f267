"""The bytes of messages: every statement on the table ``contents``.

Content is kept exactly as received, compressed if that saves enough, and deleted after the retention time. Functions
here run inside a transaction of the caller.
"""

import zlib

from ingest.store import Transaction

COMPRESSED_SIZES_BYTES = range(16 * 1024, 128 * 1024)
"""Content of these sizes is mostly HTML with its quotes, which shrinks to a third at little cost. Below, only a page
or two of the database could be saved. Above, mail is mostly base64, which shrinks by a quarter, and compressing it is
slower than mail comes in."""
MAX_COMPRESSED_SHARE = 0.75
"""Compressed content is stored only if it is smaller than this share of the original; else reading it back would cost
processor time for little space."""
PURGE_BATCH_MESSAGES = 50
"""Messages purged in one transaction. Small, so that receiving and claiming do not wait for a long deletion."""

_INSERT = "INSERT INTO contents (seq, encoding, content) VALUES (:seq, :encoding, :content)"
_SELECT = """
SELECT contents.encoding, contents.content FROM messages JOIN contents ON contents.seq = messages.seq
WHERE messages.queue_id = :queue_id
"""
_MARK_PURGED = """
UPDATE messages SET kept_since = NULL WHERE seq IN (
    SELECT seq FROM messages WHERE kept_since < :before ORDER BY kept_since LIMIT :limit)
RETURNING seq
"""
_DELETE = "DELETE FROM contents WHERE seq = :seq"


def add(tx: Transaction, seq: int, content: bytes) -> None:
    """Store the content of a new message row."""
    encoding, stored = _compress(content)
    tx.execute(_INSERT, {"seq": seq, "encoding": encoding, "content": stored})


def _compress(content: bytes) -> tuple[str, bytes]:
    """Return the encoding (``zlib``, or empty for none) and the bytes to store."""
    if len(content) in COMPRESSED_SIZES_BYTES:
        compressed = zlib.compress(content, 1)
        if len(compressed) < len(content) * MAX_COMPRESSED_SHARE:
            return "zlib", compressed
    return "", content


def read(tx: Transaction, queue_id: str) -> bytes:
    """Return the content of a message, exactly as received.

    Raises:
        KeyError: there is no such message, or its content is past the retention time.
    """
    found = tx.execute(_SELECT, {"queue_id": queue_id})
    if not found:
        raise KeyError(queue_id)
    encoding, stored = found[0]
    return zlib.decompress(stored) if encoding == "zlib" else bytes(stored)


def purge(tx: Transaction, before: float) -> int:
    """Delete the content of up to ``PURGE_BATCH_MESSAGES`` messages that were delivered or discarded before
    ``before``, and return the number of messages."""
    purged = tx.execute(_MARK_PURGED, {"before": before, "limit": PURGE_BATCH_MESSAGES})
    tx.execute_many(_DELETE, [{"seq": seq} for (seq,) in purged])
    return len(purged)
