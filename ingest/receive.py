"""The commit point: after ``receive`` returns, the mail is ours and the sender may forget it.

C1  crash before COMMIT: no 250 was said, the position has not moved: the mail comes again. Nothing is lost.
C2  crash after COMMIT, before the 250: the sender repeats it, meets the same dedupe key, and gets the same
    queue id. Nothing is there twice.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from typing import Protocol

from ingest import metrics
from ingest.model.envelope import ReceivedMessage

HASH_ON_THREAD_ABOVE = 256 * 1024
REFUSAL_SECONDS = 1.0
MiB = 1024 * 1024

Clock = Callable[[], float]


class ReceivingStore(Protocol):
    """What taking mail in needs of the store."""

    async def receive(self, message: ReceivedMessage, *, queue_id: str, dedupe_key: str) -> str: ...
    async def backlog(self) -> int: ...
    def free_bytes(self) -> int | None: ...


class Receiver:
    """Takes messages from every source into the store, and knows when not to."""

    def __init__(
        self,
        store: ReceivingStore,
        *,
        clock: Clock,
        max_backlog: int,
        min_free_bytes: int,
        on_stored: Callable[[], None] = lambda: None,
    ) -> None:
        """``on_stored`` is called after each COMMIT, so that an idle worker need not poll for it."""
        self._store = store
        self._clock = clock
        self._max_backlog = max_backlog
        self._min_free_bytes = min_free_bytes
        self._on_stored = on_stored
        self._refusal: str | None = None
        self._asked_at = float("-inf")

    async def receive(self, message: ReceivedMessage) -> str:
        """Store ``message`` durably; the queue id of its row, which is an older one where we have it already.

        Raises:
            StoreUnavailable: nothing was stored; the sender must keep the mail and try again.
        """
        key = await asyncio.to_thread(dedupe_key, message) if _takes_long(message) else dedupe_key(message)
        queue_id = await self._store.receive(message, queue_id=new_queue_id(message.received_at), dedupe_key=key)
        metrics.RECEIVED.labels(message.source_ref.source.partition(":")[0]).inc()
        self._on_stored()
        return queue_id

    async def refusal(self) -> str | None:
        """Why no mail can be taken now, for the log; ``None`` when it can. Asked of the store at most once a second.

        Raises:
            StoreUnavailable: the store does not answer, which is a reason too.
        """
        now = self._clock()
        if now - self._asked_at >= REFUSAL_SECONDS:
            self._asked_at = now
            self._refusal = await self._find_refusal()
        return self._refusal

    async def _find_refusal(self) -> str | None:
        free = self._store.free_bytes()
        if free is not None and free < self._min_free_bytes:
            return (
                f"only {free // MiB} MiB of disk are free: make room, or lower INGEST_MIN_FREE_BYTES"
                f" (now {self._min_free_bytes // MiB} MiB)"
            )
        backlog = await self._store.backlog()
        if backlog >= self._max_backlog:
            return f"{backlog} messages wait to be delivered: see why with `ingest messages list`"
        return None


def _takes_long(message: ReceivedMessage) -> bool:
    """Whether the key is a digest of many octets. It is not where the place tells the message; going to a thread
    would let a smaller mail that was read later overtake it on the way to the store."""
    return message.source_ref.position is None and len(message.content) > HASH_ON_THREAD_ABOVE


def new_queue_id(now: float) -> str:
    """A name for a message that no other has: the time in microseconds and 24 random bits, in hexadecimal."""
    return f"{int(now * 1_000_000):X}{secrets.token_hex(3).upper()}"


def dedupe_key(message: ReceivedMessage) -> str:
    """What two deliveries of one message have in common, and two messages have not.

    An IMAP message is known by its place. Elsewhere it is the octets below our own trace field, which differs each
    time, with the envelope: the same mail to another of our addresses is a delivery of its own.
    """
    digest = hashlib.sha256()
    if message.source_ref.position is not None:
        _add(digest, b"position", message.source_ref.source.encode(), message.source_ref.position.encode())
        return digest.hexdigest()
    envelope = message.envelope
    recipients = sorted(recipient.casefold() for recipient in envelope.rcpt_tos)
    _add(digest, b"octets", *(a.encode("utf-8", "surrogateescape") for a in (envelope.mail_from, *recipients)))
    digest.update(memoryview(message.content)[message.trace_length :])
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", *parts: bytes) -> None:
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
