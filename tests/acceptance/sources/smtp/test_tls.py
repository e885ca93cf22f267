"""STARTTLS (RFC 3207) with the operator's certificate."""

import asyncio
import smtplib
import ssl
from pathlib import Path

import pytest
import trustme

from ingest.sources import SourceError
from tests.support.smtp import Inbox, connected, listening

V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 4321 25\r\n"


class Files:
    """The operator's two files, and a client that trusts who signed them."""

    def __init__(self, directory: Path, ca: trustme.CA) -> None:
        self.ca = ca
        self.chain, self.key = directory / "chain.pem", directory / "key.pem"
        self.context = ssl.create_default_context()
        ca.configure_trust(self.context)
        self.renew()

    @property
    def settings(self) -> dict[str, Path]:
        return {"tls_certificate": self.chain, "tls_key": self.key}

    def renew(self) -> None:
        leaf = self.ca.issue_cert("ours.example", "127.0.0.1")
        leaf.private_key_pem.write_to_path(self.key)
        self.chain.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(tmp_path: Path, ca: trustme.CA) -> Files:
    return Files(tmp_path, ca)


async def test_a_mail_comes_through_starttls(inbox: Inbox, files: Files) -> None:
    def send(port: int) -> None:
        with smtplib.SMTP("127.0.0.1", port) as client:
            client.starttls(context=files.context)
            client.sendmail("alice@customer.example", ["help@ours.example"], b"Subject: x\r\n\r\n" + b"x" * 300_000)

    async with listening(inbox, **files.settings) as source:
        await asyncio.to_thread(send, source.port)
    assert inbox.body() == b"Subject: x\r\n\r\n" + b"x" * 300_000 + b"\r\n"
    assert " with ESMTPS for " in inbox.trace()


async def test_starttls_is_offered_with_a_certificate_and_until_it_is_used(inbox: Inbox, files: Files) -> None:
    async with listening(inbox, **files.settings) as source, connected(source) as client:
        assert "STARTTLS" in await client.say("EHLO client.example")
        assert (await client.say("STARTTLS now")).startswith("501 5.5.4 ")
        assert (await client.say("STARTTLS")).startswith("220 2.0.0 ")
        await client.start_tls(files.context)
        assert "STARTTLS" not in await client.say("EHLO client.example")
        assert (await client.say("STARTTLS")).startswith("503 5.5.1 ")
        assert (await client.deliver(b"text")).startswith("250 2.0.0 ")
    async with listening(inbox) as source, connected(source) as client:
        assert "STARTTLS" not in await client.say("EHLO client.example")
        assert (await client.say("STARTTLS")).startswith("502 5.5.1 ")


async def test_what_was_said_before_starttls_does_not_count(inbox: Inbox, files: Files) -> None:
    async with listening(inbox, **files.settings) as source, connected(source) as client:
        await client.say_all("EHLO client.example", "MAIL FROM:<a@b.example>", "STARTTLS")
        await client.start_tls(files.context)
        assert (await client.say("MAIL FROM:<a@b.example>")).startswith("503 5.5.1 ")
        await client.say("EHLO client.example")
        assert (await client.say("MAIL FROM:<a@b.example>")).startswith("250 2.1.0 ")


@pytest.mark.parametrize("injected", [b"RSET\r\n", b"MAIL FROM:<evil@evil.example>\r\n", b"x", b"\r\n"])
async def test_commands_sent_in_the_clear_behind_starttls_are_never_obeyed(
    inbox: Inbox, files: Files, injected: bytes
) -> None:
    async with listening(inbox, **files.settings) as source, connected(source) as client:
        await client.say("EHLO client.example")
        client.send(b"STARTTLS\r\n" + injected)
        assert (await client.reply()).startswith("554 5.5.0 ")
        assert await client.is_closed()


async def test_garbage_instead_of_a_handshake_hurts_only_its_sender(
    inbox: Inbox, files: Files, capfd: pytest.CaptureFixture[str]
) -> None:
    async with listening(inbox, **files.settings) as source:
        async with connected(source) as client:
            await client.say_all("EHLO client.example", "STARTTLS")
            client.send(b"MAIL FROM:<evil@evil.example>\r\n")
            assert await client.is_closed()
        async with connected(source) as client:
            await client.say_all("EHLO client.example", "STARTTLS")
            client.writer.write_eof()
            assert await client.is_closed()
        async with connected(source) as client:
            assert (await client.deliver(b"text")).startswith("250 ")
    assert "Traceback" not in capfd.readouterr().err


async def test_the_client_that_a_proxy_named_is_still_known_within_tls(inbox: Inbox, files: Files) -> None:
    proxies = ("127.0.0.0/8",)
    async with (
        listening(inbox, smtp_proxies=proxies, **files.settings) as source,
        connected(source, greeted=False) as client,
    ):
        client.send(V1)
        await client.reply()
        await client.say_all("EHLO client.example", "STARTTLS")
        await client.start_tls(files.context)
        await client.deliver(b"text")
    assert inbox.messages[0].envelope.client == "192.0.2.7"


async def test_commands_sent_together_within_tls_are_answered(inbox: Inbox, files: Files) -> None:
    async with listening(inbox, **files.settings) as source, connected(source) as client:
        await client.say_all("EHLO client.example", "STARTTLS")
        await client.start_tls(files.context)
        client.send(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<help@ours.example>\r\nDATA\r\n")
        assert [(await client.reply())[:3] for _ in range(4)] == ["250", "250", "250", "354"]
        client.send(b"text\r\n.\r\nQUIT\r\n")
        assert [(await client.reply())[:3] for _ in range(2)] == ["250", "221"]


async def test_a_renewed_certificate_is_shown_without_a_restart(inbox: Inbox, files: Files) -> None:
    async def shown() -> object:
        async with connected(source) as client:
            await client.say_all("EHLO client.example", "STARTTLS")
            await client.start_tls(files.context)
            return client.writer.get_extra_info("ssl_object").getpeercert()["serialNumber"]

    async with listening(inbox, **files.settings) as source:
        first = await shown()
        assert await shown() == first
        files.renew()
        assert await shown() != first


async def test_a_certificate_that_was_spoilt_leaves_the_old_one_in_use(inbox: Inbox, files: Files) -> None:
    async with listening(inbox, **files.settings) as source, connected(source) as client:
        files.chain.write_text("half a file")
        await client.say_all("EHLO client.example", "STARTTLS")
        await client.start_tls(files.context)
        assert (await client.deliver(b"text")).startswith("250 ")


async def test_a_certificate_that_cannot_be_used_is_named_at_the_start(inbox: Inbox, files: Files) -> None:
    files.key.unlink()
    with pytest.raises(SourceError, match="check INGEST_TLS_CERTIFICATE"):
        async with listening(inbox, **files.settings):
            pass


async def test_draining_sends_clients_within_tls_away(inbox: Inbox, files: Files) -> None:
    async with listening(inbox, **files.settings) as source, connected(source) as client:
        await client.say_all("EHLO client.example", "STARTTLS")
        await client.start_tls(files.context)
        await client.say("EHLO client.example")
        await asyncio.wait_for(source.drain(5), 5)
        assert (await client.reply()).startswith("421 4.3.2 ")
        assert await client.is_closed()
