"""Results of other servers, where the DNS says nothing: who is believed depends on how the mail came."""

import pytest

from ingest.authenticate import AuthenticationSettings, DnsAuthenticator
from ingest.dns.network import AbsentResolver
from ingest.model.envelope import Envelope, SourceRef
from ingest.model.trust import AuthenticationResult
from ingest.parse import parse
from ingest.parse_pool import ParsePool
from tests.support.factories import ALICE, queued

RELAY = "mx.ours.example"
MAIL = (
    f"Authentication-Results: {RELAY}; dmarc=pass (p=reject) header.from=customer.example\r\n"
    f"From: Alice <{ALICE}>\r\nSubject: Re: printer\r\n\r\nIt works.\r\n"
).encode()
UNUSED_POOL = ParsePool(processes=0, seconds=1, memory_bytes=1)


async def result(source: str, client: str = "", **settings: object) -> AuthenticationResult:
    authenticator = DnsAuthenticator(
        AbsentResolver(),
        UNUSED_POOL,
        AuthenticationSettings(**settings),  # type: ignore[arg-type]
        clock=lambda: 0.0,
    )
    envelope = Envelope(mail_from=ALICE, rcpt_tos=(), client=client)
    message = queued(envelope=envelope, source_ref=SourceRef(source=source))
    return (await authenticator.authenticate(message, parse(MAIL), MAIL)).result


@pytest.mark.parametrize(
    ("source", "client", "behind_relays"),
    [
        ("smtp:25", "10.0.0.1", False),
        ("smtp:25", "127.0.0.1", False),
        ("smtp:25", "198.51.100.7", True),
        ("lmtp:24", "198.51.100.7", False),
        ("replay", "", False),
    ],
)
async def test_a_relay_of_ours_is_believed(source: str, client: str, behind_relays: bool) -> None:
    found = await result(source, client, authserv_ids=(RELAY,), behind_relays=behind_relays)
    assert found is AuthenticationResult.PROVEN


async def test_a_client_that_may_be_the_sender_s_own_server_is_not_believed() -> None:
    found = await result("smtp:25", "198.51.100.7", authserv_ids=(RELAY,))
    assert found is AuthenticationResult.NOTHING_KNOWN


async def test_nobody_is_believed_who_is_not_named() -> None:
    assert await result("smtp:25", "10.0.0.1") is AuthenticationResult.NOTHING_KNOWN
    assert await result("imap:a/INBOX", authserv_ids=(RELAY,)) is AuthenticationResult.NOTHING_KNOWN


async def test_each_account_believes_its_own_provider() -> None:
    accounts = {"a": (RELAY,), "b": ("google",)}
    assert await result("imap:a/INBOX/sub", account_authserv_ids=accounts) is AuthenticationResult.PROVEN
    assert await result("imap:b/INBOX", account_authserv_ids=accounts) is AuthenticationResult.NOTHING_KNOWN
