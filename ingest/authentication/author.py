"""Finds the author of a mail: one address for the user look-up, for DMARC and for the counters, so that nobody can be
looked up under one address and proven under another.

``docs/decisions/author.md`` has the rules and their reasons.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator

from ingest.model.author import Author, AuthorFault, AuthorRemark
from ingest.model.mail_address import comparable_address, comparable_domain, unicode_domain
from ingest.model.message import Address, ParsedMessage
from ingest.model.trust import Authentication, AuthenticationResult

_LIST_FIELDS = frozenset({"list-id", "list-post", "mailing-list", "x-google-group-id", "x-beenthere"})
"""Fields that a mailing list or a group adds (RFC 2919, RFC 2369, and what came before them)."""
_VIA = re.compile(r"\bvia\b", re.IGNORECASE)
_ADDRESS_IN_NAME = re.compile(r"[^\s@<>()\[\],;:\"']{1,64}@[^\s@<>()\[\],;:\"']{1,255}")
_MAX_NAME_CHARACTERS = 1000
"""How much of a display name is searched for an address."""
_LOOKALIKES = frozenset("авсԁеһіјӏорԛѕԝхуүɡɑοανρτυικγաոսօցհԼ")
"""Small letters of the Cyrillic, Greek, Armenian and IPA blocks that are drawn like Latin ones in common typefaces."""


def find_author(message: ParsedMessage) -> Author | AuthorFault:
    """Return the author whom a mail names, or why it names none. Where a list put its own address into From, it is the
    one whom the list names; ``fault_of_author`` tells whether that list may."""
    if message.author_fault is not None:
        return message.author_fault
    addresses = {comparable_address(address.addr_spec) for address in message.from_}
    if len(addresses) != 1:
        return AuthorFault.SEVERAL_AUTHORS if addresses else AuthorFault.NO_ADDRESS
    if _is_rewritten(message):
        return _original_author(message)
    return _author(message.from_[0], tuple(_remarks(message, message.from_[0])))


def author_address(message: ParsedMessage) -> str:
    """Return the address of the author whom a mail names; ``""`` where it names none."""
    author = find_author(message)
    return author.address if isinstance(author, Author) else ""


def named_sender(message: ParsedMessage) -> Address | None:
    """Return the sender as a reader of the ticket is shown it; ``None`` where the mail has no address at all.

    A name that shows another address is left out: beside the real one it would be read as the sender's."""
    author = find_author(message)
    if isinstance(author, AuthorFault):
        return message.from_[0] if message.from_ else None
    is_misleading = AuthorRemark.NAME_SHOWS_ADDRESS in author.remarks
    name = "(a name that shows another address)" if is_misleading else author.display_name
    return Address(display_name=name, addr_spec=author.address)


def fault_of_author(message: ParsedMessage, list_domains: Collection[str]) -> AuthorFault | None:
    """Return why nobody can be the author of a mail; ``None`` where it names one.

    ``list_domains`` are the domains whose lists are believed about the author: ours, and those of
    ``INGEST_LIST_DOMAINS``."""
    author = find_author(message)
    if isinstance(author, AuthorFault):
        return author
    is_foreign = author.list_domain not in {"", *map(comparable_domain, list_domains)}
    return AuthorFault.FOREIGN_LIST if is_foreign else None


def is_believed(author: Author, authentication: Authentication) -> bool:
    """Return whether the author may be taken for whom the mail names: a list is believed about the author only where
    its own domain is proven. ``authentication`` is about ``author.proving_domain``."""
    return not author.list_domain or authentication.result is AuthenticationResult.PROVEN


def about_author(author: Author, authentication: Authentication) -> Authentication:
    """Return what is known about the author, given what is known about the domain in From.

    A list that is proven shows that it passed the mail on, not that the author wrote it: it also passes on mail whose
    From was invented, if that domain has no DMARC policy."""
    if not author.list_domain or authentication.result is not AuthenticationResult.PROVEN:
        return authentication
    return Authentication(
        result=AuthenticationResult.NOTHING_KNOWN,
        domain=comparable_domain(author.address),
        reason=f"a list of {author.list_domain}, which is proven, names the author; nothing proves the author's domain",
    )


def _author(address: Address, remarks: tuple[AuthorRemark, ...], list_domain: str = "") -> Author:
    return Author(
        address=address.addr_spec, display_name=address.display_name, remarks=remarks, list_domain=list_domain
    )


# From rewritten by a list


def _is_rewritten(message: ParsedMessage) -> bool:
    """Whether a list put its own address into From, as lists do where the author's domain has a DMARC policy."""
    if not any(name in _LIST_FIELDS for name, _value in message.headers):
        return False
    own = comparable_address(message.from_[0].addr_spec)
    if any(name == "x-original-from" for name, _value in message.headers):
        return {comparable_address(address.addr_spec) for address in message.original_from} != {own}
    return _VIA.search(message.from_[0].display_name) is not None and len(_answers_to(message)) == 1


def _original_author(message: ParsedMessage) -> Author | AuthorFault:
    answers_to = _answers_to(message)
    named = {comparable_address(address.addr_spec): address for address in message.original_from} or answers_to
    if len(named) != 1 or (len(answers_to) == 1 and answers_to.keys() != named.keys()):
        return AuthorFault.LIST_CONTRADICTS
    (address,) = named.values()
    remarks = (AuthorRemark.REWRITTEN_BY_LIST, *_remarks_on_address(address))
    return _author(address, remarks, comparable_domain(message.from_[0].addr_spec))


def _answers_to(message: ParsedMessage) -> dict[str, Address]:
    """Return the addresses in Reply-To but for the list's own, by their comparable form."""
    own = comparable_address(message.from_[0].addr_spec)
    addresses = {comparable_address(address.addr_spec): address for address in message.reply_to}
    return {key: address for key, address in addresses.items() if key != own}


# Remarks


def _remarks(message: ParsedMessage, author: Address) -> Iterator[AuthorRemark]:
    yield from _remarks_on_address(author)
    domain = comparable_domain(author.addr_spec)
    if message.sender is not None and comparable_domain(message.sender.addr_spec) != domain:
        yield AuthorRemark.SENDER_DIFFERS
    if any(comparable_domain(address.addr_spec) != domain for address in message.reply_to):
        yield AuthorRemark.REPLY_TO_DIFFERS


def _remarks_on_address(author: Address) -> Iterator[AuthorRemark]:
    if shows_other_address(author):
        yield AuthorRemark.NAME_SHOWS_ADDRESS
    if has_lookalike_letters(comparable_domain(author.addr_spec)):
        yield AuthorRemark.LOOKALIKE_DOMAIN


def shows_other_address(address: Address) -> bool:
    """Return whether a display name shows an address that is not the real one, in whatever signs it is written."""
    name = unicodedata.normalize("NFKC", address.display_name[:_MAX_NAME_CHARACTERS])
    shown = "".join(letter for letter in name if unicodedata.category(letter) != "Cf")
    real = comparable_address(address.addr_spec)
    return any(comparable_address(found.rstrip(".")) != real for found in _ADDRESS_IN_NAME.findall(shown))


def has_lookalike_letters(domain: str) -> bool:
    """Return whether a domain (as A-labels) has a label that could be taken for a Latin one: all its letters are Latin
    or drawn like Latin ones, and one at least is not."""
    return any(_is_lookalike(label) for label in unicode_domain(domain).split("."))


def _is_lookalike(label: str) -> bool:
    others = {letter for letter in label if not letter.isascii()}
    return bool(others) and others <= _LOOKALIKES
