"""The commit point: after ``Receiver.receive`` returns, the message is ours and the sender may forget it.

    1. split_by_ticket        mail that came to the addresses of several tickets is one message for each
       dedupe_key             the same delivery always has the same key
    2. Store.receive          one transaction: the rows, the content, the position of the source; synced to disk
       C1  crash before COMMIT: the source was told nothing and the position has not moved, so the message comes
           again. Nothing is lost.
    3. return the queue id    the source acknowledges: SMTP answers ``250``, IMAP goes on to the next message
       C2  crash after COMMIT and before the acknowledgement: the source delivers again, the key meets the row of the
           first time, and the same queue id is returned. Nothing is stored twice.

Sources ask ``refusal`` first: with a full disk or backlog no mail is accepted.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import replace

from ingest import metrics
from ingest.model.envelope import ReceivedMessage
from ingest.order_hints import order_hints
from ingest.store import Arrival
from ingest.store.messages import Store
from ingest.tickets import SignalSettings, split_by_ticket

HASH_ON_THREAD_ABOVE_BYTES = 256 * 1024
"""Content above this size is hashed on a thread, so that the event loop serves others meanwhile. Smaller content is
hashed in less than a millisecond, and a thread would not pay."""
REFUSAL_MAX_AGE_SECONDS = 1.0
"""How long an answer of ``refusal`` is reused. Counting the backlog for each SMTP command would slow all of them; the
limits may be overrun by the mail of one second."""
MiB = 1024 * 1024
_SPLIT_SOURCES = frozenset({"smtp", "lmtp"})
"""Kinds of sources whose envelope was told by the client. That of a file or a mailbox is a guess by its fields."""

Clock = Callable[[], float]


class Receiver:
    """Stores messages from every source, and tells the sources when none can be accepted."""

    def __init__(
        self,
        store: Store,
        *,
        signals: SignalSettings = SignalSettings(),  # noqa: B008 - frozen
        clock: Clock,
        max_backlog: int,
        min_free_bytes: int,
        on_stored: Callable[[], None] = lambda: None,
    ) -> None:
        """``signals`` tell which ticket an address names; ``max_backlog`` is a number of queued messages.
        ``on_stored`` is called after each COMMIT, so that an idle worker need not poll for new messages."""
        self._store = store
        self._signals = signals
        self._clock = clock
        self._max_backlog = max_backlog
        self._min_free_bytes = min_free_bytes
        self._on_stored = on_stored
        self._refusal: str | None = None
        self._refusal_found_at = float("-inf")

    def use_limits(self, *, max_backlog: int, min_free_bytes: int) -> None:
        """Refuse mail by these limits from now on."""
        self._max_backlog = max_backlog
        self._min_free_bytes = min_free_bytes

    async def receive(self, message: ReceivedMessage) -> str:
        """Store ``message`` durably and return its queue id: a new one, or that of the row which has it already.

        A message that came by SMTP or LMTP to the addresses of several tickets is stored once for each, all in one
        transaction; the queue id is that of the first.

        Raises:
            StoreUnavailable: nothing was stored; the sender must keep the message and try again.
        """
        kind = message.source_ref.source.partition(":")[0]
        envelopes = (
            split_by_ticket(message.envelope, self._signals.domains) if kind in _SPLIT_SOURCES else (message.envelope,)
        )
        arrivals = [await self._arrival(replace(message, envelope=envelope)) for envelope in envelopes]
        queue_ids = await self._store.receive_all(arrivals)
        metrics.RECEIVED.labels(kind).inc(len(arrivals))
        self._on_stored()
        return queue_ids[0]

    async def _arrival(self, message: ReceivedMessage) -> Arrival:
        key = await asyncio.to_thread(dedupe_key, message) if _hash_on_thread(message) else dedupe_key(message)
        facts = order_hints(message, self._signals)
        return Arrival(
            message=message,
            queue_id=new_queue_id(message.received_at),
            dedupe_key=key,
            order_names=facts.order_names,
            is_unnamed=facts.is_unnamed and message.source_ref.position is None,
        )

    async def refusal(self) -> str | None:
        """Return why no mail can be accepted now, for the log; ``None`` if it can. The store is asked at most once in
        ``REFUSAL_MAX_AGE_SECONDS``.

        Raises:
            StoreUnavailable: the store does not answer, so no mail can be accepted either.
        """
        now = self._clock()
        if now - self._refusal_found_at >= REFUSAL_MAX_AGE_SECONDS:
            self._refusal_found_at = now
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


def _hash_on_thread(message: ReceivedMessage) -> bool:
    """Whether ``dedupe_key`` hashes so much that it should run on a thread.

    Never for a message with a position: its key needs no content, and while its call went to a thread and back, a
    smaller message read after it would be stored first."""
    return message.source_ref.position is None and len(message.content) > HASH_ON_THREAD_ABOVE_BYTES


def new_queue_id(now: float) -> str:
    """Return a new queue id: the time in microseconds and 24 random bits, in hexadecimal. Ids sort by time."""
    return f"{int(now * 1_000_000):X}{secrets.token_hex(3).upper()}"


def dedupe_key(message: ReceivedMessage) -> str:
    """Return a digest (SHA-256, hexadecimal) that is the same for two deliveries of one message, and only then.

    A message with a position (IMAP) is known by its source and position. Any other is known by its envelope and its
    content without our own trace field, which differs each time. The envelope counts because the same mail to another
    of our addresses is a delivery of its own.
    """
    digest = hashlib.sha256()
    if message.source_ref.position is not None:
        _add(digest, b"position", message.source_ref.source.encode(), message.source_ref.position.encode())
        return digest.hexdigest()
    envelope = message.envelope
    recipients = sorted(recipient.casefold() for recipient in envelope.rcpt_tos)
    # The label is part of the keys in every database: another one would store repeated mail again.
    _add(digest, b"octets", *(a.encode("utf-8", "surrogateescape") for a in (envelope.mail_from, *recipients)))
    digest.update(memoryview(message.content)[message.trace_length :])
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", *fields: bytes) -> None:
    """Add fields to a digest, each after its length, so that moving a byte from one to the next changes the digest."""
    for field in fields:
        digest.update(len(field).to_bytes(8, "big"))
        digest.update(field)
