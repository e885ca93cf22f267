"""Declares the metrics that operators watch, for Prometheus. Names end in their unit; labels take few values.

Each needs an event in ``tests/acceptance/test_metrics.py`` that changes it.
"""

from prometheus_client import Counter, Gauge, Histogram

RECEIVED = Counter("ingest_received_total", "Mails stored, by kind of source.", ["source"])
REFUSED = Counter("ingest_smtp_refused_total", "SMTP and LMTP commands refused, by reply code.", ["code"])
CONNECTIONS = Gauge("ingest_smtp_connections", "SMTP and LMTP connections open now.")
SETTLED = Counter("ingest_settled_total", "Attempts that ended, by outcome.", ["outcome"])
MESSAGES = Gauge("ingest_messages", "Mails in the store, by state.", ["state"])
OLDEST_QUEUED = Gauge("ingest_oldest_queued_seconds", "Age of the oldest mail that waits to be delivered.")
LEDGER_HOLDS = Gauge("ingest_ledger_holds", "1 while accepted mail is the sum of all states, else 0.")
DISCARDED = Counter("ingest_discarded_total", "Mails that were discarded, by rule.", ["rule"])
PAUSES = Counter("ingest_loop_pauses_total", "Threads that were paused because a loop is likely, by cause.", ["cause"])
PAUSED_THREADS = Gauge("ingest_paused_threads", "Threads that are paused now; `ingest loops list` names them.")
STUCK = Gauge("ingest_stuck_messages", "Messages that have been failing for the order hold; others pass them.")
DOUBLES = Counter("ingest_doubles_total", "Messages that were found on their ticket twice.")
SENDING_STOPPED = Gauge("ingest_sending_stopped", "1 while the API refuses our token and nothing is sent.")
SENDING_PAUSED = Gauge(
    "ingest_sending_paused_seconds", "Time for which the API wants nothing sent (429); `ingest resume` ends it."
)
TREATED = Counter(
    "ingest_treated_total",
    "Mails that ended, by the cell of the decision table that applied to them.",
    ["who", "authentication", "evidence", "treatment"],
)
FLAGGED = Counter("ingest_flagged_total", "Mails posted although their sender or their ticket is in question.")
API_REQUESTS = Counter(
    "ingest_api_requests_total", "Requests to the ticket API, by method and status (or error).", ["method", "status"]
)
API_SECONDS = Histogram("ingest_api_request_seconds", "Time that a request to the ticket API took.", ["method"])
PARSE_SECONDS = Histogram("ingest_parse_seconds", "Time that a parsing process took for a mail.")
PARSE_KILLED = Counter("ingest_parse_children_killed_total", "Parsing processes ended by a mail, by cause.", ["cause"])
AUTHENTICATED = Counter("ingest_authenticated_total", "Mails whose sender was checked, by result.", ["result"])
DNS_FAILURES = Counter("ingest_dns_failures_total", "Questions to the DNS that were not answered.")
DNS_SILENT = Gauge("ingest_dns_silent", "1 while no question to the DNS is answered, and no mail is authenticated.")
DELIVERY_SECONDS = Histogram(
    "ingest_delivery_seconds",
    "Time from acceptance to the API's answer.",
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 3600, 21600, 86400),
)
IMAP_CONNECTED = Gauge("ingest_imap_connected", "1 while a folder is being read.", ["account", "folder"])
IMAP_FAILURES = Counter("ingest_imap_failures_total", "Sessions that ended, by kind of trouble.", ["account", "kind"])
IMAP_GAP = Gauge(
    "ingest_imap_gap_messages", "Mails that the server held and we had not at the last count.", ["account", "folder"]
)
IMAP_GAP_SECONDS = Gauge("ingest_imap_gap_seconds", "For how long there has been such a gap.", ["account", "folder"])
IMAP_CREDENTIAL_ENDS = Gauge(
    "ingest_imap_credential_ends_timestamp_seconds", "When an account's token or secret ends.", ["account"]
)
