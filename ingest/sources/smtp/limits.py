"""Limits on what one client, and all clients together, may use."""

from collections import Counter
from collections.abc import Callable

from ingest.config.settings import MiB, Settings

MAX_BYTES_IN_FLIGHT = 512 * MiB
"""Most bytes of messages that are being received or stored at the same time, over all connections. Fourteen messages of
the default limit fit; more memory allows more large messages at once."""
MAX_CLIENT_RATES = 10_000
"""Most clients whose rate is remembered, which bounds memory; the one that was quiet for longest is dropped first."""
ERROR_BUDGET = 1000
"""Points of penalty that a session may collect between two accepted messages: 20 errors, or 100 idle commands."""
ERROR_PENALTY = 50
"""Points for a permanent refusal (``5yz``)."""
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
        self._rates: dict[str, tuple[float, float]] = {}

    def connect(self, client: str) -> bool:
        """Count a new connection. Returns False, and does not count it, if there are too many."""
        if (
            self._open >= self._settings.max_connections
            or self._connections[client] >= self._settings.max_connections_per_client
        ):
            return False
        self._connections[client] += 1
        self._open += 1
        return True

    def disconnect(self, client: str) -> None:
        """Count the end of a connection."""
        self._open -= 1
        self._connections[client] -= 1
        if not self._connections[client]:
            del self._connections[client]

    def reserve_bytes(self, count: int) -> bool:
        """Reserve memory for ``count`` bytes. Returns False, and reserves nothing, if there is not enough."""
        if count > self._free_bytes:
            return False
        self._free_bytes -= count
        return True

    def release_bytes(self, count: int) -> None:
        """Free ``count`` bytes that were reserved."""
        self._free_bytes += count

    def begin_message(self, client: str) -> bool:
        """Count a message against its client's rate, a token bucket that refills over a minute. Returns False if the
        bucket is empty."""
        rate = self._settings.max_messages_per_minute
        if not rate:
            return True
        now = self._clock()
        left, at = self._rates.pop(client, (float(rate), now))
        left = min(left + max(now - at, 0.0) * rate / 60, rate)
        allowed = left >= 1
        self._rates[client] = (left - allowed, now)
        if len(self._rates) > MAX_CLIENT_RATES:
            del self._rates[next(iter(self._rates))]
        return allowed


def penalty(reply: str) -> int:
    """Return the points that a reply of ours takes from a session's error budget.

    A surplus recipient costs nothing: a list server that names thousands sends the rest in its next transaction, and
    would never get there if we closed the connection (RFC 5321 section 4.5.3.1.10)."""
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
