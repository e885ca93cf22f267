"""Answers typed into an unmarked quote reach the ticket: what was said there tells them from the quote."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ingest.api import TicketApiClient
from ingest.config.settings import Settings
from ingest.sandbox import Fault
from tests.support.sandbox_worker import DOMAIN, TICKET, World, eventually, new_world

AGENT = "sam.okafor@support.example"
QUESTION = "Which model is the printer, and how old is it, roughly?"
BODY = f"""See below.\r
\r
From: Ravenna <help@{DOMAIN}>\r
Sent: Monday, January 5, 2026 10:14 AM\r
To: Alice <alice@customer.example>\r
Subject: [TAI-42] Printer\r
\r
{QUESTION}\r
A 4200 of 2021.\r
Thank you for your help, the sooner the better for us all.\r
"""
CUT, KEPT = "See below.", f"See below.\n\n{QUESTION}\nA 4200 of 2021."


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with new_world(tmp_path) as made:
        await say(made, f"{QUESTION}\n\nThank you for your help, the sooner the better for us all.")
        yield made


async def say(world: World, content: str, *, private: bool = False, source: str = "WEB") -> None:
    """An agent writes on the ticket."""
    author = world.author(AGENT)
    body = {"ticketId": TICKET, "authorId": author, "content": content, "private": private, "source": source}
    headers = {"x-ravenna-api-token": world.sandbox.token}
    async with httpx.AsyncClient(headers=headers) as client:
        (await client.post(f"{world.sandbox.url}/ticket-messages", json=body)).raise_for_status()


async def posted(world: World) -> str:
    """What becomes of Alice's reply, typed into Outlook's unmarked quote of the question."""
    world.start()
    head = f"From: <alice@customer.example>\r\nTo: <help+TAI-{TICKET}@{DOMAIN}>\r\nSubject: RE: [TAI-42] Printer\r\n"
    await world.deliver(f"{head}Message-ID: <a@customer.example>\r\n\r\n{BODY}".encode())
    await eventually(lambda: world.settled(1), "the mail is delivered")
    return str(world.sandbox.state.posts[-1]["content"])


async def test_answers_typed_into_the_quote_of_what_an_agent_wrote_are_posted(world: World) -> None:
    assert await posted(world) == KEPT


async def test_where_the_token_may_not_list_messages_the_quote_goes_as_a_whole(world: World) -> None:
    world.environment["INGEST_API_CAN_LIST"] = "false"
    assert await posted(world) == CUT


async def test_a_message_whose_posting_made_it_part_of_what_the_ticket_says_is_not_posted_twice(world: World) -> None:
    """The second reading knows the first one's text, and would make another one of the same mail."""
    await world.order(Fault(method="POST", path="/api/ticket-messages", effect=True, cut=True, times=2))
    before = len(world.sandbox.state.posts)
    assert await posted(world) == KEPT
    assert len(world.sandbox.state.posts) == before + 1


@pytest.mark.parametrize(
    "trouble",
    [{"status": 503, "times": 4}, {"status": 403, "body": "<html>Who are you?</html>"}],
    ids=["down", "firewall"],
)
async def test_a_conversation_that_cannot_be_had_for_a_moment_is_waited_for(
    world: World, trouble: dict[str, Any]
) -> None:
    await world.order(Fault(method="GET", path="/api/ticket-messages", **trouble))
    assert await posted(world) == KEPT


async def test_a_token_that_may_not_list_messages_costs_the_quote_and_not_the_mail(world: World) -> None:
    await world.order(Fault(method="GET", path="/api/ticket-messages", status=403, times=9))
    assert await posted(world) == CUT


async def test_where_all_mail_is_posted_under_one_user_the_sender_s_own_words_are_not_taken_for_others(
    world: World,
) -> None:
    settings = Settings.model_validate(
        {"api_url": world.sandbox.url, "api_token": world.sandbox.token, "send_author": False}
    )
    await say(world, "I have tried that.", source="EMAIL")
    async with TicketApiClient(settings) as api:
        authors = [message.author_id for message in await api.conversation(TICKET)]
    assert authors[-2:] == [world.author(AGENT), ""]


async def test_a_private_note_is_nothing_that_the_sender_was_sent(world: World) -> None:
    await say(world, "A private remark.", private=True)
    settings = Settings.model_validate({"api_url": world.sandbox.url, "api_token": world.sandbox.token})
    async with TicketApiClient(settings) as api:
        said = [message.content for message in await api.conversation(TICKET)]
    assert len(said) == 2
    assert "A private remark." not in said
