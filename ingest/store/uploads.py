"""What became of each attachment, so that an upload is not repeated after a crash, nor a sender's logo each time."""

from dataclasses import dataclass

from ingest.store import Database, Transaction

_OF = """
SELECT uploads.part, uploads.attachment_id, uploads.reason FROM uploads
JOIN messages ON messages.seq = uploads.seq WHERE messages.queue_id = :queue_id AND uploads.ticket_id = :ticket_id
"""
_NOTE = """
INSERT INTO uploads (seq, part, sha256, ticket_id, sender, attachment_id, reason)
SELECT seq, :part, :sha256, :ticket_id, :sender, :attachment_id, :reason FROM messages WHERE queue_id = :queue_id
ON CONFLICT (seq, part) DO UPDATE SET attachment_id = excluded.attachment_id, reason = excluded.reason,
    ticket_id = excluded.ticket_id
"""
_SHOWN = """
SELECT 1 FROM uploads JOIN messages ON messages.seq = uploads.seq
WHERE uploads.ticket_id = :ticket_id AND uploads.sender = :sender AND uploads.sha256 = :sha256
    AND uploads.attachment_id IS NOT NULL AND messages.queue_id <> :queue_id
LIMIT 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An attachment that was dealt with."""

    part: int
    attachment_id: str | None
    """The API's id; ``None``: it was not uploaded."""
    reason: str = ""
    """Why it was not uploaded; ``""`` where nobody misses it."""


class Uploads:
    """The attachments of messages. Methods raise ``StoreUnavailable``; nothing has happened then."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, queue_id: str, ticket_id: str) -> dict[int, Upload]:
        """Part number -> what became of that part of a message, as far as it was for this ticket."""

        def work(tx: Transaction) -> dict[int, Upload]:
            rows = tx.execute(_OF, {"queue_id": queue_id, "ticket_id": ticket_id})
            return {row[0]: Upload(part=row[0], attachment_id=row[1], reason=row[2]) for row in rows}

        return await self._database.read(work)

    async def note(self, queue_id: str, upload: Upload, *, sha256: str, ticket_id: str, sender: str) -> None:
        """Remember what became of an attachment of ``sender`` for a ticket."""
        facts = {
            "queue_id": queue_id,
            "part": upload.part,
            "sha256": sha256,
            "ticket_id": ticket_id,
            "sender": sender,
            "attachment_id": upload.attachment_id,
            "reason": upload.reason,
        }
        await self._database.write(lambda tx: tx.execute(_NOTE, facts))

    async def is_shown(self, queue_id: str, *, sha256: str, ticket_id: str, sender: str) -> bool:
        """Whether another message of ``sender`` has brought the same octets to the ticket before."""
        facts = {"queue_id": queue_id, "sha256": sha256, "ticket_id": ticket_id, "sender": sender}
        return bool(await self._database.read(lambda tx: tx.execute(_SHOWN, facts)))
