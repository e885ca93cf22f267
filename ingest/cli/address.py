"""``ingest address``: a signed reply address and Message-ID for a ticket, and the marks of a copy of outbound mail."""

import os
import secrets
import time
from typing import Annotated

import typer

from ingest import signing
from ingest.cli import output
from ingest.cli.exit_codes import CommandError, ExitCode
from ingest.config.settings import Settings, load


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("address")(address)


def address(
    ticket: Annotated[str, typer.Argument(metavar="TICKET", help="Id of the ticket (not its code).")],
    domain: Annotated[
        str | None, typer.Option(help="Which of INGEST_DOMAINS to use.", show_default="the first")
    ] = None,
    person: Annotated[
        str, typer.Option("--for", metavar="ADDRESS", help="The one person who is to answer.", show_default="anybody")
    ] = "",
    dated: Annotated[bool, typer.Option("--dated", help="With today's date (INGEST_SIGNATURE_DAYS).")] = False,
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Print a signed reply address for a ticket.

    And a signed Message-ID, both made with INGEST_SIGNING_KEY. Put the address into Reply-To, or the Message-ID on the
    outbound mail: a reply then proves its ticket by itself. The rest marks copies of outbound mail; docs/sending.md
    says how.
    """
    key, ours = _key_and_domain(load(os.environ), domain)
    signed_at = time.time() if dated else None
    try:
        made = _signed(ticket, ours, key, person=person, signed_at=signed_at)
    except ValueError as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    if json:
        output.emit({"ticket_id": ticket, **made})
    else:
        for name, value in made.items():
            output.say(f"{_LABELS[name]:14} {value}")


_LABELS = {
    "reply_to": "Reply-To:",
    "message_id": "Message-ID:",
    "sent_field": f"{signing.SENT_FIELD}:",
    "sent_address": "Bcc:",
}


def _signed(ticket: str, domain: str, key: bytes, *, person: str, signed_at: float | None) -> dict[str, str]:
    unique = secrets.token_hex(8)
    message_id = signing.sign_message_id(ticket, unique, domain, key, person=person, signed_at=signed_at)
    return {
        "reply_to": signing.sign_address(ticket, domain, key, person=person, signed_at=signed_at),
        "message_id": f"<{message_id}>",
        "sent_field": signing.sign_sent(ticket, message_id, key),
        "sent_address": signing.sign_sent_address(ticket, domain, key, signed_at=signed_at),
    }


def _key_and_domain(settings: Settings, domain: str | None) -> tuple[bytes, str]:
    if settings.signing_key is None:
        raise CommandError(
            "INGEST_SIGNING_KEY is not set: set it to what `openssl rand -hex 32` prints, and keep it", ExitCode.USAGE
        )
    if not settings.domains and domain is None:
        raise CommandError("INGEST_DOMAINS is not set: set it, or name a domain with --domain", ExitCode.USAGE)
    if domain is not None and settings.domains and domain.lower() not in settings.domains:
        raise CommandError(f"{domain} is not one of INGEST_DOMAINS: {', '.join(settings.domains)}", ExitCode.USAGE)
    return settings.signing_key.get_secret_value().encode(), domain or settings.domains[0]
