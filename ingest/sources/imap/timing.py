"""Time limits, intervals and batch sizes of the IMAP reader."""

from dataclasses import dataclass

MiB = 1024 * 1024
DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The values used in production; tests use shorter ones."""

    timeout_seconds: float = 60.0
    """A server that owes us a response and sends nothing for this long is given up. Servers that search or fetch
    from a large mailbox may need tens of seconds before the first octet."""
    idle_seconds: float = 300.0
    """IDLE is ended and started again after this time: servers drop clients after 30 minutes (RFC 2177), routers
    earlier. A connection that died silently is noticed then, ``timeout_seconds`` later at the latest."""
    count_seconds: float = 300.0
    """Interval at which the folder's messages are compared with those in the store."""
    first_retry_seconds: float = 1.0
    """Upper bound of the wait before the first new connection. It doubles with each failure; the wait is chosen at
    random below the bound (full jitter), so that many folders do not reconnect at once."""
    max_retry_seconds: float = 300.0
    """Largest upper bound of the wait before a new connection."""
    refused_retry_seconds: float = 900.0
    """Wait after the server refused our credential, when only the operator can change that. More frequent attempts
    would make some servers block the account."""
    credential_poll_seconds: float = 10.0
    """Interval at which we look for a new credential during that wait."""
    healthy_session_seconds: float = 60.0
    """A session that lasted at least this long was a success: the waits start again from the smallest."""
    lease_seconds: float = 40.0
    """Life of a folder's lease. If a worker dies, another takes its folders over after this time plus
    ``renew_seconds`` at the latest."""
    renew_seconds: float = 10.0
    """Interval at which leases are renewed or waited for: three renewals may fail before a lease is lost."""
    paused_poll_seconds: float = 2.0
    """Interval at which we ask whether mail can be taken again, while it cannot."""
    gap_alarm_seconds: float = 600.0
    """A difference between the server's messages and ours that lasts longer than this is logged as an error. It is
    twice ``count_seconds``, so one count alone never raises it."""
    watch_seconds: float = 15.0
    """Interval at which such gaps and the ends of credentials are checked."""
    message_retry_seconds: tuple[float, ...] = (0.0, 60.0, 120.0, 240.0)
    """Waits between attempts to fetch a message that the server does not deliver. After the last attempt the message
    is recorded as quarantined, with its headers if the server gives those."""
    credential_warning_seconds: float = 14 * DAY_SECONDS
    """A credential that ends within this time (two weeks) is warned about once a day."""
    batch_bytes: int = 4 * MiB
    """Most mail to ask for in one command; a larger message is asked for alone. Larger batches save round trips and
    cost memory."""
    batch_messages: int = 100
    """Most messages to ask for in one command."""
    bytes_in_flight: int = 64 * MiB
    """Most mail in memory at the same time over all folders; a single message may always be larger."""
