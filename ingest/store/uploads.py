"""What became of each attachment: every statement on the table ``uploads``.

The rows keep an upload from being repeated after a crash, and a sender's logo from being uploaded with every mail.
"""

from dataclasses import dataclass

from ingest.store import Database, Transaction

_SELECT_OF_MESSAGE = """
SELECT uploads.part_number, uploads.ticket_id, uploads.attachment_id, uploads.reason FROM uploads
JOIN messages ON messages.seq = uploads.seq WHERE messages.queue_id = :queue_id
"""
_UPSERT = """
INSERT INTO uploads (seq, part_number, sha256, ticket_id, sender, attachment_id, reason)
SELECT seq, :part_number, :sha256, :ticket_id, :sender, :attachment_id, :reason FROM messages
WHERE queue_id = :queue_id AND lease_token = :lease_token
ON CONFLICT (seq, part_number) DO UPDATE SET attachment_id = excluded.attachment_id, reason = excluded.reason,
    ticket_id = excluded.ticket_id
RETURNING seq
"""
_SELECT_ON_TICKET = """
SELECT 1 FROM uploads JOIN messages ON messages.seq = uploads.seq
WHERE uploads.ticket_id = :ticket_id AND uploads.sender = :sender AND uploads.sha256 = :sha256
    AND uploads.attachment_id IS NOT NULL AND messages.state = 'delivered'
LIMIT 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An attachment of a message for which it is decided whether it is uploaded."""

    part_number: int
    """Which MIME part of the message it is, as ``Attachment`` counts them."""
    ticket_id: str
    attachment_id: str | None
    """The API's id; ``None``: it was not uploaded."""
    reason: str = ""
    """Why it was not uploaded; empty if the skip needs no mention (a logo already on the ticket)."""


class Uploads:
    """The store of uploads in ``database``. Methods raise ``StoreUnavailable`` if nothing was read or written."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def for_message(self, queue_id: str) -> tuple[Upload, ...]:
        """Return what is recorded of the attachments of a message."""

        def work(tx: Transaction) -> tuple[Upload, ...]:
            rows = tx.execute(_SELECT_OF_MESSAGE, {"queue_id": queue_id})
            return tuple(
                Upload(part_number=part_number, ticket_id=ticket_id, attachment_id=attachment_id, reason=reason)
                for part_number, ticket_id, attachment_id, reason in rows
            )

        return await self._database.read(work)

    async def record(self, queue_id: str, lease_token: str, upload: Upload, *, sha256: str, sender: str) -> bool:
        """Record what became of an attachment that ``sender`` sent. False: the lease was lost, nothing is written."""
        values = {
            "queue_id": queue_id,
            "lease_token": lease_token,
            "part_number": upload.part_number,
            "sha256": sha256,
            "ticket_id": upload.ticket_id,
            "sender": sender,
            "attachment_id": upload.attachment_id,
            "reason": upload.reason,
        }
        return bool(await self._database.write(lambda tx: tx.execute(_UPSERT, values)))

    async def is_on_ticket(self, *, sha256: str, ticket_id: str, sender: str) -> bool:
        """Whether a delivered message of ``sender`` on this ticket came with a file of the same digest."""
        values = {"sha256": sha256, "ticket_id": ticket_id, "sender": sender}
        return bool(await self._database.read(lambda tx: tx.execute(_SELECT_ON_TICKET, values)))
