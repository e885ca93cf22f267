"""``ingest serve``: the worker."""

import os
import shutil
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from ingest import log
from ingest.app import App, ComponentStopped
from ingest.app import serve as run_worker
from ingest.cli.exit_codes import CommandError, ExitCode
from ingest.cli.sandbox import check_start_data, parse_listener
from ingest.config.settings import REQUIRED_TO_SERVE, SANDBOX_TOKEN, Settings, load, unknown_names
from ingest.sandbox import START_DATA, Sandbox
from ingest.store.opening import file_of

SANDBOX_DEFAULTS = {
    "INGEST_DOMAINS": "mail.ravenna.example",
    "INGEST_STAFF_DOMAINS": "support.example",
    "INGEST_SYNC_INTERVAL": 5.0,
}
AUTHOR = ("Alice Archer", "alice@customer.example")
"""The requester of ticket TAI-42, whose domain permits mail from this machine."""
FORGED_AUTHOR = ("Sam Okafor", "sam.okafor@support.example")
"""The agent of that ticket, whose domain permits no server at all."""
UNKNOWN_SENDER = "unknown-sender@"
"""The address of the sandbox's user for mail of strangers begins so."""


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("serve")(serve)


def serve(
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Try it out: with a stand-in for the ticket API, and no settings at all.")
    ] = False,
    data: Annotated[
        Path,
        typer.Option(
            help="File with the tickets, users and messages that the stand-in starts with.", show_default="its own"
        ),
    ] = START_DATA,
) -> None:
    """Run the worker.

    It takes mail in by SMTP, LMTP and IMAP, and posts it as ticket messages.
    It needs RAVENNA_API_TOKEN and INGEST_DOMAINS; `ingest settings` shows all settings, `ingest check` tries them.

    SIGTERM or SIGINT stops it: it takes no more mail, and gives what is in progress INGEST_DRAIN seconds to finish.
    A second signal stops it at once. Nothing that was accepted is lost either way.
    """
    settings = _sandbox_settings() if sandbox else _load_settings()
    log.configure(settings.log_level, settings.log_format)
    for line in unknown_names(os.environ):
        log.get("settings").warning(line)
    try:
        uvloop.run(_with_sandbox(settings, data) if sandbox else run_worker(settings, _tell_where, _load_settings))
    except ComponentStopped as error:
        raise CommandError(str(error)) from error


def _load_settings() -> Settings:
    return load(os.environ, required=REQUIRED_TO_SERVE)


def _sandbox_settings() -> Settings:
    """Return settings for the sandbox: its address and token replace what is set."""
    return load(
        os.environ, defaults=SANDBOX_DEFAULTS, RAVENNA_API_TOKEN=SANDBOX_TOKEN, RAVENNA_API_URL="http://sandbox/api"
    )


async def _with_sandbox(settings: Settings, data: Path) -> None:
    host, port = parse_listener(settings.sandbox_listen)
    check_start_data(data)
    journal = file_of(settings.database_url).with_name("sandbox.jsonl")
    journal.parent.mkdir(parents=True, exist_ok=True)
    stand_in = Sandbox(host, port, data=data, journal=journal)
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(stand_in)
        except OSError as error:
            where = settings.sandbox_listen
            raise CommandError(
                f"cannot listen on {where}: {error.strerror}; change INGEST_SANDBOX_LISTEN", ExitCode.UNAVAILABLE
            ) from None
        await run_worker(
            _point_at(stand_in, settings, data),
            lambda app: _tell_what_to_try(app, stand_in),
            lambda: _point_at(stand_in, _sandbox_settings(), data),
        )


def _point_at(stand_in: Sandbox, settings: Settings, data: Path) -> Settings:
    """Return the settings with the address on which the sandbox listens, its user for mail of unknown senders, and the
    zone in its data, so that no real DNS is asked."""
    users = stand_in.state.users.values()
    stranger = next((user["id"] for user in users if user["email"].startswith(UNKNOWN_SENDER)), None)
    author = settings.fallback_author_id or stranger
    zone = settings.dns_zone or data
    return settings.model_copy(update={"api_url": stand_in.url, "fallback_author_id": author, "dns_zone": zone})


def _tell_where(app: App) -> None:
    for name, place in app.endpoints():
        log.get("serve").info(name, at=place)


def _tell_what_to_try(app: App, stand_in: Sandbox) -> None:
    for name, place in [*app.endpoints(), ("api", f"{stand_in.url}  (the sandbox; token {stand_in.token})")]:
        print(f"{name:6} {place}")
    smtp = next((place for name, place in app.endpoints() if name == "smtp"), None)
    if smtp is not None:
        _print_lines_to_try(smtp, app.engine.settings.domains[0])
    print(f"and look at {stand_in.page}", flush=True)


def _print_lines_to_try(smtp: str, domain: str) -> None:
    with_curl = shutil.which("curl") is not None
    print("\nTo try it, send a reply to ticket TAI-42, from a domain that permits this machine:\n")
    print(f"  {line_to_try(smtp, domain, with_curl=with_curl)}\n")
    print("and one in the name of its agent, whose domain does not; it is held (`ingest messages list`):\n")
    print(f"  {line_to_try(smtp, domain, with_curl=with_curl, author=FORGED_AUTHOR)}\n")


def line_to_try(smtp: str, domain: str, *, with_curl: bool, author: tuple[str, str] = AUTHOR) -> str:
    """Return a shell command that sends a reply to ticket TAI-42. Each run sends another message."""
    (name, sender), recipient = author, f"help@{domain}"
    unique = "$(date +%s%N)" if with_curl else "{time.time_ns()}"
    header = (
        f"From: {name} <{sender}>",
        f"To: Help Desk <{recipient}>",
        "Subject: Re: [TAI-42] Your ticket",
        f"Message-ID: <try-{unique}@{sender.partition('@')[2]}>",
        "In-Reply-To: <tai-42-1@mail.ravenna.example>",
    )
    mail = "\\r\\n".join((*header, "", "Thank you, it works now.", ""))
    if with_curl:
        return f'printf "{mail}" | curl -sS smtp://{smtp} --mail-from {sender} --mail-rcpt {recipient} -T -'
    return f"python3 -c \"import smtplib, time; smtplib.SMTP('{smtp}').sendmail('{sender}', '{recipient}', f'{mail}')\""
