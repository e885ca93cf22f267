"""The commit point: what makes two deliveries one message, and when mail is refused."""

import asyncio
from dataclasses import replace

import pytest

from ingest.model.envelope import ReceivedMessage, SourceRef
from ingest.receive import HASH_ON_THREAD_ABOVE_BYTES, Receiver, dedupe_key, new_queue_id
from ingest.signing import sign_address
from ingest.signing_keys import SigningKeys
from ingest.store import StoreUnavailable, Transaction, contents
from ingest.store.messages import Store
from ingest.tickets import MAX_COPIES, SignalSettings
from tests.support.factories import envelope
from tests.support.store import claim, receive

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
def test_another_byte_recipient_or_sender_makes_another_delivery(other: ReceivedMessage) -> None:
    assert dedupe_key(other) != dedupe_key(MAIL)


def test_a_byte_that_moves_from_one_address_to_the_next_makes_another_delivery() -> None:
    one = replace(MAIL, envelope=envelope("bc@x.example", mail_from="a"))
    other = replace(MAIL, envelope=envelope("c@x.example", mail_from="ab"))
    assert dedupe_key(one) != dedupe_key(other)


def test_a_message_of_a_mailbox_is_known_by_its_position() -> None:
    positioned = replace(MAIL, source_ref=SourceRef(source="imap:support/INBOX", position="7/42"))
    elsewhere = replace(positioned, content=b"something else")
    assert dedupe_key(positioned) == dedupe_key(elsewhere)
    assert dedupe_key(positioned) != dedupe_key(replace(positioned, source_ref=SourceRef(source="x", position="7/43")))


def test_queue_ids_of_one_moment_differ_and_sort_by_time() -> None:
    assert new_queue_id(1000.0) != new_queue_id(1000.0)
    assert new_queue_id(1000.0) < new_queue_id(1000.1)


def receiver(store: Store, *, now: list[float] | None = None, min_free_bytes: int = 0) -> Receiver:
    clock = now or [0.0]
    return Receiver(store, clock=lambda: clock[0], max_backlog=2, min_free_bytes=min_free_bytes)


async def fill_backlog(store: Store) -> None:
    for number in (1, 2):
        await receive(store, number)


async def test_mail_is_accepted_while_there_is_room(store: Store) -> None:
    await receive(store, 1)
    assert await receiver(store).refusal() is None


async def test_a_full_disk_refuses_and_names_the_setting(store: Store) -> None:
    refusal = await receiver(store, min_free_bytes=2**62).refusal()
    assert refusal is not None
    assert "INGEST_MIN_FREE_BYTES" in refusal


async def test_a_backlog_above_the_limit_refuses(store: Store) -> None:
    await fill_backlog(store)
    refusal = await receiver(store).refusal()
    assert refusal is not None
    assert "2 messages" in refusal


async def test_the_store_is_asked_once_a_second_at_most(store: Store) -> None:
    now = [0.0]
    asked = receiver(store, now=now)
    assert await asked.refusal() is None
    await fill_backlog(store)
    for now[0] in (0.5, 0.9):
        assert await asked.refusal() is None
    now[0] = 1.0
    assert await asked.refusal() is not None


async def test_a_received_message_is_stored_once_however_often_it_comes(store: Store) -> None:
    assert await receiver(store).receive(MAIL) == await receiver(store).receive(MAIL)
    assert await store.backlog() == 1


async def test_messages_of_a_mailbox_are_stored_in_the_order_in_which_they_were_read(store: Store) -> None:
    """A large one must not be overtaken while its content is hashed on a thread: its key needs no content."""
    large, small = (
        replace(MAIL, content=bytes(size), source_ref=SourceRef(source="imap:support/INBOX", position=position))
        for size, position in ((HASH_ON_THREAD_ABOVE_BYTES + 1, "7/1"), (10, "7/2"))
    )
    receive_both = receiver(store)
    stored = list(await asyncio.gather(receive_both.receive(large), receive_both.receive(small)))
    assert [queued.queue_id for queued in await claim(store)] == stored


# Mail that nothing tells apart


HOUR = 3600.0


async def test_two_equal_mails_without_date_and_message_id_a_day_apart_are_two(store: Store) -> None:
    first = await receiver(store).receive(MAIL)
    repeated = await receiver(store).receive(replace(MAIL, received_at=MAIL.received_at + HOUR))
    later = await receiver(store).receive(replace(MAIL, received_at=MAIL.received_at + 24 * HOUR))
    again = await receiver(store).receive(replace(MAIL, received_at=MAIL.received_at + 25 * HOUR))
    assert first == repeated
    assert later not in (first, None)
    assert again == later
    assert await store.backlog() == 2


@pytest.mark.parametrize("field", [b"Message-ID: <m@x.example>\r\n", b"Date: Mon, 05 Oct 2026 11:00:00 +0200\r\n"])
async def test_a_mail_that_has_a_name_is_the_same_for_ever(store: Store, field: bytes) -> None:
    named = replace(MAIL, content=MAIL.content[:26] + field + MAIL.content[26:])
    first = await receiver(store).receive(named)
    assert await receiver(store).receive(replace(named, received_at=named.received_at + 1000 * 24 * HOUR)) == first


# Several tickets in one transaction

DOMAIN = "mail.ravenna.example"
KEY = b"0123456789abcdef0123456789abcdef"
SIGNALS = SignalSettings(domains=frozenset({DOMAIN}), keys=SigningKeys(keys=(KEY,)))


def to(*local_parts: str, source: str = "smtp:25") -> ReceivedMessage:
    recipients = envelope(*(f"{local}@{DOMAIN}" for local in local_parts))
    return replace(MAIL, envelope=recipients, source_ref=SourceRef(source=source))


def signed(ticket_id: str) -> str:
    return sign_address(ticket_id, DOMAIN, KEY).partition("@")[0]


async def recipients_of(store: Store, message: ReceivedMessage) -> list[list[str]]:
    """Receive a message; return the local parts for which each stored copy of it is."""
    reception = Receiver(store, signals=SIGNALS, clock=lambda: 0.0, max_backlog=9, min_free_bytes=0)
    first = await reception.receive(message)
    stored = sorted(await store.list_messages(limit=99), key=lambda record: record.queue_id != first)
    return [[address.partition("@")[0] for address in record.rcpt_tos] for record in stored]


async def test_mail_to_the_addresses_of_several_tickets_is_a_message_for_each(store: Store) -> None:
    told = await recipients_of(store, to("help+TAI-42", "help", "help+TAI-43"))
    assert told == [["help+TAI-42", "help"], ["help+TAI-43"]]


async def test_a_repeated_mail_to_several_tickets_is_stored_once_for_each(store: Store) -> None:
    await recipients_of(store, to("help+TAI-42", "help+TAI-43"))
    assert len(await recipients_of(store, to("help+TAI-43", "HELP+tai-42"))) == 2


@pytest.mark.parametrize(
    "local_parts",
    [
        ("help+TAI-42", "support+tai-42"),
        ("help", "support"),
        ("help+TAI-42", "help"),
        ("help+TAI-cm7y0q4kt", signed("cm7y0q4kt")),
        ("help+news", "help+sales"),
    ],
)
async def test_mail_to_several_addresses_of_one_ticket_is_one_message(
    store: Store, local_parts: tuple[str, ...]
) -> None:
    [told] = await recipients_of(store, to(*local_parts))
    assert sorted(told) == sorted(local_parts)


async def test_the_signed_address_comes_first(store: Store) -> None:
    told = await recipients_of(store, to("help+TAI-42", signed("cm7y0q4kt")))
    assert told == [[signed("cm7y0q4kt")], ["help+TAI-42"]]


async def test_a_recipient_elsewhere_names_no_ticket_of_ours(store: Store) -> None:
    message = replace(MAIL, envelope=envelope(f"help+TAI-42@{DOMAIN}", "help+TAI-43@elsewhere.example"))
    assert len(await recipients_of(store, message)) == 1


@pytest.mark.parametrize("source", ["replay", "imap:support/INBOX"])
async def test_an_envelope_that_was_guessed_from_fields_is_not_divided(store: Store, source: str) -> None:
    assert len(await recipients_of(store, to("help+TAI-42", "help+TAI-43", source=source))) == 1


async def test_a_mail_to_very_many_tickets_is_stored_a_bounded_number_of_times(store: Store) -> None:
    names = [f"help+TAI-{number}" for number in range(100)]
    told = await recipients_of(store, to(*names))
    assert len(told) == MAX_COPIES
    assert sorted(name for copy in told for name in copy) == sorted(names)


async def test_where_one_copy_cannot_be_stored_none_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client sends the whole mail again, and would else be told that nothing of it was taken."""
    stored = contents.add

    def fail_at_the_second(tx: Transaction, seq: int, content: bytes) -> None:
        if seq > 1:
            raise StoreUnavailable("the disk is full")
        stored(tx, seq, content)

    monkeypatch.setattr(contents, "add", fail_at_the_second)
    with pytest.raises(StoreUnavailable):
        await recipients_of(store, to("help+TAI-42", "help+TAI-43"))
    assert await store.list_messages() == ()
