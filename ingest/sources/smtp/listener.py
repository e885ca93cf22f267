"""What all sessions of one SMTP or LMTP listener share: settings, bounds, and who may connect."""

import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any

from ingest.config.settings import Settings
from ingest.sources import Receive
from ingest.sources.smtp import replies
from ingest.sources.smtp.limits import SmtpLimits
from ingest.sources.smtp.tls import Certificate

Refusal = Callable[[], Awaitable[str | None]]
"""Why no mail can be taken now (store failing, disk, backlog), for the log; ``None`` while it can."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Listener:
    """One listening address and what holds for every connection to it."""

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
        """Whether the peer is a load balancer of ours, whose PROXY header we believe."""
        return _within(client, self._proxies)

    def admit(self, client: str) -> str | None:
        """Count a connection in; or the reply that refuses it.

        A stranger is refused and closed at once, not heard until his QUIT: who may stay uses up the connections of
        those who may send."""
        if self.draining:
            return replies.SHUTTING_DOWN
        if self._relays and not _within(client, self._relays):
            return replies.NOT_A_RELAY
        return None if self.limits.connect(client) else replies.TOO_MANY_CONNECTIONS


def client_address(host: object) -> str:
    """The IP address that a socket or a proxy names, IPv4 written as such; ``""`` where it is none (a Unix socket)."""
    if not isinstance(host, str | ipaddress.IPv4Address | ipaddress.IPv6Address):
        return ""
    name = str(host).partition("%")[0]
    if ":" not in name:
        return name
    mapped = ipaddress.IPv6Address(name).ipv4_mapped
    return str(mapped) if mapped else name


def _within(client: str, networks: tuple[Network, ...]) -> bool:
    return bool(client and networks) and any(ipaddress.ip_address(client) in network for network in networks)
