"""``ingest check``, as far as the trust in senders is concerned: the decision table, and what a switch would change."""

from collections.abc import AsyncIterator, Iterator

from ingest import policy
from ingest.app import pipeline_settings
from ingest.cli.check_result import CheckResult
from ingest.config.settings import ConfigError, Settings
from ingest.decision import PipelineSettings
from ingest.model.trust import AuthenticationMode, Treatment, Trust
from ingest.store import StoreUnavailable
from ingest.store.messages import Store
from ingest.store.opening import file_of, open_to_read


def trust_results(settings: Settings) -> Iterator[CheckResult]:
    """Check the settings that say whom to trust."""
    try:
        chosen = pipeline_settings(settings)
    except ConfigError as error:
        yield from (CheckResult(what="settings", level="error", text=line) for line in str(error).splitlines())
        return
    if chosen.authentication_mode is AuthenticationMode.ADVISORY:
        text = (
            "INGEST_AUTHENTICATION is advisory: who writes an agent's address into From of unsigned mail posts as that"
            " agent; use it only for mail of a closed network, or of a relay that refuses what is forged"
        )
        yield CheckResult(what="settings", level="warning", text=text)
    if not chosen.staff_domains:
        text = (
            "INGEST_STAFF_DOMAINS is not set: an agent is known as one only on tickets that the agent is assigned to or"
            " has written to in the help desk"
        )
        yield CheckResult(what="settings", level="warning", text=text)


def server_results(settings: Settings) -> Iterator[CheckResult]:
    """Tell whose Authentication-Results are believed, in mail by relays and in each mailbox."""
    if settings.authserv_ids:
        relays = ", ".join(settings.smtp_relays) or "clients with a private address (INGEST_SMTP_RELAYS is not set)"
        text = f"results of {', '.join(settings.authserv_ids)} are believed in mail from {relays}"
        yield CheckResult(what="authentication", level="ok", text=f"{text}; they must remove forged ones (RFC 8601)")
    for account in settings.imap:
        if account.trusted_servers:
            text = f"results of {', '.join(account.trusted_servers)} are believed in mailboxes of {account.name}"
            yield CheckResult(what="authentication", level="ok", text=text)
        else:
            text = f"no server is believed in mailboxes of {account.name} (authserv_ids): only DKIM can prove its mail"
            yield CheckResult(what="authentication", level="warning", text=text)


async def switch_results(settings: Settings) -> AsyncIterator[CheckResult]:
    """Count the stored mails that the other value of ``INGEST_AUTHENTICATION`` would treat otherwise, by cell."""
    try:
        chosen = pipeline_settings(settings)
        if not file_of(settings.database_url).exists():
            return
        async with open_to_read(settings.database_url) as database:
            cells = await Store(database).cells()
    except (ConfigError, StoreUnavailable) as error:
        yield CheckResult(what="authentication", level="error", text=str(error))
        return
    for result in _compare(cells, chosen):
        yield result


def _compare(cells: dict[str, int], chosen: PipelineSettings) -> Iterator[CheckResult]:
    other = chosen.authentication_mode.other
    compared = changed = 0
    for cell, count in sorted(cells.items()):
        trust = Trust.parse(cell)
        if trust is None:
            continue
        compared += count
        now, then = (_decide(trust, chosen, mode) for mode in (chosen.authentication_mode, other))
        if now is not then:
            changed += count
            text = f"{count} of {trust.who}, {trust.authentication.result}, {trust.level}: {now} would become {then}"
            yield CheckResult(what="authentication", level="ok", text=text)
    unknown = sum(cells.values()) - compared
    text = f"INGEST_AUTHENTICATION={other} would treat {changed} of {compared} stored mails otherwise"
    text += f"; of {unknown} more no decision is stored" if unknown else ""
    yield CheckResult(what="authentication", level="ok", text=text)


def _decide(trust: Trust, chosen: PipelineSettings, mode: AuthenticationMode) -> Treatment:
    return policy.decide(
        who=trust.who,
        authentication=trust.authentication.result,
        level=trust.level,
        table=chosen.decision_table,
        mode=mode,
    )
