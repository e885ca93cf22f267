"""Settings: each with type, default, unit and one sentence. They come from the environment, or from a TOML file with
the same names (``INGEST_CONFIG`` names it); a secret also from a file (``RAVENNA_API_TOKEN_FILE``), as containers do.

Every problem is reported at once, one line each. Secrets are never printed.
"""

import ipaddress
import os
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

MiB = 1024 * 1024
SECRETS = ("RAVENNA_API_TOKEN", "INGEST_SIGNING_KEY")
SANDBOX_TOKEN = "sandbox-token"


class ConfigError(Exception):
    """The settings cannot be used. The text has one line for each problem, each saying what to do."""


def _words(value: object) -> object:
    """Lists are written ``a, b`` or ``a b`` in the environment, and as lists in TOML."""
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


class Settings(BaseModel):
    """All settings. A field's alias is its name in the environment and in the TOML file."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    # The ticket API
    api_url: str = Field(
        "https://core.api.ravennahq.com/api", alias="RAVENNA_API_URL", description="Base address of the ticket API."
    )
    api_token: SecretStr | None = Field(
        None, alias="RAVENNA_API_TOKEN", description="Token sent as x-ravenna-api-token."
    )
    api_timeout: float = Field(
        30.0, alias="INGEST_API_TIMEOUT", gt=0, le=600, description="Seconds that one API request may take in all."
    )
    api_can_list: bool = Field(
        True,
        alias="INGEST_API_CAN_LIST",
        description="The token may list a ticket's messages; without that, a POST in doubt is repeated blindly.",
    )
    send_undocumented: bool = Field(
        False,
        alias="INGEST_SEND_UNDOCUMENTED",
        description="Also send emailMessageId and emailInReplyTo, which the API's request does not document.",
    )
    deliveries: int = Field(
        128, alias="INGEST_DELIVERIES", ge=1, le=2000, description="Messages worked on at the same time."
    )
    user_cache: float = Field(
        300.0,
        alias="INGEST_USER_CACHE",
        ge=0,
        description="Seconds for which a user look-up is remembered, found or not.",
    )

    # The store
    database_url: str = Field(
        "sqlite:///var/ingest.db", alias="INGEST_DATABASE_URL", description="Where mail is kept: sqlite:///PATH."
    )
    retention_days: float = Field(
        30.0,
        alias="INGEST_RETENTION_DAYS",
        ge=0,
        description="Days for which the octets of a delivered or discarded mail are kept; the facts stay.",
    )
    min_free_bytes: int = Field(
        256 * MiB,
        alias="INGEST_MIN_FREE_BYTES",
        ge=0,
        description="Octets of free disk below which mail is refused for the time being (452).",
    )
    max_backlog: int = Field(
        100_000,
        alias="INGEST_MAX_BACKLOG",
        ge=1,
        description="Queued messages above which mail is refused for the time being (452).",
    )

    # Taking mail in by SMTP and LMTP
    smtp_listen: Annotated[
        tuple[str, ...],
        Field(
            alias="INGEST_SMTP_LISTEN",
            description="host:port to listen on for SMTP, several with commas; empty for none.",
        ),
    ] = ("127.0.0.1:8025",)
    lmtp_listen: Annotated[
        tuple[str, ...], Field(alias="INGEST_LMTP_LISTEN", description="host:port to listen on for LMTP (RFC 2033).")
    ] = ()
    hostname: str = Field(
        default_factory=socket.gethostname,
        alias="INGEST_HOSTNAME",
        description="Our name in the greeting and in Received fields.",
    )
    domains: Annotated[
        tuple[str, ...],
        Field(alias="INGEST_DOMAINS", description="Mail domains that are ours; others are refused with 550 5.7.1."),
    ] = ()
    recipients: Annotated[
        tuple[str, ...],
        Field(
            alias="INGEST_RECIPIENTS",
            description="Local parts (before any +detail) that exist in our domains, * for all; others are refused with 550 5.1.1.",
        ),
    ] = ("*",)
    smtp_relays: Annotated[
        tuple[str, ...],
        Field(alias="INGEST_SMTP_RELAYS", description="Networks that may connect, such as 10.0.0.0/8; empty for all."),
    ] = ()
    smtp_proxies: Annotated[
        tuple[str, ...],
        Field(
            alias="INGEST_SMTP_PROXIES",
            description="Networks of load balancers that speak the PROXY protocol to us; empty for none.",
        ),
    ] = ()
    tls_certificate: Path | None = Field(
        None,
        alias="INGEST_TLS_CERTIFICATE",
        description="PEM file with our certificate chain; with it STARTTLS is offered.",
    )
    tls_key: Path | None = Field(
        None, alias="INGEST_TLS_KEY", description="PEM file with the certificate's private key."
    )
    max_message_bytes: int = Field(
        35 * MiB,
        alias="INGEST_MAX_MESSAGE_BYTES",
        ge=64 * 1024,
        description="Octets of the largest mail taken (552 5.3.4 above).",
    )
    max_recipients: int = Field(
        100, alias="INGEST_MAX_RECIPIENTS", ge=1, description="Recipients taken in one transaction (452 4.5.3 above)."
    )
    max_connections: int = Field(
        500, alias="INGEST_MAX_CONNECTIONS", ge=1, description="SMTP connections at the same time (421 4.7.0 above)."
    )
    max_connections_per_client: int = Field(
        100,
        alias="INGEST_MAX_CONNECTIONS_PER_CLIENT",
        ge=1,
        description="SMTP connections at the same time from one address.",
    )
    max_messages_per_minute: int = Field(
        0,
        alias="INGEST_MAX_MESSAGES_PER_MINUTE",
        ge=0,
        description="Mails a minute from one address (450 4.7.1 above); 0 for no limit.",
    )
    smtp_idle: float = Field(
        300.0,
        alias="INGEST_SMTP_IDLE",
        gt=0,
        description="Seconds without an octet after which a connection is closed.",
    )
    smtp_session: float = Field(
        3600.0, alias="INGEST_SMTP_SESSION", gt=0, description="Seconds that one connection may last in all."
    )

    # Reading mail
    parse_children: int = Field(
        default_factory=lambda: max(1, os.cpu_count() or 1),
        alias="INGEST_PARSE_CHILDREN",
        ge=1,
        le=64,
        description="Processes that parse mail.",
    )
    parse_seconds: float = Field(
        20.0, alias="INGEST_PARSE_SECONDS", gt=0, description="Seconds that parsing one mail may take."
    )
    parse_memory_bytes: int = Field(
        1024 * MiB,
        alias="INGEST_PARSE_MEMORY_BYTES",
        ge=256 * MiB,
        description="Octets of memory that a parsing process may use.",
    )
    content_format: Literal["markdown", "plain"] = Field(
        "markdown", alias="INGEST_CONTENT_FORMAT", description="Form of the posted content."
    )

    # Deciding
    signing_key: SecretStr | None = Field(
        None, alias="INGEST_SIGNING_KEY", description="Secret for signed reply addresses and Message-IDs."
    )
    fallback_author_id: str | None = Field(
        None,
        alias="INGEST_FALLBACK_AUTHOR_ID",
        description="API user under whom mail of unknown senders is posted; without it such mail is quarantined.",
    )
    max_received: int = Field(
        50, alias="INGEST_MAX_RECEIVED", ge=5, description="Received fields above which a mail is a loop."
    )
    sync_interval: float = Field(
        0.0,
        alias="INGEST_SYNC_INTERVAL",
        ge=0,
        description="Seconds between looks for new Message-IDs in recently updated tickets; 0 for never.",
    )
    waiting_limit: float = Field(
        86_400.0,
        alias="INGEST_WAITING_LIMIT",
        gt=0,
        description="Seconds that a mail waits for its unknown parent before it is quarantined.",
    )

    # Trying again
    lease: float = Field(
        300.0,
        alias="INGEST_LEASE",
        ge=1,
        description="Seconds after which a message that a dead worker held is tried again.",
    )
    retry_first: float = Field(
        5.0,
        alias="INGEST_RETRY_FIRST",
        gt=0,
        description="Seconds before the second attempt; each further one waits twice as long.",
    )
    retry_cap: float = Field(
        1800.0, alias="INGEST_RETRY_CAP", gt=0, description="Seconds that the wait grows to at most."
    )
    retry_max_days: float = Field(
        5.0,
        alias="INGEST_RETRY_MAX_DAYS",
        gt=0,
        description="Days after which a message that cannot be delivered is failed.",
    )
    max_unfinished: int = Field(
        10,
        alias="INGEST_MAX_UNFINISHED",
        ge=1,
        description="Attempts that ended in a crash after which a message is failed.",
    )

    # Operation
    http_listen: str = Field(
        "127.0.0.1:8080",
        alias="INGEST_HTTP_LISTEN",
        description="host:port for /healthz, /readyz and /metrics; empty for none.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", alias="INGEST_LOG_LEVEL", description="Least severe log line that is written."
    )
    log_format: Literal["console", "json"] = Field(
        "console", alias="INGEST_LOG_FORMAT", description="console for people, json for collectors."
    )
    drain: float = Field(
        25.0, alias="INGEST_DRAIN", gt=0, description="Seconds that a stop waits for work in progress."
    )

    @field_validator(
        "smtp_listen", "lmtp_listen", "domains", "recipients", "smtp_relays", "smtp_proxies", mode="before"
    )
    @classmethod
    def _split_words(cls, value: object) -> object:
        return _words(value)

    @field_validator("smtp_relays", "smtp_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network)
        return value

    @field_validator("domains", "recipients")
    @classmethod
    def _lower(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(word.lower() for word in value)

    @field_validator("smtp_listen", "lmtp_listen")
    @classmethod
    def _are_listeners(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            split_host_port(address)
        return value

    @field_validator("http_listen")
    @classmethod
    def _is_listener(cls, value: str) -> str:
        if value:
            split_host_port(value)
        return value

    @field_validator("api_url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        if urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname:
            raise ValueError("write it as https://host/api")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _agree(self) -> "Settings":
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("INGEST_TLS_CERTIFICATE and INGEST_TLS_KEY: set both or neither")
        return self


def split_host_port(address: str) -> tuple[str, int]:
    """``host:port`` or ``[v6]:port`` as a pair.

    Raises:
        ValueError: it is neither; the text says how to write it.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"{address!r} is no listener: write it as host:port, such as 127.0.0.1:8025")
    return host.strip("[]"), int(port)


def load(environment: Mapping[str, str], **overrides: Any) -> Settings:
    """Settings from the TOML file that ``INGEST_CONFIG`` names, then from ``environment``, then ``overrides`` (by alias).

    Raises:
        ConfigError: with one line for each problem.
    """
    problems: list[str] = []
    values: dict[str, Any] = _from_file(environment.get("INGEST_CONFIG"), problems)
    names = {str(field.alias) for field in Settings.model_fields.values()}
    values |= {name: value for name, value in environment.items() if name in names and value != ""}
    for name in SECRETS:
        _read_secret(name, environment, values, problems)
    try:
        settings = Settings.model_validate(values | overrides)
    except ValidationError as error:
        problems += [_explain(item) for item in error.errors()]
    if problems:
        raise ConfigError("\n".join(problems))
    return settings


def _from_file(path: str | None, problems: list[str]) -> dict[str, Any]:
    if not path:
        return {}
    try:
        return tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problems.append(f"INGEST_CONFIG: cannot read {path}: {error}")
        return {}


def _read_secret(name: str, environment: Mapping[str, str], values: dict[str, Any], problems: list[str]) -> None:
    path = environment.get(f"{name}_FILE")
    if not path:
        return
    try:
        values[name] = Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{name}_FILE: cannot read {path}: {error}")


def _explain(item: Any) -> str:
    name = ".".join(str(part) for part in item["loc"])
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = "there is no such setting; README.md lists them all"
    return f"{name}: {message}" if name else message
