"""Receiving: durable, once, with the position of the source, with any text of strangers."""

import asyncio
from dataclasses import replace

import pytest

from ingest.model.envelope import Envelope, ReceivedMessage, SourceRef
from ingest.model.outcome import State
from ingest.store.messages import Store
from tests.support.databases import Driver
from tests.support.store import START, claim_one, receive, received


async def test_a_received_message_is_queued_and_counted(store: Store) -> None:
    assert await receive(store) == "Q1"
    ledger = await store.ledger(now=START)
    assert (ledger.accepted, ledger.by_state[State.QUEUED], ledger.holds) == (1, 1, True)
    assert await store.backlog() == 1


async def test_what_is_stored_is_there_for_another_process(store: Store, driver: Driver) -> None:
    await receive(store, content=b"Hello")
    other = driver.open()
    assert await Store(other).content("Q1") == b"Hello"
    await other.close()


async def test_the_same_message_again_meets_its_own_row(store: Store) -> None:
    await receive(store)
    assert await store.receive(received(2), queue_id="Q2", dedupe_key="key-1") == "Q1"
    assert (await store.ledger(now=START)).accepted == 1


async def test_the_same_message_at_the_same_time_is_stored_once(store: Store) -> None:
    copies = (store.receive(received(), queue_id=f"Q{n}", dedupe_key="key") for n in range(20))
    assert len(set(await asyncio.gather(*copies))) == 1
    assert (await store.ledger(now=START)).accepted == 1


async def test_the_position_of_the_source_is_saved_with_the_message(store: Store) -> None:
    assert await store.position("imap:support/INBOX") is None
    mail = received(source="imap:support/INBOX", position="7/42")
    await store.receive(mail, queue_id="Q1", dedupe_key="a")
    assert await store.position("imap:support/INBOX") == "7/42"


async def test_the_position_moves_past_a_message_that_is_there_already(store: Store) -> None:
    for position in ("7/42", "7/43"):
        mail = received(source="imap:support/INBOX", position=position)
        await store.receive(mail, queue_id=position, dedupe_key="same")
    assert await store.position("imap:support/INBOX") == "7/43"


async def test_a_position_can_move_without_a_message(store: Store) -> None:
    await store.set_position("imap:support/INBOX", "7/1")
    await store.set_position("imap:support/INBOX", "8/1")
    assert await store.position("imap:support/INBOX") == "8/1"


async def test_the_envelope_comes_back_with_the_claim(store: Store) -> None:
    envelope = Envelope(
        mail_from="", rcpt_tos=("a@b.example", "ü@b.example"), helo="mx.example", client="192.0.2.1", smtputf8=True
    )
    mail = ReceivedMessage(
        envelope=envelope, content=b"Hello", source_ref=SourceRef(source="imap:a/b", position="1/2"), received_at=START
    )
    await store.receive(mail, queue_id="Q1", dedupe_key="key")
    queued = await claim_one(store)
    assert (queued.envelope, queued.source_ref, queued.size) == (envelope, mail.source_ref, 5)


@pytest.mark.parametrize("text", ["' OR 1=1; DROP TABLE messages; --", "a\x00b", "\x1b[2J", "%s :name ?1", "😀" * 1000])
async def test_text_of_strangers_comes_back_as_it_was(store: Store, text: str) -> None:
    mail = ReceivedMessage(
        envelope=Envelope(mail_from=text, rcpt_tos=(text,), helo=text, client=text),
        content=b"Hello",
        source_ref=SourceRef(source="smtp:25"),
        received_at=START,
    )
    await store.receive(mail, queue_id="Q1", dedupe_key="key")
    assert (await claim_one(store)).envelope == mail.envelope


async def test_text_that_is_no_unicode_is_stored_as_escapes(store: Store) -> None:
    mail = ReceivedMessage(
        envelope=Envelope(mail_from="\udce4@b.example", rcpt_tos=("\udce4@b.example",)),
        content=b"Hello",
        source_ref=SourceRef(source="smtp:25"),
        received_at=START,
    )
    await store.receive(mail, queue_id="Q1", dedupe_key="key")
    envelope = (await claim_one(store)).envelope
    assert (envelope.mail_from, envelope.rcpt_tos) == ("\\udce4@b.example", ("\udce4@b.example",))


async def test_mail_that_could_not_be_read_whole_is_kept_for_a_person(store: Store) -> None:
    mail = replace(received(), incomplete="the server broke off after 10 octets")
    await store.receive(mail, queue_id="Q1", dedupe_key="key")
    record = await store.message("Q1")
    assert record is not None
    assert (record.state, record.reason) == (State.QUARANTINED, "the server broke off after 10 octets")
    assert (await store.ledger(now=START)).holds
