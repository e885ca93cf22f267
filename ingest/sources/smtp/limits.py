"""What one client, and all of them together, may use of us."""

from collections import Counter
from collections.abc import Callable

from ingest.config.settings import MiB, Settings

MAX_BYTES_IN_FLIGHT = 512 * MiB
"""Octets of messages that are being received or stored at the same time, over all connections."""
MAX_CLIENT_RATES = 10_000
"""Clients whose rate is remembered; the one that was quiet for longest is forgotten first."""
ERROR_BUDGET = 1000
"""What a session may cost us between two accepted mails."""
ERROR_PENALTY = 50
IDLE_PENALTY = 10
"""Of a command that moves nothing, such as NOOP, and of a temporary refusal."""


class SmtpLimits:
    """Counts connections, rates and octets. Shared by all listeners of a process."""

    def __init__(self, settings: Settings, clock: Callable[[], float], *, octets: int = MAX_BYTES_IN_FLIGHT) -> None:
        self._settings = settings
        self._clock = clock
        self._connections: Counter[str] = Counter()
        self._open = 0
        self._free_bytes = max(octets, 2 * settings.max_message_bytes)
        self._rates: dict[str, tuple[float, float]] = {}

    def connect(self, client: str) -> bool:
        """Count a connection in; ``False`` where there are too many, and then it is not counted."""
        if (
            self._open >= self._settings.max_connections
            or self._connections[client] >= self._settings.max_connections_per_client
        ):
            return False
        self._connections[client] += 1
        self._open += 1
        return True

    def disconnect(self, client: str) -> None:
        """Count a connection out."""
        self._open -= 1
        self._connections[client] -= 1
        if not self._connections[client]:
            del self._connections[client]

    def reserve_bytes(self, count: int) -> bool:
        """Reserve room for message octets; ``False`` where there is none, and then nothing is reserved."""
        if count > self._free_bytes:
            return False
        self._free_bytes -= count
        return True

    def release_bytes(self, count: int) -> None:
        """Free what was reserved."""
        self._free_bytes += count

    def begin_message(self, client: str) -> bool:
        """Count a mail against its client's rate (a bucket that refills over a minute); ``False`` where it is empty."""
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
    """What a reply of ours takes from a session's patience.

    One recipient too many costs nothing: a list server that names thousands goes on with the rest in its next
    transaction, and being thrown out would keep it from ever getting there (RFC 5321 section 4.5.3.1.10)."""
    if reply.startswith("5"):
        return ERROR_PENALTY
    return IDLE_PENALTY if reply.startswith("4") and not reply.startswith("452 4.5.3") else 0


class MemoryReservation:
    """The room that one message takes while it is received and stored; given back when the ``with`` ends."""

    def __init__(self, limits: SmtpLimits) -> None:
        self._limits = limits
        self._reserved = 0
        self.refused = False
        """There was no room for all of it."""

    def __enter__(self) -> "MemoryReservation":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def take(self, count: int) -> bool:
        """Reserve ``count`` octets more; ``False`` where there is no room, and then what was held is released."""
        if not self._limits.reserve_bytes(count):
            self.refused = True
            self.release()
            return False
        self._reserved += count
        return True

    def release(self) -> None:
        """Give everything back."""
        self._limits.release_bytes(self._reserved)
        self._reserved = 0
