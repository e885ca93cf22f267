"""How long things may take, and how often they are done. All figures are seconds unless they say otherwise."""

from dataclasses import dataclass

MiB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The usual figures; tests run faster."""

    patience: float = 60.0
    """A server that has sent nothing for so long while it owes us an answer is given up."""
    idle: float = 300.0
    """IDLE is ended and begun anew after this: servers drop clients after 30 minutes (RFC 2177), routers after less,
    and a connection that is silently dead is noticed then, ``patience`` later at the latest."""
    count: float = 300.0
    """The folder is counted, and compared with what was taken in."""
    retry_first: float = 1.0
    retry_cap: float = 300.0
    """The wait before a new connection: it doubles from the one to the other, with full jitter."""
    refused: float = 900.0
    """The wait while the server does not accept our credential and only the operator can change that."""
    look_for_credential: float = 10.0
    """How often we look meanwhile whether there is a new one."""
    healthy: float = 60.0
    """A session that lasted so long was a good one: the waits begin anew after it."""
    lease: float = 40.0
    """A worker that dies leaves its folders to others after this time, plus ``renew``, at the latest."""
    renew: float = 10.0
    paused: float = 2.0
    """How often we ask whether mail can be taken again, while it can't."""
    alarm: float = 600.0
    """A gap between the server's count and ours that is older than this is an alarm."""
    watch: float = 15.0
    """How often gaps and the ends of credentials are looked at."""
    message_waits: tuple[float, ...] = (0.0, 60.0, 120.0, 240.0)
    """The waits between the tries to get a message that the server does not deliver; after the last, it is recorded
    as quarantined with what is known of it."""
    forewarning: float = 14 * 86_400.0
    """How long before its end a credential is warned about."""
    batch_octets: int = 4 * MiB
    """Octets of mail asked for in one command; a larger mail is asked for alone."""
    batch_messages: int = 100
    octets_in_flight: int = 64 * MiB
    """Octets of mail in memory at the same time, over all folders; at least one mail whatever its size."""
