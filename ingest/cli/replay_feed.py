"""Feeding mails from files into the store, and watching what becomes of them, whoever works on them."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ingest.cli import output
from ingest.model.outcome import FINAL_STATES, State
from ingest.receive import Receiver
from ingest.sources.replay import StoredMail, Unread, received
from ingest.store import MessageRecord
from ingest.store.messages import Store

LOOK_SECONDS = 0.2
LOOK_AT = 100
"""Mails looked at in one round."""
QUIET_SECONDS = 3.0
"""How long to wait for something to move when every mail that is left has been put off or waits for its parent."""
STALLED_SECONDS = 60.0
"""The same, when mails are due and nobody takes them."""

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A mail that is safely stored."""

    place: str
    queue_id: str


async def feed(mails: Iterable[StoredMail | Unread], receiver: Receiver, advance: Advance) -> list[StoredFile | Unread]:
    """Store the mails one after the other, so that they arrive in the order of the mailbox.

    Where the store has enough to do or too little room, it waits until that is better."""
    results: list[StoredFile | Unread] = []
    source = iter(mails)
    while (mail := await asyncio.to_thread(next, source, None)) is not None:
        if isinstance(mail, Unread):
            results.append(mail)
            continue
        await _wait_for_room(receiver)
        queue_id = await receiver.receive(received(mail, received_at=time.time()))
        results.append(StoredFile(place=mail.place, queue_id=queue_id))
        advance(len(mail.content))
    return results


async def _wait_for_room(receiver: Receiver) -> None:
    told = ""
    while (refusal := await receiver.refusal()) is not None:
        if refusal != told:
            output.note(f"ingest: waiting: {refusal}")
            told = refusal
        await asyncio.sleep(1.0)


async def watch(store: Store, queue_ids: Sequence[str], advance: Advance) -> dict[str, MessageRecord]:
    """Watch the mails until each is final or put off, and a little longer: one that waits may find its parent among
    the others. Each as it was seen last."""
    pending = list(dict.fromkeys(queue_ids))
    records: dict[str, MessageRecord] = {}
    put_off: set[str] = set()
    moved_at = time.monotonic()
    while pending:
        looked, pending = pending[:LOOK_AT], pending[LOOK_AT:]
        found = {record.queue_id: record for record in await _look(store, looked)}
        records |= found
        going_on = [queue_id for queue_id in found if found[queue_id].state not in FINAL_STATES]
        newly_put_off = {queue_id for queue_id in going_on if _is_put_off(found[queue_id])} - put_off
        if newly_put_off or len(going_on) < len(looked):
            moved_at = time.monotonic()
        put_off |= newly_put_off
        pending += going_on
        advance(len(looked) - len(going_on))
        patience = QUIET_SECONDS if put_off.issuperset(pending) else STALLED_SECONDS
        if time.monotonic() - moved_at > patience:
            break
        if going_on:
            await asyncio.sleep(LOOK_SECONDS)
    return records


async def _look(store: Store, queue_ids: Iterable[str]) -> list[MessageRecord]:
    found = await asyncio.gather(*map(store.message, queue_ids))
    return [record for record in found if record is not None]


def _is_put_off(record: MessageRecord) -> bool:
    """Waiting for its parent, or for a time to come."""
    if record.state is State.WAITING:
        return True
    return record.next_attempt_at is not None and record.next_attempt_at > time.time()
