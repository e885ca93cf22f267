"""The store of messages, as the rest of the worker sees it. Every SQL statement is written once, in the modules that
this one calls: ``life`` (a message from receipt to its end), ``contents`` (its octets), ``threads`` (Message-IDs) and
``operator`` (what people see and do).

All methods are coroutines and raise ``StoreUnavailable`` when the database cannot do it now; nothing has happened then.
``now`` and all other times are Unix times in seconds, durations are seconds. Cancelling a caller leaves its change
made or not made, never half.
"""

from collections.abc import Sequence
from secrets import token_hex

from ingest.model.envelope import QueuedMessage, ReceivedMessage
from ingest.model.outcome import Evidence, Outcome, State
from ingest.store import (
    Database,
    Identified,
    Ledger,
    MessageRecord,
    ThreadRecord,
    contents,
    lifecycle,
    operator,
    threads,
)

_BACKLOG = "SELECT count(*) FROM messages WHERE state = 'queued'"
_OLDEST = "SELECT received_at FROM messages WHERE state = 'queued' ORDER BY seq LIMIT 1"
_POSITION = "SELECT position FROM source_positions WHERE source = :source"


class Store:
    """The messages in ``database``, which belongs to the caller: migrate it first, close it last."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._write, self._read = database.write, database.read

    async def receive(self, message: ReceivedMessage, *, queue_id: str, dedupe_key: str) -> str:
        """Store a message durably, and its source's position with it.

        Returns ``queue_id``, or that of the row which has this ``dedupe_key`` already."""
        return await self._write(lambda tx: lifecycle.receive(tx, message, queue_id, dedupe_key))

    async def claim(self, *, limit: int, now: float, lease: float) -> tuple[QueuedMessage, ...]:
        """Lease up to ``limit`` messages for ``lease`` seconds, in order of arrival: queued, due, leased by nobody, and
        without an older unfinished message of the same known ticket. Each counts as an attempt from here on."""
        token, lock = token_hex(8), self._database.claim_lock
        return await self._write(
            lambda tx: lifecycle.claim(tx, token=token, limit=limit, now=now, lease=lease, claim_lock=lock)
        )

    async def next_due(self, *, now: float) -> float | None:
        """The earliest time at which a message becomes claimable (not before ``now``); ``None``: none is queued."""
        due = await self._read(lifecycle.next_due)
        return None if due is None else max(due, now)

    async def content(self, queue_id: str) -> bytes:
        """The octets of a message, as they were received.

        Raises:
            KeyError: there is no such message, or its octets are past their retention time.
        """
        return await self._read(lambda tx: contents.read(tx, queue_id))

    async def identify(
        self,
        queue_id: str,
        lease_token: str,
        *,
        message_id: str | None,
        content_digest: str,
        ticket_id: str | None,
        subject: str,
        sender: str,
        evidence: tuple[Evidence, ...],
        post_fingerprint: str | None = None,
    ) -> Identified:
        """Note who a message is, and learn where it stands among the others.

        ``post_fingerprint`` (without a line end) is what it is known by once it is posted; all are remembered."""
        facts = {
            "message_id": message_id,
            "content_digest": content_digest,
            "ticket_id": ticket_id,
            "subject": subject,
            "sender": sender,
            "imprint": f"{post_fingerprint}\n" if post_fingerprint else "",
        }
        return await self._write(lambda tx: lifecycle.identify(tx, queue_id, lease_token, evidence, facts))

    async def settle(
        self, queue_id: str, lease_token: str, outcome: Outcome, *, now: float, next_attempt_at: float | None = None
    ) -> bool:
        """Write what became of a message and everything that follows from it. ``next_attempt_at`` is for Deferred
        (``None``: at once). False: the lease was lost, and nothing is written."""
        return await self._write(
            lambda tx: lifecycle.settle(tx, queue_id, lease_token, outcome, now=now, next_attempt_at=next_attempt_at)
        )

    async def extend(self, queue_id: str, lease_token: str, *, until: float) -> bool:
        """Hold a lease until ``until``. False: it is lost."""
        return await self._write(lambda tx: lifecycle.extend(tx, queue_id, lease_token, until))

    async def release_leases(self) -> int:
        """Free every lease, at the start of the only worker process: what a dead one held is claimable at once."""
        return await self._write(lifecycle.release_leases)

    async def expire_waiting(self, *, now: float, limit: float) -> int:
        """Quarantine what has been waiting for its parent for longer than ``limit``; how many."""
        expired = 0
        while batch := await self._write(lambda tx: lifecycle.expire_waiting(tx, now, limit)):
            expired += batch
        return expired

    async def tickets_of(self, message_ids: Sequence[str]) -> dict[str, str | None]:
        """Known Message-ID -> ticket; stub -> ``None``; one that was never heard of is left out. Follows aliases."""
        return await self._read(lambda tx: threads.tickets_of(tx, message_ids))

    async def learn(
        self,
        message_id: str,
        ticket_id: str,
        *,
        learned_from: str,
        now: float,
        alias_of: str | None = None,
        force: bool = False,
    ) -> bool:
        """Note the ticket of a Message-ID and resume what waits for it. The first knowledge wins unless ``force``;
        False: it was there already."""
        return await self._write(
            lambda tx: threads.learn(
                tx, message_id, ticket_id, learned_from=learned_from, now=now, alias_of=alias_of, force=force
            )
        )

    async def waiting_for(self, queue_id: str) -> tuple[str, ...]:
        """The Message-IDs that a waiting message waits for."""
        return await self._read(lambda tx: threads.waiting_for(tx, queue_id))

    async def list_threads(
        self, *, message_id: str | None = None, ticket_id: str | None = None, limit: int = 100
    ) -> tuple[ThreadRecord, ...]:
        """What is known about Message-IDs, the latest first; of one id or one ticket where these are given."""
        return await self._read(lambda tx: threads.list_threads(tx, message_id, ticket_id, limit))

    async def owners(self, ticket_message_ids: Sequence[str]) -> dict[str, str]:
        """ticket_message_id -> queue id of the message that became it; those that are nobody's are left out."""
        return await self._read(lambda tx: operator.owners(tx, ticket_message_ids))

    async def position(self, source: str) -> str | None:
        """The place from which a source goes on; ``None``: it has not been read yet."""
        found = await self._read(lambda tx: tx.execute(_POSITION, {"source": source}))
        return found[0][0] if found else None

    async def set_position(self, source: str, position: str) -> None:
        """Note the place from which a source goes on, where no message was stored with it."""
        await self._write(lambda tx: lifecycle.set_position(tx, source, position))

    async def backlog(self) -> int:
        """How many messages are queued."""
        return int((await self._read(lambda tx: tx.execute(_BACKLOG)))[0][0])

    async def oldest_queued(self) -> float | None:
        """When the oldest queued message was received; ``None``: none is queued."""
        found = await self._read(lambda tx: tx.execute(_OLDEST))
        return found[0][0] if found else None

    async def ledger(self, *, now: float) -> Ledger:
        """The law of conservation, in numbers, from one snapshot."""
        return await self._read(lambda tx: operator.ledger(tx, now))

    async def purge(self, *, now: float, older_than: float) -> int:
        """Delete the octets of mail delivered or discarded more than ``older_than`` seconds ago; of how many mails.
        Works in small batches, so that others get their turn."""
        purged = 0
        while batch := await self._write(lambda tx: contents.purge(tx, now - older_than)):
            purged += batch
        return purged

    async def list_messages(
        self, *, state: State | None = None, limit: int = 50, before: str | None = None
    ) -> tuple[MessageRecord, ...]:
        """The latest messages first, without their history; ``before``: those that came before this queue id."""
        return await self._read(lambda tx: operator.list_messages(tx, state, limit, before))

    async def message(self, queue_id: str) -> MessageRecord | None:
        """One message with its history."""
        return await self._read(lambda tx: operator.message(tx, queue_id))

    async def retry(self, queue_id: str, *, by: str, now: float) -> None:
        """Queue a quarantined, failed, waiting or discarded message once more.

        Raises:
            NotPossible: it is in another state, or its octets are gone; the text says so in one line.
        """
        await self._write(lambda tx: operator.retry(tx, queue_id, by, now))

    async def release(self, queue_id: str, *, by: str, now: float, ticket: str | None = None) -> None:
        """As ``retry``; policy lets the message pass, and ``ticket`` needs no other evidence.

        Raises:
            NotPossible: as ``retry``.
        """
        await self._write(lambda tx: operator.release(tx, queue_id, by, ticket, now))

    async def discard(self, queue_id: str, *, by: str, reason: str, now: float) -> None:
        """End a message that is quarantined, failed, waiting, or queued and not being worked on.

        Raises:
            NotPossible: it is in another state; the text says so in one line.
        """
        await self._write(lambda tx: operator.discard(tx, queue_id, by, reason, now))

    def free_bytes(self) -> int | None:
        """Octets left where the data lies; ``None`` where that is not known."""
        return self._database.free_bytes()
