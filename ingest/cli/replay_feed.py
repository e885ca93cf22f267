"""Stores mails from files, and watches what becomes of them, whichever process delivers them."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ingest.cli import output
from ingest.model.outcome import FINAL_STATES, State
from ingest.receive import Receiver
from ingest.sources.replay import FileMail, SkippedMail, received_message
from ingest.store import MessageRecord
from ingest.store.messages import Store

POLL_SECONDS = 0.2
"""Pause between two looks at the store: soon enough for a person, and little work for the database."""
POLL_MESSAGES = 100
"""Messages that one look reads, so that it stays short beside the worker's own transactions."""
QUIET_SECONDS = 3.0
"""The watch ends when nothing changed for so long and every message that is left was put off or waits for its parent:
a parent among the files is delivered within less."""
STALLED_SECONDS = 60.0
"""The watch ends when nothing changed for so long although messages are due. A worker that is alive is faster, even if
it restarts in between."""
ROOM_POLL_SECONDS = 1.0
"""Pause between two questions whether the store takes mail again; a backlog shrinks slowly."""

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A mail of a file that is stored in the database."""

    path: str
    queue_id: str


async def feed(
    mails: Iterable[FileMail | SkippedMail], receiver: Receiver, advance: Advance
) -> list[StoredFile | SkippedMail]:
    """Store the mails one after the other, so that they arrive in the order of the mailbox.

    Waits while the receiver refuses mail (backlog, disk) and says so once. ``advance`` gets the bytes of each mail.
    """
    results: list[StoredFile | SkippedMail] = []
    source = iter(mails)
    while (mail := await asyncio.to_thread(next, source, None)) is not None:
        if isinstance(mail, SkippedMail):
            results.append(mail)
            continue
        await _wait_for_room(receiver)
        queue_id = await receiver.receive(received_message(mail, received_at=time.time()))
        results.append(StoredFile(path=mail.path, queue_id=queue_id))
        advance(len(mail.content))
    return results


async def _wait_for_room(receiver: Receiver) -> None:
    told = ""
    while (refusal := await receiver.refusal()) is not None:
        if refusal != told:
            output.note(f"ingest: waiting: {refusal}")
            told = refusal
        await asyncio.sleep(ROOM_POLL_SECONDS)


async def watch(store: Store, queue_ids: Sequence[str], advance: Advance) -> dict[str, MessageRecord]:
    """Watch messages until each is in a final state, or nothing has changed for a while, and return their last records.

    A message that was put off is watched on for ``QUIET_SECONDS``, since its parent may be among the others.
    ``advance`` gets the number of messages that became final.
    """
    pending = list(dict.fromkeys(queue_ids))
    records: dict[str, MessageRecord] = {}
    put_off: set[str] = set()
    moved_at, attempts_before = time.monotonic(), 0
    while pending:
        looked, pending = pending[:POLL_MESSAGES], pending[POLL_MESSAGES:]
        found = {record.queue_id: record for record in await _look(store, looked)}
        records |= found
        going_on = [queue_id for queue_id in found if found[queue_id].state not in FINAL_STATES]
        newly_put_off = {queue_id for queue_id in going_on if _is_put_off(found[queue_id])} - put_off
        attempts = sum(record.attempts for record in records.values())
        if newly_put_off or len(going_on) < len(looked) or attempts != attempts_before:
            moved_at, attempts_before = time.monotonic(), attempts
        put_off |= newly_put_off
        pending += going_on
        advance(len(looked) - len(going_on))
        patience = QUIET_SECONDS if put_off.issuperset(pending) else STALLED_SECONDS
        if time.monotonic() - moved_at > patience:
            break
        if going_on:
            await asyncio.sleep(POLL_SECONDS)
    return records


async def _look(store: Store, queue_ids: Iterable[str]) -> list[MessageRecord]:
    found = await asyncio.gather(*map(store.message, queue_ids))
    return [record for record in found if record is not None]


def _is_put_off(record: MessageRecord) -> bool:
    """Return True if the message waits for its parent or for a later attempt. One whose POST is in doubt is not put
    off: it is looked for within a minute or two, and whoever started the replay wants to know."""
    if record.state is State.WAITING:
        return True
    if record.post_in_doubt_since is not None:
        return False
    return record.next_attempt_at is not None and record.next_attempt_at > time.time()
