"""What became of each attachment, so that an upload is not repeated after a crash, nor a sender's logo each time."""

from dataclasses import dataclass

from ingest.store import Database, Transaction

_OF = """
SELECT uploads.part, uploads.ticket_id, uploads.attachment_id, uploads.reason FROM uploads
JOIN messages ON messages.seq = uploads.seq WHERE messages.queue_id = :queue_id
"""
_NOTE = """
INSERT INTO uploads (seq, part, sha256, ticket_id, sender, attachment_id, reason)
SELECT seq, :part, :sha256, :ticket_id, :sender, :attachment_id, :reason FROM messages
WHERE queue_id = :queue_id AND lease_token = :lease_token
ON CONFLICT (seq, part) DO UPDATE SET attachment_id = excluded.attachment_id, reason = excluded.reason,
    ticket_id = excluded.ticket_id
RETURNING seq
"""
_SHOWN = """
SELECT 1 FROM uploads JOIN messages ON messages.seq = uploads.seq
WHERE uploads.ticket_id = :ticket_id AND uploads.sender = :sender AND uploads.sha256 = :sha256
    AND uploads.attachment_id IS NOT NULL AND messages.state = 'delivered'
LIMIT 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An attachment that was dealt with."""

    part: int
    ticket_id: str
    attachment_id: str | None
    """The API's id; ``None``: it was not uploaded."""
    reason: str = ""
    """Why it was not uploaded; ``""`` where nobody misses it."""


class Uploads:
    """The attachments of messages. Methods raise ``StoreUnavailable``; nothing has happened then."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, queue_id: str) -> tuple[Upload, ...]:
        """What became of the parts of a message."""

        def work(tx: Transaction) -> tuple[Upload, ...]:
            rows = tx.execute(_OF, {"queue_id": queue_id})
            return tuple(Upload(part=row[0], ticket_id=row[1], attachment_id=row[2], reason=row[3]) for row in rows)

        return await self._database.read(work)

    async def note(self, queue_id: str, lease_token: str, upload: Upload, *, sha256: str, sender: str) -> bool:
        """Remember what became of an attachment of ``sender``. False: the lease was lost, and nothing is written."""
        facts = {
            "queue_id": queue_id,
            "lease_token": lease_token,
            "part": upload.part,
            "sha256": sha256,
            "ticket_id": upload.ticket_id,
            "sender": sender,
            "attachment_id": upload.attachment_id,
            "reason": upload.reason,
        }
        return bool(await self._database.write(lambda tx: tx.execute(_NOTE, facts)))

    async def is_shown(self, *, sha256: str, ticket_id: str, sender: str) -> bool:
        """Whether a message of ``sender`` that the ticket has came with the same octets."""
        facts = {"sha256": sha256, "ticket_id": ticket_id, "sender": sender}
        return bool(await self._database.read(lambda tx: tx.execute(_SHOWN, facts)))
