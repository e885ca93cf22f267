"""Answers typed into an unmarked quote reach the ticket: what was said there tells them from the quote."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from ingest.api import TicketApi
from ingest.config import Settings
from tests.world import DOMAIN, TICKET, World, eventually, new_world

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


async def say(world: World, content: str, *, private: bool = False) -> None:
    """An agent writes on the ticket."""
    body = {"ticketId": TICKET, "authorId": world.author(AGENT), "content": content, "private": private}
    headers = {"x-ravenna-api-token": world.sandbox.token}
    async with httpx.AsyncClient(headers=headers) as client:
        (await client.post(f"{world.sandbox.url}/ticket-messages", json=body)).raise_for_status()


async def posted(world: World) -> str:
    """What becomes of Alice's reply, typed into Outlook's unmarked quote of the question."""
    world.start()
    head = f"From: <alice@customer.example>\r\nTo: <help+TAI-{TICKET}@{DOMAIN}>\r\nSubject: RE: [TAI-42] Printer\r\n"
    await world.deliver(f"{head}Message-ID: <a@customer.example>\r\n\r\n{BODY}".encode())
    await eventually(lambda: world.settled(1), "the mail is delivered")
    return str(world.sandbox.desk.posts[-1]["content"])


async def test_answers_typed_into_the_quote_of_what_an_agent_wrote_are_posted(world: World) -> None:
    assert await posted(world) == KEPT


async def test_where_the_token_may_not_list_messages_the_quote_goes_as_a_whole(world: World) -> None:
    world.environment["INGEST_API_CAN_LIST"] = "false"
    assert await posted(world) == CUT


async def test_a_private_note_is_nothing_that_the_sender_was_sent(world: World) -> None:
    await say(world, "A private remark.", private=True)
    settings = Settings.model_validate({"api_url": world.sandbox.url, "api_token": world.sandbox.token})
    async with TicketApi(settings) as api:
        said = [message.content for message in await api.conversation(TICKET)]
    assert len(said) == 2
    assert "A private remark." not in said
