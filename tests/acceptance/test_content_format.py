"""INGEST_CONTENT_FORMAT: an HTML mail as Markdown, or as plain text."""

from pathlib import Path

import pytest

from tests.support.sandbox_worker import DOMAIN, TICKET, eventually, new_world

HTML = "<p>It <b>still</b> says <a href='https://a.example/e'>error 3</a> &lt;now&gt;.</p>"
MAIL = f"""From: <alice@customer.example>\r
To: <help+TAI-{TICKET}@{DOMAIN}>\r
Subject: Re: [TAI-42] Printer\r
Content-Type: text/html; charset=utf-8\r
\r
{HTML}\r
"""


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("markdown", "It **still** says [error 3](https://a.example/e) \\<now>."),
        ("plain", "It still says error 3 <https://a.example/e> <now>."),
    ],
)
async def test_an_html_mail_is_posted_in_the_form_that_the_operator_wants(
    tmp_path: Path, form: str, content: str
) -> None:
    async with new_world(tmp_path) as world:
        world.environment["INGEST_CONTENT_FORMAT"] = form
        world.start()
        await world.deliver(MAIL.encode())
        await eventually(lambda: world.settled(1), "the mail is delivered")
        assert [post["content"] for post in world.sandbox.state.posts] == [content]
