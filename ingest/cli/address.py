"""``ingest address``: a signed reply address and Message-ID for a ticket."""

import os
import secrets
from typing import Annotated

import typer

from ingest.cli import output
from ingest.cli.exit_codes import CommandError, ExitCode
from ingest.config.settings import Settings, load
from ingest.tickets import sign_address, sign_message_id


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("address")(address)


def address(
    ticket: Annotated[str, typer.Argument(metavar="TICKET", help="Id of the ticket (not its code).")],
    domain: Annotated[
        str | None, typer.Option(help="Which of INGEST_DOMAINS to use.", show_default="the first")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Print a signed reply address for a ticket.

    And a signed Message-ID, both made with INGEST_SIGNING_KEY. Put the address into Reply-To, or the Message-ID on the
    outbound mail: a reply then proves its ticket by itself.
    """
    key, ours = _key_and_domain(load(os.environ), domain)
    signed = sign_address(ticket, ours, key)
    message_id = f"<{sign_message_id(ticket, secrets.token_hex(8), ours, key)}>"
    if json:
        output.emit({"ticket_id": ticket, "reply_to": signed, "message_id": message_id})
    else:
        output.say(f"Reply-To:   {signed}")
        output.say(f"Message-ID: {message_id}")


def _key_and_domain(settings: Settings, domain: str | None) -> tuple[bytes, str]:
    if settings.signing_key is None:
        raise CommandError("INGEST_SIGNING_KEY is not set: set it to a long random secret and keep it", ExitCode.USAGE)
    if not settings.domains and domain is None:
        raise CommandError("INGEST_DOMAINS is not set: set it, or name a domain with --domain", ExitCode.USAGE)
    if domain is not None and settings.domains and domain.lower() not in settings.domains:
        raise CommandError(f"{domain} is not one of INGEST_DOMAINS: {', '.join(settings.domains)}", ExitCode.USAGE)
    return settings.signing_key.get_secret_value().encode(), domain or settings.domains[0]
