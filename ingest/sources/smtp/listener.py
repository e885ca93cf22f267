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

    def is_relay(self, client: str) -> bool:
        """Return whether the client is a relay of ours, which delivers the mail of everybody."""
        return _within(client, self._relays)

    def _end_most_silent(self) -> None:
        """Make room: of the clients with the most connections, the one that has been silent for longest gives way.

        Who is within a transaction stays, as long as there is another."""
        silent = [connection for connection in self.connections if connection.is_silent]
        if silent:
            min(silent, key=lambda connection: connection.importance).give_way()

    def admit(self, client: str) -> str | None:
        """Count a connection and return ``None``, or return the reply that refuses it.

        A refused client is disconnected at once instead of at its QUIT, because it would use up the connections of
        clients that may send."""
        if self.draining:
            return replies.SHUTTING_DOWN
        if self._relays and not self.is_relay(client):
            return replies.NOT_A_RELAY
        if self.limits.is_full:
            self._end_most_silent()
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
