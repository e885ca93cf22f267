"""Mails to measure with: replies to tickets, sizes as a help desk sees them, the same each time for one seed."""

import base64
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

DOMAIN = "mail.ravenna.example"
VOCABULARY = (
    "thank you for the quick answer but the login page still says that my password has expired when I press the"
    " button and nothing happens after that could you have a look at it again the printer on the third floor works"
)
WORDS = VOCABULARY.split(" ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail, its sender and the ticket that it answers."""

    sender: str
    recipient: str
    content: bytes


def ticket_id(number: int) -> str:
    """The id of the benchmark's ticket ``number``: 25 characters, as the API has them."""
    return f"cmbench{number:018d}"


def outbound_id(number: int) -> str:
    """Message-ID of the mail by which the help desk told about ticket ``number``."""
    return f"bench-{number}-1@{DOMAIN}"


def sandbox_data(tickets: int, *, history: int = 0) -> dict[str, object]:
    """Start data for the sandbox: ``tickets`` tickets, each with a requester, one outbound message, and ``history``
    messages of 20 to 60 words that agent and requester wrote in turn."""
    at = "2026-10-01T09:00:00.000Z"
    agent = {"id": "cmagent000000000000000001", "firstName": "Sam", "lastName": "O", "email": "sam@support.example"}
    users = [
        {"id": f"cmuser{n:019d}", "firstName": "User", "lastName": str(n), "email": f"user{n}@customer.example"}
        for n in range(tickets)
    ]
    return {
        "workspace": {
            "id": "cmworkspace00000000000001",
            "slug": "bench",
            "organizationId": "cmorganization00000000001",
        },
        "domain": DOMAIN,
        "queues": [{"id": "cmqueue000000000000000001", "name": "Bench", "prefix": "BEN"}],
        "users": [agent, *users],
        "tickets": [
            {
                "id": ticket_id(n),
                "queueId": "cmqueue000000000000000001",
                "number": n + 1,
                "title": f"Ticket {n}",
                "requesterId": users[n]["id"],
                "authorId": users[n]["id"],
                "assigneeId": agent["id"],
                "followers": [],
                "status": "In Progress",
                "private": False,
                "source": "EMAIL",
                "mergedIntoId": None,
                "closedAt": None,
                "createdAt": at,
                "updatedAt": at,
            }
            for n in range(tickets)
        ],
        "messages": [
            {
                "id": f"cmmessage{n:016d}",
                "ticketId": ticket_id(n),
                "authorId": agent["id"],
                "content": "Can you sign in now?",
                "source": "WEB",
                "private": False,
                "createdAt": at,
                "emailMessageId": f"<{outbound_id(n)}>",
                "emailInReplyTo": None,
            }
            for n in range(tickets)
        ]
        + [_history_message(n, of, agent["id"], at) for n in range(tickets) for of in range(history)],
    }


def _history_message(ticket: int, number: int, agent_id: str, at: str) -> dict[str, object]:
    source = random.Random(ticket * 10_000 + number)
    return {
        "id": f"cmhistory{ticket:08d}{number:08d}",
        "ticketId": ticket_id(ticket),
        "authorId": f"cmuser{ticket:019d}" if number % 2 else agent_id,
        "content": " ".join(source.choices(WORDS, k=source.randint(20, 60))),
        "source": "EMAIL" if number % 2 else "WEB",
        "private": False,
        "createdAt": at,
        "emailMessageId": None,
        "emailInReplyTo": None,
    }


def make(count: int, kind: str, tickets: int, seed: int = 1) -> Iterator[Mail]:
    """``count`` replies of one ``kind`` (``text``, ``html``, ``outlook``, ``unquoted``, ``mixed``), to tickets in turn.

    ``mixed`` is 60 % text of 3 to 6 KB, 30 % HTML of 30 to 80 KB, 9 % with an attachment of 200 KB to 1 MB, and 1 %
    with one of 5 MB."""
    source = random.Random(seed)
    for number in range(count):
        ticket = number % tickets
        shape = _shape(kind, source)
        header, body = _HEADER % _names(number, ticket, seed), shape(source)
        sender = f"user{ticket}@customer.example"
        recipient = f"help+BEN-{ticket_id(ticket)}@{DOMAIN}"
        yield Mail(sender=sender, recipient=recipient, content=(header + body).encode().replace(b"\n", b"\r\n"))


_HEADER = """\
Received: from mail.customer.example (mail.customer.example [192.0.2.7]) by mx.example (Postfix) with ESMTPS
 id 4XyZ%(number)d for <%(recipient)s>; Mon, 05 Oct 2026 09:00:00 +0000
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=customer.example; s=s1; h=from:to:subject:date;
 bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=dGhpcyBpcyBub3QgYSBzaWduYXR1cmUgYnV0IGxvb2tzIGxpa2Ugb25l
From: User %(ticket)d <user%(ticket)d@customer.example>
To: Help Desk <%(recipient)s>
Subject: Re: [BEN-%(code)d] Ticket %(ticket)d
Date: Mon, 05 Oct 2026 11:00:00 +0200
Message-ID: <bench-reply-%(seed)d-%(number)d@customer.example>
In-Reply-To: <%(outbound)s>
References: <%(outbound)s>
MIME-Version: 1.0
"""


def _names(number: int, ticket: int, seed: int) -> dict[str, object]:
    return {
        "number": number,
        "ticket": ticket,
        "code": ticket + 1,
        "seed": seed,
        "recipient": f"help+BEN-{ticket_id(ticket)}@{DOMAIN}",
        "outbound": outbound_id(ticket),
    }


def _shape(kind: str, source: random.Random) -> Callable[[random.Random], str]:
    if kind == "text":
        return _text
    if kind == "html":
        return _html
    if kind == "outlook":
        return _outlook
    if kind == "unquoted":
        return _unquoted
    draw = source.random()
    return _text if draw < 0.6 else _html if draw < 0.9 else _attached if draw < 0.99 else _large


def _prose(source: random.Random, octets: int) -> str:
    lines, size = [], 0
    while size < octets:
        lines.append(" ".join(source.choices(WORDS, k=source.randint(6, 13))))
        size += len(lines[-1]) + 1
    return "\n".join(lines)


def _plain(source: random.Random, octets: int) -> str:
    quoted = "\n".join(f"> {line}" for line in _prose(source, octets // 2).split("\n"))
    return (
        f"{_prose(source, octets // 2)}\n\nOn Mon, Oct 5, 2026 at 10:00 AM Help Desk <help@{DOMAIN}> wrote:\n{quoted}\n"
    )


def _text(source: random.Random) -> str:
    body = _plain(source, source.randint(3_000, 6_000) - 1_000)
    return f"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{body}"


def _unquoted(source: random.Random) -> str:
    """A reply of 20 words and more that quotes nothing: it is read again beside the conversation of its ticket."""
    return f"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{_prose(source, 400)}\n"


def _outlook(source: random.Random) -> str:
    """A few words above a quote without marks: each such mail is read again beside its ticket's conversation."""
    header = f"From: Help Desk <help@{DOMAIN}>\nSent: Monday, October 5, 2026 10:00 AM\nTo: User\nSubject: Ticket"
    body = f"{_prose(source, 60)}\n\n{header}\n\n{_prose(source, source.randint(2_000, 5_000))}\n"
    return f"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{body}"


def _alternative(source: random.Random, octets: int) -> str:
    text = _plain(source, octets // 5)
    new, _, quoted = text.partition("\n\nOn Mon")
    styled = "".join(
        f'<p class="MsoNormal" style="margin:0cm;font-size:11.0pt;font-family:Calibri,sans-serif">{line}</p>\n'
        for line in new.split("\n")
    )
    trail = "".join(f"<div>{line}</div>\n" for line in quoted.split("\n"))
    html = (
        f'<html><body>{styled}<div class="gmail_quote"><blockquote type="cite">{trail}</blockquote></div></body></html>'
    )
    html += "<!-- " + "padding " * max(0, (octets - len(text) - len(html)) // 8) + "-->"
    return (
        'Content-Type: multipart/alternative; boundary="alt"\n\n--alt\nContent-Type: text/plain; charset=utf-8\n\n'
        f"{text}\n--alt\nContent-Type: text/html; charset=utf-8\n\n{html}\n--alt--\n"
    )


def _html(source: random.Random) -> str:
    return _alternative(source, source.randint(30_000, 80_000))


def _with_attachment(source: random.Random, octets: int) -> str:
    encoded = base64.encodebytes(source.randbytes(octets * 3 // 4)).decode()
    return (
        f'Content-Type: multipart/mixed; boundary="mix"\n\n--mix\n{_text(source)}\n--mix\n'
        'Content-Type: application/pdf\nContent-Disposition: attachment; filename="scan.pdf"\n'
        f"Content-Transfer-Encoding: base64\n\n{encoded}\n--mix--\n"
    )


def _attached(source: random.Random) -> str:
    return _with_attachment(source, source.randint(200_000, 1_000_000))


def _large(source: random.Random) -> str:
    return _with_attachment(source, 5_000_000)
