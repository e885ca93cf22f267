"""DKIM signatures (RFC 6376) and what became of their verification."""

from dataclasses import dataclass
from typing import NamedTuple

from ingest.model.described import DescribedStrEnum


class DkimVerdict(DescribedStrEnum):
    """Whether a DKIM signature proves its domain."""

    PASS = "pass", "The signature is good, by a key that the domain publishes."
    BROKEN = "broken", "The mail or the signature was changed after signing, or another key made the signature."
    NO_KEY = "no-key", "The domain publishes no such key, or has withdrawn it."
    NO_PROOF = (
        "no-proof",
        "It proves nothing, good or not: a key too weak, too large or under test (t=y), text not signed (l=), expired.",
    )


class DkimKeyName(NamedTuple):
    """Names the key of a signature: its domain (``d=``) and selector (``s=``), both in small letters."""

    domain: str
    selector: str

    @property
    def dns_name(self) -> str:
        """The name of the key's TXT record (RFC 6376 section 3.6.2.1)."""
        return f"{self.selector}._domainkey.{self.domain}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DkimSignature:
    """A DKIM signature that was looked at."""

    key_name: DkimKeyName
    verdict: DkimVerdict
    detail: str
    """Why, in a few words for an operator."""
