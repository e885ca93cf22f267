"""The story, at the one place that no other test can reach at will: a lease that is lost while a message is read."""

from contextlib import nullcontext
from typing import Any

from ingest.api import Draft, Ticket, User
from ingest.message import ParsedMessage, Reply
from ingest.outcome import Deferred, Delivered, Outcome
from ingest.pipeline import Pipeline, Rules
from ingest.policy import House
from ingest.store import Standing
from tests.making import ALICE, DOMAIN, envelope, parsed, queued


class Around:
    """A store, an API and a parser that know one mail and one ticket; ``lease_held`` is what identify is told."""

    def __init__(self, *, lease_held: bool) -> None:
        self.lease_held = lease_held
        self.posted: list[Draft] = []

    async def content(self, queue_id: str) -> bytes:
        return b""

    async def read(self, content: bytes) -> tuple[ParsedMessage, Reply]:
        return parsed(), Reply(content="It works now.", elided="", confidence=1.0, how="text")

    async def find_ticket(self, identifier: str) -> Ticket:
        return Ticket(id="T1", code="TAI-42")

    async def find_user(self, email: str) -> User:
        return User(id="U1", email=ALICE, name="Alice")

    async def identify(self, *_names: str, **_facts: Any) -> Standing:
        return Standing(lease_held=self.lease_held)

    async def post_message(self, draft: Draft, *, idempotency_key: str) -> Outcome:
        self.posted.append(draft)
        return Delivered(ticket_id="T1", ticket_message_id="M1")


async def outcome_of(around: Around) -> Outcome:
    house = House(domains=frozenset({DOMAIN}), recipients=frozenset({"*"}), max_received=50)
    rules = Rules(house=house, signing_key=None, fallback_author_id=None)
    things: Any = around
    pipeline = Pipeline(facts=things, desk=things, reader=things, rules=rules, clock=lambda: 0.0)
    mail = queued(envelope=envelope(f"help+TAI-42@{DOMAIN}"))
    return await pipeline.process(mail, turn=nullcontext())


async def test_a_message_whose_lease_was_lost_meanwhile_is_not_posted() -> None:
    around = Around(lease_held=False)
    assert isinstance(await outcome_of(around), Deferred)
    assert around.posted == []


async def test_a_message_whose_lease_is_held_is_posted() -> None:
    around = Around(lease_held=True)
    assert isinstance(await outcome_of(around), Delivered)
    assert len(around.posted) == 1
