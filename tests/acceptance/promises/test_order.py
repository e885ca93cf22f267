"""The messages of one ticket are posted in the order in which they arrived, whatever the API does meanwhile."""

import sys
from pathlib import Path

import pytest

from ingest.sandbox import Fault
from tests.support.sandbox_worker import TICKET, World, eventually, reply

POSTS = "/api/ticket-messages"
TICKETS = 10
MAILS = 6


@pytest.mark.parametrize(
    "trouble", [{"cut": True}, {"status": 503}, {"method": "POST", "status": 503}], ids=["gone", "503", "503 to POST"]
)
async def test_after_an_outage_every_ticket_gets_its_mail_in_order(world: World, trouble: dict[str, object]) -> None:
    tickets = [ticket for ticket, facts in world.sandbox.state.tickets.items() if not facts["mergedIntoId"]][:TICKETS]
    await world.order(Fault(times=None, **trouble))  # type: ignore[arg-type]
    world.start()
    for number in range(MAILS):
        for ticket in tickets:
            await world.deliver(reply(f"{ticket} mail {number}", ticket=ticket), ticket=ticket)
    await eventually(lambda: _was_tried(world, 8), "the outage is noticed")
    await world.forget()
    await eventually(lambda: world.settled(TICKETS * MAILS), "all mails are delivered")
    for ticket in tickets:
        assert world.contents(ticket) == [f"{ticket} mail {number}" for number in range(MAILS)]


async def _was_tried(world: World, times: int) -> bool:
    return await world.faults() >= times


@pytest.mark.parametrize("path", ["/api/tickets", "/api/users"])
@pytest.mark.parametrize("times", [1, 3])
async def test_a_look_up_that_fails_lets_no_later_mail_pass(world: World, path: str, times: int) -> None:
    world.environment["INGEST_RETRY_FIRST"] = "2"
    await world.order(Fault(method="GET", path=path, status=500, times=times))
    world.start()
    await world.deliver(reply("mail 1"))
    await eventually(lambda: _was_tried(world, 1), "the look-up of mail 1 fails")
    await world.deliver(reply("mail 2"))
    await eventually(lambda: world.settled(2), "both are delivered")
    assert world.contents() == ["mail 1", "mail 2"]


async def test_a_mail_put_off_at_its_post_keeps_its_place_when_its_next_look_up_fails(world: World) -> None:
    world.environment["INGEST_RETRY_FIRST"] = "2"
    await world.order(Fault(method="POST", path=POSTS, status=503))
    world.start()
    await world.deliver(reply("mail A"))
    await eventually(world.played, "the POST of mail A is put off")
    await world.order(Fault(method="GET", path="/api/", status=500, times=2))
    await world.deliver(reply("mail B"))
    await eventually(lambda: world.settled(2), "both are delivered")
    assert world.contents() == ["mail A", "mail B"]


async def test_a_slow_look_up_of_the_sender_lets_no_later_mail_pass(world: World) -> None:
    world.environment |= {"INGEST_API_LOOKUP_TIMEOUT": "20", "INGEST_API_TIMEOUT": "20"}
    await world.order(Fault(method="GET", path="/api/users", delay=7))
    world.start()
    await world.deliver(reply("mail A", sender="alice@customer.example"))
    await eventually(world.played, "the look-up of mail A's sender begins")
    await world.deliver(reply("mail B", sender="bob@customer.example"))
    await eventually(lambda: world.settled(2), "both are delivered")
    assert [text.rpartition("mail ")[2] for text in world.contents()] == ["A", "B"]


async def test_mails_that_name_one_ticket_differently_keep_their_order(world: World) -> None:
    """By its code in the subject, by its id in the address, and by a mail of it that is answered.

    That a code means a ticket is known from the first mail that named it so."""
    detail, subject = f"+TAI-{TICKET}".encode(), b"Re: a ticket"
    by_code = reply("mail 0").replace(detail, b"").replace(subject, b"Re: [TAI-42] a ticket")
    parent = b"In-Reply-To: <mail-B@customer.example>\r\n"
    by_parent = reply("mail C").replace(detail, b"").replace(b"Subject", parent + b"Subject")
    by_code_too = by_code.replace(b"mail 0", b"mail A").replace(b"mail-0", b"mail-A")
    world.environment["INGEST_RETRY_FIRST"] = "2"
    world.start()
    await world.deliver(by_code, recipient="help@mail.ravenna.example")
    await eventually(lambda: world.settled(1), "the first is delivered")
    await world.order(Fault(method="POST", path=POSTS, status=503))
    await world.deliver(by_code_too, recipient="help@mail.ravenna.example")
    await eventually(world.played, "the POST of mail A is put off")
    await world.deliver(reply("mail B"))
    await world.deliver(by_parent, recipient="help@mail.ravenna.example")
    await eventually(lambda: world.settled(4), "all are delivered")
    assert [text[-1] for text in world.contents()] == ["0", "A", "B", "C"]


@pytest.mark.timeout(240)
async def test_a_mail_that_fails_for_long_lets_its_followers_pass(world: World) -> None:
    """INGEST_ORDER_HOLD bounds how long one mail can hold its ticket; the housekeeping looks once a minute."""
    world.environment["INGEST_ORDER_HOLD"] = "1"
    await world.order(Fault(method="GET", path="/api/users", about="alice", status=500, times=None))
    world.start()
    await world.deliver(reply("mail A"))
    await world.deliver(reply("mail B", sender="bob@customer.example"))
    await eventually(lambda: len(world.contents()) == 1, "mail B passes", patience=150)
    await world.forget()
    await eventually(lambda: world.settled(2), "both are delivered")
    assert [text[-1] for text in world.contents()] == ["B", "A"]


async def test_a_clock_that_is_set_back_makes_no_mail_wait(world: World, tmp_path: Path) -> None:
    step = tmp_path / "step"
    step.write_text("0")
    world.environment["INGEST_RETRY_FIRST"] = "2"
    await world.order(Fault(method="GET", path="/api/", status=500))
    world.start([sys.executable, "-m", "tests.support.stepped_clock", str(step)])
    await world.deliver(reply("mail 1"))
    await eventually(world.played, "the look-up of mail 1 fails")
    step.write_text("-3600")
    await world.deliver(reply("mail 2"))
    await eventually(lambda: world.settled(2), "both are delivered")
    assert world.contents() == ["mail 1", "mail 2"]


async def test_a_clock_that_was_ahead_before_a_restart_makes_no_mail_wait(world: World, tmp_path: Path) -> None:
    step = tmp_path / "step"
    step.write_text("7200")
    await world.order(Fault(method="GET", path="/api/", status=500, times=None))
    world.start([sys.executable, "-m", "tests.support.stepped_clock", str(step)])
    await world.deliver(reply("mail 1"))
    await eventually(lambda: _was_tried(world, 1), "the look-up of mail 1 fails")
    world.kill()
    await world.forget()
    world.start()
    await world.deliver(reply("mail 2"))
    await eventually(lambda: world.settled(2), "both are delivered")
    assert world.contents() == ["mail 1", "mail 2"]
