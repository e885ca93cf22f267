"""Types of the settings' values: how each is written in the environment, and which values are valid."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

import idna
from pydantic import (
    AfterValidator,
    BeforeValidator,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
)

from ingest.signing_keys import weakness_of

DNS_PORT = 53
SYSTEM = "system"
"""Written for the name servers that the machine itself uses."""
MIN_SECRET_CHARACTERS = 16
"""Length of a secret that is only compared, so that each guess costs a request or a mail."""
NONE = "none"
"""Written for an empty list in the environment, because an empty variable counts as not set."""


@dataclass(frozen=True, slots=True)
class UnitOfMeasure:
    """The unit of a number, for the table of settings. Used in ``Annotated``."""

    name: str


@dataclass(frozen=True, slots=True)
class ComputedDefault:
    """A description of a default that depends on the machine, for the table of settings. Used in ``Annotated``."""

    text: str


def split_host_port(address: str) -> tuple[str, int]:
    """Return ``host:port`` or ``[IPv6]:port`` as a pair.

    Raises:
        ValueError: the text has neither form. Its message says how to write it.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        raise ValueError(f"{address!r} is no listener: write it as host:port, such as 127.0.0.1:8025")
    return host.strip("[]"), int(port)


def split_dns_server(server: str) -> tuple[str, int]:
    """Return ``192.0.2.53``, ``2001:db8::53``, ``192.0.2.53:5353`` or ``[2001:db8::53]:5353`` as a pair.

    Raises:
        ValueError: the text has none of these forms. Its message says how to write it.
    """
    host, port = (server, DNS_PORT) if _is_address(server) else split_host_port(server)
    if not _is_address(host):
        raise ValueError(f"{server!r} is no DNS server: write its address, such as 192.0.2.53 or 192.0.2.53:5353")
    return host, port


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _words(value: object) -> object:
    """Split a list as it is written in the environment: ``a, b`` or ``a b``, or ``none``. Keep one that TOML made."""
    if not isinstance(value, str):
        return value
    return () if value.strip().lower() == NONE else tuple(value.replace(",", " ").split())


def _lower(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.lower() for word in words)


_AUTHSERV_ID = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")


def checked_authserv_ids(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return authserv-ids in lower case.

    Raises:
        ValueError: one has not the form of a server's name. ``*`` alone would believe whatever a sender writes.
    """
    lowered = _lower(names)
    for name in lowered:
        if not _AUTHSERV_ID.fullmatch(name):
            raise ValueError(f"{name!r} is no authserv-id: write it as mx.example.com or *.mx.example.com")
    return lowered


def _in_both_spellings(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return domains in the spelling of the DNS and in that of people: mail comes with either (RFC 5890, RFC 6531)."""
    return tuple(dict.fromkeys(spelling for word in words for spelling in _spellings(word)))


def _spellings(domain: str) -> tuple[str, ...]:
    try:
        return idna.encode(domain, uts46=True).decode("ascii"), idna.decode(domain, uts46=True)
    except (idna.IDNAError, UnicodeError):
        return (domain,)


_TICKET_CODE = re.compile(r"[A-Z][A-Z0-9]{0,9}-[0-9]{1,12}")


def subject_tag_pattern(example: str) -> re.Pattern[str]:
    """Return the pattern of tags that are written like ``example`` (``[TAI-42]``); its first group is the code.

    Raises:
        ValueError: there is not exactly one code in the example.
    """
    before, *rest = _TICKET_CODE.split(example)
    if len(rest) != 1:
        raise ValueError(f"{example!r} is no form of a tag: write it with one code in it, such as [TAI-42] or (TAI-42)")
    before, after = (r"\s+".join(map(re.escape, part.split(" "))) for part in (before, rest[0]))
    return re.compile(rf"(?<![A-Za-z0-9]){before}({_TICKET_CODE.pattern})(?![A-Za-z0-9]){after}")


def _is_subject_tag(value: str) -> str:
    subject_tag_pattern(value)
    return value


def _is_strong_key(value: SecretStr | None) -> SecretStr | None:
    if value is not None and (weakness := weakness_of(value.get_secret_value().encode())) is not None:
        raise ValueError(f"the key is too weak: {weakness}")
    return value


def _is_long_secret(value: SecretStr | None) -> SecretStr | None:
    if value is not None and len(value.get_secret_value()) < MIN_SECRET_CHARACTERS:
        raise ValueError(f"use at least {MIN_SECRET_CHARACTERS} characters, such as openssl rand -hex 16 prints")
    return value


def _is_long_secret_address(value: SecretStr | None) -> SecretStr | None:
    local, at, domain = value.get_secret_value().partition("@") if value is not None else ("", "", "")
    if value is not None and (len(local) < MIN_SECRET_CHARACTERS or not at or not domain):
        raise ValueError(
            f"write an address that nobody guesses, with {MIN_SECRET_CHARACTERS} characters or more before the @"
        )
    return value


def _are_listeners(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        split_host_port(word)
    return words


def _is_listener(value: str) -> str:
    if value.lower() in ("", NONE):
        return ""
    split_host_port(value)
    return value


def _are_dns_servers(words: tuple[str, ...]) -> tuple[str, ...]:
    if words != (SYSTEM,):
        for word in words:
            split_dns_server(word)
    return words


def _are_networks(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        ipaddress.ip_network(word)
    return words


def _is_api_url(value: str) -> str:
    if urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname:
        raise ValueError("write it as https://host/api")
    return value.rstrip("/")


def _is_database_url(value: str) -> str:
    if not value.startswith("sqlite:///") or value == "sqlite:///":
        raise ValueError("write it as sqlite:///PATH, such as sqlite:///var/ingest.db")
    return value


Seconds = Annotated[PositiveFloat, UnitOfMeasure("seconds")]
SecondsOrZero = Annotated[NonNegativeFloat, UnitOfMeasure("seconds")]
Days = Annotated[PositiveFloat, UnitOfMeasure("days")]
DaysOrZero = Annotated[NonNegativeFloat, UnitOfMeasure("days")]
Count = PositiveInt
Bytes = Annotated[NonNegativeInt, UnitOfMeasure("bytes")]
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
LowerWords = Annotated[Words, AfterValidator(_lower)]
Domains = Annotated[LowerWords, AfterValidator(_in_both_spellings)]
AuthservIds = Annotated[Words, AfterValidator(checked_authserv_ids)]
Listener = Annotated[str, AfterValidator(_is_listener)]
Listeners = Annotated[Words, AfterValidator(_are_listeners)]
Networks = Annotated[Words, AfterValidator(_are_networks)]
SubjectTag = Annotated[str, AfterValidator(_is_subject_tag)]
LongSecret = Annotated[SecretStr | None, AfterValidator(_is_long_secret)]
SecretAddress = Annotated[SecretStr | None, AfterValidator(_is_long_secret_address)]
SigningKey = Annotated[SecretStr | None, AfterValidator(_is_strong_key)]
Secrets = Annotated[tuple[SecretStr, ...], BeforeValidator(_words)]
DnsServers = Annotated[Words, AfterValidator(_lower), AfterValidator(_are_dns_servers)]
ApiUrl = Annotated[str, AfterValidator(_is_api_url)]
DatabaseUrl = Annotated[str, AfterValidator(_is_database_url)]
