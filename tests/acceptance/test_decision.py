"""Who may write to a ticket, and as whom: the decision table in the pipeline, against the sandbox over HTTP."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingest import signing
from ingest.model.outcome import Deferred, Delivered, Discarded, Outcome, Quarantined, RuleName
from ingest.model.teachers import Teacher
from ingest.model.trust import AuthenticationResult, Treatment, Trust, Who
from tests.support.factories import ALICE, DOMAIN
from tests.support.fixture_mails import FALLBACK_AUTHOR, SIGNING_KEY
from tests.support.pipeline import LEASE_SECONDS, mail
from tests.support.trust import TrustBench, new_trust_bench

PROVEN, NOTHING_KNOWN, FAILED = AuthenticationResult
TICKET = "cm7y0q4kt000q5gneqf0tbspg"
"""TAI-42: Alice is the requester, Bob follows, Sam is the assignee."""
BOBS_TICKET = "cm7t6rnt9rbxhyutrhkf5hsft"
"""TAI-43, with which Alice has nothing to do."""
GUESSABLE = f"help+TAI-42@{DOMAIN}"
HELP = f"help@{DOMAIN}"
KNOWN_ID = "tai-42-1@mail.ravenna.example"
AGENT, COLLEAGUE = "sam.okafor@support.example", "mira.lindqvist@support.example"
BOB, CAROL, STRANGER = "bob@customer.example", "carol.dsouza@customer.example", "mallory@evil.example"
WINDOW_SECONDS = 45.0
"""The API's time-out and INGEST_SETTLE: the time from the beginning of a POST to the look for it."""


@pytest.fixture
async def trust(tmp_path: Path) -> AsyncIterator[TrustBench]:
    async with new_trust_bench(tmp_path) as made:
        await made.bench.engine.store.learn(KNOWN_ID, TICKET, learned_from=Teacher.API, now=1.0)
        yield made


def answer(sender: str, *fields: str) -> bytes:
    """A mail that answers a message of TAI-42 of which the store knows the id."""
    return mail(sender=sender, fields=(f"In-Reply-To: <{KNOWN_ID}>", *fields))


def signed_for(person: str) -> str:
    return signing.sign_address(TICKET, DOMAIN, SIGNING_KEY.encode(), person=person)


async def verdict_of(trust: TrustBench, queue_id: str) -> Trust:
    record = await trust.bench.engine.store.message(queue_id)
    assert record is not None
    assert record.trust is not None
    return record.trust


def only_post(trust: TrustBench) -> dict[str, Any]:
    (post,) = trust.messages
    return post


def is_held(outcome: Outcome, rule: RuleName) -> bool:
    return isinstance(outcome, Quarantined) and outcome.rule is rule


# Staff


@pytest.mark.parametrize(
    ("result", "rule"), [(NOTHING_KNOWN, RuleName.UNPROVEN_AUTHOR), (FAILED, RuleName.FORGED_AUTHOR)]
)
@pytest.mark.parametrize("agent", [AGENT, COLLEAGUE, "nobody.yet@support.example"])
async def test_an_agent_s_name_on_a_guessable_address_is_posted_nowhere(
    trust: TrustBench, agent: str, result: AuthenticationResult, rule: RuleName
) -> None:
    trust.knows(result)
    assert is_held(await trust.bench.outcome_of(mail(sender=agent), GUESSABLE), rule)
    assert not trust.bench.posts


async def test_an_agent_who_is_proven_posts_under_the_agent_s_name(trust: TrustBench) -> None:
    trust.knows(PROVEN)
    assert isinstance(await trust.bench.outcome_of(mail(sender=COLLEAGUE), GUESSABLE), Delivered)
    post = only_post(trust)
    assert (post["authorId"], post["private"]) == (trust.bench.user_id(COLLEAGUE), False)
    assert post["content"] == "It works now."


async def test_an_answer_in_an_agent_s_name_without_proof_is_a_note_that_says_so(trust: TrustBench) -> None:
    await trust.bench.outcome_of(answer(AGENT), HELP)
    post = only_post(trust)
    assert (post["authorId"], post["private"]) == (FALLBACK_AUTHOR, True)
    warning, sender, text = post["content"].split("\n\n")
    assert "Not proven: nothing shows that support.example sent this mail." in warning
    assert AGENT in sender
    assert text == "It works now."


async def test_staff_by_assignment_needs_no_staff_domain(tmp_path: Path) -> None:
    async with new_trust_bench(tmp_path, INGEST_STAFF_DOMAINS="") as trust:
        assert is_held(await trust.bench.outcome_of(mail(sender=AGENT), GUESSABLE), RuleName.UNPROVEN_AUTHOR)


async def test_who_has_written_in_the_help_desk_itself_is_staff(tmp_path: Path) -> None:
    async with new_trust_bench(tmp_path, INGEST_STAFF_DOMAINS="") as trust:
        await trust.bench.say(COLLEAGUE, "I take this.", TICKET, private=True)
        queue_id = await trust.bench.receive(mail(sender=COLLEAGUE), GUESSABLE)
        assert is_held(await trust.bench.process(await trust.bench.claim()), RuleName.UNPROVEN_AUTHOR)
        assert (await verdict_of(trust, queue_id)).who is Who.STAFF


# On the ticket


async def test_the_requester_who_is_proven_posts_by_a_guessable_address(trust: TrustBench) -> None:
    trust.knows(PROVEN)
    assert isinstance(await trust.bench.outcome_of(mail(), GUESSABLE), Delivered)
    post = only_post(trust)
    assert (post["authorId"], post["private"], post["content"]) == (
        trust.bench.user_id(ALICE),
        False,
        "It works now.",
    )


async def test_the_requester_of_whom_nothing_is_known_is_a_note_by_a_guessable_address(trust: TrustBench) -> None:
    await trust.bench.outcome_of(mail(), GUESSABLE)
    post = only_post(trust)
    assert (post["authorId"], post["private"]) == (FALLBACK_AUTHOR, True)


@pytest.mark.parametrize("sender", [ALICE, BOB])
async def test_an_unproven_answer_of_a_participant_is_posted_and_flagged(trust: TrustBench, sender: str) -> None:
    queue_id = await trust.bench.receive(answer(sender), HELP)
    queued = await trust.bench.claim()
    await trust.bench.settle(queued, await trust.bench.process(queued))
    post = only_post(trust)
    assert (post["authorId"], post["private"], post["content"]) == (
        trust.bench.user_id(sender),
        False,
        "It works now.",
    )
    record = await trust.bench.engine.store.message(queue_id)
    assert record is not None
    assert record.flag == "nothing proves its sender"
    assert (await verdict_of(trust, queue_id)).treatment is Treatment.POST_FLAGGED


async def test_a_mail_that_failed_authentication_is_a_note_although_its_address_was_signed(trust: TrustBench) -> None:
    trust.knows(FAILED)
    await trust.bench.outcome_of(mail(), signed_for(ALICE))
    post = only_post(trust)
    assert (post["private"], "Perhaps forged" in post["content"]) == (True, True)


async def test_who_has_written_before_is_on_the_ticket(trust: TrustBench) -> None:
    trust.knows(PROVEN)
    await trust.bench.say(CAROL, "I have it, too.", TICKET, source="EMAIL")
    await trust.bench.outcome_of(mail(sender=CAROL), GUESSABLE)
    assert trust.bench.posts[-1]["authorId"] == trust.bench.user_id(CAROL)


async def test_a_note_makes_its_author_no_participant(trust: TrustBench) -> None:
    """Else a stranger who answers a known id once would post publicly the second time."""
    trust.knows(PROVEN)
    for name in ("first", "second"):
        content = mail(name, name=name, sender=CAROL, fields=(f"In-Reply-To: <{KNOWN_ID}>",))
        await trust.bench.outcome_of(content, HELP)
    assert [(post["authorId"], post["private"]) for post in trust.messages] == [(trust.bench.user_id(CAROL), True)] * 2


async def test_who_was_on_a_ticket_is_on_the_one_that_it_was_merged_into(trust: TrustBench) -> None:
    trust.knows(PROVEN)
    trust.bench.sandbox.state.tickets[TICKET]["mergedIntoId"] = BOBS_TICKET
    outcome = await trust.bench.outcome_of(mail(), GUESSABLE)
    assert isinstance(outcome, Delivered)
    assert outcome.ticket_id == BOBS_TICKET


async def test_of_a_proven_requester_the_ticket_s_messages_are_not_listed(trust: TrustBench) -> None:
    trust.knows(PROVEN)
    await trust.bench.outcome_of(mail(), GUESSABLE)
    await trust.bench.outcome_of(mail(sender=BOB, name="bob"), GUESSABLE)
    assert await trust.bench.requests("GET /api/ticket-messages") == 0


# Copies of one mail that came by different ways


async def test_a_copy_that_looks_forged_does_not_keep_the_proven_one_from_the_ticket(trust: TrustBench) -> None:
    trust.knows(FAILED)
    assert is_held(await trust.bench.outcome_of(mail(), GUESSABLE), RuleName.FORGED_AUTHOR)
    trust.knows(PROVEN)
    assert isinstance(await trust.bench.outcome_of(mail(), f"other+TAI-42@{DOMAIN}"), Delivered)
    assert only_post(trust)["private"] is False


async def test_a_held_copy_that_is_released_after_the_proven_one_was_posted_is_not_posted_again(
    trust: TrustBench,
) -> None:
    trust.knows(FAILED)
    held = await trust.bench.receive(mail(), GUESSABLE)
    queued = await trust.bench.claim()
    await trust.bench.settle(queued, await trust.bench.process(queued))
    trust.knows(PROVEN)
    await trust.bench.outcome_of(mail(), f"other+TAI-42@{DOMAIN}")
    outcome = await trust.bench.released(held)
    assert isinstance(outcome, Discarded)
    assert outcome.rule is RuleName.DUPLICATE
    assert only_post(trust)


async def test_of_many_copies_that_look_forged_a_person_sees_one(trust: TrustBench) -> None:
    trust.knows(FAILED)
    found = [await trust.bench.outcome_of(mail(), f"n{number}+TAI-42@{DOMAIN}") for number in range(3)]
    assert is_held(found[0], RuleName.FORGED_AUTHOR)
    assert [outcome.rule for outcome in found[1:] if isinstance(outcome, Discarded)] == [RuleName.DUPLICATE] * 2


# Strangers


@pytest.mark.parametrize("result", [PROVEN, NOTHING_KNOWN, FAILED])
@pytest.mark.parametrize("sender", [CAROL, STRANGER])
async def test_a_stranger_who_counts_up_writes_nowhere(
    trust: TrustBench, sender: str, result: AuthenticationResult
) -> None:
    trust.knows(result)
    for number in (42, 43):
        to = f"help+TAI-{number}@{DOMAIN}"
        assert isinstance(await trust.bench.outcome_of(mail(sender=sender, name=f"n{number}"), to), Quarantined)
    assert not trust.bench.posts


async def test_an_unknown_sender_whose_address_was_signed_for_posts_under_the_fallback_author(
    trust: TrustBench,
) -> None:
    trust.knows(PROVEN)
    await trust.bench.outcome_of(mail(sender=STRANGER), signed_for(STRANGER))
    post = only_post(trust)
    assert (post["authorId"], post["private"]) == (FALLBACK_AUTHOR, False)
    sender, text = post["content"].split("\n\n")
    assert STRANGER in sender
    assert text == "It works now."


async def test_a_leaked_address_lets_its_finder_write_a_note_only(trust: TrustBench) -> None:
    trust.knows(PROVEN)
    await trust.bench.outcome_of(mail(sender=STRANGER), signed_for(ALICE))
    post = only_post(trust)
    assert (post["authorId"], post["private"]) == (FALLBACK_AUTHOR, True)
    assert "Not on this ticket" in post["content"]


async def test_without_a_fallback_author_a_note_waits_for_a_person(tmp_path: Path) -> None:
    async with new_trust_bench(tmp_path, INGEST_FALLBACK_AUTHOR_ID="") as trust:
        held = await trust.bench.outcome_of(mail(), GUESSABLE)
        assert is_held(held, RuleName.NO_FALLBACK_AUTHOR)
        assert "INGEST_FALLBACK_AUTHOR_ID" in getattr(held, "reason", "")
        assert not trust.bench.posts


# Machines


async def test_a_null_reverse_path_is_never_a_public_message(trust: TrustBench) -> None:
    trust.knows(PROVEN)
    await trust.bench.outcome_of(answer(ALICE), HELP, mail_from="")
    post = only_post(trust)
    assert (post["authorId"], post["private"]) == (trust.bench.user_id(ALICE), True)


async def test_a_released_mail_of_a_machine_is_a_note(trust: TrustBench) -> None:
    queue_id = await trust.bench.receive(answer(ALICE, "Auto-Submitted: auto-replied"), HELP)
    queued = await trust.bench.claim()
    stopped = await trust.bench.process(queued)
    assert isinstance(stopped, Discarded)
    await trust.bench.settle(queued, stopped)
    assert isinstance(await trust.bench.released(queue_id), Delivered)
    assert only_post(trust)["private"] is True


# Settings


async def test_in_advisory_mode_nothing_known_is_enough_and_a_failure_is_not(tmp_path: Path) -> None:
    async with new_trust_bench(tmp_path, INGEST_AUTHENTICATION="advisory") as trust:
        assert isinstance(await trust.bench.outcome_of(mail(), GUESSABLE), Delivered)
        trust.knows(FAILED)
        failed = await trust.bench.outcome_of(mail("Again.", name="again"), GUESSABLE)
        assert is_held(failed, RuleName.FORGED_AUTHOR)
    assert only_post(trust)["authorId"] == trust.bench.user_id(ALICE)


async def test_a_failure_to_find_out_posts_nothing(trust: TrustBench) -> None:
    trust.authenticator.is_unavailable = True
    assert isinstance(await trust.bench.outcome_of(answer(ALICE), HELP), Deferred)
    assert not trust.bench.posts


# Releasing


async def held(trust: TrustBench, sender: str = AGENT) -> str:
    """Queue id of a mail that the table holds."""
    queue_id = await trust.bench.receive(mail(sender=sender), GUESSABLE)
    queued = await trust.bench.claim()
    outcome = await trust.bench.process(queued)
    assert isinstance(outcome, Quarantined)
    await trust.bench.settle(queued, outcome)
    return queue_id


async def test_a_release_posts_under_the_fallback_author_and_names_the_sender(trust: TrustBench) -> None:
    assert isinstance(await trust.bench.released(await held(trust)), Delivered)
    post = only_post(trust)
    assert (post["authorId"], post["private"]) == (FALLBACK_AUTHOR, False)
    assert AGENT in post["content"].splitlines()[0]


@pytest.mark.parametrize("author", [AGENT, "the id of the agent"])
async def test_a_release_in_the_sender_s_name_posts_as_the_sender(trust: TrustBench, author: str) -> None:
    named = author if "@" in author else trust.bench.user_id(AGENT)
    assert isinstance(await trust.bench.released(await held(trust), author=named), Delivered)
    post = only_post(trust)
    assert (post["authorId"], post["content"]) == (trust.bench.user_id(AGENT), "It works now.")


async def test_a_release_in_another_s_name_names_the_sender(trust: TrustBench) -> None:
    await trust.bench.released(await held(trust), author=COLLEAGUE)
    post = only_post(trust)
    assert post["authorId"] == trust.bench.user_id(COLLEAGUE)
    assert AGENT in post["content"].splitlines()[0]


async def test_a_release_in_the_name_of_nobody_is_held_again(trust: TrustBench) -> None:
    outcome = await trust.bench.released(await held(trust), author="nobody@support.example")
    assert is_held(outcome, RuleName.UNKNOWN_AUTHOR)
    assert "@" not in getattr(outcome, "reason", "")


# Once, also where the decision changes between attempts


@pytest.mark.parametrize("later", [NOTHING_KNOWN, FAILED])
async def test_a_message_that_was_posted_in_doubt_is_found_although_it_is_decided_otherwise_now(
    trust: TrustBench, later: AuthenticationResult
) -> None:
    """The worker died after a public POST as the sender. Now the mail would be a note, or be held."""
    trust.knows(PROVEN)
    await trust.bench.receive(mail(), GUESSABLE)
    posted = await trust.bench.process(await trust.bench.claim())
    assert isinstance(posted, Delivered)
    trust.bench.now += LEASE_SECONDS + 1
    trust.knows(later)
    found = await trust.bench.process(await trust.bench.claim())
    assert isinstance(found, Delivered)
    assert found.ticket_message_id == posted.ticket_message_id
    assert len(trust.bench.posts) == 1


async def test_a_message_in_doubt_that_is_to_be_held_now_is_looked_for_twice_before(trust: TrustBench) -> None:
    trust.knows(PROVEN)
    await trust.bench.receive(mail(), GUESSABLE)
    await trust.bench.process(await trust.bench.claim())
    trust.bench.sandbox.state.messages_of(TICKET).clear()  # the POST never had its effect
    trust.bench.now += LEASE_SECONDS + 1
    trust.knows(FAILED)
    queued = await trust.bench.claim()
    absent = await trust.bench.process(queued)
    assert isinstance(absent, Deferred)
    assert absent.found_absent
    trust.bench.now += 30
    end = await trust.bench.process(replace(queued, absent_at=trust.bench.now - 30))
    assert is_held(end, RuleName.FORGED_AUTHOR)


async def test_a_message_in_doubt_that_is_to_be_held_now_waits_for_the_settle_window(trust: TrustBench) -> None:
    trust.knows(PROVEN)
    await trust.bench.receive(mail(), GUESSABLE)
    queued = await trust.bench.claim()
    await trust.bench.process(queued)
    trust.knows(FAILED)
    early = await trust.bench.process(replace(queued, post_began_at=trust.bench.now))
    assert isinstance(early, Deferred)
    assert early.retry_after == WINDOW_SECONDS
