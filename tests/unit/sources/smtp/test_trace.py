"""The trace field that is put before a message."""

import pytest

from ingest.sources.smtp.trace import protocol, received_field


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ("", "SMTP"),
        ("extended", "ESMTP"),
        ("extended tls", "ESMTPS"),
        ("extended utf8", "UTF8SMTP"),
        ("extended tls utf8", "UTF8SMTPS"),
        ("lmtp extended", "LMTP"),
        ("lmtp extended tls", "LMTPS"),
        ("lmtp extended utf8", "UTF8LMTP"),
    ],
)
def test_protocols_are_named_as_iana_names_them(facts: str, name: str) -> None:
    words = facts.split()
    assert (
        protocol(lmtp="lmtp" in words, extended="extended" in words, tls="tls" in words, utf8="utf8" in words) == name
    )


@pytest.mark.parametrize(
    "recipient", ["a\r\nBcc: b@c.example", "a>b@c.example", "ä@c.example", '"a b"@c.example', "x" * 400]
)
def test_a_recipient_that_is_no_plain_address_is_not_told(recipient: str) -> None:
    field = received_field(
        helo="x", client="::1", hostname="y", with_protocol="ESMTP", recipient=recipient, received_at=0.0
    )
    assert field == (b"Received: from x ([IPv6:::1])\r\n\tby y with ESMTP;\r\n\tThu, 01 Jan 1970 00:00:00 +0000\r\n")
