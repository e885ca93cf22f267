"""Access tokens: got, used at a real Dovecot, renewed, refused; and the first one by a person's log-in."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ingest.config.imap_accounts import ImapAccount
from ingest.model.imap_folder import SavedToken
from ingest.sources.imap.auth.authorize import LoginImpossible, login
from ingest.sources.imap.auth.oauth import AccessTokens, TokenRefused
from ingest.sources.imap.check import AccountFinding, check
from ingest.store import StoreUnavailable
from ingest.store.imap import ImapStore
from tests.support.dovecot import Dovecot, dovecot
from tests.support.fake_oauth import SECRET, USER, Provider, provider, refuse
from tests.support.mailboxes import Intake, account, eventually, faster, intake, mail
from tests.support.scripted_imap import ScriptedServer, scripted

NOW = 1_800_000_000.0
DAY_SECONDS = 86_400.0


@pytest.fixture
def tokens() -> Iterator[Provider]:
    with provider() as running:
        yield running


@pytest.fixture
def server(tokens: Provider) -> Iterator[Dovecot]:
    with dovecot(introspection_url=f"{tokens.url}/introspect") as running:
        yield running


@pytest.fixture
async def taken(tmp_path: Path) -> AsyncIterator[Intake]:
    async with intake(tmp_path) as running:
        yield running


def reads(server: object, tokens: Provider, *, auth: str = "xoauth2", **oauth: Any) -> ImapAccount:
    """An account that is read with access tokens of ``tokens``."""
    client = {
        "provider": "other",
        "client_id": "client-1",
        "scope": "mail",
        "token_url": f"{tokens.url}/token",
        "device_url": f"{tokens.url}/device",
    }
    return account(server, USER, auth=auth, password=None, oauth=client | oauth)  # type: ignore[arg-type] # has a port


async def with_refresh_token(taken: Intake, refresh_token: str = "refresh-1", **facts: Any) -> None:
    await taken.mailboxes.save_token("alice", SavedToken(refresh_token=refresh_token, saved_at=NOW, **facts))


def deliver(server: Dovecot, name: str) -> None:
    """The password still opens the mailbox for delivery."""
    server.deliver(USER, mail(name))


@pytest.mark.parametrize("auth", ["xoauth2", "oauthbearer"])
async def test_a_mailbox_is_read_with_an_access_token_and_the_rotated_refresh_token_is_saved(
    server: Dovecot, tokens: Provider, taken: Intake, auth: str
) -> None:
    await with_refresh_token(taken)
    deliver(server, "one")
    await taken.start(reads(server, tokens, auth=auth))
    await taken.has(mail("one"))
    saved = await taken.mailboxes.token("alice")
    assert saved is not None
    assert saved.refresh_token == tokens.refresh_token == "refresh-2"


async def test_the_application_reads_with_its_own_secret(
    server: Dovecot, tokens: Provider, taken: Intake, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    deliver(server, "one")
    await taken.start(reads(server, tokens, flow="client_credentials", client_secret_file=secret))
    await taken.has(mail("one"))


async def test_an_access_token_that_the_server_no_longer_takes_is_replaced(
    server: Dovecot, tokens: Provider, taken: Intake
) -> None:
    await with_refresh_token(taken)
    source = await taken.start(reads(server, tokens))
    await eventually(lambda: source.statuses[0].record is not None, "the folder is open")
    tokens.access_tokens.clear()
    server.stop()
    server.start()
    deliver(server, "one")
    await taken.has(mail("one"))


async def test_a_first_refresh_token_from_a_file_is_used_until_the_file_holds_another(
    server: Dovecot, tokens: Provider, taken: Intake, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("refresh-1")
    source = await taken.start(reads(server, tokens, refresh_token_file=file))
    await eventually(lambda: source.statuses[0].record is not None, "the folder is open")
    await taken.stop()
    await taken.start(reads(server, tokens, refresh_token_file=file))
    await eventually(lambda: tokens.requests[-1]["refresh_token"] == "refresh-2", "the rotated one counts")
    await taken.stop()
    tokens.refresh_token = "pasted by the operator"
    file.write_text("pasted by the operator")
    source = await taken.start(reads(server, tokens, refresh_token_file=file))
    await eventually(lambda: source.statuses[0].record is not None, "the new file counts")


async def test_a_token_that_another_worker_has_rotated_is_looked_up_before_it_counts_as_refused(
    server: Dovecot, tokens: Provider, taken: Intake
) -> None:
    await with_refresh_token(taken, "refresh-1")
    real = taken.mailboxes.token
    asked: list[str] = []

    async def stale_at_first(account: str) -> SavedToken | None:
        asked.append(account)
        return SavedToken(refresh_token="used by the other", saved_at=NOW) if len(asked) == 1 else await real(account)

    taken.mailboxes.token = stale_at_first  # type: ignore[method-assign] # as if another worker saved in between
    deliver(server, "one")
    await taken.start(reads(server, tokens))
    await taken.has(mail("one"))


# The only copy of a rotated token


def fail_to_save(taken: Intake, times: float) -> list[SavedToken]:
    """Let the store fail to save a token so often; return what it was asked to save."""
    real, asked = taken.mailboxes.save_token, list[SavedToken]()

    async def save(account: str, token: SavedToken) -> None:
        asked.append(token)
        if len(asked) <= times:
            raise StoreUnavailable("database is locked")
        await real(account, token)

    taken.mailboxes.save_token = save  # type: ignore[method-assign] # as if the disk were full
    return asked


async def is_saved(taken: Intake, refresh_token: str) -> bool:
    saved = await taken.mailboxes.token("alice")
    return saved is not None and saved.refresh_token == refresh_token


async def test_a_rotated_token_that_cannot_be_saved_is_used_and_saved_later(
    server: Dovecot, tokens: Provider, taken: Intake
) -> None:
    await with_refresh_token(taken)
    fail_to_save(taken, times=2)
    deliver(server, "one")
    await taken.start(reads(server, tokens))
    await taken.has(mail("one"))
    await eventually(lambda: is_saved(taken, "refresh-2"), "the token is saved")
    assert len(tokens.requests) == 1


async def test_an_unsaved_token_is_what_the_next_request_is_made_with(
    server: Dovecot, tokens: Provider, taken: Intake
) -> None:
    tokens.expires_in = 60
    await with_refresh_token(taken)
    fail_to_save(taken, times=float("inf"))
    deliver(server, "one")
    source = await taken.start(reads(server, tokens))
    await taken.has(mail("one"))
    server.stop()
    await eventually(lambda: bool(source.statuses[0].failure), "the connection is gone")
    server.start()
    deliver(server, "two")
    await taken.has(mail("one"), mail("two"))
    assert [request["refresh_token"] for request in tokens.requests][:2] == ["refresh-1", "refresh-2"]
    assert await is_saved(taken, "refresh-1")
    del taken.mailboxes.save_token


async def test_a_login_by_a_person_counts_more_than_an_unsaved_token(tokens: Provider, taken: Intake) -> None:
    await with_refresh_token(taken)
    fail_to_save(taken, times=float("inf"))
    async with httpx.AsyncClient() as http:
        client = reads(ScriptedServer({}), tokens).oauth
        assert client is not None
        access = AccessTokens("alice", client, taken.mailboxes, http, lambda: NOW)
        await access.get()
        of_the_person = SavedToken(refresh_token="of the person", saved_at=NOW)
        await ImapStore.save_token(taken.mailboxes, "alice", of_the_person)
        saved = await access.saved()
        assert saved is not None
        assert saved.refresh_token == "of the person"
        await access.finish(5)
    assert await is_saved(taken, "of the person")


async def test_a_worker_that_is_stopped_while_a_token_is_on_its_way_saves_it(
    server: Dovecot, tokens: Provider, taken: Intake
) -> None:
    await with_refresh_token(taken)
    fail_to_save(taken, times=1)
    tokens.hold.clear()
    await taken.start(reads(server, tokens))
    await eventually(lambda: len(tokens.requests) == 1, "the request is at the provider")
    stopping = asyncio.create_task(taken.stop())
    await asyncio.sleep(0)
    tokens.hold.set()
    await stopping
    assert await is_saved(taken, "refresh-2")


async def test_a_provider_that_never_answers_holds_up_the_stop_for_the_drain_time_only(
    server: Dovecot, tokens: Provider, taken: Intake
) -> None:
    await with_refresh_token(taken)
    tokens.hold.clear()
    source = await taken.start(reads(server, tokens))
    await eventually(lambda: len(tokens.requests) == 1, "the request is at the provider")
    try:
        async with asyncio.timeout(3):
            await source.drain(0.2)
    finally:
        tokens.hold.set()


async def test_a_token_longer_than_a_line_is_sent_behind_a_continuation(taken: Intake, tokens: Provider) -> None:
    tokens.access_token = "t" * 7_000
    await with_refresh_token(taken)
    async with scripted(mail("one")) as server:
        server.capabilities = "IMAP4rev1 SASL-IR AUTH=XOAUTH2"
        server.max_line = 8_192
        await taken.start(reads(server, tokens))
        await taken.has(mail("one"))
    assert "AUTHENTICATE XOAUTH2" in server.commands


# Throttled, passing, revoked


@pytest.mark.parametrize(
    "answer",
    [
        refuse("slow_down", status=429, Retry_After="0"),
        refuse("temporarily_unavailable", status=503),
        refuse("", status=502),
        refuse("server_error", status=500),
        refuse("never_heard_of", status=400),
    ],
    ids=["429", "503", "502", "500", "unknown"],
)
async def test_a_provider_in_trouble_is_asked_again_and_nobody_is_called(
    server: Dovecot, tokens: Provider, taken: Intake, answer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens.odd.extend([answer] * 3)
    await with_refresh_token(taken)
    deliver(server, "one")
    await taken.start(reads(server, tokens))
    await taken.has(mail("one"))
    assert "ingest imap login" not in capsys.readouterr().out


async def test_a_provider_that_says_when_is_left_alone_until_then(
    server: Dovecot, tokens: Provider, taken: Intake
) -> None:
    tokens.odd.append(refuse("slow_down", status=429, Retry_After="3600"))
    await with_refresh_token(taken)
    source = await taken.start(reads(server, tokens))
    await eventually(lambda: bool(source.statuses[0].failure), "the trouble is told")
    assert "slow_down" in source.statuses[0].failure
    assert len(tokens.requests) == 1


async def test_a_revoked_token_waits_for_the_operator_and_a_new_one_is_used_at_once(
    server: Dovecot, tokens: Provider, taken: Intake
) -> None:
    await with_refresh_token(taken, "revoked")
    deliver(server, "one")
    source = await taken.start(reads(server, tokens))
    await eventually(lambda: bool(source.statuses[0].failure), "the trouble is told")
    assert "run `ingest imap login alice`" in source.statuses[0].failure
    assert await taken.records() == ()
    await with_refresh_token(taken, "refresh-1")
    await taken.has(mail("one"))


async def test_a_wrong_password_is_tried_slowly_and_a_new_one_in_its_file_at_once(
    server: Dovecot, taken: Intake, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("wrong")
    deliver(server, "one")
    source = await taken.start(account(server, USER, password=None, password_file=file))
    await eventually(lambda: bool(source.statuses[0].failure), "the trouble is told")
    assert "check user and password" in source.statuses[0].failure
    attempts = server.log().count("auth failed")
    assert attempts <= 1
    file.write_text("open-sesame")
    await taken.has(mail("one"))


async def test_mail_that_comes_while_the_first_credential_is_wrong_is_new(
    server: Dovecot, taken: Intake, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("wrong")
    source = await taken.start(account(server, USER, password=None, password_file=file, first="new"))
    await eventually(lambda: bool(source.statuses[0].failure), "the trouble is told")
    deliver(server, "meanwhile")
    file.write_text("open-sesame")
    await taken.has(mail("meanwhile"))


# Forewarning


async def test_two_weeks_before_its_end_a_credential_is_warned_about(
    server: Dovecot, tokens: Provider, taken: Intake, capsys: pytest.CaptureFixture[str]
) -> None:
    await with_refresh_token(taken, "unused", ends_at=NOW + 10 * DAY_SECONDS)
    told = ""

    def warned() -> bool:
        nonlocal told
        told += capsys.readouterr().out
        return "credential ends soon" in told

    await taken.start(reads(server, tokens), clock=lambda: NOW, timing=faster())
    await eventually(warned, "the warning")
    assert "days_left=10" in told


async def test_check_says_when_a_token_or_secret_ends(server: Dovecot, tokens: Provider, taken: Intake) -> None:
    ends = {"flow": "client_credentials", "client_secret": SECRET, "client_secret_ends": "2027-01-20"}
    found = await check(reads(server, tokens, **ends), taken.mailboxes, clock=lambda: NOW)
    assert AccountFinding(account="alice", level="warning", text=_ENDS) in found
    assert all(finding.level != "error" for finding in found)


_ENDS = "the credential ends on 2027-01-20, in 4 days: renew it before"


# The first token


async def _sleep(_seconds: float) -> None:
    """Tests don't wait."""


async def _never(_question: str) -> str:
    raise AssertionError("nobody is asked")


async def test_login_gets_the_first_token_by_device_code(server: Dovecot, tokens: Provider, taken: Intake) -> None:
    shown: list[str] = []
    asked = 0

    async def sleep(_seconds: float) -> None:
        nonlocal asked
        asked += 1
        tokens.entered = asked > 2

    await login(reads(server, tokens), taken.mailboxes, show=shown.append, ask=_never, sleep=sleep)
    assert "https://example/device" in shown[0]
    assert "ABCD-EFGH" in shown[0]
    deliver(server, "one")
    await taken.start(reads(server, tokens))
    await taken.has(mail("one"))


async def test_a_device_code_that_nobody_enters_ends(server: Dovecot, tokens: Provider, taken: Intake) -> None:
    with pytest.raises(TokenRefused, match="not entered in time"):
        await login(reads(server, tokens), taken.mailboxes, show=lambda _: None, ask=_never, sleep=_sleep)


async def test_a_person_who_declines_ends_the_login(server: Dovecot, tokens: Provider, taken: Intake) -> None:
    tokens.odd.extend([tokens.answer("/device", {}), refuse("access_denied", "the user said no")])
    with pytest.raises(TokenRefused, match="the user said no"):
        await login(reads(server, tokens), taken.mailboxes, show=lambda _: None, ask=_never, sleep=_sleep)


async def test_google_is_logged_in_by_the_address_that_the_browser_ends_at(
    server: Dovecot, tokens: Provider, taken: Intake
) -> None:
    google = reads(server, tokens, provider="google", device_url=None, client_secret="s")
    shown: list[str] = []

    async def browse(_question: str) -> str:
        state = shown[0].partition("state=")[2].partition("&")[0]
        return f"http://127.0.0.1:1/?state={state}&code=code-1"

    await login(google, taken.mailboxes, show=shown.append, ask=browse)
    assert "https://accounts.google.com/" in shown[0]
    assert tokens.requests[-1]["code"] == "code-1"
    assert tokens.requests[-1]["code_verifier"]
    saved = await taken.mailboxes.token("alice")
    assert saved is not None
    assert saved.refresh_token == tokens.refresh_token


async def test_an_address_of_another_login_is_not_accepted(server: Dovecot, tokens: Provider, taken: Intake) -> None:
    async def browse(_question: str) -> str:
        return "http://127.0.0.1:1/?state=of-another&code=code-1"

    google = reads(server, tokens, provider="google", device_url=None)
    with pytest.raises(LoginImpossible):
        await login(google, taken.mailboxes, show=lambda _: None, ask=browse)
    assert tokens.requests == []


async def test_an_account_with_a_password_needs_no_login(server: Dovecot, taken: Intake) -> None:
    with pytest.raises(LoginImpossible, match="password"):
        await login(account(server, USER), taken.mailboxes, show=lambda _: None, ask=_never)
