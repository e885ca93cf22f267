"""The mails of the simulation: tiny, and the same few in every run, so that each is parsed only once."""

from dataclasses import dataclass
from functools import cache

from ingest.signing import sign_address
from tests.support.factories import DOMAIN

SIGNING_KEY = b"0123456789abcdef0123456789abcdef"
SENDERS = ("alice@customer.example", "bob@customer.example", "stranger@elsewhere.example")
"""The first two are users of the API and take part in each ticket; mail of the third goes out under the fallback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail, and what the checks have to know of it."""

    number: int
    ticket: int
    """The number of the ticket that it belongs to."""
    naming: str
    """How it tells its ticket: ``signed`` and ``detail`` (address), ``subject``, ``known`` (a Message-ID that the store
    knows) or ``reply`` (to ``parent``)."""
    sender: str
    same_words: bool
    """It says the same as other mails of its sender."""
    has_id: bool = True
    parent: int | None = None

    @property
    def content(self) -> bytes:
        """The bytes of the mail."""
        return _content(self)

    @property
    def recipient(self) -> str:
        """The address that it was sent to."""
        match self.naming:
            case "signed":
                return sign_address(ticket_id(self.ticket), DOMAIN, SIGNING_KEY)
            case "detail":
                return f"help+{code(self.ticket)}@{DOMAIN}"
        return f"help@{DOMAIN}"


def ticket_id(ticket: int) -> str:
    return f"ticket{ticket}"


def code(ticket: int) -> str:
    return f"TAI-{ticket + 1}"


def known_id(ticket: int) -> str:
    """The Message-ID of a mail that the desk sent before, and whose ticket the store knows."""
    return f"known{ticket}@desk.example"


def message_id(number: int) -> str:
    return f"mail{number}@customer.example"


@cache
def _content(mail: Mail) -> bytes:
    subject = f"[{code(mail.ticket)}] Printer" if mail.naming == "subject" else "Re: Printer"
    fields = [f"From: <{mail.sender}>", f"To: <help@{DOMAIN}>", f"Subject: {subject}"]
    if mail.has_id:
        fields.append(f"Message-ID: <{message_id(mail.number)}>")
    if mail.naming == "known":
        fields.append(f"In-Reply-To: <{known_id(mail.ticket)}>")
    if mail.parent is not None:
        fields.append(f"In-Reply-To: <{message_id(mail.parent)}>")
    words = "It works now, thank you." if mail.same_words else f"It is number {mail.number} that fails."
    return "\r\n".join((*fields, "", words, "")).encode()
