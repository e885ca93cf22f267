"""SPF (RFC 7208): whether the domain of the reverse-path permits the client that brought the mail. pyspf evaluates.

pyspf asks the DNS as it goes, and waits for each answer. Here it runs on answers that are there already: where one is
missing, ``evaluate`` returns the question, and is called again with the answer. So nothing here waits, and no thread is
needed. Each call repeats what was done before, which is little: a record is bounded, and ten of its terms may ask.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import spf

from ingest.authentication.domain_names import to_ascii
from ingest.model.described import DescribedStrEnum
from ingest.model.dns_records import DnsAnswer, Question, RecordType

MAX_SPF_QUESTIONS = 40
"""Questions of one check. RFC 7208 allows ten terms that ask; of these, ``mx`` and ``ptr`` ask ten times more each."""
MAX_SPF_RECORD_CHARACTERS = 2048
"""Size of a TXT record that is evaluated. The RFC recommends less than 450 bytes; larger ones are as if absent."""
_DOT_ATOM = re.compile(r"[0-9a-z!#$%&'*+/=?^_`{}|~-]+(?:\.[0-9a-z!#$%&'*+/=?^_`{}|~-]+)*", re.IGNORECASE | re.ASCII)
_NOBODY = {4: "240.0.0.1", 6: "100::1"}
"""Addresses that nobody has (RFC 1112 section 4, RFC 6666): a record that permits them permits everybody."""


_PRIVATE = tuple(
    map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"))
)
"""Networks that are not of the Internet (RFC 1918, 4193, 6598)."""


class SpfResult(DescribedStrEnum):
    """What SPF says about a mail."""

    PASS = "pass", "The domain of the reverse-path permits the client."
    NO_PASS = "no-pass", "It does not, or says nothing, or its record is wrong."
    PERMITS_ALL = "permits-all", "It permits everybody, which proves nothing."
    NOT_ALIGNED = "not-aligned", "The reverse-path is of another domain than From, so that it could not prove it."
    CLIENT_UNKNOWN = (
        "client-unknown",
        "The sender's own server is not known: behind a relay, in a mailbox.",
    )
    UNANSWERED = "unanswered", "The DNS failed for now."


@dataclass(frozen=True, slots=True, kw_only=True)
class SpfCheck:
    """The result of SPF, and of which domain."""

    result: SpfResult
    domain: str = ""
    """The domain of the reverse-path, or of HELO where that is null; empty where neither has one."""
    detail: str = ""
    """pyspf's word for it (``softfail``), or the question that was not answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpfIdentity:
    """Whom SPF is asked about: the reverse-path, or ``postmaster`` at the name in HELO where that is null."""

    local: str
    domain: str
    helo: str


Answers = Mapping[Question, DnsAnswer | None]
"""What was answered; ``None``: the DNS failed."""


def identity(mail_from: str, helo: str) -> SpfIdentity:
    """Return whom SPF is asked about (RFC 7208 section 2.4). Its domain is empty where there is none."""
    local, _, domain = mail_from.rpartition("@")
    name = to_ascii(helo)
    if not mail_from:
        return SpfIdentity(local="postmaster", domain=name, helo=name)
    is_plain = len(local) <= 64 and _DOT_ATOM.fullmatch(local) is not None
    return SpfIdentity(local=local if is_plain else "postmaster", domain=to_ascii(domain), helo=name)


def known_client(client: str, *, with_loopback: bool = False) -> str:
    """Return the address of a client whose domain SPF can judge; ``""`` for those that are behind something: private
    and local ones. ``with_loopback`` counts 127.0.0.1, for trying out."""
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback:
        return str(address) if with_loopback else ""
    is_inside = address.is_link_local or address.is_multicast or address.is_unspecified
    return "" if is_inside or any(address in network for network in _PRIVATE) else str(address)


def evaluate(client: str, who: SpfIdentity, answers: Answers) -> SpfCheck | Question:
    """Return the result, or the next question to the DNS.

    ``client`` is an address that ``known_client`` gave."""
    try:
        word = _check(client, who, answers)
        permits_all = word == "pass" and _check(_NOBODY[ipaddress.ip_address(client).version], who, answers) == "pass"
    except _Unasked as error:
        if len(answers) < MAX_SPF_QUESTIONS:
            return error.question
        return SpfCheck(result=SpfResult.NO_PASS, domain=who.domain, detail="its record asks too many questions")
    result = SpfResult.PERMITS_ALL if permits_all else _RESULTS.get(word, SpfResult.NO_PASS)
    return SpfCheck(result=result, domain=who.domain, detail=word)


_RESULTS = {"pass": SpfResult.PASS, "temperror": SpfResult.UNANSWERED}


def _check(client: str, who: SpfIdentity, answers: Answers) -> str:
    """Return pyspf's result. What it stumbles over is a wrong record (``permerror``)."""
    try:
        word: str = _Query(client, who, answers).check()[0]
    except (_Unasked, MemoryError):
        raise
    except Exception:  # pyspf meets many kinds in records that are wrong
        return "permerror"
    return word


class _Unasked(Exception):
    """An answer is missing."""

    def __init__(self, question: Question) -> None:
        super().__init__(question.name)
        self.question = question


class _Query(spf.query):  # type: ignore[misc]
    """pyspf's check of one mail, with answers in place of the DNS."""

    def __init__(self, client: str, who: SpfIdentity, answers: Answers) -> None:
        super().__init__(i=client, s=f"{who.local}@{who.domain}", h=who.helo or "unknown", strict=True)
        self._answers = answers

    def dns(self, name: str, qtype: str, _cnames: object = None, ignore_void: bool = False) -> list[Any]:
        """Return the records of a name, in the form that pyspf wants; called by all of its checks."""
        question = Question(str(name).removesuffix(".").lower(), RecordType(qtype))
        if not _is_askable(question.name):
            return []
        if question not in self._answers:
            raise _Unasked(question)
        answer = self._answers[question]
        if answer is None:
            raise spf.TempError(f"no answer for {question.name}")
        records = [_pyspf_record(question.record_type, value) for value in answer.values if _is_bounded(value)]
        if not records and not ignore_void:
            self._count_void()
        return records

    def get_explanation(self, spec: str) -> None:
        """Fetch no explanation (``exp=``): nobody reads it."""

    def _count_void(self) -> None:
        self.void_lookups += 1
        if self.void_lookups > spf.MAX_VOID_LOOKUPS:
            raise spf.PermError("too many look-ups without an answer")


def _is_askable(name: str) -> bool:
    return len(name) <= 253 and name.isascii() and all(0 < len(label) < 64 for label in name.split("."))


def _is_bounded(value: str) -> bool:
    return len(value) <= MAX_SPF_RECORD_CHARACTERS


def _pyspf_record(record_type: RecordType, value: str) -> object:
    if record_type is RecordType.TXT:
        return [value.encode("latin-1", "replace")]
    if record_type is RecordType.MX:
        preference, _, exchange = value.partition(" ")
        return int(preference), exchange
    return value
