"""The kinds of values that settings have: how each is written, and what is right for it."""

import ipaddress
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

NONE = "none"
"""An empty list in the environment, where an empty variable counts as not set."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What a figure counts."""

    name: str


@dataclass(frozen=True, slots=True)
class Computed:
    """A default that depends on the machine, in words."""

    text: str


def split_host_port(address: str) -> tuple[str, int]:
    """``host:port`` or ``[v6]:port`` as a pair.

    Raises:
        ValueError: it is neither; the text says how to write it.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        raise ValueError(f"{address!r} is no listener: write it as host:port, such as 127.0.0.1:8025")
    return host.strip("[]"), int(port)


def _words(value: object) -> object:
    """Lists are written ``a, b`` or ``a b`` in the environment, an empty one as ``none``; in TOML they are lists."""
    if not isinstance(value, str):
        return value
    return () if value.strip().lower() == NONE else tuple(value.replace(",", " ").split())


def _lower(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.lower() for word in words)


def _are_listeners(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        split_host_port(word)
    return words


def _is_listener(value: str) -> str:
    if value.lower() in ("", NONE):
        return ""
    split_host_port(value)
    return value


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


Seconds = Annotated[PositiveFloat, Unit("seconds")]
SecondsOrZero = Annotated[NonNegativeFloat, Unit("seconds")]
Days = Annotated[PositiveFloat, Unit("days")]
DaysOrZero = Annotated[NonNegativeFloat, Unit("days")]
Count = PositiveInt
Octets = Annotated[NonNegativeInt, Unit("octets")]
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
LowerWords = Annotated[Words, AfterValidator(_lower)]
Listener = Annotated[str, AfterValidator(_is_listener)]
Listeners = Annotated[Words, AfterValidator(_are_listeners)]
Networks = Annotated[Words, AfterValidator(_are_networks)]
ApiUrl = Annotated[str, AfterValidator(_is_api_url)]
DatabaseUrl = Annotated[str, AfterValidator(_is_database_url)]
