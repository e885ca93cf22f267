"""Knows copies of outbound mail, which the help desk sends us so that we learn their Message-IDs.

    a field X-Ingest-Sent                    signed for the ticket and the Message-ID of this mail
    a recipient sent+<ticket>.<code>@ours    signed for the ticket
    the recipient INGEST_SENT_ADDRESS        secret; the ticket is found by what the mail says

``docs/sending.md`` is the page for the system that sends. This module does no input or output.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ingest import signing
from ingest.model.envelope import Envelope
from ingest.model.message import ParsedMessage
from ingest.model.teachers import Teacher
from ingest.signing import Proof
from ingest.signing_keys import SigningKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyMark:
    """What showed that a mail is a copy of outbound mail."""

    teacher: Teacher
    ticket_id: str | None
    """The ticket that the mark names; ``None`` where it names none."""
    found_in: str
    """Where it was found, for an operator. It holds no secret."""


def find_copy_mark(
    message: ParsedMessage,
    envelope: Envelope,
    *,
    domains: frozenset[str],
    keys: SigningKeys | None,
    secret_address: str,
    now: float,
) -> CopyMark | None:
    """Return what shows that a mail is a copy of outbound mail; ``None`` for any other mail.

    ``secret_address`` is in lower case, empty where there is none. ``now`` is the Unix time of the receipt."""
    recipients = (*envelope.rcpt_tos, *message.delivered_to)
    signed = keys and (_signed_field(message, keys) or _signed_recipient(recipients, domains, keys, now))
    if signed:
        return signed
    if secret_address and any(signing.equal_secrets(address.lower(), secret_address) for address in recipients):
        return CopyMark(teacher=Teacher.SENT, ticket_id=None, found_in="INGEST_SENT_ADDRESS")
    return None


def _signed_field(message: ParsedMessage, keys: SigningKeys) -> CopyMark | None:
    for name, value in message.headers:
        if name == signing.SENT_FIELD.lower():
            checked = signing.check_sent(value, message.message_id, keys)
            if checked is not None and checked.proof is Proof.VALID:
                return CopyMark(teacher=Teacher.SIGNED, ticket_id=checked.ticket_id, found_in=signing.SENT_FIELD)
    return None


def _signed_recipient(
    recipients: Iterable[str], domains: frozenset[str], keys: SigningKeys, now: float
) -> CopyMark | None:
    """The Message-ID is not signed with it, so it is believed like the API, and not more."""
    for address in recipients:
        local, _at, domain = address.rpartition("@")
        checked = signing.check_sent_address(local, keys, now=now) if domain.lower() in domains else None
        if checked is not None and checked.proof is Proof.VALID:
            return CopyMark(teacher=Teacher.SENT, ticket_id=checked.ticket_id, found_in="signed recipient")
    return None
