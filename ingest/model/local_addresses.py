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

    def is_ours(self, address: str) -> bool:
        """Return whether ``address`` is one of the help desk's."""
        local, _at, domain = address.rpartition("@")
        base = local.partition("+")[0].lower()
        return domain.lower() in self.domains and ("*" in self.recipients or base in self.recipients)
