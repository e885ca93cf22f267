"""Limits on what one client, and all clients together, may use."""

import ipaddress
from collections import Counter
from collections.abc import Callable

from ingest.config.settings import MiB, Settings

MAX_BYTES_IN_FLIGHT = 512 * MiB
"""Most bytes of messages that are being received or stored at the same time, over all connections. Fourteen messages of
the default limit fit; more memory allows more large messages at once."""
MAX_CLIENT_RATES = 10_000
"""Most clients, senders and domains whose rate is remembered, of each kind, which bounds memory; the one that was quiet
for longest is dropped first."""
IPV6_CLIENT_BITS = 64
"""A client of IPv6 has a network of this size at least (RFC 6177), and can take a new address for each connection."""
CROWDED_SHARE = 0.5
"""From this share of all connections on, silence is allowed for a shorter time."""
MIN_IDLE_SECONDS = 10.0
"""Silence that is allowed when all connections are in use: a few round trips of a slow but honest client."""
ERROR_BUDGET = 1000
"""Points of penalty that a session may collect between two accepted messages: 20 errors, or 100 idle commands."""
ERROR_PENALTY = 50
"""Points for a permanent refusal (``5yz``)."""
UNKNOWN_RECIPIENT_PENALTY = 5
"""Points for a recipient that does not exist: a list of hundreds of addresses, half of them gone, must not cost those
that exist their mail."""
IDLE_PENALTY = 10
"""Points for a command without effect, such as NOOP, and for a temporary refusal (``4yz``)."""


class SmtpLimits:
    """Counts connections, message rates and bytes in memory. Shared by all listeners of a process."""

    def __init__(self, settings: Settings, clock: Callable[[], float], *, max_bytes: int = MAX_BYTES_IN_FLIGHT) -> None:
        self._settings = settings
        self._clock = clock
        self._connections: Counter[str] = Counter()
        self._open = 0
        self._free_bytes = max(max_bytes, 2 * settings.max_message_bytes)
        self._rates = {
            name: RateLimit(getattr(settings, name), clock)
            for name in ("max_messages_per_minute", "max_messages_per_sender", "max_messages_per_domain")
        }

    def connect(self, client: str) -> bool:
        """Count a new connection. Returns False, and does not count it, if there are too many."""
        key = client_key(client)
        if self.is_full or self._connections[key] >= self._settings.max_connections_per_client:
            return False
        self._connections[key] += 1
        self._open += 1
        return True

    @property
    def is_full(self) -> bool:
        """Whether all connections are in use."""
        return self._open >= self._settings.max_connections

    def connections_of(self, client: str) -> int:
        """Return how many connections a client has, with its neighbours of the same IPv6 network."""
        return self._connections[client_key(client)]

    def idle_seconds(self) -> float:
        """Return how long a client may be silent now. The more connections are in use, the shorter."""
        longest = self._settings.smtp_idle
        free = 1 - self._open / self._settings.max_connections
        share = min(free / (1 - CROWDED_SHARE), 1.0)
        return max(longest * share, min(longest, MIN_IDLE_SECONDS))

    def disconnect(self, client: str) -> None:
        """Count the end of a connection."""
        key = client_key(client)
        self._open -= 1
        self._connections[key] -= 1
        if not self._connections[key]:
            del self._connections[key]

    def reserve_bytes(self, count: int) -> bool:
        """Reserve memory for ``count`` bytes. Returns False, and reserves nothing, if there is not enough."""
        if count > self._free_bytes:
            return False
        self._free_bytes -= count
        return True

    def release_bytes(self, count: int) -> None:
        """Free ``count`` bytes that were reserved."""
        self._free_bytes += count

    def begin_message(self, client: str, sender: str = "", *, is_relay: bool = False) -> bool:
        """Count a message against the rates of its client, its sender and the domain of its sender. Returns False, and
        counts nothing, if one of them has none left.

        A relay of ours delivers the mail of everybody, so it has no rate as a client. Programs on this machine have
        only the rates that the operator has set, and none by default. Reports come with an empty ``sender`` from
        everywhere; they share the rate of one domain."""
        domain = sender.rpartition("@")[2].lower()
        keys = {
            "max_messages_per_minute": "" if is_relay else client_key(client),
            "max_messages_per_sender": sender.lower() if domain else "",
            "max_messages_per_domain": domain or "<>",
        }
        wanted = [
            (self._rates[name], key)
            for name, key in keys.items()
            if key and (not _is_here(client) or name in self._settings.model_fields_set)
        ]
        if not all(rate.has_left(key) for rate, key in wanted):
            return False
        for rate, key in wanted:
            rate.take(key)
        return True


class RateLimit:
    """Token buckets that each refill over a minute, one for each key; the keys that were used last are remembered."""

    def __init__(self, per_minute: int, clock: Callable[[], float], max_keys: int = MAX_CLIENT_RATES) -> None:
        """``per_minute`` is the size of each bucket; 0 is no limit."""
        self._per_minute = per_minute
        self._clock = clock
        self._max_keys = max_keys
        self._buckets: dict[str, tuple[float, float]] = {}
        """Key -> (what was left, when), the one that was quiet for longest first."""

    def has_left(self, key: str) -> bool:
        """Return whether one more may be taken."""
        return not self._per_minute or self._left(key) >= 1

    def take(self, key: str) -> None:
        """Count one."""
        if not self._per_minute:
            return
        left = self._left(key)
        self._buckets.pop(key, None)
        self._buckets[key] = (left - 1, self._clock())
        if len(self._buckets) > self._max_keys:
            del self._buckets[next(iter(self._buckets))]

    def _left(self, key: str) -> float:
        now = self._clock()
        left, at = self._buckets.get(key, (float(self._per_minute), now))
        return min(left + max(now - at, 0.0) * self._per_minute / 60, self._per_minute)


def client_key(client: str) -> str:
    """Return what a client is counted by: its address, or its network with IPv6."""
    if ":" not in client:
        return client
    return str(ipaddress.ip_network((client, IPV6_CLIENT_BITS), strict=False))


def _is_here(client: str) -> bool:
    return not client or ipaddress.ip_address(client).is_loopback


def penalty(reply: str) -> int:
    """Return the points that a reply of ours takes from a session's error budget.

    A surplus recipient costs nothing: a list server that names thousands sends the rest in its next transaction, and
    would never get there if we closed the connection (RFC 5321 section 4.5.3.1.10)."""
    if reply.startswith("550 5.1.1"):
        return UNKNOWN_RECIPIENT_PENALTY
    if reply.startswith("5"):
        return ERROR_PENALTY
    return IDLE_PENALTY if reply.startswith("4") and not reply.startswith("452 4.5.3") else 0


class MemoryReservation:
    """Memory reserved for one message while it is received and stored; freed when the ``with`` block ends."""

    def __init__(self, limits: SmtpLimits) -> None:
        self._limits = limits
        self._reserved = 0
        self.refused = False
        """True once there was not enough memory for the whole message."""

    def __enter__(self) -> "MemoryReservation":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def reserve(self, count: int) -> bool:
        """Reserve ``count`` bytes more. Returns False, and releases everything, if there is not enough memory."""
        if not self._limits.reserve_bytes(count):
            self.refused = True
            self.release()
            return False
        self._reserved += count
        return True

    def release(self) -> None:
        """Free everything that was reserved."""
        self._limits.release_bytes(self._reserved)
        self._reserved = 0
