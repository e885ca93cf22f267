"""The commit point: what makes two deliveries one message, and when mail is refused."""

from dataclasses import replace

import pytest

from ingest.model.envelope import ReceivedMessage, SourceRef
from ingest.receive import Receiver, dedupe_key, new_queue_id
from tests.support.factories import envelope

MAIL = ReceivedMessage(
    envelope=envelope("help@mail.ravenna.example", "ops@mail.ravenna.example"),
    content=b"Received: from here; Mon\r\nSubject: hello\r\n\r\nbody\r\n",
    trace_length=26,
    source_ref=SourceRef(source="smtp:25"),
    received_at=1000.0,
)


def test_our_own_trace_field_does_not_make_a_repeated_mail_another_one() -> None:
    again = replace(MAIL, content=b"Received: later\r\n" + MAIL.content[26:], trace_length=17)
    assert dedupe_key(again) == dedupe_key(MAIL)


def test_the_order_of_the_recipients_does_not_matter() -> None:
    turned = replace(MAIL, envelope=envelope("OPS@mail.ravenna.example", "help@mail.ravenna.example"))
    assert dedupe_key(turned) == dedupe_key(MAIL)


@pytest.mark.parametrize(
    "other",
    [
        replace(MAIL, content=MAIL.content + b"."),
        replace(MAIL, envelope=envelope("help@mail.ravenna.example")),
        replace(MAIL, envelope=envelope(*MAIL.envelope.rcpt_tos, mail_from="bob@customer.example")),
    ],
)
def test_another_octet_recipient_or_sender_makes_another_delivery(other: ReceivedMessage) -> None:
    assert dedupe_key(other) != dedupe_key(MAIL)


def test_a_message_of_a_mailbox_is_known_by_its_place() -> None:
    placed = replace(MAIL, source_ref=SourceRef(source="imap:support/INBOX", position="7/42"))
    elsewhere = replace(placed, content=b"something else")
    assert dedupe_key(placed) == dedupe_key(elsewhere)
    assert dedupe_key(placed) != dedupe_key(replace(placed, source_ref=SourceRef(source="x", position="7/43")))


def test_queue_ids_of_one_moment_differ_and_sort_by_time() -> None:
    assert new_queue_id(1000.0) != new_queue_id(1000.0)
    assert new_queue_id(1000.0) < new_queue_id(1000.1)


class Shelf:
    """A store that has what the test says."""

    def __init__(self, *, free: int | None, queued: int) -> None:
        self.free, self.queued, self.asked = free, queued, 0

    async def receive(self, message: ReceivedMessage, *, queue_id: str, dedupe_key: str) -> str:
        return queue_id

    async def backlog(self) -> int:
        self.asked += 1
        return self.queued

    def free_bytes(self) -> int | None:
        return self.free


def receiver(shelf: Shelf, now: list[float]) -> Receiver:
    return Receiver(shelf, clock=lambda: now[0], max_backlog=10, min_free_bytes=1000)


async def test_mail_is_taken_while_there_is_room() -> None:
    assert await receiver(Shelf(free=1000, queued=9), [0.0]).refusal() is None


async def test_a_full_disk_refuses_and_names_the_setting() -> None:
    refusal = await receiver(Shelf(free=999, queued=0), [0.0]).refusal()
    assert refusal is not None
    assert "INGEST_MIN_FREE_BYTES" in refusal


async def test_a_backlog_above_the_limit_refuses() -> None:
    refusal = await receiver(Shelf(free=None, queued=10), [0.0]).refusal()
    assert refusal is not None
    assert "10 messages" in refusal


async def test_the_store_is_asked_once_a_second_at_most() -> None:
    shelf, now = Shelf(free=None, queued=0), [0.0]
    at_work = receiver(shelf, now)
    for now[0] in (0.0, 0.5, 0.9, 1.0):
        await at_work.refusal()
    assert shelf.asked == 2
