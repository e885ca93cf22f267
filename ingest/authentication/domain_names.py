"""Domain names in the one form in which they are compared and looked up: A-labels in small letters (RFC 5890)."""

import re

from ingest.model.mail_address import ascii_domain

MAX_NAME_CHARACTERS = 253
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)


def to_ascii(domain: str) -> str:
    """Return a domain name as A-labels in small letters, without a final dot; ``""`` if it is no domain name.

    >>> to_ascii("Bücher.Example."), to_ascii("[192.0.2.1]")
    ('xn--bcher-kva.example', '')
    """
    name = ascii_domain(domain.strip().removesuffix("."))
    is_name = len(name) <= MAX_NAME_CHARACTERS and all(_LABEL.fullmatch(label) for label in name.split("."))
    return name if is_name else ""


def is_registrable(domain: str) -> bool:
    """Return whether a name that ``to_ascii`` gave can belong to somebody: it has two labels at least, and is no IPv4
    address."""
    labels = domain.split(".")
    return len(labels) > 1 and not labels[-1].isdigit()
