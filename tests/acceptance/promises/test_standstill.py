"""Mail of others is delivered while the API hangs for some of it, and nobody is given up for a fault of the API."""

from collections.abc import Iterator

import pytest

from ingest.sandbox import Fault
from tests.support.sandbox_worker import TICKET, World, eventually, reply

POSTS = "/api/ticket-messages"
CRASHES = 11
MAILS = 8


def tickets_of(world: World) -> Iterator[str]:
    while True:
        for ticket, facts in world.sandbox.state.tickets.items():
            if not facts["mergedIntoId"] and ticket != TICKET:
                yield ticket


@pytest.mark.timeout(300)
async def test_mails_that_were_there_at_many_crashes_are_delivered(world: World) -> None:
    """The API hangs on each POST, and the worker is killed more often than INGEST_MAX_UNFINISHED."""
    world.environment |= {"INGEST_MAX_UNFINISHED": "10", "INGEST_SETTLE": "0.2", "INGEST_SECOND_LOOK": "0.2"}
    world.environment |= {"INGEST_API_TIMEOUT": "1"}
    await world.order(Fault(method="POST", path=POSTS, delay=3600, times=None))
    tickets = tickets_of(world)
    world.start()
    for n in range(MAILS):
        ticket = next(tickets)
        await world.deliver(reply(f"mail number {n:03d}", ticket=ticket), ticket=ticket)

    async def hit(times: int) -> bool:
        return await world.faults() > times

    for _ in range(CRASHES):
        before = await world.faults()
        await eventually(lambda before=before: hit(before), "a POST hangs")  # type: ignore[misc]
        world.kill()
        world.start()
    await world.forget()
    await eventually(lambda: world.ended(MAILS), "no mail is left to do")
    assert [state for state, _rule, _reason in world.rows()] == ["delivered"] * MAILS
    assert len(world.sandbox.state.posts) == MAILS


async def test_a_ticket_whose_look_ups_hang_takes_no_room_from_others(world: World) -> None:
    """With ten times as many mails for it as can be worked on at the same time."""
    world.environment |= {"INGEST_DELIVERIES": "4", "INGEST_API_LOOKUP_TIMEOUT": "600", "INGEST_API_TIMEOUT": "600"}
    await world.order(Fault(method="GET", about=TICKET, delay=3600, times=None))
    world.start()
    tickets = tickets_of(world)
    for n in range(40):
        await world.deliver(reply(f"sick {n}"))
        ticket = next(tickets)
        await world.deliver(reply(f"well {n}", ticket=ticket), ticket=ticket)
    await eventually(lambda: len(world.sandbox.state.posts) == 40, "the mail of the others is delivered")
    assert world.contents() == []
    world.kill()


async def test_the_conversation_of_a_ticket_is_not_asked_for_anew_by_each_mail(world: World) -> None:
    message = {"ticketId": TICKET, "authorId": "cm6u79ar4ootxgz07yhl7irat", "source": "WEB", "private": False}
    for n in range(200):
        world.sandbox.state.post_message(message | {"content": f"The answer number {n} of the help desk."}, "")
    body = " ".join(["a long answer that was typed below the quote without any mark at all"] * 3)
    quote = "From: Help Desk\r\nSent: Monday, October 5, 2026 10:00 AM\r\nTo: Alice\r\nSubject: a ticket\r\n\r\n"
    world.start()
    for n in range(20):
        text = f"{body} {n}\r\n\r\n{quote}The answer number {n} of the help desk.\r\n\r\n{body} too {n}"
        await world.deliver(reply(text, name=f"unquoted-{n}"))
    await eventually(lambda: world.settled(20), "all are delivered")
    requests = await world.requests()
    assert 1 <= requests["GET /api/ticket-messages"] <= 10
