"""What all connections to one SMTP or LMTP listener share: settings, limits, and who may connect."""

import ipaddress
from collections.abc import Callable
from typing import Any

from ingest.config.settings import Settings
from ingest.sources import Receive, Refusal
from ingest.sources.smtp import replies
from ingest.sources.smtp.limits import SmtpLimits
from ingest.sources.smtp.tls import Certificate

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Listener:
    """The settings and limits of every connection to one listening address."""

    def __init__(
        self,
        *,
        receive: Receive,
        refusal: Refusal,
        settings: Settings,
        clock: Callable[[], float],
        lmtp: bool,
        limits: SmtpLimits,
    ) -> None:
        self.receive = receive
        self.refusal = refusal
        self.settings = settings
        self.clock = clock
        self.lmtp = lmtp
        self.limits = limits
        self.certificate: Certificate | None = None
        self.name = ""
        self.draining = False
        self.connections: set[Any] = set()
        self._proxies = tuple(map(ipaddress.ip_network, settings.smtp_proxies))
        self._relays = tuple(map(ipaddress.ip_network, settings.smtp_relays))

    def is_proxy(self, client: str) -> bool:
        """Return whether the peer is a load balancer of ours, whose PROXY header we trust."""
        return _within(client, self._proxies)

    def admit(self, client: str) -> str | None:
        """Count a connection and return ``None``, or return the reply that refuses it.

        A refused client is disconnected at once instead of at its QUIT, because it would use up the connections of
        clients that may send."""
        if self.draining:
            return replies.SHUTTING_DOWN
        if self._relays and not _within(client, self._relays):
            return replies.NOT_A_RELAY
        return None if self.limits.connect(client) else replies.TOO_MANY_CONNECTIONS


def client_address(host: object) -> str:
    """Return the IP address that a socket or proxy names, or ``""`` if it is none (a Unix socket). IPv4-mapped IPv6
    addresses become IPv4."""
    if not isinstance(host, str | ipaddress.IPv4Address | ipaddress.IPv6Address):
        return ""
    name = str(host).partition("%")[0]
    if ":" not in name:
        return name
    mapped = ipaddress.IPv6Address(name).ipv4_mapped
    return str(mapped) if mapped else name


def _within(client: str, networks: tuple[Network, ...]) -> bool:
    return bool(client and networks) and any(ipaddress.ip_address(client) in network for network in networks)
