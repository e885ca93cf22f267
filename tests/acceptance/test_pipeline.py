"""The pipeline on a real store, with real parser processes, against the sandbox over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from ingest import pipeline, signing
from ingest.attachments import PATIENCE_SECONDS
from ingest.model.envelope import Envelope, ReceivedMessage, SourceRef
from ingest.model.message import ParsedMessage, Reply
from ingest.model.outcome import (
    DeferCause,
    Deferred,
    Delivered,
    Discarded,
    Failed,
    Finding,
    Quarantined,
    Resolution,
    RuleName,
    Signal,
    Strength,
    Waiting,
)
from ingest.model.teachers import Teacher
from ingest.parse_pool import ParsePool
from ingest.sandbox import Fault
from ingest.store import Findings, Identified
from ingest.ticket_lookup import MAX_KNOWN_TICKETS
from tests.support.factories import ALICE, DOMAIN
from tests.support.fixture_mails import SIGNING_KEY
from tests.support.pipeline import LEASE_SECONDS, Bench, mail, new_bench

WINDOW_SECONDS = 45.0
"""The API's time-out and INGEST_SETTLE: the time from the beginning of a POST to the look for it."""
TICKET = "cm7y0q4kt000q5gneqf0tbspg"
"""TAI-42, of which Alice is the requester."""
BOBS_TICKET = "cm7t6rnt9rbxhyutrhkf5hsft"
"""TAI-43, with which Alice has nothing to do."""
SIGNED = signing.sign_address(TICKET, DOMAIN, SIGNING_KEY.encode())
BOBS_ADDRESS = f"help+TAI-43@{DOMAIN}"
HELP = f"help@{DOMAIN}"
AGENT = "sam.okafor@support.example"
QUESTION = "Which model is the printer, and how old is it, roughly?"
OUTLOOK_QUOTE = f"""See below.

From: Ravenna <help@{DOMAIN}>
Sent: Monday, January 5, 2026 10:14 AM
To: Alice <{ALICE}>
Subject: [TAI-42] Printer

{QUESTION}
A 4200 of 2021.
Thank you for your help, the sooner the better for us all.
"""
"""A quote without marks, with an answer typed into it: only the ticket's messages tell one from the other."""


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with new_bench(tmp_path) as made:
        yield made


def contents(bench: Bench) -> list[str]:
    return [post["content"] for post in bench.posts]


# Leases, crashes and doubt


async def test_a_message_whose_lease_is_held_is_posted(bench: Bench) -> None:
    await bench.receive(mail())
    assert isinstance(await bench.process(await bench.claim()), Delivered)
    assert contents(bench) == ["It works now."]


async def test_a_message_whose_lease_was_lost_meanwhile_is_not_posted(bench: Bench) -> None:
    await bench.receive(mail())
    late = await bench.claim()
    bench.now += LEASE_SECONDS + 1
    await bench.claim()
    assert isinstance(await bench.process(late), Deferred)
    assert contents(bench) == []


async def test_a_message_whose_lease_is_over_is_not_posted_though_nobody_else_has_it(bench: Bench) -> None:
    await bench.receive(mail())
    late = await bench.claim()
    bench.now += LEASE_SECONDS + 1
    assert await bench.process(late) == pipeline.LEASE_LOST
    assert contents(bench) == []


async def test_a_message_whose_lease_ends_between_identifying_and_posting_is_not_posted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.receive(mail())
    late = await bench.claim()
    identify = bench.engine.store.identify

    async def identify_slowly(queue_id: str, lease_token: str, findings: Findings, *, now: float) -> Identified:
        identified = await identify(queue_id, lease_token, replace(findings, begins_post=False), now=now)
        bench.now += LEASE_SECONDS + 1
        return identified

    monkeypatch.setattr(bench.engine.store, "identify", identify_slowly)
    assert await bench.process(late) == pipeline.LEASE_LOST
    assert contents(bench) == []


async def test_a_post_in_doubt_is_waited_for_looked_for_twice_and_then_repeated(bench: Bench) -> None:
    await bench.receive(mail())
    queued = replace(await bench.claim(), post_began_at=bench.now)
    early = await bench.process(queued)
    assert isinstance(early, Deferred)
    assert (early.cause, early.retry_after) == (DeferCause.WAIT, WINDOW_SECONDS)
    bench.now += WINDOW_SECONDS
    absent = await bench.process(queued)
    assert isinstance(absent, Deferred)
    assert (absent.cause, absent.found_absent, absent.retry_after) == (DeferCause.WAIT, True, 30)
    bench.now += 30
    posted = await bench.process(replace(queued, absent_at=bench.now - 30))
    assert isinstance(posted, Delivered)
    assert posted.posted_after_doubt
    assert contents(bench) == ["It works now."]


async def test_a_message_whose_worker_died_after_the_post_is_found_and_not_posted_again(bench: Bench) -> None:
    await bench.receive(mail())
    posted = await bench.process(await bench.claim())
    bench.now += LEASE_SECONDS + 1
    again = await bench.claim()
    assert again.post_began_at is not None
    found = await bench.process(again)
    assert isinstance(posted, Delivered)
    assert isinstance(found, Delivered)
    assert (found.ticket_message_id, len(bench.posts)) == (posted.ticket_message_id, 1)


async def test_after_doubt_the_same_words_of_another_mail_are_not_taken_for_this_one(bench: Bench) -> None:
    await bench.receive(mail("Yes.", name="first"))
    await bench.receive(mail("Yes.", name="second"))
    first = await bench.claim()
    await bench.settle(first, await bench.process(first))
    second = replace(await bench.claim(), post_began_at=bench.now, absent_at=bench.now)
    bench.now += WINDOW_SECONDS
    assert isinstance(await bench.process(second), Delivered)
    assert len(bench.posts) == 2


async def test_after_doubt_a_message_that_may_be_of_another_mail_in_doubt_is_left_to_that_one(bench: Bench) -> None:
    await bench.receive(mail("Yes.", name="first"))
    await bench.receive(mail("Yes.", name="second"))
    first = await bench.claim()
    assert isinstance(await bench.process(first), Delivered)
    await bench.settle(first, Failed(reason="the answer to its POST was lost, and an operator took it out"))
    bench.now += 10
    second = replace(await bench.claim(), post_began_at=bench.now, absent_at=bench.now)
    bench.now += WINDOW_SECONDS
    assert isinstance(await bench.process(second), Delivered)
    assert len(bench.posts) == 2


async def test_a_message_waits_while_the_post_of_another_one_with_the_same_words_may_still_show(bench: Bench) -> None:
    await bench.receive(mail("Yes.", name="first"))
    await bench.receive(mail("Yes.", name="second"))
    bench.now += 30
    first = await bench.claim()
    assert isinstance(await bench.process(first), Delivered)
    await bench.settle(first, Failed(reason="the answer to its POST was lost, and an operator took it out"))
    second = replace(await bench.claim(), post_began_at=bench.now - 20, absent_at=bench.now - 20)
    bench.now += WINDOW_SECONDS - 20
    waits = await bench.process(second)
    assert isinstance(waits, Deferred)
    assert (waits.cause, waits.retry_after, waits.found_absent) == (DeferCause.WAIT, 20, False)
    assert len(bench.posts) == 1


async def test_a_look_that_the_api_does_not_answer_posts_nothing(bench: Bench) -> None:
    await bench.receive(mail())
    await bench.order(Fault(method="GET", path="/api/ticket-messages", status=503, times=9))
    queued = replace(await bench.claim(), post_began_at=bench.now)
    bench.now += WINDOW_SECONDS
    assert isinstance(await bench.process(queued), Deferred)
    assert contents(bench) == []


async def test_a_message_that_is_posted_already_is_not_posted_again(bench: Bench) -> None:
    await bench.receive(mail())
    queued = replace(await bench.claim(), ticket_id=TICKET, ticket_message_id="M0", email_message_id="m0@api.example")
    end = await bench.process(queued)
    assert end == Delivered(ticket_id=TICKET, ticket_message_id="M0", email_message_id="m0@api.example")
    assert contents(bench) == []


async def test_no_more_large_mails_are_in_memory_than_the_limit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory = most = 0
    read = ParsePool.parse_and_extract

    async def watched(pool: ParsePool, content: bytes) -> tuple[ParsedMessage, Reply]:
        nonlocal in_memory, most
        in_memory += 1
        most = max(most, in_memory)
        try:
            return await read(pool, content)
        finally:
            in_memory -= 1

    monkeypatch.setattr(ParsePool, "parse_and_extract", watched)
    monkeypatch.setattr(pipeline, "LARGE_MAIL_BYTES", 10)
    for number in range(2 * pipeline.MAX_LARGE_MAILS_IN_MEMORY):
        await bench.receive(mail(name=f"large-{number}"), to=HELP)
    queued = [await bench.claim() for _ in range(2 * pipeline.MAX_LARGE_MAILS_IN_MEMORY)]
    await asyncio.gather(*map(bench.process, queued))
    assert most == pipeline.MAX_LARGE_MAILS_IN_MEMORY


# Rules, and the operator who lets a message pass


async def test_a_message_that_an_operator_released_passes_the_rule_that_stopped_it(bench: Bench) -> None:
    content = mail(fields=["Auto-Submitted: auto-replied"])
    queue_id = await bench.receive(content)
    queued = await bench.claim()
    stopped = await bench.process(queued)
    assert isinstance(stopped, Discarded)
    assert stopped.rule is RuleName.AUTOMATIC_REPLY
    await bench.settle(queued, stopped)
    assert isinstance(await bench.released(queue_id), Delivered)


async def test_a_copy_is_discarded_unless_an_operator_releases_it(bench: Bench) -> None:
    await bench.outcome_of(mail())
    queue_id = await bench.receive(mail(fields=["Received: by another.path.example"]))
    queued = await bench.claim()
    stopped = await bench.process(queued)
    assert isinstance(stopped, Discarded)
    assert stopped.rule is RuleName.DUPLICATE
    await bench.settle(queued, stopped)
    assert isinstance(await bench.released(queue_id), Delivered)
    posted, again = contents(bench)
    assert (posted, again.splitlines()[-1]) == ("It works now.", "It works now.")


async def test_a_released_message_whose_parent_is_unknown_does_not_wait_again(bench: Bench) -> None:
    queue_id = await bench.receive(mail(fields=["In-Reply-To: <unknown@x.example>"]), HELP)
    queued = await bench.claim()
    waiting = await bench.process(queued)
    assert isinstance(waiting, Waiting)
    await bench.settle(queued, waiting)
    stopped = await bench.released(queue_id)
    assert isinstance(stopped, Quarantined)
    assert stopped.rule is RuleName.UNMATCHED


async def test_a_message_that_an_operator_releases_to_a_ticket_goes_there(bench: Bench) -> None:
    queue_id = await bench.receive(mail(), HELP)
    queued = await bench.claim()
    await bench.settle(queued, await bench.process(queued))
    released = await bench.released(queue_id, ticket="TAI-43")
    assert isinstance(released, Delivered)
    assert released.ticket_id == BOBS_TICKET


# Which ticket


async def test_a_weaker_signal_that_disagrees_with_a_signature_is_recorded(bench: Bench) -> None:
    resolution = await resolution_of(bench, mail(subject="Re: [TAI-43] Laptop"), SIGNED)
    assert (resolution.ticket_id, resolution.strength) == (TICKET, Strength.PROOF)
    assert [(e.signal, e.ticket_id) for e in resolution.disagreeing] == [(Signal.SUBJECT_TAG, BOBS_TICKET)]


async def test_a_look_up_that_can_change_nothing_does_not_hold_a_message(bench: Bench) -> None:
    await bench.order(Fault(method="GET", path="/api/tickets/TAI-43", status=503, times=99))
    resolution = await resolution_of(bench, mail(subject="Re: [TAI-43] Laptop"), SIGNED)
    assert (resolution.ticket_id, resolution.disagreeing) == (TICKET, ())
    assert [e.finding for e in resolution.evidence if e.signal is Signal.SUBJECT_TAG] == [Finding.OUTWEIGHED]


async def test_the_code_of_the_ticket_that_was_found_is_not_looked_up_again(bench: Bench) -> None:
    resolution = await resolution_of(bench, mail(subject="Re: [TAI-42] Lost Password"), SIGNED)
    assert {e.ticket_id for e in resolution.evidence} == {TICKET}
    assert await requests(bench, "GET /api/tickets/{identifier}") == 1


async def test_words_that_look_like_a_code_are_not_looked_up_beside_better_evidence(bench: Bench) -> None:
    await resolution_of(bench, mail(subject="Re: ISO-9001 and COVID-19"), SIGNED)
    assert await requests(bench, "GET /api/tickets/{identifier}") == 1


async def test_a_mail_that_answers_very_many_tickets_causes_few_look_ups(bench: Bench) -> None:
    ids = [f"{number}@x.example" for number in range(30)]
    for number, message_id in enumerate(ids):
        await bench.engine.store.learn(message_id, f"ticket{number}", learned_from=Teacher.API, now=bench.now)
    references = " ".join(f"<{message_id}>" for message_id in ids)
    await resolution_of(bench, mail(fields=[f"References: {references}"]), HELP)
    assert await requests(bench, "GET /api/tickets/{identifier}") <= MAX_KNOWN_TICKETS


async def test_a_bare_code_of_another_ticket_disagrees(bench: Bench) -> None:
    resolution = await resolution_of(bench, mail(subject="Re: tai-43"), SIGNED)
    assert [e.ticket_id for e in resolution.disagreeing] == [BOBS_TICKET]


async def test_one_mail_to_two_tickets_is_a_post_on_each(bench: Bench) -> None:
    bobs = signing.sign_address(BOBS_TICKET, DOMAIN, SIGNING_KEY.encode()).partition("@")[0]
    await receive_for(bench, mail(), "help+TAI-42", bobs)
    for _ in range(2):
        queued = await bench.claim()
        await bench.settle(queued, await bench.process(queued))
    assert sorted(post["ticketId"] for post in bench.posts) == sorted([TICKET, BOBS_TICKET])


async def test_one_mail_to_two_addresses_of_one_ticket_is_one_post(bench: Bench) -> None:
    await receive_for(bench, mail(), "help+TAI-42", SIGNED.partition("@")[0])
    for _ in range(2):
        queued = await bench.claim()
        await bench.settle(queued, await bench.process(queued))
    assert [post["ticketId"] for post in bench.posts] == [TICKET]


async def test_while_nobody_knows_their_tickets_two_copies_are_not_yet_the_same(bench: Bench) -> None:
    """The first one has failed for so long that it holds the second one up no more, and the API is down."""
    await receive_for(bench, mail(), "help+TAI-42", "help+TAI-43")
    await bench.settle(await bench.claim(), Deferred(reason="it fails"))
    bench.now += bench.engine.settings.order_hold + 1
    await bench.order(Fault(method="GET", path="/api/tickets", status=503, times=99))
    for queued in [await bench.claim(), await bench.claim()]:
        assert isinstance(await bench.process(queued), Deferred)


# Copies of outbound mail


def outbound(fields: str, subject: str = "Your printer", message_id: str = "out.1@provider.example") -> bytes:
    head = f"From: Help <help@{DOMAIN}>\r\nTo: <{ALICE}>\r\nSubject: {subject}\r\nMessage-ID: <{message_id}>\r\n"
    return f"{head}{fields}\r\nHow is it?\r\n".encode()


async def test_a_copy_of_outbound_mail_teaches_its_message_id_and_is_not_posted(bench: Bench) -> None:
    field = signing.sign_sent(TICKET, "out.1@provider.example", SIGNING_KEY.encode())
    outcome = await bench.outcome_of(outbound(f"X-Ingest-Sent: {field}\r\n"), HELP)
    assert isinstance(outcome, Discarded)
    assert outcome.rule is RuleName.SENT_COPY
    assert await bench.engine.store.tickets_of(["out.1@provider.example"]) == {"out.1@provider.example": TICKET}
    assert not bench.posts


async def test_an_answer_that_waited_for_outbound_mail_goes_on_when_its_copy_comes(bench: Bench) -> None:
    answer = mail(fields=["In-Reply-To: <out.1@provider.example>"])
    assert isinstance(await bench.outcome_of(answer, HELP), Waiting)
    await bench.outcome_of(outbound(""), signing.sign_sent_address(TICKET, DOMAIN, SIGNING_KEY.encode()))
    queued = await bench.claim()
    await bench.settle(queued, await bench.process(queued))
    assert [post["ticketId"] for post in bench.posts] == [TICKET]


@pytest.mark.parametrize(
    ("fields", "subject", "ticket"),
    [
        (f"Reply-To: help+TAI-42@{DOMAIN}\r\n", "Your printer", TICKET),
        ("", "[TAI-42] Your printer", TICKET),
        ("", "Your printer", None),
        ("", "[TAI-42] and [TAI-43]", None),
    ],
)
async def test_a_copy_at_the_secret_address_is_of_the_ticket_that_answers_to_it_would_name(
    tmp_path: Path, fields: str, subject: str, ticket: str | None
) -> None:
    secret = f"copies-5d41402abc4b2a76@{DOMAIN}"
    async with new_bench(tmp_path, INGEST_SENT_ADDRESS=secret) as bench:
        outcome = await bench.outcome_of(outbound(fields, subject), secret)
        assert isinstance(outcome, Discarded)
        assert outcome.rule is RuleName.SENT_COPY
        assert (await bench.engine.store.tickets_of(["out.1@provider.example"])).get("out.1@provider.example") == ticket
        assert not bench.posts


async def test_a_copy_that_an_operator_releases_is_treated_like_other_mail(bench: Bench) -> None:
    queue_id = await bench.receive(outbound(""), signing.sign_sent_address(TICKET, DOMAIN, SIGNING_KEY.encode()))
    queued = await bench.claim()
    await bench.settle(queued, await bench.process(queued))
    assert isinstance(await bench.released(queue_id, ticket="TAI-42"), Delivered)


async def receive_for(bench: Bench, content: bytes, *local_parts: str) -> None:
    bench.now += 1
    message = ReceivedMessage(
        envelope=Envelope(mail_from=ALICE, rcpt_tos=tuple(f"{local}@{DOMAIN}" for local in local_parts)),
        content=content,
        source_ref=SourceRef(source="smtp:25"),
        received_at=bench.now,
    )
    await bench.engine.receiver.receive(message)


async def resolution_of(bench: Bench, content: bytes, to: str) -> Resolution:
    await bench.receive(content, to)
    return (await bench.engine.pipeline.decide(await bench.claim(), content)).resolution


async def requests(bench: Bench, name: str) -> int:
    """How many requests the API has had."""
    async with httpx.AsyncClient() as client:
        counted: dict[str, int] = (await client.get(f"{bench.sandbox.page}sandbox/state")).json()["requests"]
    return counted.get(name, 0)


@pytest.mark.parametrize(
    ("parent", "strength"),
    [("tai-42-1@mail.ravenna.example", Strength.STRONG), ("elsewhere@x.example", Strength.WEAK)],
)
async def test_a_ticket_that_the_subject_names_is_sure_only_if_the_api_lists_the_parent_there(
    bench: Bench, parent: str, strength: Strength
) -> None:
    content = mail(subject="Re: [TAI-42] Lost Password", fields=[f"In-Reply-To: <{parent}>"])
    await bench.receive(content, HELP)
    resolution = (await bench.engine.pipeline.decide(await bench.claim(), content)).resolution
    assert (resolution.ticket_id, resolution.strength) == (TICKET, strength)


async def test_a_parent_that_the_api_listed_is_remembered(bench: Bench) -> None:
    parent = "tai-42-1@mail.ravenna.example"
    await bench.outcome_of(mail(subject="Re: [TAI-42] Lost Password", fields=[f"In-Reply-To: <{parent}>"]), HELP)
    assert await bench.engine.store.tickets_of([parent]) == {parent: TICKET}


async def test_a_sender_who_wrote_to_the_ticket_before_is_a_participant_in_whatever_case(bench: Bench) -> None:
    """Alice is neither the requester nor a follower of Bob's ticket; what she wrote there lets her subject count."""
    sender, subject = "Alice@CUSTOMER.example", "Re: [TAI-43] Laptop"
    stopped = await bench.outcome_of(mail(sender=sender, subject=subject), HELP)
    assert isinstance(stopped, Quarantined)
    assert stopped.rule is RuleName.WEAK_EVIDENCE
    await bench.say(ALICE, "I have the same trouble.", BOBS_TICKET)
    admitted = await bench.outcome_of(mail(sender=sender, subject=subject, name="second"), HELP)
    assert isinstance(admitted, Delivered)


# What is new in it


async def test_answers_typed_into_a_quote_without_marks_are_told_from_it(bench: Bench) -> None:
    await bench.say(AGENT, f"{QUESTION}\n\nThank you for your help, the sooner the better for us all.", TICKET)
    await bench.outcome_of(mail(OUTLOOK_QUOTE))
    assert contents(bench)[-1] == f"See below.\n\n{QUESTION}\nA 4200 of 2021."


async def test_what_the_sender_says_again_is_not_taken_for_a_quote_of_others(bench: Bench) -> None:
    before = "The printer on the third floor makes a loud noise whenever somebody prints more than five pages."
    again = f"Nobody has come to look at it yet, so here is once more what I wrote:\n\n{before}"
    await bench.say(ALICE, before, TICKET)
    await bench.outcome_of(mail(again, fields=["In-Reply-To: <tai-42-1@mail.ravenna.example>"]))
    assert contents(bench)[-1] == again


async def test_a_conversation_that_cannot_be_had_is_waited_for_and_then_done_without(bench: Bench) -> None:
    await bench.order(Fault(method="GET", path="/api/ticket-messages", status=503, times=99))
    await bench.receive(mail(OUTLOOK_QUOTE))
    queued = await bench.claim()
    first = await bench.process(queued)
    assert isinstance(first, Deferred)
    assert first.optional_step_failed
    since = bench.now
    bench.now = since + PATIENCE_SECONDS - 1
    queued = replace(await bench.claim(), optional_failing_since=since)
    assert isinstance(await bench.process(queued), Deferred)
    bench.now = since + PATIENCE_SECONDS
    assert isinstance(await bench.process(queued), Delivered)
    assert contents(bench) == ["See below."]
