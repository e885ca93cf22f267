"""Finds out whether the domain in From sent a mail: asks the DNS, has DKIM signatures verified in a parser process.

What follows from the answers is decided in ``ingest/authentication/verdict.py``, which does no input or output.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import islice

from ingest import metrics
from ingest.api import Unavailable
from ingest.authentication.author import find_author
from ingest.authentication.dkim_verification import MAX_SIGNATURES, read_key_name
from ingest.authentication.dmarc import DmarcRecord, can_align, find_policy, parse_record, record_name, tree_walk
from ingest.authentication.domain_names import is_registrable, to_ascii
from ingest.authentication.results import ToldResults, read_told
from ingest.authentication.spf_check import SpfCheck, SpfIdentity, SpfResult, evaluate, identity, known_client
from ingest.authentication.verdict import AuthenticationFindings, conclude, domains_to_align
from ingest.config.settings import ConfigError, Settings
from ingest.dns import DnsFailure, NoResolver, Resolver
from ingest.dns.network import AbsentResolver, NetworkResolver
from ingest.dns.zone import ZoneFileError, load_zone
from ingest.model.author import AuthorFault
from ingest.model.dns_records import DnsAnswer, Question, RecordType
from ingest.model.envelope import QueuedMessage
from ingest.model.message import ParsedMessage
from ingest.model.outcome import DeferCause, Deferred
from ingest.model.signatures import DkimKeyName, DkimSignature
from ingest.model.trust import NOTHING_KNOWN, Authentication, AuthenticationResult
from ingest.parse_pool import ParsePool, PoisonMessage

AUTHENTICATION_SECONDS = 20.0
"""Time that the questions of one mail may take in all (RFC 7208 section 4.6.4 wants 20 seconds at least for SPF). What
is not answered by then counts as a failure of the DNS."""
RETRY_SECONDS = 60.0
"""Wait before a mail is tried again for which the DNS failed. It remembers failures for half of that."""
_IMAP = "imap:"
_LMTP = "lmtp:"
"""Sources of this kind are fed by a mail server of ours, never by the sender's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationSettings:
    """The operator's settings of authentication."""

    behind_relays: bool = False
    """Mail comes from relays of ours (``INGEST_SMTP_RELAYS``), so that the client is not the sender's server."""
    with_loopback: bool = False
    """A client at 127.0.0.1 counts as the sender's server; for trying out."""
    authserv_ids: Sequence[str] = ()
    """Servers that are believed in mail by SMTP and LMTP that comes from a relay of ours, and in replayed files."""
    account_authserv_ids: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Servers that are believed in the mailboxes of each IMAP account, by its name."""
    patience_seconds: float = 3600.0
    """How long a mail is put off while the DNS fails for it."""


@asynccontextmanager
async def open_authenticator(
    settings: Settings, parse_pool: ParsePool, *, clock: Callable[[], float]
) -> AsyncIterator["DnsAuthenticator"]:
    """Yield what authenticates mail by the settings. Nothing is asked before the first mail.

    Raises:
        ConfigError: ``INGEST_DNS_ZONE`` cannot be read.
    """
    wanted = AuthenticationSettings(
        behind_relays=bool(settings.smtp_relays),
        with_loopback=settings.dns_zone is not None,
        authserv_ids=settings.authserv_ids,
        account_authserv_ids={account.name: account.trusted_servers for account in settings.imap},
        patience_seconds=settings.dns_patience,
    )
    async with open_resolver(settings, clock=clock) as resolver:
        yield DnsAuthenticator(resolver, parse_pool, wanted, clock=clock)


@asynccontextmanager
async def open_resolver(settings: Settings, *, clock: Callable[[], float]) -> AsyncIterator[Resolver]:
    """Yield what answers questions to the DNS by the settings.

    Raises:
        ConfigError: ``INGEST_DNS_ZONE`` cannot be read.
    """
    resolver = _resolver(settings, clock)
    try:
        yield resolver
    finally:
        await resolver.close()


def _resolver(settings: Settings, clock: Callable[[], float]) -> Resolver:
    if settings.dns_zone is not None:
        try:
            return load_zone(settings.dns_zone)
        except ZoneFileError as error:
            raise ConfigError(f"INGEST_DNS_ZONE: {error}") from error
    return NetworkResolver(settings.dns_servers, clock=clock) if settings.dns_servers else AbsentResolver()


class DnsAuthenticator:
    """Finds out by the DNS whether the domain in From sent a mail. It stores nothing.

    Args:
        clock: Unix time in seconds.
    """

    def __init__(
        self, resolver: Resolver, parse_pool: ParsePool, settings: AuthenticationSettings, *, clock: Callable[[], float]
    ) -> None:
        self._resolver = resolver
        self._parse_pool = parse_pool
        self._settings = settings
        self._clock = clock

    async def authenticate(self, queued: QueuedMessage, message: ParsedMessage, content: bytes) -> Authentication:
        """Return what is known about the claim of From; what an earlier attempt found out stays.

        Raises:
            Unavailable: the DNS fails for now, and the patience has not run out.
        """
        if queued.authentication is not None:
            return queued.authentication
        domain = author_domain(message)
        if not domain:
            reason = "From does not name one address of a domain"
            return _counted(replace(NOTHING_KNOWN, reason=reason))
        told = read_told(
            message.authentication_results,
            self._trusted_servers(queued),
            author_domain=domain,
            reverse_path=queued.envelope.mail_from,
        )
        if told.verdict is AuthenticationResult.PROVEN:
            return _counted(told.about(domain))
        try:
            findings = await self._find_out(domain, queued, message, content, told)
        except NoResolver as error:
            return _counted(told.beside(self._without_resolver(queued, domain, error)))
        conclusion = conclude(findings)
        if conclusion.waits_for:
            self._wait(queued, conclusion.authentication.reason)
        return _counted(told.beside(conclusion.authentication))

    def _trusted_servers(self, queued: QueuedMessage) -> Sequence[str]:
        """Return the servers whose results count. A client that may be the sender's own server is no relay of ours, and
        writes what it likes."""
        source = queued.source_ref.source
        if source.startswith(_IMAP):
            return self._settings.account_authserv_ids.get(source.removeprefix(_IMAP).partition("/")[0], ())
        is_sender = bool(known_client(queued.envelope.client)) and not source.startswith(_LMTP)
        return () if is_sender and not self._settings.behind_relays else self._settings.authserv_ids

    def _without_resolver(self, queued: QueuedMessage, domain: str, error: NoResolver) -> Authentication:
        """Go on without proof where there is no resolver; wait for one that has only just gone."""
        if not error.is_lasting:
            self._wait(queued, str(error))
        reason = f"nothing could be asked: {error}"
        return replace(NOTHING_KNOWN, domain=domain, reason=reason, is_lasting=False)

    def _wait(self, queued: QueuedMessage, reason: str) -> None:
        """Return once the patience has run out.

        Raises:
            Unavailable: it has not.
        """
        since = queued.optional_failing_since
        if self._clock() - (self._clock() if since is None else since) >= self._settings.patience_seconds:
            return
        reason = f"{reason}; it is tried again"
        raise Unavailable(
            Deferred(reason=reason, retry_after=RETRY_SECONDS, cause=DeferCause.WAIT, optional_step_failed=True)
        )

    # What is found out

    async def _find_out(
        self, domain: str, queued: QueuedMessage, message: ParsedMessage, content: bytes, told: ToldResults
    ) -> AuthenticationFindings:
        """Ask everything at once that could matter, and then what the answers make worth asking."""
        questions = _Questions(self._resolver)
        try:
            async with asyncio.timeout(AUTHENTICATION_SECONDS):
                keys, spf, _ = await asyncio.gather(
                    questions.ask_all(_key_questions(domain, message)),
                    self._check_spf(domain, queued, questions),
                    questions.ask_all(_record_questions([domain])),
                )
        except TimeoutError as error:
            raise NoResolver("the DNS took too long for this mail", is_lasting=False) from error
        verified = await self._verify(content, queued, keys)
        findings = AuthenticationFindings(
            author_domain=domain,
            records=_records(questions),
            spf=spf,
            signatures=verified or (),
            is_unverified=verified is None,
            told=told.passes,
            unanswered_keys=tuple(_key_name(question) for question, answer in keys if answer is None),
        )
        await questions.ask_all(_record_questions(domains_to_align(findings)))
        findings = replace(findings, records=_records(questions))
        return replace(findings, author_exists=await _exists(domain, findings, questions))

    async def _verify(
        self, content: bytes, queued: QueuedMessage, keys: "Sequence[tuple[Question, DnsAnswer | None]]"
    ) -> tuple[DkimSignature, ...] | None:
        """Verify the signatures whose keys are there; ``None``: that killed the parser process."""
        records = {_key_name(question): answer.values for question, answer in keys if answer is not None}
        if not records:
            return ()
        try:
            return await self._parse_pool.verify_dkim(content, records, queued.received_at)
        except PoisonMessage:
            return None

    async def _check_spf(self, domain: str, queued: QueuedMessage, questions: "_Questions") -> SpfCheck:
        envelope = queued.envelope
        who = identity(envelope.mail_from, envelope.helo)
        client = known_client(envelope.client, with_loopback=self._settings.with_loopback)
        is_told = bool(client) and not self._settings.behind_relays and not queued.source_ref.source.startswith(_LMTP)
        if (is_told or envelope.mail_from) and not (who.domain and can_align(who.domain, domain)):
            return SpfCheck(result=SpfResult.NOT_ALIGNED, domain=who.domain)
        if not is_told:
            return SpfCheck(result=SpfResult.CLIENT_UNKNOWN)
        return await _evaluate(client, who, questions)


class _Questions:
    """The questions of one mail, and their answers (``None``: the DNS failed)."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self.answers: dict[Question, DnsAnswer | None] = {}

    async def ask(self, question: Question) -> DnsAnswer | None:
        """Return the answer. Raises ``NoResolver`` where nothing is answered at all."""
        if question not in self.answers:
            try:
                self.answers[question] = await self._resolver.query(question)
            except NoResolver:
                raise
            except DnsFailure:
                self.answers[question] = None
        return self.answers[question]

    async def ask_all(self, questions: Iterable[Question]) -> list[tuple[Question, DnsAnswer | None]]:
        """Ask several questions at once. Raises as ``ask`` does."""
        wanted = tuple(dict.fromkeys(questions))
        return list(zip(wanted, await asyncio.gather(*map(self.ask, wanted)), strict=True))


def author_domain(message: ParsedMessage) -> str:
    """Return the domain whose claim is checked; ``""`` where From does not have exactly one address of a domain."""
    fields = sum(name == "from" for name, _ in message.headers)
    author = find_author(message)
    if fields != 1 or isinstance(author, AuthorFault):
        return ""
    domain = to_ascii(author.proving_domain)
    return domain if is_registrable(domain) else ""


def _key_questions(domain: str, message: ParsedMessage) -> Iterator[Question]:
    """Yield the names of the keys whose signatures could prove ``domain``."""
    values = (value.encode("utf-8", "replace") for name, value in message.headers if name == "dkim-signature")
    names = (name for value in values if (name := read_key_name(value)) is not None and can_align(name.domain, domain))
    for name in islice(dict.fromkeys(names), MAX_SIGNATURES):
        yield Question(name.dns_name, RecordType.TXT)


def _key_name(question: Question) -> DkimKeyName:
    selector, _, domain = question.name.partition("._domainkey.")
    return DkimKeyName(domain, selector)


def _record_questions(domains: Iterable[str]) -> Iterator[Question]:
    for domain in domains:
        for name in tree_walk(domain):
            yield Question(record_name(name), RecordType.TXT)


def _records(questions: _Questions) -> dict[str, DmarcRecord | None]:
    """Return the DMARC record of each domain whose name was answered."""
    prefix = record_name("")
    return {
        question.name.removeprefix(prefix): parse_record(answer.values)
        for question, answer in questions.answers.items()
        if answer is not None and question.name.startswith(prefix)
    }


async def _exists(domain: str, findings: AuthenticationFindings, questions: _Questions) -> bool:
    """Return whether the DNS knows the domain, where that makes a difference (``np``)."""
    found = find_policy(domain, findings.records, exists=True)
    if found is None or found.record.absent_policy is None or findings.records.get(domain) is not None:
        return True
    answer = await questions.ask(Question(domain, RecordType.TXT))
    return answer is None or answer.exists


async def _evaluate(client: str, who: SpfIdentity, questions: _Questions) -> SpfCheck:
    """Evaluate SPF, with one question to the DNS after the other."""
    answers: dict[Question, DnsAnswer | None] = {}
    while isinstance(found := evaluate(client, who, answers), Question):
        answers[found] = await questions.ask(found)
    return found


def _counted(authentication: Authentication) -> Authentication:
    metrics.AUTHENTICATED.labels(authentication.result).inc()
    return authentication
