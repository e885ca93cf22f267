"""One address decides who the author is: on a real store, with real parser processes, against the sandbox over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ingest.model.envelope import QueuedMessage
from ingest.model.message import ParsedMessage
from ingest.model.outcome import Delivered, Outcome, Quarantined, RuleName
from ingest.model.trust import Authentication, AuthenticationResult
from tests.support.factories import ALICE, DOMAIN
from tests.support.fixture_mails import FALLBACK_AUTHOR
from tests.support.pipeline import Bench, new_bench
from tests.support.pipeline import mail as mail_from

PROVEN, UNKNOWN = AuthenticationResult.PROVEN, AuthenticationResult.NOTHING_KNOWN
GROUP = f"'Alice Archer' via Help Desk <help@{DOMAIN}>"
FIELDS = (f"List-ID: <help.{DOMAIN}>", f"X-Original-From: Alice Archer <{ALICE}>", f"Reply-To: <{ALICE}>")
KNOWN_ID = f"In-Reply-To: <tai-42-1@{DOMAIN}>"


def mail(sender: str, *fields: str) -> bytes:
    """A mail whose From field is ``sender`` as it stands, and which answers a mail of TAI-42."""
    return mail_from(sender="?", fields=(*fields, KNOWN_ID)).replace(b"From: <?>", f"From: {sender}".encode())


class Told:
    """An authenticator that knows one result."""

    def __init__(self, result: AuthenticationResult) -> None:
        self.result = result

    async def authenticate(self, _queued: QueuedMessage, _message: ParsedMessage, _content: bytes) -> Authentication:
        return Authentication(result=self.result, domain=DOMAIN, reason="the test says so")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with new_bench(tmp_path, INGEST_AUTHENTICATION="required", INGEST_STAFF_DOMAINS="support.example") as made:
        yield made


async def outcome(bench: Bench, content: bytes, result: AuthenticationResult) -> Outcome:
    bench.engine.pipeline._decider._authenticator = Told(result)
    return await bench.outcome_of(content)


async def test_a_reply_through_a_group_of_ours_is_posted_as_the_one_whom_the_group_names(bench: Bench) -> None:
    found = await outcome(bench, mail(GROUP, *FIELDS), PROVEN)
    assert isinstance(found, Delivered)
    assert bench.sandbox.state.users[bench.posts[0]["authorId"]]["email"] == ALICE


async def test_a_mail_that_only_claims_to_come_through_a_group_is_held_and_not_discarded(bench: Bench) -> None:
    found = await outcome(bench, mail(GROUP, *FIELDS), UNKNOWN)
    assert isinstance(found, Quarantined)
    assert found.rule == RuleName.UNPROVEN_LIST
    assert bench.posts == []


async def test_a_proven_group_does_not_make_an_agent_of_a_stranger(bench: Bench) -> None:
    content = mail(GROUP, FIELDS[0], "X-Original-From: sam.okafor@support.example")
    assert isinstance(await outcome(bench, content, PROVEN), Delivered)
    assert bench.posts[0]["content"].startswith("**Not proven")
    assert [post["authorId"] for post in bench.posts] == [FALLBACK_AUTHOR]


@pytest.mark.parametrize(
    "sender",
    [
        f"Undisclosed: {ALICE};",
        f"{ALICE}, sam.okafor@support.example",
        f"<{ALICE}@evil.example>",
        f"{ALICE[:5]}(x){ALICE[5:]}",
        "=?utf-8?q?Alice?= <HerzlicheGr\u00fc\u00dfe>",
        "a b@c>",
        f"{ALICE}\x01",
    ],
)
async def test_a_from_field_that_names_nobody_is_held_with_its_reason(bench: Bench, sender: str) -> None:
    found = await outcome(bench, mail(sender), PROVEN)
    assert isinstance(found, Quarantined)
    assert found.rule == RuleName.MALFORMED
    assert "From" in found.reason
    assert ALICE not in found.reason


async def test_an_address_in_the_name_is_not_shown_as_the_sender_s(bench: Bench) -> None:
    sender = '"sam.okafor@support.example" <stranger@evil.example>'
    await outcome(bench, mail(sender), PROVEN)
    assert len(bench.posts) == 1
    content = bench.posts[0]["content"]
    assert "sam.okafor" not in content
    assert "stranger@evil.example" in content.replace("\\", "")
