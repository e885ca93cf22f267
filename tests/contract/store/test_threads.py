"""Which ticket a Message-ID belongs to, and the messages that wait for one."""

import pytest

from ingest.model.outcome import Delivered, Discarded, Failed, Outcome, Quarantined, RuleName, State, Waiting
from ingest.model.teachers import Teacher
from ingest.store import Database, ThreadRecord
from ingest.store.messages import Store
from tests.support.store import START, claim, claim_one, identify, receive, receive_all

NOW = START + 1000


async def learn(store: Store, message_id: str, ticket_id: str, *, alias_of: str | None = None) -> bool:
    return await store.learn(message_id, ticket_id, learned_from=Teacher.API, now=NOW + 5, alias_of=alias_of)


async def make_wait(store: Store, *missing: str, number: int = 1) -> None:
    await receive(store, number)
    queued = await claim_one(store)
    assert await store.settle(queued.queue_id, queued.lease_token, Waiting(missing=missing), now=NOW)


async def state_of(store: Store, queue_id: str = "Q1") -> State:
    record = await store.message(queue_id)
    assert record is not None
    return record.state


# Knowing


async def test_an_id_that_was_learned_tells_its_ticket(store: Store) -> None:
    assert await learn(store, "a@x", "T1")
    assert await store.tickets_of(["a@x", "b@x"]) == {"a@x": "T1"}


async def test_the_first_knowledge_of_an_id_stays(store: Store) -> None:
    await learn(store, "a@x", "T1")
    assert not await learn(store, "a@x", "T2")
    assert await store.tickets_of(["a@x"]) == {"a@x": "T1"}


async def test_an_operator_can_correct_what_is_known(store: Store) -> None:
    await learn(store, "a@x", "T1")
    assert await store.learn("a@x", "T2", learned_from=Teacher.OPERATOR, now=NOW, force=True)
    assert await store.tickets_of(["a@x"]) == {"a@x": "T2"}


@pytest.mark.parametrize("better", [Teacher.SIGNED, Teacher.API, Teacher.SYNC, Teacher.OPERATOR, Teacher.WEBHOOK])
async def test_who_knows_better_corrects_what_mail_has_told(store: Store, better: Teacher) -> None:
    await store.learn("a@x", "T1", learned_from=Teacher.MAIL, now=NOW)
    assert await store.learn("a@x", "T2", learned_from=better, now=NOW)
    assert await store.tickets_of(["a@x"]) == {"a@x": "T2"}


@pytest.mark.parametrize(
    ("known_from", "told_by"),
    [
        (Teacher.MAIL, Teacher.MAIL),
        (Teacher.API, Teacher.MAIL),
        (Teacher.SYNC, Teacher.OPERATOR),
        (Teacher.OPERATOR, Teacher.API),
        (Teacher.SIGNED, Teacher.OPERATOR),
    ],
)
async def test_who_knows_no_better_changes_nothing_and_the_dispute_is_noted(
    store: Store, known_from: Teacher, told_by: Teacher
) -> None:
    await store.learn("a@x", "T1", learned_from=known_from, now=NOW)
    assert not await store.learn("a@x", "T2", learned_from=told_by, now=NOW)
    [thread] = await store.list_threads(message_id="a@x")
    assert (thread.ticket_id, thread.learned_from, thread.disputed) == ("T1", known_from, f"T2 ({told_by})")


async def test_a_dispute_ends_with_the_word_of_somebody_who_knows_better(store: Store) -> None:
    await store.learn("a@x", "T1", learned_from=Teacher.MAIL, now=NOW)
    await store.learn("a@x", "T2", learned_from=Teacher.MAIL, now=NOW)
    await store.learn("a@x", "T1", learned_from=Teacher.SYNC, now=NOW)
    [thread] = await store.list_threads(message_id="a@x")
    assert (thread.learned_from, thread.disputed) == (Teacher.SYNC, "")


async def test_two_tickets_that_were_merged_are_no_dispute(store: Store) -> None:
    await receive(store)
    await identify(store, await claim_one(store), ticket_id="T2", ticket_names={"T1": "T2"})
    await store.learn("a@x", "T1", learned_from=Teacher.API, now=NOW)
    assert not await store.learn("a@x", "T2", learned_from=Teacher.API, now=NOW)
    [thread] = await store.list_threads(message_id="a@x")
    assert thread.disputed == ""


async def deliver(store: Store, message_id: str, *, email_message_id: str | None = None) -> None:
    await receive(store)
    queued = await claim_one(store)
    await identify(store, queued, message_id=message_id, ticket_id="T2")
    outcome = Delivered(ticket_id="T2", ticket_message_id="M1", email_message_id=email_message_id)
    await store.settle(queued.queue_id, queued.lease_token, outcome, now=NOW)


@pytest.mark.parametrize("domain", ["desk.example", "Mail.Desk.Example", "desk.example."])
async def test_mail_that_comes_in_teaches_no_id_of_a_domain_that_sends_for_us(database: Database, domain: str) -> None:
    store = Store(database, sending_domains=frozenset({"desk.example"}))
    await deliver(store, f"ours@{domain}")
    assert await store.list_threads() == ()


@pytest.mark.parametrize("domain", ["otherdesk.example", "desk.example.x.example", "x.example"])
async def test_mail_of_other_domains_teaches_its_id(database: Database, domain: str) -> None:
    store = Store(database, sending_domains=frozenset({"desk.example"}))
    await deliver(store, f"theirs@{domain}")
    assert await store.tickets_of([f"theirs@{domain}"]) == {f"theirs@{domain}": "T2"}


async def test_an_api_that_repeats_the_id_of_the_mail_knows_no_more_of_it(store: Store) -> None:
    await deliver(store, "theirs@x", email_message_id="theirs@x")
    [thread] = await store.list_threads()
    assert thread.learned_from == Teacher.MAIL


async def test_mail_that_was_held_or_discarded_teaches_nothing(store: Store) -> None:
    outcomes: tuple[Outcome, ...] = (
        Quarantined(rule=RuleName.UNMATCHED, reason="nobody"),
        Discarded(rule=RuleName.OPERATOR, reason="spam"),
        Failed(reason="refused"),
    )
    for number, outcome in enumerate(outcomes):
        await receive(store, number)
        queued = await claim_one(store)
        await identify(store, queued, message_id=f"{number}@x", ticket_id="T1")
        await store.settle(queued.queue_id, queued.lease_token, outcome, now=NOW)
    assert await store.list_threads() == ()


async def test_delivery_teaches_the_ids_of_the_mail_and_of_the_api(store: Store) -> None:
    await receive(store)
    queued = await claim_one(store)
    await identify(store, queued, message_id="mail@x", ticket_id="T1")
    outcome = Delivered(ticket_id="T1", ticket_message_id="M1", email_message_id="api@x")
    await store.settle(queued.queue_id, queued.lease_token, outcome, now=NOW)
    assert await store.tickets_of(["mail@x", "api@x"]) == {"mail@x": "T1", "api@x": "T1"}
    assert {thread.learned_from for thread in await store.list_threads(ticket_id="T1")} == {"mail", "api"}


async def test_an_alias_tells_the_ticket_of_the_mail_that_it_names(store: Store) -> None:
    await learn(store, "sent@x", "T1")
    await learn(store, "rewritten@provider", "T1", alias_of="sent@x")
    await store.learn("sent@x", "T2", learned_from=Teacher.OPERATOR, now=NOW, force=True)
    assert await store.tickets_of(["rewritten@provider"]) == {"rewritten@provider": "T2"}


async def test_an_alias_teaches_the_id_that_it_stands_for(store: Store) -> None:
    await learn(store, "rewritten@provider", "T1", alias_of="sent@x")
    assert await store.tickets_of(["sent@x"]) == {"sent@x": "T1"}


async def test_a_ring_of_aliases_ends(store: Store) -> None:
    await learn(store, "a@x", "T1", alias_of="b@x")
    await store.learn("b@x", "T1", learned_from=Teacher.OPERATOR, now=NOW, alias_of="a@x", force=True)
    assert await store.tickets_of(["a@x", "b@x"]) == {"a@x": "T1", "b@x": "T1"}


async def test_threads_are_listed_by_id_by_ticket_and_all(store: Store) -> None:
    await learn(store, "a@x", "T1")
    await learn(store, "b@x", "T2")
    expected = ThreadRecord(message_id="a@x", ticket_id="T1", learned_from="api", learned_at=NOW + 5)
    assert await store.list_threads(message_id="a@x") == (expected,)
    assert await store.list_threads(ticket_id="T1") == (expected,)
    assert [thread.message_id for thread in await store.list_threads()] == ["a@x", "b@x"]
    assert len(await store.list_threads(limit=1)) == 1


# Waiting


async def test_what_mail_waits_for_becomes_a_stub(store: Store) -> None:
    await make_wait(store, "parent@x", "grandparent@x")
    assert await store.tickets_of(["parent@x", "grandparent@x"]) == {"parent@x": None, "grandparent@x": None}
    assert await store.waiting_for("Q1") == ("grandparent@x", "parent@x")
    assert not await claim(store, now=NOW + 10**6)


async def test_waiting_mail_resumes_when_one_of_its_ids_is_learned(store: Store) -> None:
    await make_wait(store, "parent@x", "grandparent@x")
    await learn(store, "grandparent@x", "T1")
    assert await store.next_due(now=NOW + 5) == NOW + 5
    assert (await claim_one(store, now=NOW + 5)).queue_id == "Q1"
    assert await store.waiting_for("Q1") == ()


async def test_all_children_of_a_late_parent_resume_when_it_is_delivered(store: Store) -> None:
    await make_wait(store, "parent@x", number=1)
    await make_wait(store, "parent@x", number=2)
    await receive(store, 3)
    parent = await claim_one(store)
    await identify(store, parent, message_id="parent@x", ticket_id="T1")
    delivered = Delivered(ticket_id="T1", ticket_message_id="M3")
    await store.settle(parent.queue_id, parent.lease_token, delivered, now=NOW + 5)
    assert [queued.queue_id for queued in await claim(store, now=NOW + 5)] == ["Q1", "Q2"]


async def test_mail_does_not_wait_for_what_became_known_while_it_was_worked_on(store: Store) -> None:
    await receive(store)
    queued = await claim_one(store)
    await learn(store, "parent@x", "T1")
    assert await store.settle(queued.queue_id, queued.lease_token, Waiting(missing=("parent@x",)), now=NOW + 6)
    assert await state_of(store) is State.QUEUED
    assert (await claim_one(store, now=NOW + 6)).queue_id == "Q1"


async def test_mail_that_waits_for_an_alias_resumes_when_the_mail_behind_it_is_learned(store: Store) -> None:
    await make_wait(store, "sent@x")
    await learn(store, "rewritten@provider", "T1", alias_of="sent@x")
    assert await state_of(store) is State.QUEUED


async def test_learning_something_else_resumes_nobody(store: Store) -> None:
    await make_wait(store, "parent@x")
    await learn(store, "stranger@x", "T1")
    assert await state_of(store) is State.WAITING


async def test_mail_that_waited_too_long_is_quarantined_with_the_reason(store: Store) -> None:
    await make_wait(store, "parent@x")
    assert await store.expire_waiting(now=NOW + 60, limit=61) == 0
    assert await store.expire_waiting(now=NOW + 60, limit=59) == 1
    record = await store.message("Q1")
    assert record is not None
    assert (record.state, record.rule) == (State.QUARANTINED, "unknown-parent")
    assert "parent@x" in record.reason
    assert [line.outcome for line in record.history] == ["Waiting", "Quarantined"]
    await learn(store, "parent@x", "T1")
    assert await state_of(store) is State.QUARANTINED


async def test_waiting_mail_that_a_person_ends_does_not_resume(store: Store) -> None:
    await make_wait(store, "parent@x")
    await store.discard("Q1", by="olga", reason="spam", now=NOW)
    await learn(store, "parent@x", "T1")
    assert await state_of(store) is State.DISCARDED


async def test_many_waiting_mails_resume_together(store: Store) -> None:
    await receive_all(store, *range(60))
    for queued in await claim(store):
        await store.settle(queued.queue_id, queued.lease_token, Waiting(missing=("parent@x",)), now=NOW)
    await learn(store, "parent@x", "T1")
    assert len(await claim(store, now=NOW + 5)) == 60


async def test_an_alias_stays_one_when_an_operator_corrects_its_ticket(store: Store) -> None:
    await learn(store, "rewritten@provider", "T1", alias_of="sent@x")
    await store.learn("rewritten@provider", "T2", learned_from=Teacher.OPERATOR, now=NOW, force=True)
    [thread] = await store.list_threads(message_id="rewritten@provider")
    assert (thread.ticket_id, thread.alias_of) == ("T2", "sent@x")
