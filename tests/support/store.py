"""Messages for the tests of the store: received in one line, told apart by their number."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ingest.model.envelope import Envelope, QueuedMessage, ReceivedMessage, SourceRef
from ingest.model.outcome import Deferred, Delivered, Discarded, Failed, Outcome, Quarantined, RuleName, Waiting
from ingest.model.trust import Authentication
from ingest.store import Findings, Identified
from ingest.store.messages import Store

START = 1_000_000.0
LEASE_SECONDS = 60.0
DELIVERED = Delivered(ticket_id="T1", ticket_message_id="M1")
LATER = Deferred(reason="503 from the API")
OUTCOMES: tuple[Outcome, ...] = (
    DELIVERED,
    LATER,
    Waiting(missing=("parent@x",)),
    Discarded(rule=RuleName.LOOP, reason="51 Received fields"),
    Quarantined(rule=RuleName.WEAK_EVIDENCE, reason="not on the ticket"),
    Failed(reason="refused with 400"),
)
"""One of each kind."""


def received(
    number: int = 1, *, content: bytes | None = None, position: str | None = None, source: str = "smtp:25"
) -> ReceivedMessage:
    """Make the ``number``-th message, received ``number`` seconds after ``START``."""
    return ReceivedMessage(
        envelope=Envelope(mail_from="alice@customer.example", rcpt_tos=("help@mail.ravenna.example",)),
        content=b"Subject: %d\r\n\r\nHello.\r\n" % number if content is None else content,
        source_ref=SourceRef(source=source, position=position),
        received_at=START + number,
    )


async def receive(
    store: Store, number: int = 1, *, content: bytes | None = None, order_names: Sequence[str] = ()
) -> str:
    return await store.receive(
        received(number, content=content), queue_id=f"Q{number}", dedupe_key=f"key-{number}", order_names=order_names
    )


async def receive_all(store: Store, *numbers: int) -> None:
    for number in numbers:
        await receive(store, number)


async def claim(store: Store, *, limit: int = 100, now: float = START + 1000) -> tuple[QueuedMessage, ...]:
    return await store.claim(limit=limit, now=now, lease=LEASE_SECONDS)


async def claim_one(store: Store, *, now: float = START + 1000) -> QueuedMessage:
    (queued,) = await store.claim(limit=1, now=now, lease=LEASE_SECONDS)
    return queued


async def identify(
    store: Store,
    queued: QueuedMessage,
    *,
    ticket_id: str | None = None,
    message_id: str | None = None,
    content_digest: str = "digest",
    post_fingerprint: str | None = None,
    post_digest: str | None = None,
    begins_post: bool = False,
    now: float = START + 1000,
    ticket_names: Mapping[str, str] = MappingProxyType({}),
    authentication: Authentication | None = None,
    words_key: str | None = None,
    written_at: float | None = None,
    sender: str = "alice@customer.example",
    may_be_paused: bool = True,
    report_keys: Sequence[str] = (),
) -> Identified:
    return await store.identify(
        queued.queue_id,
        queued.lease_token,
        Findings(
            message_id=message_id,
            content_digest=content_digest,
            ticket_id=ticket_id,
            subject="Printer",
            sender=sender,
            evidence=(),
            post_fingerprint=post_fingerprint,
            post_digest=post_digest,
            begins_post=begins_post,
            ticket_names=ticket_names,
            authentication=authentication,
            words_key=words_key,
            written_at=written_at,
            may_be_paused=may_be_paused,
            report_keys=tuple(report_keys),
        ),
        now=now,
    )
