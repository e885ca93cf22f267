"""Which addresses belong to the help desk."""

import re
from dataclasses import dataclass

_PLAIN_DETAIL = r"[A-Za-z][A-Za-z0-9]{0,9}-[A-Za-z0-9_-]{1,64}"
_SIGNED_DETAIL = r"[A-Za-z0-9_-]{1,64}\.[A-Za-z0-9]{13,24}"
_TICKET_DETAIL = re.compile(rf"\+(?:{_PLAIN_DETAIL}|{_SIGNED_DETAIL})")
"""The detail of an address that names a ticket, plain or signed. Only the help desk writes such a one into From."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAddresses:
    """Which addresses belong to the help desk, which machines may write to it, and how many mail systems a mail may
    pass."""

    domains: frozenset[str]
    """Our domains, in lower case."""
    recipients: frozenset[str]
    """Local parts that exist in our domains, in lower case and without detail; ``*`` stands for all."""
    max_received: int
    """Received fields that a mail may have; one with more is a loop."""
    lists: frozenset[str] = frozenset()
    """Domains that are not ours, and whose mailing lists are believed about the author of what they pass on."""
    own: frozenset[str] = frozenset()
    """Addresses that the help desk sends from, in lower case and without detail."""
    wanted_machines: frozenset[str] = frozenset()
    """Addresses and domains of machines whose mail is taken like a person's, in lower case."""

    @property
    def list_domains(self) -> frozenset[str]:
        """The domains whose lists are believed about the author where they put their own address into From."""
        return self.domains | self.lists

    def is_ours(self, address: str) -> bool:
        """Return whether ``address`` is one of the help desk's."""
        local, _at, domain = address.rpartition("@")
        base = local.partition("+")[0].lower()
        return self.is_our_domain(domain) and ("*" in self.recipients or base in self.recipients)

    def is_our_domain(self, domain: str) -> bool:
        """Return whether ``domain`` is one of ours."""
        return domain.lower() in self.domains

    def is_own(self, address: str) -> bool:
        """Return whether the help desk sends from ``address``. Other addresses of our domains are colleagues', who are
        people and may write to a ticket.

        Without ``own``, these are the local parts that ``recipients`` names, and addresses that name a ticket."""
        local, _at, domain = address.lower().rpartition("@")
        base = local.partition("+")[0]
        if f"{base}@{domain}" in self.own:
            return True
        if not self.is_our_domain(domain):
            return False
        return _TICKET_DETAIL.fullmatch(local[len(base) :]) is not None or (not self.own and base in self.recipients)

    def is_wanted_machine(self, address: str) -> bool:
        """Return whether the operator wants the mail of the machine that writes from ``address``."""
        lowered = address.lower()
        domain = lowered.rpartition("@")[2]
        return not self.wanted_machines.isdisjoint({lowered, domain, f"@{domain}"})
