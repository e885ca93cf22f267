"""Loops, with a real store and API: machines that answer machines end after a few posts, people are not held up."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ingest.model.outcome import Delivered, Discarded, Outcome, Quarantined, RuleName
from ingest.sandbox import Fault
from tests.support.factories import ALICE, DOMAIN
from tests.support.pipeline import Bench, mail, new_bench

LIMITS = {"INGEST_LOOP_EQUAL": "3", "INGEST_LOOP_SENDER": "10", "INGEST_LOOP_TICKET": "30"}
TAI_42 = "cm7y0q4kt000q5gneqf0tbspg"
ANSWER = "I am away until Monday and will read your mail when I am back."
NOTIFICATION = "Hello Alice,\n\nwe have reset your password. Can you sign in now?\n\nSam"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with new_bench(tmp_path, **LIMITS) as bench:
        yield bench


async def outcomes(bench: Bench, *texts: str, sender: str = ALICE) -> list[Outcome]:
    """What becomes of a mail with each text, one after another."""
    contents = [mail(text, name=f"n{number}", sender=sender) for number, text in enumerate(texts)]
    return [await bench.outcome_of(content) for content in contents]


def rules(found: list[Outcome]) -> list[RuleName | None]:
    return [outcome.rule if isinstance(outcome, Quarantined | Discarded) else None for outcome in found]


async def test_the_same_answer_again_and_again_is_posted_twice(bench: Bench) -> None:
    assert rules(await outcomes(bench, *[ANSWER] * 6)) == [None, None, *[RuleName.PAUSED] * 4]
    assert len(bench.posts) == 2


async def test_an_answer_that_differs_each_time_ends_after_ten(bench: Bench) -> None:
    found = await outcomes(bench, *[f"Your mail number {number} was received." for number in range(12)])
    assert rules(found) == [*[None] * 10, RuleName.PAUSED, RuleName.PAUSED]


async def test_the_reason_says_what_to_do_and_names_no_address(bench: Bench) -> None:
    [*_, held] = await outcomes(bench, *[ANSWER] * 3)
    assert isinstance(held, Quarantined)
    assert f"ingest loops resume {TAI_42}" in held.reason
    assert "@" not in held.reason


async def test_a_released_message_is_posted_and_the_thread_goes_on(bench: Bench) -> None:
    await outcomes(bench, *[ANSWER] * 2)
    queue_id = await bench.receive(mail(ANSWER, name="third"))
    queued = await bench.claim()
    await bench.settle(queued, await bench.process(queued))
    await bench.engine.store.release(queue_id, by="olga", now=bench.now)
    released = await bench.claim()
    posted = await bench.process(released)
    await bench.settle(released, posted)
    assert isinstance(posted, Delivered)
    assert isinstance(await bench.outcome_of(mail("Now I am back.", name="back")), Delivered)


async def test_a_crash_after_the_pause_was_stored_holds_the_message_all_the_same(bench: Bench) -> None:
    await outcomes(bench, *[ANSWER] * 2)
    await bench.receive(mail(ANSWER, name="third"))
    queued = await bench.claim()
    assert isinstance(await bench.process(queued), Quarantined)
    assert isinstance(await bench.process(queued), Quarantined)
    assert len(bench.posts) == 2


@pytest.mark.parametrize("sender", ["sam.okafor@support.example", ALICE, "bob@customer.example"])
async def test_our_own_notification_under_another_id_and_subject_is_not_posted(bench: Bench, sender: str) -> None:
    await bench.say("sam.okafor@support.example", NOTIFICATION, TAI_42)
    content = mail(NOTIFICATION.replace("\n\n", "\n"), name="rewritten", sender=sender, subject="Your password")
    outcome = await bench.outcome_of(content)
    assert isinstance(outcome, Discarded)
    assert outcome.rule is RuleName.LOOP


async def test_a_mail_waits_for_no_list_of_messages_that_could_only_show_it_to_be_our_own(bench: Bench) -> None:
    await bench.order(Fault(method="GET", path="/api/ticket-messages", status=500, times=50))
    assert isinstance(await bench.outcome_of(mail("The printer on the third floor works again, thank you.")), Delivered)


async def test_a_message_id_of_the_ticket_from_its_author_is_our_own_mail_and_from_another_is_not(bench: Bench) -> None:
    """A template has put words around the notification, and the customer's program has copied its Message-ID."""

    def under_our_id(sender: str) -> bytes:
        content = mail("Ticket TAI-42 was updated.", sender=sender, subject="Lost Password")
        return content.replace(b"reply-1@customer.example", f"tai-42-1@{DOMAIN}".encode())

    messages = bench.sandbox.state.messages.values()
    author_id = next(said["authorId"] for said in messages if f"tai-42-1@{DOMAIN}" in (said["emailMessageId"] or ""))
    agent = bench.sandbox.state.users[author_id]["email"]
    assert isinstance(await bench.outcome_of(under_our_id(agent)), Discarded)
    assert isinstance(await bench.outcome_of(under_our_id(ALICE)), Delivered)


async def test_a_customer_who_says_the_same_again_is_heard(bench: Bench) -> None:
    found = [await bench.outcome_of(mail(ANSWER, name=name, subject="Again")) for name in ("first", "second")]
    assert rules(found) == [None, None]


async def test_an_answer_above_our_words_and_a_short_word_that_both_say_are_people_s(bench: Bench) -> None:
    await bench.say("sam.okafor@support.example", NOTIFICATION, TAI_42)
    await bench.say("sam.okafor@support.example", "Thank you!", TAI_42)
    assert isinstance(await bench.outcome_of(mail(f"Yes, I can.\n\n{NOTIFICATION}", name="a")), Delivered)
    assert isinstance(await bench.outcome_of(mail("Thank you!", name="b", subject="Thanks")), Delivered)


async def test_a_report_with_our_id_is_one_note_and_one_without_waits(bench: Bench) -> None:
    def report(name: str, original: str) -> bytes:
        body = (
            "--b\nContent-Type: text/plain\n\nSorry.\n--b\nContent-Type: message/delivery-status\n\n"
            "Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; bob@customer.example\nAction: failed\n"
            f"Status: 5.1.1\n\n--b\nContent-Type: text/rfc822-headers\n\nMessage-ID: <{original}>\n\n--b--"
        )
        kind = "Content-Type: multipart/report; report-type=delivery-status; boundary=b"
        return mail(body, name=name, sender="mailer-daemon@mx.example", fields=["MIME-Version: 1.0", kind])

    first = await bench.outcome_of(report("r1", f"tai-42-1@{DOMAIN}"))
    again = await bench.outcome_of(report("r2", f"tai-42-1@{DOMAIN}"))
    unknown = await bench.outcome_of(report("r3", "never-sent@elsewhere.example"))
    nowhere = await bench.outcome_of(report("r4", "never-sent@elsewhere.example"), to=f"help@{DOMAIN}")
    assert isinstance(first, Delivered)
    assert rules([again, unknown, nowhere]) == [
        RuleName.DUPLICATE,
        RuleName.DELIVERY_REPORT,
        RuleName.DELIVERY_REPORT,
    ]
    assert [type(outcome) for outcome in (again, unknown, nowhere)] == [Discarded, Quarantined, Discarded]
    [note] = bench.posts
    assert bench.sandbox.state.messages[note["id"]]["private"]
