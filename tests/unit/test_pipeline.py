"""The story, at the places that no other test can reach at will: a lease that is lost while a message is read, an API
whose lists fail while it takes messages."""

from contextlib import nullcontext
from typing import Any

from ingest.api import Draft, PostedMessage, Ticket, Unavailable, User
from ingest.attachments import PATIENCE_SECONDS
from ingest.model.message import ParsedMessage, Reply
from ingest.model.outcome import Deferred, Delivered, Outcome
from ingest.pipeline import Pipeline, Rules
from ingest.policy import LocalAddresses
from ingest.store import Identified
from tests.support.factories import ALICE, DOMAIN, envelope, parsed, queued


class Around:
    """A store, an API and a parser that know one mail and one ticket; ``lease_held`` is what identify is told."""

    def __init__(self, *, lease_held: bool = True, is_ambiguous: bool = False) -> None:
        self.lease_held = lease_held
        self.is_ambiguous = is_ambiguous
        self.posted: list[Draft] = []

    async def content(self, queue_id: str) -> bytes:
        return b""

    async def read(self, content: bytes) -> tuple[ParsedMessage, Reply]:
        return parsed(), Reply(
            content="It works now.", elided="", confidence=1.0, method="text", ambiguous=self.is_ambiguous
        )

    async def find_ticket(self, identifier: str) -> Ticket:
        return Ticket(id="T1", code="TAI-42")

    async def find_user(self, email: str) -> User:
        return User(id="U1", email=ALICE, name="Alice")

    async def conversation(self, ticket_id: str) -> tuple[PostedMessage, ...]:
        raise Unavailable(Deferred(reason="not now"))

    async def identify(self, *_names: str, **_facts: Any) -> Identified:
        return Identified(lease_held=self.lease_held)

    async def post_message(self, draft: Draft, *, idempotency_key: str) -> Outcome:
        self.posted.append(draft)
        return Delivered(ticket_id="T1", ticket_message_id="M1")


async def outcome_of(around: Around, now: float = 0.0, **facts: Any) -> Outcome:
    house = LocalAddresses(domains=frozenset({DOMAIN}), recipients=frozenset({"*"}), max_received=50)
    rules = Rules(house=house, signing_key=None, fallback_author_id=None)
    things: Any = around
    pipeline = Pipeline(facts=things, desk=things, reader=things, rules=rules, clock=lambda: now)
    mail = queued(envelope=envelope(f"help+TAI-42@{DOMAIN}"), **facts)
    return await pipeline.process(mail, turn=nullcontext())


async def test_a_message_whose_lease_was_lost_meanwhile_is_not_posted() -> None:
    around = Around(lease_held=False)
    assert isinstance(await outcome_of(around), Deferred)
    assert around.posted == []


async def test_a_message_whose_lease_is_held_is_posted() -> None:
    around = Around()
    assert isinstance(await outcome_of(around), Delivered)
    assert len(around.posted) == 1


async def test_a_conversation_that_cannot_be_had_is_waited_for_and_then_done_without() -> None:
    around = Around(is_ambiguous=True)
    long_ago = 9 * PATIENCE_SECONDS
    first = await outcome_of(around, long_ago)
    assert isinstance(first, Deferred)
    assert first.optional_step_failed
    assert isinstance(
        await outcome_of(around, long_ago + PATIENCE_SECONDS - 1, optional_failing_since=long_ago), Deferred
    )
    assert isinstance(await outcome_of(around, long_ago + PATIENCE_SECONDS, optional_failing_since=long_ago), Delivered)
    assert [draft.content for draft in around.posted] == ["It works now."]


async def test_a_message_that_is_posted_already_is_not_posted_again() -> None:
    around = Around()
    end = await outcome_of(around, ticket_message_id="M0", email_message_id="m0@api.example", unconfirmed=True)
    assert end == Delivered(ticket_id="T1", ticket_message_id="M0", email_message_id="m0@api.example")
    assert around.posted == []
