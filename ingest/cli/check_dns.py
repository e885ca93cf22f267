"""``ingest check``, as far as the DNS is concerned: whether the sender of a mail can be authenticated."""

import time
from collections.abc import AsyncIterator

from ingest.authenticate import open_resolver
from ingest.cli.check_result import CheckResult
from ingest.config.settings import ConfigError, Settings
from ingest.dns import DnsFailure, NoResolver
from ingest.model.dns_records import Question, RecordType

WITHOUT = "nothing is known of any sender but what INGEST_AUTHSERV_IDS tell"


async def dns_results(settings: Settings) -> AsyncIterator[CheckResult]:
    """Ask for a name, as authentication does."""
    if not settings.dns_servers:
        yield CheckResult(what="dns", level="warning", text=f"INGEST_DNS_SERVERS is none: {WITHOUT}")
        return
    name = settings.domains[0] if settings.domains else "example.com"
    try:
        async with open_resolver(settings, clock=time.monotonic) as resolver:
            await resolver.query(Question(name, RecordType.TXT))
    except ConfigError as error:
        yield CheckResult(what="dns", level="error", text=str(error))
    except NoResolver:
        text = f"no resolver answers ({' '.join(settings.dns_servers)}): {WITHOUT}; set INGEST_DNS_SERVERS"
        yield CheckResult(what="dns", level="warning", text=text)
    except DnsFailure as error:
        yield CheckResult(what="dns", level="warning", text=f"the resolver answers, but {error}")
    else:
        yield _answered(settings)


def _answered(settings: Settings) -> CheckResult:
    if settings.dns_zone is not None:
        text = f"INGEST_DNS_ZONE: {settings.dns_zone} stands for the DNS, so that only its domains can be proven"
        return CheckResult(what="dns", level="warning", text=text)
    return CheckResult(what="dns", level="ok", text="the resolver answers, so that senders can be authenticated")
