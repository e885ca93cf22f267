"""``ingest imap``: commands for mailboxes that are read by IMAP."""

import asyncio
import os
from typing import Annotated

import typer

from ingest.cli import output
from ingest.cli.exit_codes import CommandError, ExitCode
from ingest.config.imap_accounts import CredentialUnreadable, ImapAccount
from ingest.config.settings import load
from ingest.sources.imap.auth.authorize import LoginImpossible
from ingest.sources.imap.auth.authorize import login as get_first_token
from ingest.sources.imap.auth.oauth import TokenRefused, TokenThrottled, TokenUnavailable
from ingest.store.imap import ImapStore
from ingest.store.opening import open_database

imap = typer.Typer(no_args_is_help=True, help="Log in to mailboxes with OAuth2.")


@imap.callback()
def _imap() -> None:
    """Make typer build a group, though it has only one command."""


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.add_typer(imap, name="imap")


@imap.command()
def login(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's name in the settings.")],
) -> None:
    """Get the first token of an account.

    It tells which page to open, and saves the token in the database. Needed once for each account with auth = "xoauth2"
    or "oauthbearer", and again where access was revoked. The worker may run meanwhile; it takes the new token by
    itself.
    """
    settings = load(os.environ)
    chosen = next((each for each in settings.imap if each.name == account), None)
    if chosen is None:
        names = (
            ", ".join(each.name for each in settings.imap) or "none; INGEST_CONFIG names the file with tables [[imap]]"
        )
        raise CommandError(f"there is no account {account!r}; the settings have: {names}", ExitCode.NOT_FOUND)
    asyncio.run(_login(chosen, settings.database_url))
    output.say(f"{account}: the token is saved; `ingest check` tries it")


async def _login(account: ImapAccount, database_url: str) -> None:
    async with open_database(database_url) as database:
        try:
            await get_first_token(account, ImapStore(database), show=output.say, ask=_ask)
        except LoginImpossible as error:
            raise CommandError(str(error), ExitCode.USAGE) from error
        except (TokenRefused, TokenThrottled, TokenUnavailable, CredentialUnreadable) as error:
            raise CommandError(f"{account.name}: {error}", ExitCode.UNAVAILABLE) from error


async def _ask(question: str) -> str:
    return await asyncio.to_thread(input, f"{question} ")
