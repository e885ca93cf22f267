"""Which addresses belong to the help desk."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAddresses:
    """Which addresses belong to the help desk, and how many mail systems a mail may pass."""

    domains: frozenset[str]
    """Our domains, in lower case."""
    recipients: frozenset[str]
    """Local parts that exist in our domains, in lower case and without detail; ``*`` stands for all."""
    max_received: int
    """Received fields that a mail may have; one with more is a loop."""
    lists: frozenset[str] = frozenset()
    """Domains that are not ours, and whose mailing lists are believed about the author of what they pass on."""

    @property
    def list_domains(self) -> frozenset[str]:
        """The domains whose lists are believed about the author where they put their own address into From."""
        return self.domains | self.lists

    def is_ours(self, address: str) -> bool:
        """Return whether ``address`` is one of the help desk's."""
        local, _at, domain = address.rpartition("@")
        base = local.partition("+")[0].lower()
        return domain.lower() in self.domains and ("*" in self.recipients or base in self.recipients)
