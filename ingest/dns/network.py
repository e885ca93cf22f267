"""Look-ups in the DNS over the network: bounded in time and number, remembered, given up while no resolver is there.

dnspython asks. A failure is one of two kinds. Where the resolver answers other questions, the fault is with the name
servers of the one domain, and ``DnsFailure`` is raised for it. Where it answers nothing, all questions fail at once
with ``NoResolver``, until a trial in the background has an answer, so that no mail waits seconds for each of its names.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.rdatatype
import dns.rdtypes.ANY.MX
import dns.rdtypes.ANY.PTR
import dns.rdtypes.ANY.TXT
import dns.resolver

from ingest import log, metrics
from ingest.config.types import DNS_PORT, SYSTEM, split_dns_server
from ingest.dns import DnsFailure, NoResolver
from ingest.dns.name_server import AnswerTooLarge, BoundedNameserver
from ingest.model.dns_records import NO_SUCH_NAME, DnsAnswer, Question

RESOLV_CONF = "/etc/resolv.conf"
TRY_SECONDS = 2.0
"""Time that one name server has for one question, before the next one is asked."""
QUESTION_SECONDS = 5.0
"""Time that a question may take in all. A resolver that walks to a slow domain needs some; mail waits meanwhile."""
MAX_QUESTIONS_AT_ONCE = 200
"""Questions on their way. More wait, so that a burst of mail does not look to the resolver like an attack."""
MAX_REMEMBERED = 20_000
"""Answers that are remembered; the oldest are forgotten first. A hundred bytes or so each."""
SHORTEST_MEMORY_SECONDS, LONGEST_MEMORY_SECONDS = 10.0, 3600.0
"""How long an answer is remembered, whatever time to live its records have: long enough for the mails of one moment,
short enough that a domain's owner sees a correction work."""
ABSENCE_SECONDS = 300.0
"""How long it is remembered that there is no such record."""
FAILURE_SECONDS = 30.0
"""How long it is remembered that a name failed: many mails of a broken domain cost one question."""
TRIAL_SECONDS = 30.0
"""Time between trials whether the resolver is there again."""
LASTING_SECONDS = 600.0
"""A resolver that answered before is waited for so long. After that it counts as absent, and mail goes on without."""
MAX_VALUES = 100
"""Records of one answer that are read."""
_UDP_PAYLOAD_BYTES = 1232
"""Size of an answer over UDP that nobody's network breaks (dnsflagday.net/2020); larger ones come over TCP."""
_TRIAL_NAME = dns.name.root
"""Every resolver knows who serves the root."""

_log = log.get("dns")


class _Remembered(NamedTuple):
    until: float
    result: DnsAnswer | DnsFailure


class NetworkResolver:
    """Asks name servers. ``clock`` gives seconds that never go back.

    Args:
        servers: address, or address and port, of each; ``system`` for those of ``resolv_conf``.
    """

    def __init__(
        self, servers: Sequence[str] = (SYSTEM,), *, clock: Callable[[], float], resolv_conf: str = RESOLV_CONF
    ) -> None:
        self._servers = tuple(servers)
        self._clock = clock
        self._resolv_conf = resolv_conf
        self._client: dns.asyncresolver.Resolver | None = None
        self._permits = asyncio.Semaphore(MAX_QUESTIONS_AT_ONCE)
        self._remembered: dict[Question, _Remembered] = {}
        self._running: dict[Question, asyncio.Task[DnsAnswer]] = {}
        self._trial: asyncio.Task[None] | None = None
        self._trial_at = 0.0
        self._last_answer_at: float | None = None
        self._silent_since: float | None = None
        """Since when no question has had an answer; ``None``: the resolver is there."""
        metrics.DNS_SILENT.set(0)

    async def query(self, question: Question) -> DnsAnswer:
        """Return the answer, from memory where it is fresh.

        Raises:
            NoResolver: nothing is answered.
            DnsFailure: this question has no answer for now.
        """
        remembered = self._remembered.get(question)
        if remembered is not None and self._clock() < remembered.until:
            if isinstance(remembered.result, DnsFailure):
                raise remembered.result
            return remembered.result
        if self._silent_since is not None:
            self._try_again()
            raise self._no_resolver()
        if (running := self._running.get(question)) is None:
            running = self._running[question] = asyncio.create_task(self._ask_and_remember(question))
            running.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(running)

    async def close(self) -> None:
        """Give up the questions in progress."""
        tasks = [*self._running.values(), *([self._trial] if self._trial else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask_and_remember(self, question: Question) -> DnsAnswer:
        try:
            answer, seconds = await self._ask(question)
        except NoResolver:
            raise
        except DnsFailure as error:
            self._remember(question, error, FAILURE_SECONDS)
            raise
        finally:
            del self._running[question]
        self._remember(question, answer, seconds)
        return answer

    def _remember(self, question: Question, result: DnsAnswer | DnsFailure, seconds: float) -> None:
        self._remembered.pop(question, None)
        self._remembered[question] = _Remembered(self._clock() + seconds, result)
        while len(self._remembered) > MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]

    async def _ask(self, question: Question) -> tuple[DnsAnswer, float]:
        """Ask, and return the answer and for how many seconds it may be remembered."""
        try:
            name = dns.name.Name([*(label.encode("ascii") for label in question.name.split(".")), b""])
        except (UnicodeError, dns.exception.DNSException):
            return NO_SUCH_NAME, ABSENCE_SECONDS
        async with self._permits:
            asked_at = self._clock()
            try:
                found = await self._resolve(name, question.record_type)
            except dns.resolver.NXDOMAIN:
                self._note_answer()
                return NO_SUCH_NAME, ABSENCE_SECONDS
            except (dns.exception.DNSException, OSError) as error:
                if _is_useless(error):
                    self._note_answer()
                    return DnsAnswer(), ABSENCE_SECONDS
                metrics.DNS_FAILURES.inc()
                await self._blame(asked_at)
                raise DnsFailure(f"the name servers for {question.name} fail ({type(error).__name__})") from error
        self._note_answer()
        return _read(found)

    async def _resolve(self, name: dns.name.Name, record_type: str) -> dns.resolver.Answer:
        client = self._client = self._client or self._new_client()
        return await client.resolve(name, record_type, raise_on_no_answer=False, search=False)

    def _new_client(self) -> dns.asyncresolver.Resolver:
        """Return a client of the name servers.

        Raises:
            OSError, dns.exception.DNSException: there are none.
        """
        client = dns.asyncresolver.Resolver(configure=False)
        if self._servers == (SYSTEM,):
            client.read_resolv_conf(self._resolv_conf)
            addresses = [(str(server), DNS_PORT) for server in client.nameservers]
        else:
            addresses = [split_dns_server(server) for server in self._servers]
        if not addresses:
            raise OSError(f"{self._resolv_conf} names no server")
        client.nameservers = [BoundedNameserver(*address) for address in addresses]
        client.timeout, client.lifetime = TRY_SECONDS, QUESTION_SECONDS
        client.use_edns(0, 0, _UDP_PAYLOAD_BYTES)
        return client

    # Whether there is a resolver

    def _note_answer(self) -> None:
        self._last_answer_at = self._clock()
        if self._silent_since is not None:
            self._silent_since = None
            metrics.DNS_SILENT.set(0)
            _log.warning("the DNS answers again; mail is authenticated")

    async def _blame(self, asked_at: float) -> None:
        """Return where the fault is with one domain.

        Raises:
            NoResolver: nothing else is answered either.
        """
        if self._last_answer_at is not None and self._last_answer_at >= asked_at:
            return
        if self._silent_since is None:
            await self._run_trial()
        if self._silent_since is not None:
            raise self._no_resolver()

    def _try_again(self) -> None:
        if self._clock() >= self._trial_at:
            self._start_trial()

    async def _run_trial(self) -> None:
        await asyncio.shield(self._start_trial())

    def _start_trial(self) -> "asyncio.Task[None]":
        if self._trial is None or self._trial.done():
            self._trial = asyncio.create_task(self._ask_for_root())
        return self._trial

    async def _ask_for_root(self) -> None:
        """Ask what every resolver can answer. No answer is the sign that there is none."""
        self._client = None  # /etc/resolv.conf may have changed
        try:
            async with asyncio.timeout(TRY_SECONDS):
                await self._resolve(_TRIAL_NAME, "NS")
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            self._note_answer()
        except (dns.exception.DNSException, OSError, TimeoutError) as error:
            self._note_silence(error)
        else:
            self._note_answer()

    def _note_silence(self, error: Exception) -> None:
        self._trial_at = self._clock() + TRIAL_SECONDS
        self._client = None
        if self._silent_since is not None:
            return
        self._silent_since = self._clock()
        metrics.DNS_SILENT.set(1)
        _log.error(
            "the DNS answers nothing; mail goes on without being authenticated",
            because=type(error).__name__,
            to_do="name a resolver in /etc/resolv.conf or INGEST_DNS_SERVERS, or set that to none to do without",
        )

    def _no_resolver(self) -> NoResolver:
        assert self._silent_since is not None
        never_answered = self._last_answer_at is None
        is_lasting = never_answered or self._clock() - self._silent_since > LASTING_SECONDS
        return NoResolver("no resolver answers", is_lasting=is_lasting)


class AbsentResolver:
    """Stands for the DNS where the operator wants none (``INGEST_DNS_SERVERS=none``)."""

    async def query(self, question: Question) -> DnsAnswer:
        """Raise ``NoResolver`` for every question: the settings name no name server."""
        raise NoResolver(f"no DNS is to be asked, not for {question.name} either", is_lasting=True)

    async def close(self) -> None:
        """Do nothing."""


def _is_useless(error: Exception) -> bool:
    """Return whether there was an answer and it is of no use: it is too large, or its aliases (CNAME) lead in a circle
    or too far. To ask again would not help."""
    if not isinstance(error, dns.resolver.NoNameservers):
        return False
    causes = [cause for *_, cause, _response in error.kwargs.get("errors", ())]
    return any(isinstance(cause, dns.message.ChainTooLong | AnswerTooLarge) for cause in causes)


def _read(found: dns.resolver.Answer) -> tuple[DnsAnswer, float]:
    if found.rrset is None:
        return DnsAnswer(), ABSENCE_SECONDS
    values = tuple(_value(record) for record in list(found.rrset)[:MAX_VALUES])
    seconds = min(max(float(found.rrset.ttl), SHORTEST_MEMORY_SECONDS), LONGEST_MEMORY_SECONDS)
    return DnsAnswer(values), seconds


def _value(record: object) -> str:
    match record:
        case dns.rdtypes.ANY.TXT.TXT():
            return b"".join(record.strings).decode("latin-1")
        case dns.rdtypes.ANY.MX.MX():
            return f"{record.preference} {record.exchange.to_text(omit_final_dot=True)}"
        case dns.rdtypes.ANY.PTR.PTR():
            return record.target.to_text(omit_final_dot=True)
        case _:
            return str(getattr(record, "address", ""))
