"""Settings that do not fit: each is one line that names what to do, the rest goes on, and nothing is sent in clear."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trustme
from pydantic import ValidationError

from ingest.config.imap_accounts import ImapAccount
from ingest.sources.imap.check import AccountFinding, check
from tests.support.dovecot import PASSWORD, Dovecot, dovecot
from tests.support.mailboxes import Intake, account, eventually, faster, intake, mail
from tests.support.scripted_imap import CLOSE, ScriptedServer, scripted

USER = "alice@customer.example"


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


@pytest.fixture
async def odd() -> AsyncIterator[ScriptedServer]:
    async with scripted(mail("one")) as running:
        yield running


@pytest.fixture
async def taken(tmp_path: Path) -> AsyncIterator[Intake]:
    async with intake(tmp_path) as running:
        yield running


async def _failure_of(taken: Intake, wrong: ImapAccount, timeout: float = 5.0) -> str:
    """Return the failure that the worker reports for ``wrong``; `ingest check` must report an error, too."""
    source = await taken.start(wrong, timing=faster(timeout_seconds=timeout))
    await eventually(lambda: bool(source.statuses[0].failure), "the failure is told")
    said = source.statuses[0].failure
    assert "\n" not in said
    errors = [
        finding.text for finding in await check(wrong, taken.mailboxes, timeout=timeout) if finding.level == "error"
    ]
    assert errors
    return said


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"host": "nowhere.invalid", "security": "tls"}, "host name nowhere.invalid is not known: check host"),
        ({"port": 1}, "nobody listens at 127.0.0.1:1: check host and port"),
        ({"password": "wrong"}, "check user and password"),
        ({"folders": ["Nowhere"]}, "correct `folders`"),
        ({"host": "localhost", "security": "starttls"}, "ca_file"),
        ({"host": "localhost", "security": "tls"}, "TLS fails"),
        ({"host": "localhost", "security": "starttls", "ca_file": "missing.pem"}, "cannot read missing.pem"),
        ({"password": None, "password_file": "missing.txt"}, "cannot read missing.txt"),
    ],
    ids=["host", "port", "password", "folder", "certificate", "clear port", "authority", "password file"],
)
async def test_what_is_wrong_is_told_in_a_line_that_says_what_to_do(
    server: Dovecot, taken: Intake, changed: dict[str, object], said: str
) -> None:
    assert said in await _failure_of(taken, account(server, USER, **changed))


async def test_a_certificate_for_another_name_is_refused(server: Dovecot, taken: Intake, tmp_path: Path) -> None:
    other = trustme.CA()
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    wrong = account(
        server, USER, host="localhost", port=server.tls_port, security="tls", ca_file=tmp_path / "other.pem"
    )
    assert "the certificate of localhost" in await _failure_of(taken, wrong)


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hold the connection open until the client ends it. Since Python 3.13, asyncio closes the connection of a
    ``StreamWriter`` that nobody refers to."""
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()


async def test_a_server_that_accepts_and_says_nothing(taken: Intake) -> None:
    silent = await asyncio.start_server(_say_nothing, "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        assert "silent" in await _failure_of(taken, account_at(port), timeout=0.3)


@pytest.mark.parametrize("greeting", [b"220 mail.example ESMTP\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\r\n"])
async def test_a_server_that_speaks_no_imap(taken: Intake, odd: ScriptedServer, greeting: bytes) -> None:
    odd.greeting = greeting
    assert "does not greet as an IMAP server does: check host, port and security" in await _failure_of(
        taken, account_at(odd.port)
    )


@pytest.mark.parametrize("security", ["starttls", "none"])
async def test_a_port_that_wants_tls_at_once_is_named_within_seconds(
    server: Dovecot, taken: Intake, security: str
) -> None:
    wrong = account(server, USER, host="localhost", port=server.tls_port, security=security)
    said = await _failure_of(taken, wrong, timeout=600.0)
    assert "speaks TLS from the first octet on" in said
    assert "use security = tls" in said


async def test_authenticated_but_not_connected_says_what_it_usually_means(taken: Intake, odd: ScriptedServer) -> None:
    odd.answers["EXAMINE"] = lambda tag, _command: f"{tag} BAD User is authenticated but not connected.\r\n".encode()
    source = await taken.start(account_at(odd.port))
    await eventually(lambda: bool(source.statuses[0].failure), "the failure is told")
    assert "shared mailbox" in source.statuses[0].failure


async def test_a_server_that_refuses_starttls_learns_no_password(taken: Intake, odd: ScriptedServer) -> None:
    odd.answers["STARTTLS"] = lambda tag, _command: f"{tag} NO TLS is off today\r\n".encode()
    assert "does not start TLS" in await _failure_of(taken, account_at(odd.port, host="localhost", security="starttls"))
    assert not _gave_secrets(odd)


async def test_a_preauth_greeting_that_rules_starttls_out_is_taken_for_an_attack(
    taken: Intake, odd: ScriptedServer
) -> None:
    odd.greeting = b"* PREAUTH welcome\r\n"
    assert "PREAUTH" in await _failure_of(taken, account_at(odd.port, host="localhost", security="starttls"))
    assert odd.commands == []


async def test_a_starttls_that_fails_in_the_handshake_learns_no_password(taken: Intake, odd: ScriptedServer) -> None:
    odd.answers["STARTTLS"] = lambda tag, _command: f"{tag} OK go ahead\r\n* OK not TLS at all\r\n".encode()
    assert await _failure_of(taken, account_at(odd.port, host="localhost", security="starttls"))
    assert not _gave_secrets(odd)


async def test_what_was_put_between_starttls_and_tls_is_dropped(
    taken: Intake, odd: ScriptedServer, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    odd.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(odd.tls)
    odd.answers["STARTTLS"] = lambda tag, _command: f"{tag} OK go ahead\r\n* BYE said in clear\r\n".encode()
    await taken.start(account_at(odd.port, host="localhost", security="starttls", ca_file=tmp_path / "ca.pem"))
    await taken.has(mail("one"))
    assert odd.commands.count("STARTTLS") == 1


async def test_a_server_that_takes_no_password_in_clear_gets_none(taken: Intake, odd: ScriptedServer) -> None:
    odd.capabilities = "IMAP4rev1 LOGINDISABLED"
    assert "takes no password" in await _failure_of(taken, account_at(odd.port))
    assert not _gave_secrets(odd)


async def test_a_server_without_the_mechanism_of_the_account(taken: Intake, odd: ScriptedServer) -> None:
    odd.capabilities = "IMAP4rev1 LOGINDISABLED AUTH=XOAUTH2"
    assert "auth = password does not work there" in await _failure_of(taken, account_at(odd.port))


@pytest.mark.parametrize(
    ("refusal", "waits"),
    [
        ("NO [LIMIT] Too many connections", False),
        ("NO Temporary authentication failure", False),
        ("NO [AUTHENTICATIONFAILED] no such user", True),
        ("NO [ALERT] Too many simultaneous connections. (Failure)", False),
        ("BAD Request is throttled. Suggested Backoff Time: 50 milliseconds", False),
    ],
)
async def test_only_a_refused_credential_waits_for_the_operator(
    taken: Intake, odd: ScriptedServer, refusal: str, waits: bool
) -> None:
    refused = 4

    def answer(tag: str, _command: str) -> bytes | None:
        nonlocal refused
        refused -= 1
        return f"{tag} {refusal}\r\n".encode() if refused > 0 else None

    odd.answers["AUTHENTICATE"] = answer
    source = await taken.start(account_at(odd.port))
    if waits:
        await eventually(lambda: bool(source.statuses[0].failure), "the failure is told")
        assert refused == 3
        assert await taken.records() == ()
    else:
        await taken.has(mail("one"))


async def test_a_refusal_that_proves_nothing_counts_when_it_comes_again_and_again(
    taken: Intake, odd: ScriptedServer
) -> None:
    odd.answers["AUTHENTICATE"] = lambda tag, _command: f"{tag} NO LOGIN failed.\r\n".encode()
    source = await taken.start(account_at(odd.port))
    await eventually(lambda: "check user and password" in source.statuses[0].failure, "the operator is called")
    assert sum(command.startswith("AUTHENTICATE") for command in odd.commands) == 3


async def test_a_connection_that_is_closed_at_the_greeting(taken: Intake, odd: ScriptedServer) -> None:
    odd.greeting = b"* BYE too many connections from your address\r\n" + CLOSE
    assert "too many connections" in await _failure_of(taken, account_at(odd.port))


async def test_check_tells_what_works_and_changes_nothing(server: Dovecot, taken: Intake) -> None:
    server.deliver(USER, mail("one"))
    found = await check(account(server, USER), taken.mailboxes)
    assert found == (
        AccountFinding(account="alice", level="ok", text=f"logged in to 127.0.0.1:{server.port} as {USER}"),
        AccountFinding(account="alice", level="ok", text="folder 'INBOX' can be read and holds 1 mails"),
    )
    assert await taken.mailboxes.folders() == ()


async def test_check_names_the_folders_that_there_are(server: Dovecot, taken: Intake) -> None:
    found = await check(account(server, USER, folders=["Nowhere"], after="move", move_to="Gone"), taken.mailboxes)
    errors = [finding.text for finding in found if finding.level == "error"]
    assert len(errors) == 2
    assert "existing folders: 'INBOX'" in errors[0]
    assert "'Gone' of move_to does not exist" in errors[1]


async def test_check_warns_of_what_a_server_cannot_do(taken: Intake, odd: ScriptedServer) -> None:
    odd.capabilities = "IMAP4rev1 AUTH=PLAIN"
    found = await check(account_at(odd.port, after="delete"), taken.mailboxes)
    warnings = [finding.text for finding in found if finding.level == "warning"]
    assert ["no IDLE" in warnings[0], "no UIDPLUS" in warnings[1]] == [True, True]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"host": "imap.example", "security": "none"}, "would send the password in clear"),
        ({"after": "move"}, "move_to belong together"),
        ({"after": "move", "move_to": "INBOX"}, "would come again"),
        ({"password": None}, "needs password or password_file"),
        ({"auth": "xoauth2"}, "needs a table [imap.oauth]"),
        ({"user": "alice", "recipients": []}, "name the addresses"),
        ({"folders": ["INBOX", "inbox"]}, "named twice"),
        ({"user": "a\r\nb DELETE INBOX"}, "user"),
        ({"name": "Not A Name"}, "name"),
        ({"first": "yesterday"}, "first"),
    ],
)
def test_settings_that_cannot_work_are_refused_when_they_are_loaded(changed: dict[str, object], said: str) -> None:
    facts: dict[str, object] = {"name": "alice", "host": "imap.example", "user": USER, "password": PASSWORD}
    with pytest.raises(ValidationError, match=said.replace("[", r"\[")):
        ImapAccount.model_validate(facts | changed)


def account_at(port: int, **changed: object) -> ImapAccount:
    facts: dict[str, object] = {
        "name": "alice",
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "user": USER,
        "password": PASSWORD,
        "first": "all",
    }
    return ImapAccount.model_validate(facts | changed)


def _gave_secrets(server: ScriptedServer) -> bool:
    return any(command.startswith(("LOGIN", "AUTHENTICATE")) for command in server.commands)
