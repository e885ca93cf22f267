"""What is recorded of attachments, and of a message whose optional steps fail."""

import pytest

from ingest.model.outcome import Deferred, Delivered, Failed, Outcome
from ingest.store import Database
from ingest.store.messages import Store
from ingest.store.uploads import Upload, Uploads
from tests.support.store import START, claim_one, receive

NOW = START + 1000
POSTED = Delivered(ticket_id="T1", ticket_message_id="M1", email_message_id="m1@api.example")
PICTURE = {"sha256": "a" * 64, "sender": "alice@customer.example"}
WITHOUT_ATTACHMENTS = Deferred(reason="the upload address answered 503", optional_step_failed=True)
API_DOWN = Deferred(reason="no answer from the API")


@pytest.fixture
def uploads(database: Database) -> Uploads:
    return Uploads(database)


def uploaded(attachment_id: str = "A1") -> Upload:
    return Upload(part_number=2, ticket_id="T1", attachment_id=attachment_id)


async def settle(store: Store, outcome: Outcome, *, now: float) -> None:
    """One attempt that ends so."""
    queued = await claim_one(store, now=now)
    assert await store.settle(queued.queue_id, queued.lease_token, outcome, now=now)


async def test_an_upload_is_noted_under_the_lease_only(store: Store, uploads: Uploads) -> None:
    await receive(store)
    queued = await claim_one(store)
    assert not await uploads.record(queued.queue_id, "a lease of yesterday", uploaded("late"), **PICTURE)
    assert await uploads.for_message(queued.queue_id) == ()
    assert await uploads.record(queued.queue_id, queued.lease_token, uploaded(), **PICTURE)
    assert await uploads.for_message(queued.queue_id) == (uploaded(),)


@pytest.mark.parametrize(("end", "is_shown"), [(POSTED, True), (API_DOWN, False), (None, False)])
async def test_a_picture_counts_as_shown_when_its_message_is_on_the_ticket(
    store: Store, uploads: Uploads, end: Outcome | None, is_shown: bool
) -> None:
    """A mail that failed, or that somebody discarded, showed nothing: the next one has to bring the picture."""
    await receive(store)
    queued = await claim_one(store)
    assert await uploads.record(queued.queue_id, queued.lease_token, uploaded(), **PICTURE)
    if end is not None:
        assert await store.settle(queued.queue_id, queued.lease_token, end, now=NOW)
    if end is API_DOWN:
        await store.discard(queued.queue_id, by="sam", reason="spam", now=NOW)
    assert await uploads.is_on_ticket(ticket_id="T1", **PICTURE) is is_shown
    assert not await uploads.is_on_ticket(ticket_id="T2", **PICTURE)
    assert not await uploads.is_on_ticket(ticket_id="T1", sha256=PICTURE["sha256"], sender="bob@customer.example")


async def test_a_message_knows_since_when_it_lacks_no_more_than_it_can_do_without(store: Store) -> None:
    await receive(store)
    await settle(store, API_DOWN, now=NOW)
    assert (await claim_one(store, now=NOW)).optional_failing_since is None
    await store.release_leases(now=5_000.0)
    await settle(store, WITHOUT_ATTACHMENTS, now=NOW + 10)
    await settle(store, WITHOUT_ATTACHMENTS, now=NOW + 20)
    assert (await claim_one(store, now=NOW + 30)).optional_failing_since == NOW + 10
    await store.release_leases(now=5_000.0)
    await settle(store, API_DOWN, now=NOW + 40)
    assert (await claim_one(store, now=NOW + 50)).optional_failing_since is None


async def test_a_message_that_was_posted_is_not_forgotten_for_what_failed_after_it(store: Store) -> None:
    await receive(store)
    await settle(store, Deferred(reason="connecting failed", posted=POSTED), now=NOW)
    queued = await claim_one(store, now=NOW)
    assert (queued.ticket_message_id, queued.email_message_id) == ("M1", "m1@api.example")
    assert await store.owners(["M1"]) == {"M1": queued.queue_id}
    assert await store.settle(queued.queue_id, queued.lease_token, POSTED, now=NOW)
    record = await store.message(queued.queue_id)
    assert record is not None
    assert (record.state, record.ticket_id, record.ticket_message_id) == ("delivered", "T1", "M1")


async def test_an_operator_who_names_another_ticket_has_the_message_posted_there(store: Store) -> None:
    queue_id = await receive(store)
    await settle(store, Deferred(reason="connecting failed", posted=POSTED), now=NOW)
    await settle(store, Failed(reason="the worker died 10 times"), now=NOW)
    await store.retry(queue_id, by="sam", now=NOW)
    assert (await claim_one(store, now=NOW)).ticket_message_id == "M1"
    await store.release_leases(now=5_000.0)
    await settle(store, Failed(reason="the worker died 10 times"), now=NOW)
    await store.release(queue_id, by="sam", ticket="T2", now=NOW)
    assert (await claim_one(store, now=NOW)).ticket_message_id is None


async def test_the_ids_of_a_posted_message_stay_when_a_later_attempt_has_none(store: Store) -> None:
    await receive(store)
    await settle(store, Deferred(reason="connecting failed", posted=POSTED), now=NOW)
    await settle(store, API_DOWN, now=NOW)
    queued = await claim_one(store, now=NOW)
    assert (queued.ticket_message_id, queued.email_message_id) == ("M1", "m1@api.example")


async def test_a_retry_gives_optional_steps_their_full_time_again(store: Store) -> None:
    queue_id = await receive(store)
    await settle(store, WITHOUT_ATTACHMENTS, now=NOW)
    await store.discard(queue_id, by="sam", reason="spam", now=NOW)
    await store.retry(queue_id, by="sam", now=NOW)
    assert (await claim_one(store, now=NOW)).optional_failing_since is None


async def test_an_upload_to_another_ticket_replaces_the_one_before_it(store: Store, uploads: Uploads) -> None:
    await receive(store)
    queued = await claim_one(store)
    moved = Upload(part_number=2, ticket_id="T2", attachment_id="A2")
    for upload in (uploaded(), moved):
        assert await uploads.record(queued.queue_id, queued.lease_token, upload, **PICTURE)
    assert await uploads.for_message(queued.queue_id) == (moved,)


async def test_a_picture_that_was_not_uploaded_is_not_on_the_ticket(store: Store, uploads: Uploads) -> None:
    await receive(store)
    queued = await claim_one(store)
    skipped = Upload(part_number=2, ticket_id="T1", attachment_id=None, reason="larger than 26.2 MB")
    await uploads.record(queued.queue_id, queued.lease_token, skipped, **PICTURE)
    await store.settle(queued.queue_id, queued.lease_token, POSTED, now=NOW)
    assert not await uploads.is_on_ticket(ticket_id="T1", **PICTURE)
