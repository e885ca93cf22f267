"""Mails with attachments."""

import base64

from tests.support.sandbox_worker import DOMAIN, TICKET


def part(content: bytes, kind: str, name: str, *fields: str) -> str:
    """An attachment; with ``fields``, such as a Content-ID, an inline one."""
    encoded = base64.encodebytes(content).decode().replace("\n", "\r\n")
    header = [
        f"Content-Type: {kind}",
        f'Content-Disposition: {"inline" if fields else "attachment"}; filename="{name}"',
    ]
    return "\r\n".join([*header, *fields, "Content-Transfer-Encoding: base64", "", encoded])


def mail(text: str, *parts: str, ticket: str = TICKET) -> bytes:
    """A reply of Alice's to a ticket; ``text`` makes its Message-ID, too."""
    head = [
        "From: <alice@customer.example>",
        f"To: <help+TAI-{ticket}@{DOMAIN}>",
        "Subject: Re: a ticket",
        f"Message-ID: <{text.replace(' ', '-')}@customer.example>",
        "MIME-Version: 1.0",
        'Content-Type: multipart/mixed; boundary="b"',
        "",
        "--b\r\nContent-Type: text/plain\r\n\r\n" + text,
    ]
    return ("\r\n".join(head) + "".join(f"\r\n--b\r\n{each}" for each in parts) + "\r\n--b--\r\n").encode()
