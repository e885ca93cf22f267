"""DMARC (RFC 9989): the record of a domain, its organizational domain by the tree walk, and alignment.

Nothing here asks the DNS: the caller fetches the TXT records of ``record_names`` and passes them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

MAX_TREE_WALK_QUERIES = 8
"""RFC 9989 section 4.10: a domain of more labels is cut to seven after the first query."""
MAX_RECORD_CHARACTERS = 2048
"""Size of a DMARC record; larger ones are ignored."""

_VERSION = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)", re.ASCII)
_REGISTRY_LABELS = frozenset(
    """
    ac asn co com edu gen gob gov gouv go gv govt id idv ind jus lg ltd mil muni ne net nhs nic nom or org plc police
    sch school
    """.split()  # noqa: SIM905 - a list of 30 lines says no more
)
"""Second labels below which registries of countries sell domains, such as ``co.uk``. Their records should say
``psd=y``, and not all do."""
_COUNTRY_CODE_LENGTH = 2


class Policy(StrEnum):
    """What the owner of a domain wants done with mail that is not proven to be from it."""

    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class DmarcRecord:
    """A valid DMARC record. Tags that are not valid have their default."""

    policy: Policy = Policy.NONE
    """``p``: for the domain itself. For its subdomains, too, where the next two say nothing."""
    subdomain_policy: Policy | None = None
    """``sp``: for subdomains that exist."""
    absent_policy: Policy | None = None
    """``np``: for subdomains that do not exist."""
    strict_dkim: bool = False
    """``adkim=s``: only a signature of the very domain in From is aligned."""
    strict_spf: bool = False
    """``aspf=s``: the same for SPF."""
    is_public_suffix: bool | None = None
    """``psd``: whether domains are sold below it; ``None``: it does not say."""
    is_test: bool = False
    """``t=y``: the owner wants no policy applied yet."""


Records = Mapping[str, DmarcRecord | None]
"""The record of each domain that was asked for; ``None``: it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainPolicy:
    """What DMARC says about mail from one domain."""

    domain: str
    organizational_domain: str
    record: DmarcRecord
    """The record that applies: its own, that of its organizational domain, or that of the registry above."""
    policy: Policy
    """The policy for mail from ``domain``; ``NONE`` also while the owner only tests."""


def tree_walk(domain: str) -> tuple[str, ...]:
    """Return the domains whose records are looked at for ``domain``, the longest first (RFC 9989 section 4.10).

    >>> tree_walk("a.mail.example.com")
    ('a.mail.example.com', 'mail.example.com', 'example.com', 'com')
    """
    labels = domain.split(".")
    above = labels[1:][-(MAX_TREE_WALK_QUERIES - 1) :]
    return (domain, *(".".join(above[index:]) for index in range(len(above))))


def record_name(domain: str) -> str:
    """Return the name of a domain's DMARC record."""
    return f"_dmarc.{domain}"


def parse_record(texts: Iterable[str]) -> DmarcRecord | None:
    """Return the one DMARC record among the TXT records of a name; ``None`` where there is none, or several.

    A record without a valid ``p``, or with an ``sp`` or ``np`` that is not valid, asks for nothing (section 4.7)."""
    found = [text for text in texts if _VERSION.match(text)]
    if len(found) != 1 or len(found[0]) > MAX_RECORD_CHARACTERS:
        return None
    tags = _tags(found[0])
    policies = {name: _policy(tags[name]) for name in ("p", "sp", "np") if name in tags}
    is_valid = "p" in policies and None not in policies.values()
    return DmarcRecord(
        policy=(policies["p"] if is_valid else None) or Policy.NONE,
        subdomain_policy=policies.get("sp") if is_valid else None,
        absent_policy=policies.get("np") if is_valid else None,
        strict_dkim=tags.get("adkim") == "s",
        strict_spf=tags.get("aspf") == "s",
        is_public_suffix={"y": True, "n": False}.get(tags.get("psd", "")),
        is_test=tags.get("t") == "y",
    )


def _tags(text: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            tags.setdefault(name.strip().lower(), value.strip().lower())
    return tags


def _policy(value: str) -> Policy | None:
    return Policy(value) if value in set(Policy) else None


def organizational_domain(domain: str, records: Records) -> str:
    """Return the organizational domain of ``domain`` (RFC 9989 section 4.10.2), by the records of its tree walk.

    The domain itself where no record tells. It is a top-level domain, or one of the names like ``co.uk`` below which
    countries sell domains, only if the record there says ``psd=n``: so nobody aligns by sharing only that."""
    best = domain
    below = domain
    for name in _asked(domain):
        record = records.get(name)
        if record is not None:
            if record.is_public_suffix is False:
                return name
            if name != domain and _is_public_suffix(name, record):
                return below
            best = name
        below = name
    return best


def _asked(domain: str) -> Sequence[str]:
    """Return the tree walk, with the labels between that it jumps over: an organizational domain may be one of them."""
    labels = domain.split(".")
    return [".".join(labels[index:]) for index in range(len(labels))]


def _is_public_suffix(name: str, record: DmarcRecord) -> bool:
    labels = name.split(".")
    is_of_country = len(labels) == 2 and len(labels[1]) == _COUNTRY_CODE_LENGTH
    return bool(record.is_public_suffix) or len(labels) == 1 or (is_of_country and labels[0] in _REGISTRY_LABELS)


def find_policy(domain: str, records: Records, *, exists: bool) -> DomainPolicy | None:
    """Return what DMARC says about mail from ``domain``; ``None``: nothing, since there is no record.

    ``records`` has what the tree walk found, ``exists`` tells whether the DNS knows the domain at all."""
    organization = organizational_domain(domain, records)
    own = records.get(domain)
    if own is not None:
        return _domain_policy(domain, organization, own, own.policy)
    inherited = records.get(organization) or _registry_record(organization, records)
    if inherited is None:
        return None
    policy = inherited.policy if inherited.subdomain_policy is None else inherited.subdomain_policy
    if not exists and inherited.absent_policy is not None:
        policy = inherited.absent_policy
    return _domain_policy(domain, organization, inherited, policy)


def _registry_record(organization: str, records: Records) -> DmarcRecord | None:
    """Return the record of the registry right above the organizational domain, if it wants to be heard (``psd=y``)."""
    record = records.get(organization.partition(".")[2])
    return record if record is not None and record.is_public_suffix else None


def _domain_policy(domain: str, organization: str, record: DmarcRecord, policy: Policy) -> DomainPolicy:
    return DomainPolicy(
        domain=domain,
        organizational_domain=organization,
        record=record,
        policy=Policy.NONE if record.is_test else policy,
    )


def can_align(domain: str, author_domain: str) -> bool:
    """Return whether two domains could have one organizational domain: they are equal, or share two labels. Where not,
    no look-up can make them aligned."""
    return domain == author_domain or domain.split(".")[-2:] == author_domain.split(".")[-2:]


def is_aligned(domain: str, author_domain: str, records: Records, *, strict: bool) -> bool:
    """Return whether an authenticated domain stands for the domain in From (RFC 9989 section 4.4)."""
    if strict or domain == author_domain:
        return domain == author_domain
    return organizational_domain(domain, records) == organizational_domain(author_domain, records)
