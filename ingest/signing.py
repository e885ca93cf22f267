"""Signs reply addresses, Message-IDs and copies of outbound mail, and checks such signatures.

    reply+<ticket>.<code>@ours                a reply address, for Reply-To
    <ticket.<ticket>.<unique>.<code>@ours>    a Message-ID for outbound mail
    X-Ingest-Sent: <ticket>.<code>            a header field that marks outbound mail, bound to its Message-ID
    sent+<ticket>.<code>@ours                 a recipient (Bcc) that marks a copy of outbound mail

    code = [day: 3] mac: 13 [person: 5]       characters of base32; its length tells which parts it has

Without a key nobody can make a code. ``docs/sending.md`` is the page for the system that sends, with test vectors. This
module does no input or output and needs no settings, so that another program can use it.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from ingest.model.mail_address import comparable_address
from ingest.signing_keys import SigningKeys, weakness_of

MAC_CHARACTERS = 13
"""Length of a MAC: 65 bits. Each guess costs a mail, so more would only make the address longer."""
PERSON_CHARACTERS = 5
"""Length of the part that is bound to a person: 25 bits. It only tells that person from others who have the address."""
DAY_CHARACTERS = 3
"""Length of the day: 15 bits of days since 2020, until 2109."""
MAX_LOCAL_PART_CHARACTERS = 64
"""RFC 5321 section 4.5.3.1.1. With a ticket id of 36 characters (a UUID) and both options an address is as long."""
OLD_MAC_CHARACTERS = 20
"""Length of the hexadecimal MACs of earlier versions. They stay valid: mail with them lies in mailboxes for years."""
SENT_FIELD = "X-Ingest-Sent"
"""The header field by which a copy of outbound mail is known."""
DAY_SECONDS = 86_400
EPOCH_DAY = 18_262
"""2020-01-01, from which the day in a code is counted, as a day of Unix time."""

TICKET_ID = r"[A-Za-z0-9_-]{1,64}"
_CODE_LENGTHS = tuple(
    DAY_CHARACTERS * has_day + MAC_CHARACTERS + PERSON_CHARACTERS * has_person
    for has_day in (0, 1)
    for has_person in (0, 1)
)
_CODE = "(?:{})".format("|".join(rf"[A-Za-z2-7]{{{length}}}" for length in _CODE_LENGTHS))
_OLD_CODE = rf"[0-9A-Fa-f]{{{OLD_MAC_CHARACTERS}}}"
_ANY_CODE = rf"(?:{_CODE}|{_OLD_CODE})"
ADDRESS = re.compile(rf"((?ai:reply|sent))\+({TICKET_ID})\.({_ANY_CODE})")
_MESSAGE_ID = re.compile(rf"ticket\.({TICKET_ID})\.(?:([A-Za-z0-9_-]{{1,64}})\.)?({_ANY_CODE})@[^@]+")
_SENT_VALUE = re.compile(rf"\s*({TICKET_ID})\.({_CODE})\s*")
_UNIQUE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PERSON = re.compile(r'[^\s@<>()\[\],;:\\"\x00-\x1f\x7f]{1,64}@[^\s@<>()\[\],;:\\"\x00-\x1f\x7f]{1,253}')
_DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


class Proof(Enum):
    """What a signature turned out to be."""

    FORGED = "no key of ours made it"
    EXPIRED = "ours, and too old"
    WEAK_KEY = "ours, but made with a key that can be guessed"
    VALID = "ours, and bound to nobody"
    FOR_ANOTHER = "ours, and bound to another person than the sender"
    FOR_SENDER = "ours, and bound to the sender"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedSignature:
    """A signature that was found in a mail, and what it proves."""

    ticket_id: str
    """The ticket that it names, as it stands in the mail. Capitals only are put into small letters."""
    proof: Proof


# Signing


def sign_address(ticket_id: str, domain: str, key: bytes, *, person: str = "", signed_at: float | None = None) -> str:
    """Return a reply address that proves its ticket: ``reply+<ticket>.<code>@domain``.

    With ``person``, the address that the mail goes to, it also proves that the answer comes from that person; from
    anybody else it still proves the ticket. With ``signed_at`` (Unix seconds) it has a date, so that it can grow too
    old. Letter case does not matter, since mail systems change it.

    Raises:
        ValueError: the ticket id, domain, person or key cannot be used, or the address is longer than mail allows.
    """
    return _sign_recipient("reply", ticket_id, domain, key, person=person, signed_at=signed_at)


def sign_sent_address(ticket_id: str, domain: str, key: bytes, *, signed_at: float | None = None) -> str:
    """Return an address that makes a copy of outbound mail known as such, and its ticket: ``sent+<ticket>.<code>@``.

    It goes into Bcc or the envelope only: who sees it can have mail of his own taken for the help desk's.

    Raises:
        ValueError: as for ``sign_address``.
    """
    return _sign_recipient("sent", ticket_id, domain, key, person="", signed_at=signed_at)


def sign_message_id(
    ticket_id: str, unique: str, domain: str, key: bytes, *, person: str = "", signed_at: float | None = None
) -> str:
    """Return a Message-ID, without angle brackets, that proves its ticket: ``ticket.<ticket>.<unique>.<code>@domain``.

    ``unique`` (letters, digits, ``_`` and ``-``) tells one mail of a ticket from the next. ``person`` and
    ``signed_at`` are as for ``sign_address``.

    Raises:
        ValueError: one of them cannot be used.
    """
    if not _UNIQUE.fullmatch(unique):
        raise ValueError(f"{unique!r} cannot stand in a Message-ID: use up to 64 letters, digits, _ and -")
    code = _sign("message-id", ticket_id, unique, key, person=person, signed_at=signed_at)
    return f"ticket.{ticket_id}.{unique}.{code}@{_checked_domain(domain)}"


def sign_sent(ticket_id: str, message_id: str, key: bytes) -> str:
    """Return the value of the header field ``X-Ingest-Sent`` for outbound mail with this Message-ID.

    It is bound to the Message-ID, so that whoever received the mail cannot teach us another one with it.

    Raises:
        ValueError: the ticket id or the key cannot be used.
    """
    return f"{ticket_id}.{_sign('sent-field', ticket_id, _comparable_id(message_id), key)}"


def _sign_recipient(
    prefix: str, ticket_id: str, domain: str, key: bytes, *, person: str, signed_at: float | None
) -> str:
    code = _sign(f"{prefix}-address", ticket_id, "", key, person=person, signed_at=signed_at)
    local = f"{prefix}+{ticket_id}.{code}"
    if len(local) > MAX_LOCAL_PART_CHARACTERS:
        raise ValueError(
            f"the ticket id {ticket_id!r} is too long for an address: the part before the @ would have"
            f" {len(local)} characters, and mail allows {MAX_LOCAL_PART_CHARACTERS}; use a signed Message-ID"
        )
    return f"{local}@{_checked_domain(domain)}"


def _sign(
    purpose: str, ticket_id: str, bound_to: str, key: bytes, *, person: str = "", signed_at: float | None = None
) -> str:
    if not re.fullmatch(TICKET_ID, ticket_id):
        raise ValueError(f"{ticket_id!r} is no ticket id: it has 1 to 64 letters, digits, _ and -")
    if (weakness := weakness_of(key)) is not None:
        raise ValueError(f"the key is too weak: {weakness}")
    day = "" if signed_at is None else _day_text(signed_at)
    mac = _mac(key, purpose, ticket_id, day, bound_to)
    return f"{day}{mac}{_person_mark(key, mac, _checked_person(person)) if person else ''}"


def _checked_domain(domain: str) -> str:
    if not _DOMAIN.fullmatch(domain):
        raise ValueError(f"{domain!r} is no mail domain: write it as mail.example.com")
    return domain


def _checked_person(person: str) -> str:
    if not _PERSON.fullmatch(person):
        raise ValueError(f"{person!r} is no single mail address: write it as alice@customer.example")
    return comparable_address(person)


def equal_secrets(given: str, secret: str) -> bool:
    """Compare in a time that does not tell how much of the secret was guessed."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), secret.encode("utf-8", "surrogatepass"))


# Checking


def check_address(local_part: str, keys: SigningKeys, *, sender: str, now: float) -> CheckedSignature | None:
    """Return what the local part of a recipient proves; ``None`` where it has not the form of a signed reply address.

    ``sender`` is the one author address of the mail (``""``: it has none), ``now`` the Unix time of the receipt.
    """
    return _check_recipient("reply", local_part, keys, sender, now)


def check_sent_address(local_part: str, keys: SigningKeys, *, now: float) -> CheckedSignature | None:
    """Return whether a copy with this recipient is one of outbound mail; ``None`` where the form is another."""
    return _check_recipient("sent", local_part, keys, "", now)


def check_message_id(message_id: str, keys: SigningKeys, *, sender: str, now: float) -> CheckedSignature | None:
    """Return what a Message-ID proves; ``None`` where it has not the form of a signed one."""
    match = _MESSAGE_ID.fullmatch(message_id)
    if match is None:
        return None
    ticket_id, unique, code = match[1], match[2] or "", match[3]
    old_text = f"{ticket_id}.{unique}" if unique else ticket_id
    return _check("message-id", ticket_id, unique, code, keys, sender=sender, now=now, old=("message-id", old_text))


def check_sent(value: str, message_id: str | None, keys: SigningKeys) -> CheckedSignature | None:
    """Return whether the value of ``X-Ingest-Sent`` marks outbound mail with this Message-ID; ``None`` where it has not
    the form, or the mail has no Message-ID."""
    match = _SENT_VALUE.fullmatch(value)
    if match is None or not message_id:
        return None
    return _check("sent-field", match[1], _comparable_id(message_id), match[2], keys, sender="", now=0.0, old=None)


def _check_recipient(
    prefix: str, local_part: str, keys: SigningKeys, sender: str, now: float
) -> CheckedSignature | None:
    match = ADDRESS.fullmatch(local_part)
    if match is None or match[1].lower() != prefix:
        return None
    old = ("address", match[2]) if prefix == "reply" else None
    return _check(f"{prefix}-address", match[2], "", match[3], keys, sender=sender, now=now, old=old)


def _check(
    purpose: str,
    ticket_id: str,
    bound_to: str,
    code: str,
    keys: SigningKeys,
    *,
    sender: str,
    now: float,
    old: tuple[str, str] | None,
) -> CheckedSignature:
    named = ticket_id.lower() if ticket_id.isupper() else ticket_id
    if len(code) == OLD_MAC_CHARACTERS:
        return CheckedSignature(ticket_id=named, proof=_old_proof(code, keys, old))
    day, mac, mark = _split(code.lower())
    made_by = next((k for k in keys.keys if _equal(_mac(k, purpose, ticket_id, day, bound_to), mac)), None)
    return CheckedSignature(ticket_id=named, proof=_proof(made_by, mac, mark, day, keys, sender=sender, now=now))


def _proof(key: bytes | None, mac: str, mark: str, day: str, keys: SigningKeys, *, sender: str, now: float) -> Proof:
    if key is None:
        return Proof.FORGED
    if keys.max_age_days and day and now > _end_of_day(day) + keys.max_age_days * DAY_SECONDS:
        return Proof.EXPIRED
    if weakness_of(key) is not None:
        return Proof.WEAK_KEY
    if not mark:
        return Proof.VALID
    is_for_sender = bool(sender) and _equal(_person_mark(key, mac, comparable_address(sender)), mark)
    return Proof.FOR_SENDER if is_for_sender else Proof.FOR_ANOTHER


def _split(code: str) -> tuple[str, str, str]:
    """Split a code into day, MAC and person; absent parts are empty."""
    start = DAY_CHARACTERS if len(code) in (_CODE_LENGTHS[2], _CODE_LENGTHS[3]) else 0
    return code[:start], code[start : start + MAC_CHARACTERS], code[start + MAC_CHARACTERS :]


def _old_proof(code: str, keys: SigningKeys, old: tuple[str, str] | None) -> Proof:
    """Check a signature of the form of earlier versions; ``old`` is its purpose and the text that it is made over."""
    made_by = next((key for key in keys.keys if old and _equal(_old_mac(key, *old), code.lower())), None)
    if made_by is None:
        return Proof.FORGED
    return Proof.VALID if weakness_of(made_by) is None else Proof.WEAK_KEY


def _equal(made: str, given: str) -> bool:
    return hmac.compare_digest(made, given)


def _old_mac(key: bytes, purpose: str, text: str) -> str:
    return hmac.new(key, f"{purpose}\0{text.lower()}".encode(), hashlib.sha256).hexdigest()[:OLD_MAC_CHARACTERS]


def _mac(key: bytes, purpose: str, ticket_id: str, day: str, bound_to: str) -> str:
    return _base32_mac(key, f"ingest-{purpose}", ticket_id.lower(), day, bound_to.lower())[:MAC_CHARACTERS]


def _person_mark(key: bytes, mac: str, person: str) -> str:
    return _base32_mac(key, "ingest-person", mac, person)[:PERSON_CHARACTERS]


def _base32_mac(key: bytes, *fields: str) -> str:
    text = "\0".join(fields).encode("utf-8", "surrogatepass")
    return base64.b32encode(hmac.digest(key, text, "sha256")).decode().lower()


def _comparable_id(message_id: str) -> str:
    return "".join(message_id.split()).strip("<>")


def _day_text(signed_at: float) -> str:
    number = int(signed_at // DAY_SECONDS) - EPOCH_DAY
    if not 0 <= number < 1 << 5 * DAY_CHARACTERS:
        raise ValueError("the time of signing must lie between 2020 and 2109")
    return "".join(_ALPHABET[number >> shift & 31] for shift in _shifts())


def _end_of_day(text: str) -> float:
    number = sum(_ALPHABET.index(letter) << shift for letter, shift in zip(text, _shifts(), strict=True))
    return float((EPOCH_DAY + number + 1) * DAY_SECONDS)


def _shifts() -> Iterable[int]:
    return range(5 * (DAY_CHARACTERS - 1), -1, -5)
