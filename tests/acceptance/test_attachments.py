"""Attachments reach the ticket: byte-exact, once, tied to their message, whatever the API does meanwhile."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ingest.sandbox import Fault
from tests.support.attachments import mail, part
from tests.support.sandbox_worker import TICKET, World, eventually, new_world

PDF = b"%PDF-1.4\r\n\x00\xff binary \n.\r\n" * 500
LOGO = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with new_world(tmp_path) as made:
        yield made


def attached(world: World) -> list[dict[str, Any]]:
    """What the ticket shows: the attachments that were not put away."""
    return world.sandbox.state.attachments_of(TICKET)


async def test_an_attachment_arrives_octet_for_octet_with_its_message(world: World) -> None:
    world.start()
    await world.deliver(mail("see the scan", part(PDF, "application/pdf", "scan.pdf")))
    await eventually(lambda: world.settled(1), "the mail is delivered")
    [found] = attached(world)
    [posted] = world.sandbox.state.posts
    assert world.sandbox.state.uploads[found["id"]] == PDF
    assert (found["filename"], found["mimeType"]) == ("scan.pdf", "application/pdf")
    assert found["ticketMessageId"] == posted["id"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/tickets/attachments"),
        ("PUT", "/uploads/"),
        ("POST", "/api/ticket-messages"),
        ("POST", "/api/tickets/attachments/connect"),
    ],
    ids=["making a place", "uploading", "posting", "connecting"],
)
@pytest.mark.parametrize("has_effect", [True, False], ids=["after the effect", "before the effect"])
async def test_a_worker_killed_in_mid_step_brings_each_attachment_once(
    world: World, method: str, path: str, has_effect: bool
) -> None:
    await world.order(Fault(method=method, path=path, effect=has_effect, cut=True, delay=3600))
    world.start()
    parts = [part(PDF, "application/pdf", "one.pdf"), part(PDF[1:], "application/pdf", "two.pdf")]
    await world.deliver(mail("two scans", *parts))
    await eventually(world.played, "the step has begun")
    world.kill()
    world.start()
    await eventually(lambda: world.settled(1), "the mail is delivered")
    [posted] = world.sandbox.state.posts
    shown = {(found["filename"], found["ticketMessageId"]) for found in attached(world)}
    assert shown == {("one.pdf", posted["id"]), ("two.pdf", posted["id"])}
    assert len(attached(world)) == 2


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/tickets/attachments"), ("PUT", "/uploads/"), ("POST", "/api/tickets/attachments/connect")],
)
async def test_a_step_that_fails_for_a_while_is_tried_again(world: World, method: str, path: str) -> None:
    await world.order(Fault(method=method, path=path, status=503, times=2))
    world.start()
    await world.deliver(mail("see the scan", part(PDF, "application/pdf", "scan.pdf")))
    await eventually(lambda: world.settled(1), "the mail is delivered")
    assert len(attached(world)) == 1
    assert len(world.sandbox.state.posts) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 408, 409, 410])
async def test_an_upload_address_that_went_wrong_costs_no_attachment(world: World, status: int) -> None:
    """It is too old, or its signature is wrong: the next attempt asks for another one."""
    await world.order(Fault(method="PUT", path="/uploads/", status=status, body="<Code>ExpiredToken</Code>"))
    world.start()
    await world.deliver(mail("see the scan", part(PDF, "application/pdf", "scan.pdf")))
    await eventually(lambda: world.settled(1), "the mail is delivered")
    [found] = attached(world)
    assert world.sandbox.state.uploads[found["id"]] == PDF
    assert world.sandbox.state.posts[0]["content"] == "see the scan"


@pytest.mark.parametrize(
    "fault", [{"status": 503, "times": 4}, {"status": 200, "body": "<html>Back soon</html>"}], ids=["down", "a page"]
)
async def test_a_message_is_posted_once_though_its_attachments_cannot_be_tied_to_it_at_first(
    world: World, fault: dict[str, Any]
) -> None:
    """Even where the API does not let us look for it: that the message is posted is known."""
    world.environment["INGEST_API_CAN_LIST"] = "false"
    await world.order(Fault(method="POST", path="/api/tickets/attachments/connect", **fault))
    world.start()
    await world.deliver(mail("see the scan", part(PDF, "application/pdf", "scan.pdf")))
    await eventually(lambda: world.settled(1), "the mail is delivered")
    [found] = attached(world)
    [posted] = world.sandbox.state.posts
    assert found["ticketMessageId"] == posted["id"]


@pytest.mark.parametrize("path", ["/api/tickets/attachments", "/uploads/", "/api/ticket-messages"])
async def test_a_ticket_that_is_merged_in_mid_step_takes_nothing_and_the_other_one_takes_all(
    world: World, path: str
) -> None:
    state = world.sandbox.state
    other = next(ticket for ticket in state.tickets if ticket != TICKET)
    await world.order(Fault(path=path, delay=1))
    world.start()
    await world.deliver(mail("see the scan", part(PDF, "application/pdf", "scan.pdf")))
    await eventually(world.played, "the step has begun")
    state.tickets[TICKET]["mergedIntoId"] = other
    await eventually(lambda: world.settled(1), "the mail is delivered")
    [found] = state.attachments_of(other)
    [posted] = state.posts
    assert posted["ticketId"] == other
    assert found["ticketMessageId"] == posted["id"]
    assert attached(world) == []


async def test_empty_files_the_same_file_twice_and_very_many_files_all_arrive(world: World) -> None:
    twins = [part(PDF, "application/pdf", "scan.pdf")] * 2
    many = [part(bytes([number]) * 20_000, "application/zip", f"{number}.zip") for number in range(70)]
    world.start()
    await world.deliver(mail("all of it", part(b"", "application/pdf", "empty.pdf"), *twins, *many))
    await eventually(lambda: world.settled(1), "the mail is delivered")
    found = attached(world)
    octets = [world.sandbox.state.uploads[each["id"]] for each in found]
    assert octets == [b"", PDF, PDF, *(bytes([number]) * 20_000 for number in range(70))]
    assert {each["ticketMessageId"] for each in found} == {world.sandbox.state.posts[0]["id"]}


async def test_a_message_whose_attachment_is_refused_says_what_is_missing(world: World) -> None:
    await world.order(Fault(method="PUT", path="/uploads/", status=413))
    world.start()
    await world.deliver(mail("see the scan", part(PDF, "application/pdf", "scan.pdf")))
    await eventually(lambda: world.settled(1), "the mail is delivered")
    assert attached(world) == []
    [posted] = world.sandbox.state.posts
    assert posted["content"].startswith("see the scan\n")
    assert "scan.pdf" in posted["content"]


async def test_a_sender_s_logo_is_shown_once_in_a_ticket(world: World) -> None:
    logo = part(LOGO, "image/png", "logo.png", "Content-ID: <logo@customer.example>")
    world.start()
    await world.deliver(mail("first answer", logo))
    await world.deliver(mail("second answer", logo, part(PDF, "application/pdf", "scan.pdf")))
    await eventually(lambda: world.settled(2), "both mails are delivered")
    assert sorted(found["filename"] for found in attached(world)) == ["logo.png", "scan.pdf"]


async def test_what_the_operator_does_not_want_is_named_and_left_out(world: World) -> None:
    world.environment["INGEST_REFUSED_ATTACHMENTS"] = "*.exe"
    world.start()
    await world.deliver(mail("run this", part(PDF, "application/octet-stream", "tool.exe")))
    await eventually(lambda: world.settled(1), "the mail is delivered")
    assert attached(world) == []
    assert "tool.exe" in world.sandbox.state.posts[0]["content"]


async def test_what_is_beyond_the_limit_of_parts_is_told_by_its_number(world: World) -> None:
    world.environment["INGEST_ATTACHMENTS"] = "false"
    world.start()
    await world.deliver(mail("all of it", *[part(b"x", "application/zip", "x.zip")] * 10_000))
    await eventually(lambda: world.settled(1), "the mail is delivered")
    lines = world.sandbox.state.posts[0]["content"].splitlines()
    assert lines[-2:] == ["- and 898 more", "- and 9,002 more parts that were not read"]
