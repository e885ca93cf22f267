"""The state of mailboxes: leases, folders, stored UIDs, tokens, and messages that could not be read whole."""

import asyncio
from dataclasses import replace

import pytest

from ingest.model.envelope import Envelope, ReceivedMessage, SourceRef
from ingest.model.imap_folder import Folder, SavedToken
from ingest.model.outcome import State
from ingest.store import Database
from ingest.store.imap import ImapStore
from ingest.store.messages import Store

SOURCE = "imap:support/INBOX"
NOW = 1_800_000_000.0


@pytest.fixture
def mailboxes(database: Database) -> ImapStore:
    return ImapStore(database)


def at(position: str, *, source: str = SOURCE, incomplete: str = "") -> ReceivedMessage:
    return ReceivedMessage(
        envelope=Envelope(mail_from="alice@customer.example", rcpt_tos=("help@ours.example",)),
        content=b"Subject: one\r\n\r\n",
        source_ref=SourceRef(source=source, position=position),
        received_at=NOW,
        incomplete=incomplete,
    )


async def receive_all(store: Store, *messages: ReceivedMessage) -> None:
    for number, message in enumerate(messages):
        key = f"{message.source_ref.source} {message.source_ref.position}"
        await store.receive(message, queue_id=f"Q{number}", dedupe_key=key)


async def test_one_holder_has_a_lease_until_it_ends(mailboxes: ImapStore) -> None:
    assert await mailboxes.take_lease(SOURCE, "one", now=NOW, until=NOW + 40)
    assert not await mailboxes.take_lease(SOURCE, "two", now=NOW + 39, until=NOW + 79)
    assert await mailboxes.take_lease(SOURCE, "one", now=NOW + 39, until=NOW + 79)
    assert not await mailboxes.take_lease(SOURCE, "two", now=NOW + 78, until=NOW + 118)
    assert await mailboxes.take_lease(SOURCE, "two", now=NOW + 79, until=NOW + 119)


async def test_of_many_that_want_a_lease_at_once_one_gets_it(mailboxes: ImapStore) -> None:
    wanted = [mailboxes.take_lease(SOURCE, f"holder {n}", now=NOW, until=NOW + 40) for n in range(10)]
    assert sum(await asyncio.gather(*wanted)) == 1


async def test_renewing_extends_what_is_held_and_nothing_that_is_lost(mailboxes: ImapStore) -> None:
    await mailboxes.take_lease("imap:a/INBOX", "one", now=NOW, until=NOW + 40)
    await mailboxes.take_lease("imap:b/INBOX", "one", now=NOW, until=NOW + 10)
    await mailboxes.take_lease("imap:c/INBOX", "two", now=NOW, until=NOW + 40)
    assert await mailboxes.renew_leases("one", now=NOW + 20, until=NOW + 60) == {"imap:a/INBOX"}
    assert not await mailboxes.take_lease("imap:a/INBOX", "two", now=NOW + 59, until=NOW + 99)


async def test_a_lease_is_released_by_its_holder_only(mailboxes: ImapStore) -> None:
    await mailboxes.take_lease(SOURCE, "one", now=NOW, until=NOW + 40)
    await mailboxes.release_lease(SOURCE, "two")
    assert not await mailboxes.take_lease(SOURCE, "two", now=NOW, until=NOW + 40)
    await mailboxes.release_lease(SOURCE, "one")
    assert await mailboxes.take_lease(SOURCE, "two", now=NOW, until=NOW + 40)


async def test_the_only_worker_finds_no_lease_of_a_dead_one(mailboxes: ImapStore) -> None:
    await mailboxes.take_lease(SOURCE, "dead", now=NOW, until=NOW + 40)
    await mailboxes.release_all_leases()
    assert await mailboxes.take_lease(SOURCE, "alive", now=NOW, until=NOW + 40)


async def test_a_folder_is_remembered_as_it_was_saved_last(mailboxes: ImapStore) -> None:
    folder = Folder(source=SOURCE, uid_validity=4_294_967_295, start_uid=7, first_read_at=NOW)
    assert await mailboxes.folder(SOURCE) is None
    await mailboxes.save_folder(folder)
    later = replace(
        folder, marked_uid=9, on_server=3, taken_in=2, gap_since=NOW, counted_at=NOW, ignored_before=NOW - 1
    )
    await mailboxes.save_folder(later)
    assert await mailboxes.folder(SOURCE) == later
    assert await mailboxes.folders() == (later,)


async def test_the_stored_uids_are_those_of_one_folder_and_one_uidvalidity(store: Store, mailboxes: ImapStore) -> None:
    await receive_all(store, at("12/1"), at("12/3"), at("123/4"), at("12/5", source="imap:support/Other"))
    stored = await mailboxes.stored_uids(SOURCE, 12)
    assert stored.whole == {1, 3}
    assert stored.partial == frozenset()


async def test_mail_that_could_not_be_read_whole_is_quarantined_at_once_and_told_apart(
    store: Store, mailboxes: ImapStore
) -> None:
    await receive_all(store, at("12/1"), at("12/2", incomplete="the server does not send it"))
    stored = await mailboxes.stored_uids(SOURCE, 12)
    assert stored.whole == {1}
    assert stored.partial == {2}
    record = await store.message("Q1")
    assert record is not None
    assert (record.state, record.rule) == (State.QUARANTINED, "incomplete")
    assert record.reason == "the server does not send it"
    assert [line.outcome for line in record.history] == ["Quarantined"]
    assert [claimed.queue_id for claimed in await store.claim(limit=9, now=NOW, lease=60)] == ["Q0"]
    ledger = await store.ledger(now=NOW)
    assert ledger.holds


async def test_what_an_operator_lets_through_is_still_known_to_be_a_part(store: Store, mailboxes: ImapStore) -> None:
    await receive_all(store, at("12/2", incomplete="the server does not send it"))
    await store.release("Q0", by="sam", now=NOW)
    assert (await mailboxes.stored_uids(SOURCE, 12)).partial == {2}


async def test_a_token_is_remembered_as_it_was_saved_last(mailboxes: ImapStore) -> None:
    assert await mailboxes.token("support") is None
    await mailboxes.save_token("support", SavedToken(refresh_token="first", saved_at=NOW, origin="file"))
    rotated = SavedToken(refresh_token="second", saved_at=NOW + 1, ends_at=NOW + 90)
    await mailboxes.save_token("support", rotated)
    assert await mailboxes.token("support") == rotated
