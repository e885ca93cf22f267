"""Decides which ticket a message belongs to: finds its signals, and weighs them once they were looked up.

This module does no input or output; ``ticket_lookup.py`` asks the store and the API between the two steps.

    signal                 from                                                        strength
    signed-address         reply+<ticket>.<mac>@ours, in the recipients                proof
    signed-message-id      <ticket.<ticket>.<unique>.<mac>@ours>, in the ancestors     proof
    in-reply-to            a Message-ID that the store knows                           strong
    references             the same, newest first                                      strong
    verified-candidate     a weaker signal's ticket lists one of the ancestors         strong
    address-detail         help+TAI-<id>@ours (RFC 5233), in the recipients            medium
    subject-tag            [TAI-42]                                                    weak

The strongest wins. Two of the same strength that name different tickets are a conflict, and a person looks. Only the
sender's own header fields count, never ids in quoted text.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from ingest.model.envelope import Envelope
from ingest.model.message import ParsedMessage
from ingest.model.outcome import Evidence, Finding, Resolution, Signal, Strength

MAX_ANCESTORS = 60
"""Ancestors that are looked at, the nearest first: more than honest threads name, and few enough for one look-up."""
MAX_CANDIDATES = 6
"""Candidates that are looked up at the API. A sender writes them, and each costs a request."""
MAC_HEX_DIGITS = 20
"""Length of a MAC: 80 bits cannot be guessed by sending mail, and the address stays short enough to be typed."""

_TICKET_ID = r"[A-Za-z0-9_-]{1,64}"
_SIGNED_ADDRESS = re.compile(rf"(?i:reply)\+({_TICKET_ID})\.([0-9a-fA-F]{{{MAC_HEX_DIGITS}}})")
_SIGNED_MESSAGE_ID = re.compile(
    rf"ticket\.({_TICKET_ID})\.(?:([A-Za-z0-9_-]{{1,64}})\.)?([0-9a-fA-F]{{{MAC_HEX_DIGITS}}})@"
)
_ADDRESS_DETAIL = re.compile(rf"[A-Za-z][A-Za-z0-9]{{0,9}}-({_TICKET_ID})")
_SUBJECT_TAG = re.compile(r"\[([A-Z][A-Z0-9]{0,9}-[0-9]{1,12})\]")


def sign_address(ticket_id: str, domain: str, key: bytes) -> str:
    """Return a reply address that proves its ticket: ``reply+<ticket>.<mac>@domain``.

    The MAC is 80 bits of HMAC-SHA-256. Letter case does not matter to it, since mail systems change it. An
    id that comes back all in capitals is read in lower case, as the API writes its ids.
    """
    return f"reply+{ticket_id}.{_mac(key, 'address', ticket_id)}@{domain}"


def sign_message_id(ticket_id: str, unique: str, domain: str, key: bytes) -> str:
    """Return a Message-ID, without brackets, that proves its ticket; ``unique`` tells one mail of it from the next."""
    return f"ticket.{ticket_id}.{unique}.{_mac(key, 'message-id', f'{ticket_id}.{unique}')}@{domain}"


def _mac(key: bytes, purpose: str, text: str) -> str:
    digest = hmac.new(key, f"{purpose}\0{text.lower()}".encode(), hashlib.sha256)
    return digest.hexdigest()[:MAC_HEX_DIGITS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A signal that the sender could have invented: the ticket it names has to be looked up before it counts."""

    signal: Signal
    value: str
    identifier: str
    """A ticket id or a code such as ``TAI-42``, as the sender wrote it: untrusted."""
    strength: Strength


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSignals:
    """Everything in a message that may name its ticket, before any look-up."""

    proofs: tuple[Evidence, ...]
    """Signatures, checked: those that are not ours are evidence of nothing, and are kept to be shown."""
    related: tuple[tuple[Signal, str], ...]
    """``(signal, Message-ID)`` of the ancestors, the nearest first, each id once."""
    candidates: tuple[Candidate, ...]

    @property
    def related_ids(self) -> tuple[str, ...]:
        """The Message-IDs of the ancestors, the nearest first."""
        return tuple(message_id for _signal, message_id in self.related)


def find_signals(
    message: ParsedMessage, envelope: Envelope, *, domains: Iterable[str], key: bytes | None
) -> FoundSignals:
    """Return the signals of a message. ``domains`` are ours, in lower case; ``key`` is the signing key, if any."""
    local_parts = _local_parts_with_detail(message, envelope, frozenset(domains))
    related = _related(message)
    candidates = (*_address_details(local_parts), *_subject_tags(message.subject))
    proofs = (*_signed_addresses(local_parts, key), *_signed_message_ids(related, key)) if key else ()
    return FoundSignals(proofs=proofs, related=related, candidates=candidates[:MAX_CANDIDATES])


def _local_parts_with_detail(message: ParsedMessage, envelope: Envelope, domains: frozenset[str]) -> tuple[str, ...]:
    """Return the local parts of recipients at our domains, from the first list in which one of them has a detail.

    The envelope says whom this copy is for. Where a gateway has dropped the detail from it, the fields that mail
    systems write remember it; To and Cc name the recipients of all copies, and are the sender's own."""
    fields = tuple(address.addr_spec for address in (*message.to, *message.cc))
    for addresses in (envelope.rcpt_tos, message.delivered_to, fields):
        pairs = (address.rpartition("@") for address in addresses)
        ours = tuple(dict.fromkeys(local for local, _at, domain in pairs if domain.lower() in domains))
        if any(_SIGNED_ADDRESS.fullmatch(local) or _ADDRESS_DETAIL.fullmatch(_detail(local)) for local in ours):
            return ours
    return ()


def _related(message: ParsedMessage) -> tuple[tuple[Signal, str], ...]:
    report = message.delivery_report
    reported = () if report is None else (report.original_message_id, *reversed(report.original_references))
    nearest_first = (
        *((Signal.REPORTED_MESSAGE, message_id) for message_id in reported if message_id),
        *((Signal.IN_REPLY_TO, message_id) for message_id in message.in_reply_to),
        *((Signal.REFERENCES, message_id) for message_id in reversed(message.references)),
    )
    signal_of: dict[str, Signal] = {}
    for signal, message_id in nearest_first:
        if message_id != message.message_id:
            signal_of.setdefault(message_id, signal)
    return tuple((signal, message_id) for message_id, signal in islice(signal_of.items(), MAX_ANCESTORS))


def _signed_addresses(local_parts: Iterable[str], key: bytes) -> Iterable[Evidence]:
    for local in local_parts:
        if (match := _SIGNED_ADDRESS.fullmatch(local)) is not None:
            good = hmac.compare_digest(_mac(key, "address", match[1]), match[2].lower())
            yield _proof(Signal.SIGNED_ADDRESS, local, _in_lower_case(match[1]), good)


def _detail(local: str) -> str:
    """Return what follows the first ``+`` of a local part (RFC 5233)."""
    return local.partition("+")[2]


def _in_lower_case(ticket_id: str) -> str:
    """Undo the capitals in which some mail systems write addresses; the ids of the API have none."""
    return ticket_id.lower() if ticket_id.isupper() else ticket_id


def _signed_message_ids(related: Iterable[tuple[Signal, str]], key: bytes) -> Iterable[Evidence]:
    for _signal, message_id in related:
        if (match := _SIGNED_MESSAGE_ID.match(message_id)) is not None:
            signed = f"{match[1]}.{match[2]}" if match[2] else match[1]
            good = hmac.compare_digest(_mac(key, "message-id", signed), match[3].lower())
            yield _proof(Signal.SIGNED_MESSAGE_ID, message_id, match[1], good)


def _proof(signal: Signal, value: str, ticket_id: str, good: bool) -> Evidence:
    if good:
        return Evidence(signal=signal, value=value, ticket_id=ticket_id, strength=Strength.PROOF)
    return _no_evidence(signal, value, Finding.FORGED)


def _address_details(local_parts: Iterable[str]) -> Iterable[Candidate]:
    for local in local_parts:
        detail = _detail(local)
        if (match := _ADDRESS_DETAIL.fullmatch(detail)) is not None:
            identifier = detail.upper() if match[1].isdigit() else _in_lower_case(match[1])
            yield Candidate(signal=Signal.ADDRESS_DETAIL, value=local, identifier=identifier, strength=Strength.MEDIUM)


def _subject_tags(subject: str) -> Iterable[Candidate]:
    for tag in dict.fromkeys(_SUBJECT_TAG.findall(subject)):
        yield Candidate(signal=Signal.SUBJECT_TAG, value=f"[{tag}]", identifier=tag, strength=Strength.WEAK)


def resolve(
    found: FoundSignals,
    *,
    known: Mapping[str, str | None],
    named: Mapping[str, str | None],
    verified: Mapping[str, str],
) -> Resolution:
    """Weigh the signals, and return the ticket that the strongest of them name.

    ``known`` says which ancestors the store knows (``None``: a stub, referred to and never seen). ``named`` says for
    each ticket id or code that was looked up which ticket it is today, merges followed (``None``: the API has none;
    absent: not looked up). ``verified`` maps ancestors to the candidate ticket whose messages list them.
    """
    evidence = tuple(_after_merges(item, named) for item in _evidence(found, known, named, verified))
    for strength in Strength:
        tickets = list(dict.fromkeys(e.ticket_id for e in evidence if e.strength == strength and e.ticket_id))
        if len(tickets) > 1:
            return Resolution(ticket_id=None, evidence=evidence, conflict=True)
        if tickets:
            return Resolution(ticket_id=tickets[0], evidence=evidence)
    missing = tuple(message_id for message_id in found.related_ids if not known.get(message_id))
    return Resolution(ticket_id=None, evidence=evidence, missing=missing)


def _evidence(
    found: FoundSignals, known: Mapping[str, str | None], named: Mapping[str, str | None], verified: Mapping[str, str]
) -> Iterable[Evidence]:
    yield from found.proofs
    for signal, message_id in found.related:
        if (ticket := known.get(message_id)) is not None:
            yield Evidence(signal=signal, value=message_id, ticket_id=ticket, strength=Strength.STRONG)
        elif (ticket := verified.get(message_id)) is not None:
            yield Evidence(
                signal=Signal.VERIFIED_CANDIDATE,
                value=message_id,
                ticket_id=ticket,
                strength=Strength.STRONG,
                finding=Finding.LISTED,
                detail=signal,
            )
        else:
            finding = Finding.ONLY_REFERRED_TO if message_id in known else Finding.UNKNOWN_MESSAGE
            yield _no_evidence(signal, message_id, finding)
    for candidate in found.candidates:
        yield _candidate_evidence(candidate, named)


def _candidate_evidence(candidate: Candidate, named: Mapping[str, str | None]) -> Evidence:
    ticket = named.get(candidate.identifier)
    if ticket is not None:
        return Evidence(signal=candidate.signal, value=candidate.value, ticket_id=ticket, strength=candidate.strength)
    finding = Finding.NO_SUCH_TICKET if candidate.identifier in named else Finding.OUTWEIGHED
    return _no_evidence(candidate.signal, candidate.value, finding)


def _no_evidence(signal: Signal, value: str, finding: Finding) -> Evidence:
    return Evidence(signal=signal, value=value, ticket_id=None, strength=Strength.NONE, finding=finding)


def _after_merges(evidence: Evidence, named: Mapping[str, str | None]) -> Evidence:
    """Return the evidence for the ticket into which its ticket has been merged since."""
    ticket = evidence.ticket_id
    if ticket is None or ticket not in named or named[ticket] == ticket:
        return evidence
    if named[ticket] is None:
        return replace(evidence, ticket_id=None, strength=Strength.NONE, finding=Finding.TICKET_GONE, detail=ticket)
    return replace(evidence, ticket_id=named[ticket], finding=Finding.TICKET_MERGED, detail=ticket)
