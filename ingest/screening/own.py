"""Recognises our own mail that came back (RFC 5321 section 6.3).

Our own mail is what the help desk sends, not each mail from a domain of ours: colleagues who answer are people.
"""

from ingest import signing
from ingest.authentication.author import author_address
from ingest.screening.rule import ScreenedMail


def many_hops(mail: ScreenedMail) -> str | None:
    """Recognise a loop by its Received fields."""
    count, limit = mail.message.received_count, mail.local.max_received
    return f"it has {count} Received fields; more than {limit} is a loop" if count > limit else None


def own_mail(mail: ScreenedMail) -> str | None:
    """Recognise mail from an address that the help desk sends from. A list of ours that puts itself into From names
    another author."""
    is_own = mail.local.is_own(author_address(mail.message))
    return "it comes from an address that the help desk sends from" if is_own else None


def own_id_of_ours(mail: ScreenedMail) -> str | None:
    """Recognise mail under a Message-ID that we signed, from an address of a domain of ours: an agent's notification
    that a mailbox passed on to us."""
    is_ours = mail.local.is_our_domain(author_address(mail.message).rpartition("@")[2])
    return own_id(mail) if is_ours else None


def own_id(mail: ScreenedMail) -> str | None:
    """Recognise mail under a Message-ID that we signed. Its sender may have copied the id of a mail that he got."""
    message_id = mail.message.message_id
    if mail.keys is None or message_id is None:
        return None
    found = signing.check_message_id(message_id, mail.keys, sender="", now=0.0)
    is_ours = found is not None and found.proof not in (signing.Proof.FORGED, signing.Proof.WEAK_KEY)
    return "its Message-ID is one that we signed: it is our own mail" if is_ours else None
