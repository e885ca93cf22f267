"""Mail addresses in the one form in which two spellings of an address are equal: for the user look-up, for DMARC, for
every table that has addresses as keys.
"""

import idna

_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
MAX_DOMAIN_CHARACTERS = 255
"""Length of a domain that is converted (RFC 1035 section 2.3.4). The conversion is not linear in what it is given."""


def comparable_address(address: str) -> str:
    """Return an address in the form in which two spellings of it are equal: ASCII letters lower, domain as A-labels.

    Only ASCII letters of the local part are lowered: in Unicode the Kelvin sign is a ``k``, and one address would pass
    for another's. What is no address is returned with its ASCII letters lower."""
    local, at, domain = address.rpartition("@")
    return f"{local.translate(_LOWER)}{at}{ascii_domain(domain) or domain.translate(_LOWER)}"


def comparable_domain(text: str) -> str:
    """Return the domain of an address, or a domain, in lower case and as A-labels; unchanged but for ASCII letters
    where it is no domain name."""
    domain = text.rpartition("@")[2]
    return ascii_domain(domain) or domain.translate(_LOWER)


def with_unicode_domain(address: str) -> str:
    """Return an address with its domain as people write it."""
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{unicode_domain(domain)}"


def ascii_domain(domain: str) -> str:
    """Return a domain in lower case, as A-labels (RFC 5891) and without a final dot; ``""`` where it is no domain name.

    Letters are mapped as browsers do (UTS 46, non-transitional): IDNA 2003 would make ``strasse.example`` of
    ``straße.example``, which may belong to somebody else. A domain in ASCII is not looked at any further, because
    names with an underscore or with labels that are no IDN do send mail."""
    domain = domain.removesuffix(".")
    if len(domain) > MAX_DOMAIN_CHARACTERS:
        return ""
    if domain.isascii():
        return domain.translate(_LOWER)
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return ""


def unicode_domain(domain: str) -> str:
    """Return a domain with its A-labels as people write them; unchanged where it has none, or one that is no IDN."""
    if "xn--" not in domain or len(domain) > MAX_DOMAIN_CHARACTERS:
        return domain
    try:
        return idna.decode(domain)
    except (idna.IDNAError, UnicodeError):
        return domain
