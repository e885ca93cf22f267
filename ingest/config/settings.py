"""Settings: each with a name, a type, a unit, a default and one sentence.

They come from the environment, or from a TOML file with the same names (``INGEST_CONFIG`` names it); a secret also
from a file (``RAVENNA_API_TOKEN_FILE``), as containers do. Every problem is reported at once, one line each. Secrets
are never printed.
"""

import difflib
import os
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    SecretStr,
    ValidationError,
    model_validator,
)

from ingest.config.imap_accounts import ImapAccount, names_are_unique
from ingest.config.types import (
    SYSTEM,
    ApiUrl,
    AuthservIds,
    Bytes,
    ComputedDefault,
    Count,
    DatabaseUrl,
    Days,
    DaysOrZero,
    DnsServers,
    Domains,
    Listener,
    Listeners,
    LongSecret,
    LowerWords,
    Networks,
    Seconds,
    SecondsOrZero,
    SecretAddress,
    Secrets,
    SigningKey,
    SubjectTag,
)
from ingest.signing_keys import SigningKeys

MiB = 1024 * 1024
SECRETS = (
    "RAVENNA_API_TOKEN",
    "INGEST_SIGNING_KEY",
    "INGEST_SIGNING_KEYS_OLD",
    "INGEST_SENT_ADDRESS",
    "INGEST_WEBHOOK_SECRET",
)
SANDBOX_TOKEN = "sandbox-token"  # noqa: S105 - it opens nothing but the sandbox

REQUIRED_TO_SERVE = MappingProxyType(
    {
        "RAVENNA_API_TOKEN": "set it (or RAVENNA_API_TOKEN_FILE) to a token of the ticket API; "
        "to try without one: ingest serve --sandbox",
        "INGEST_DOMAINS": "set it to the mail domains that are yours, such as mail.example.com",
    }
)
"""The settings that a worker cannot start without, each with the advice for an operator who has not set it."""

_OTHER_NAMES = frozenset({"INGEST_CONFIG", *(f"{name}_FILE" for name in SECRETS)})


class ConfigError(Exception):
    """The settings cannot be used. The text has one line for each problem, each saying what to do."""


_OWN_NAMES = MappingProxyType(
    {"api_url": "RAVENNA_API_URL", "api_token": "RAVENNA_API_TOKEN", "imap": "imap", "decision": "decision"}
)


def name_of(field: str) -> str:
    """Return the name of a setting in the environment and in the TOML file."""
    return _OWN_NAMES.get(field, f"INGEST_{field.upper()}")


class Settings(BaseModel):
    """All settings. The name of ``lease`` in the environment and in the TOML file is ``INGEST_LEASE``."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=name_of,
        populate_by_name=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )

    # The ticket API
    api_url: ApiUrl = "https://core.api.ravennahq.com/api"
    """Base address of the ticket API."""
    api_token: SecretStr | None = None
    """Token sent as x-ravenna-api-token; required, except with --sandbox."""
    api_bearer: bool = False
    """Send the token as Authorization: Bearer instead, as some versions of the API want it."""
    api_timeout: Annotated[Seconds, Field(le=600)] = 30.0
    """Time that one API request may take in all."""
    api_lookup_timeout: Annotated[Seconds, Field(le=600)] = 10.0
    """Time that one look-up at the API may take: shorter than a post, which is not repeated lightly."""
    api_can_list: bool = True
    """The token may list a ticket's messages. Without, a POST in doubt is repeated blindly, and an unmarked quote goes
    with the answers in it."""
    send_author: bool = True
    """Send authorId; off where the API takes the token's own user for the author."""
    send_undocumented: bool = False
    """Also send emailMessageId and emailInReplyTo, which the API's request does not document."""
    deliveries: Annotated[Count, Field(le=2000)] = 128
    """Messages worked on at the same time."""
    max_lookups_per_sender: NonNegativeInt = 60
    """Tickets a minute that one sender's mail may make us ask for by guessable addresses and subjects; mail beyond it
    is deferred; 0 for no limit."""
    user_cache: SecondsOrZero = 300.0
    """Time for which a user look-up is remembered, found or not."""

    # The store
    database_url: DatabaseUrl = "sqlite:///var/ingest.db"
    """Where mail is kept: sqlite:///PATH."""
    retention_days: DaysOrZero = 30.0
    """Time for which the content of a delivered or discarded mail is kept; the facts about it stay."""
    min_free_bytes: Bytes = 256 * MiB
    """Free disk below which mail is refused for the time being (452)."""
    max_backlog: Count = 100_000
    """Queued messages above which mail is refused for the time being (452)."""

    # Taking mail in by SMTP and LMTP
    smtp_listen: Listeners = ("127.0.0.1:8025",)
    """host:port to listen on for SMTP, several with commas; none for no SMTP."""
    lmtp_listen: Listeners = ()
    """host:port to listen on for LMTP (RFC 2033), several with commas."""
    hostname: Annotated[str, ComputedDefault("name of the machine")] = Field(default_factory=socket.gethostname)
    """Our name in the greeting and in Received fields."""
    domains: Domains = ()
    """Mail domains that are ours; others are refused with 550 5.7.1; required, except with --sandbox."""
    recipients: LowerWords = ("*",)
    """Local parts (before any +detail) that exist in our domains, * for all; others are refused with 550 5.1.1."""
    smtp_relays: Networks = ()
    """Networks that may connect, such as 10.0.0.0/8; empty for all. They are relays of yours: SPF is not checked."""
    smtp_proxies: Networks = ()
    """Networks of load balancers that speak the PROXY protocol to us."""
    tls_certificate: Path | None = None
    """PEM file with our certificate chain; with it STARTTLS is offered."""
    tls_key: Path | None = None
    """PEM file with the certificate's private key."""
    max_message_bytes: Annotated[Bytes, Field(ge=64 * 1024)] = 35 * MiB
    """Size of the largest mail taken (552 5.3.4 above)."""
    max_recipients: Count = 100
    """Recipients taken in one transaction (452 4.5.3 above)."""
    max_connections: Count = 500
    """SMTP connections at the same time (421 4.7.0 above)."""
    max_connections_per_client: Count = 100
    """SMTP connections at the same time from one address."""
    max_messages_per_minute: NonNegativeInt = 600
    """Mails a minute from one address, or one IPv6 network of 64 bits (450 4.7.1 above); 0 for no limit; none for
    INGEST_SMTP_RELAYS. The default of this and the next two is not for programs on this machine."""
    max_messages_per_sender: NonNegativeInt = 120
    """Mails a minute from one sender (MAIL FROM), whoever delivers them (450 4.7.1 above); 0 for no limit."""
    max_messages_per_domain: NonNegativeInt = 1200
    """Mails a minute from one sender's domain, whoever delivers them (450 4.7.1 above); 0 for no limit."""
    smtp_idle: Seconds = 300.0
    """Time without a byte from the client after which a connection is closed; less while most are in use."""
    smtp_session: Seconds = 3600.0
    """Time that one connection may last in all."""

    # Taking mail in by IMAP
    imap: Annotated[tuple[ImapAccount, ...], AfterValidator(names_are_unique)] = ()
    """Mailboxes to read: tables [[imap]] of the TOML file."""

    # Reading mail
    parse_children: Annotated[Count, Field(le=64), ComputedDefault("number of processors")] = Field(
        default_factory=lambda: min(64, os.cpu_count() or 1)
    )
    """Processes that parse mail."""
    parse_seconds: Seconds = 20.0
    """Time that parsing one mail may take."""
    parse_memory_bytes: Annotated[Bytes, Field(ge=256 * MiB)] = 1024 * MiB
    """Memory that a parsing process may use."""
    content_format: Literal["markdown", "plain"] = "markdown"
    """Form of what is posted from HTML mail: Markdown, or the words without the signs. Text mail is posted as it is."""

    # Authentication
    dns_servers: DnsServers = (SYSTEM,)
    """DNS servers that authentication asks, such as 192.0.2.53 or 127.0.0.1:5353, several with commas; system for those
    of /etc/resolv.conf, none to ask nobody."""
    dns_zone: Path | None = None
    """JSON file whose object zone is asked instead of the DNS; clients at 127.0.0.1 count as known then. To try out."""
    dns_patience: SecondsOrZero = 3600.0
    """Time for which a mail is put off while the DNS fails for it; after that nothing is known of its sender."""

    # Attachments
    attachments: bool = True
    """Upload attachments to the ticket; off, the message names them and they stay with the mail in the store."""
    max_attachment_bytes: Bytes = 25 * MiB
    """Size of the largest attachment that is uploaded."""
    refused_attachments: LowerWords = ()
    """Content types and file names that are not uploaded, such as application/x-msdownload *.exe; none for none."""

    # Deciding
    authentication: Literal["required", "advisory"] = "required"
    """required: where nothing shows that a mail comes from the domain in From, nobody is its author on its word alone.
    advisory: nothing known counts as proven, for closed networks and for relays that check but do not tell."""
    staff_domains: LowerWords = ()
    """Mail domains of your own people, such as example.com: who writes from there is an agent, and has to prove it."""
    decision: dict[str, Any] = {}
    """What becomes of a mail, by who, authentication and evidence: table [decision] of the TOML file."""
    sending_domains: Domains = ("mail.ravennahq.com",)
    """Domains other than INGEST_DOMAINS that send mail for the help desk: no mail that comes in tells whose answer a
    Message-ID of theirs, or of INGEST_DOMAINS, awaits."""
    signing_key: SigningKey = None
    """Secret of at least 32 bytes for signed reply addresses and Message-IDs."""
    signing_keys_old: Secrets = ()
    """Earlier values of INGEST_SIGNING_KEY, with commas: what they signed stays valid; of a weak one it is no proof."""
    signature_days: DaysOrZero = 0.0
    """Age above which a signature with a date in it proves nothing any more; 0 for no limit."""
    sent_address: SecretAddress = None
    """Secret address for copies of outbound mail, which teach their Message-ID and are never posted."""
    subject_tag: SubjectTag = "[TAI-42]"
    """Form of the tag that the help desk puts into subjects, with any ticket's code in it."""
    fallback_author_id: str | None = None
    """API user under whom mail of unknown or unproven senders is posted; without it such mail is quarantined."""
    authserv_ids: AuthservIds = ()
    """Servers whose Authentication-Results are believed in mail that comes by a relay of ours; google and microsoft are
    names for theirs, *.relay.example stands for all below it."""
    list_domains: Domains = ()
    """Domains, beside ours, whose mailing lists and groups put their own address into From: the author is the one whom
    they name, if the list's domain is proven."""
    max_received: Annotated[int, Field(ge=5)] = 50
    """Received fields above which a mail is a loop."""
    loop_equal: NonNegativeInt = 3
    """Post with the same words on one ticket at which a loop is likely and the thread is paused; 0 for never."""
    loop_equal_window: Seconds = 86_400.0
    """Time within which posts with the same words count."""
    loop_sender: NonNegativeInt = 10
    """Posts of one sender to one ticket within INGEST_LOOP_WINDOW after which the thread is paused; 0 for never."""
    loop_ticket: NonNegativeInt = 30
    """Posts to one ticket within INGEST_LOOP_WINDOW, whoever sends, after which it is paused; 0 for never."""
    loop_window: Seconds = 600.0
    """Time within which those posts count."""
    own_addresses: LowerWords = ()
    """Addresses that the help desk sends from: mail from them is our own that came back; without, those that
    INGEST_RECIPIENTS names."""
    wanted_machines: LowerWords = ()
    """Addresses or domains of machines whose mail is wanted, such as alerts@monitor.example: it is taken like a
    person's."""
    sync_interval: SecondsOrZero = 0.0
    """Time between looks for new Message-IDs in recently updated tickets; 0 for never."""
    waiting_limit: Seconds = 86_400.0
    """Time that a mail waits for its unknown parent before it is quarantined."""

    # Trying again
    lease: Annotated[Seconds, Field(ge=1)] = 300.0
    """Time after which a message that a dead worker held is tried again."""
    retry_first: Seconds = 5.0
    """Time before the second attempt; each further one waits twice as long."""
    retry_cap: Seconds = 1800.0
    """Time that the wait grows to at most."""
    retry_max_days: Days = 5.0
    """Age at which a message that cannot be delivered is failed."""
    max_unfinished: Count = 10
    """Crashes of the worker while it held this message alone, after which the message is failed."""
    settle: SecondsOrZero = 15.0
    """Time after the API's time-out in which a POST without an answer may still take effect and show; only then the
    worker looks for it."""
    second_look: SecondsOrZero = 30.0
    """Time between the first look that did not find a POST in doubt and the second, after which it is posted again."""
    order_hold: Seconds = 14_400.0
    """Time for which a message that fails holds back the later messages of its ticket."""
    duplicate_window: SecondsOrZero = 14_400.0
    """Time within which two equal mails without Message-ID and Date count as one."""
    facts_days: DaysOrZero = 0.0
    """Time for which the facts of a delivered or discarded mail are kept (who, when, which ticket); 0 for ever."""

    # Operation
    http_listen: Listener = "127.0.0.1:8080"
    """host:port for /healthz, /readyz and /metrics; none for no HTTP."""
    webhook_secret: LongSecret = None
    """Secret of POST /webhooks/ticket-messages, by which the API tells of new messages; without it there is none."""
    sandbox_listen: Listener = "127.0.0.1:8026"
    """host:port of the stand-in for the ticket API, where --sandbox asks for it."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe log line that is written."""
    log_format: Literal["console", "json"] = "console"
    """console for people, json for collectors."""
    drain: Seconds = 25.0
    """Time that a stop waits for work in progress."""

    @model_validator(mode="after")
    def _agree(self) -> "Settings":
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("INGEST_TLS_CERTIFICATE and INGEST_TLS_KEY: set both or neither")
        return self

    @property
    def all_sending_domains(self) -> frozenset[str]:
        """The domains whose Message-IDs only the help desk makes, in lower case."""
        return frozenset((*self.domains, *self.sending_domains))

    @property
    def signing_keys(self) -> SigningKeys | None:
        """The keys for signing and checking; ``None``: there is none to sign with."""
        if self.signing_key is None:
            return None
        keys = (self.signing_key, *self.signing_keys_old)
        return SigningKeys(
            keys=tuple(key.get_secret_value().encode() for key in keys), max_age_days=self.signature_days
        )


NAMES = frozenset(name_of(field) for field in Settings.model_fields) - {"imap", "decision"}
"""The settings that can come from the environment."""


def load(
    environment: Mapping[str, str],
    *,
    required: Mapping[str, str] = MappingProxyType({}),
    defaults: Mapping[str, Any] = MappingProxyType({}),
    **overrides: Any,
) -> Settings:
    """Return the settings, taken from ``defaults``, above them the TOML file, then ``environment``, then ``overrides``.

    An empty variable counts as not set. ``required`` maps names that must have a value to what the operator should
    do where they have none.

    Raises:
        ConfigError: with one line for each problem.
    """
    problems: list[str] = []
    values = dict(defaults) | _from_file(environment.get("INGEST_CONFIG"), problems)
    values |= {name: value for name, value in environment.items() if name in NAMES and value != ""}
    values |= _secrets_from_files(environment, problems) | overrides
    problems += [f"{name} is not set: {advice}" for name, advice in required.items() if not values.get(name)]
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += [_explain(item) for item in error.errors()]
    if problems:
        raise ConfigError("\n".join(problems))
    return settings


def unknown_names(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return a line for each variable that starts like a setting and is none, most often a misspelled one.

    These are not errors, because orchestrators name variables after their services (``INGEST_SERVICE_HOST``).
    """
    ours = (name for name in sorted(environment) if name.startswith("INGEST_"))
    return tuple(f"{name}: {_no_such(name)}" for name in ours if name not in NAMES | _OTHER_NAMES)


def _from_file(path: str | None, problems: list[str]) -> dict[str, Any]:
    if not path:
        return {}
    try:
        return tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problems.append(f"INGEST_CONFIG: cannot read {path}: {_why(error)}")
        return {}


def _secrets_from_files(environment: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    secrets = {}
    for name in SECRETS:
        path = environment.get(f"{name}_FILE")
        try:
            if path:
                secrets[name] = Path(path).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{name}_FILE: cannot read {path}: {_why(error)}")
    return secrets


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _explain(item: Any) -> str:
    name = ".".join(str(part) for part in item["loc"])
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = _no_such(name)
    return f"{name}: {message}" if name else message


def _no_such(name: str) -> str:
    near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.75)
    return f"there is no such setting; did you mean {near[0]}?" if near else "there is no such setting"
