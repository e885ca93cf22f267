"""Decides which ticket a message belongs to: finds its signals, and weighs them once they were looked up.

This module does no input or output; ``ticket_lookup.py`` asks the store and the API between the two steps.

    signal                 from                                                        strength
    signed-address         reply+<ticket>.<code>@ours, in the recipients               proof, for the sender or not
    signed-message-id      <ticket.<ticket>.<unique>.<code>@ours>, in the ancestors    proof, for the sender or not
    in-reply-to            a Message-ID that the store knows                           strong
    references             the same, newest first                                      strong
    verified-candidate     a weaker signal's ticket lists one of the ancestors         strong
    address-detail         help+TAI-<id>@ours (RFC 5233), in the recipients            medium
    subject-tag            [TAI-42] (the form is a setting)                            weak
    subject-code           TAI-42 or tai-42, where the subject has no tag              weak

The strongest wins. Two of the same strength that name different tickets are a conflict, and a person looks. Only the
sender's own header fields count, never ids in quoted text.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from ingest import signing
from ingest.authentication.author import author_address
from ingest.model.envelope import Envelope
from ingest.model.message import ParsedMessage
from ingest.model.outcome import Evidence, Finding, Resolution, Signal, Strength
from ingest.signing import CheckedSignature, Proof
from ingest.signing_keys import SigningKeys

MAX_NEAREST_ANCESTORS = 40
"""Ancestors that are looked at next to the message: its parent, and more than honest threads have mails of others."""
MAX_OLDEST_ANCESTORS = 20
"""Ancestors that are looked at beyond those, at the far end: the mail that began the thread is often ours."""
MAX_CANDIDATES = 6
"""Candidates that are looked up at the API. A sender writes them, and each costs a request."""
MAX_COPIES = 10
"""Tickets for which a mail to several of them is stored, each time with its content: more would fill the disk."""
MAX_BARE_CODES = 2
"""Codes without the form of a tag that are looked up: most are no tickets (``ISO-9001``), and each costs a request."""

_ADDRESS_DETAIL = re.compile(rf"[A-Za-z][A-Za-z0-9]{{0,9}}-({signing.TICKET_ID})")
_BARE_CODE = re.compile(r"(?<![\w.-])[A-Za-z][A-Za-z0-9]{0,9}-[0-9]{1,9}(?![\w-])")
DEFAULT_SUBJECT_TAG = re.compile(r"\[([A-Z][A-Z0-9]{0,9}-[0-9]{1,12})\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalSettings:
    """The operator's settings that tell which signals of a mail are ours."""

    domains: frozenset[str] = frozenset()
    """Our domains, in lower case."""
    keys: SigningKeys | None = None
    """The keys of signed addresses and Message-IDs; without any, no signature is believed."""
    subject_tag: re.Pattern[str] = DEFAULT_SUBJECT_TAG
    """The form of a tag in the subject; its first group is the ticket's code."""
    sent_address: str = field(default="", repr=False)
    """The secret address for copies of outbound mail, in lower case; empty: there is none."""


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


def find_signals(message: ParsedMessage, envelope: Envelope, settings: SignalSettings, *, now: float) -> FoundSignals:
    """Return the signals of a message. ``now`` is the Unix time of its receipt, by which signatures may be too old."""
    local_parts = _local_parts_with_detail(message, envelope, settings.domains)
    related = _related(message)
    candidates = (*_address_details(local_parts), *_subject_codes(message.subject, settings.subject_tag))
    proofs = _proofs(message, local_parts, related, settings.keys, now) if settings.keys else ()
    return FoundSignals(proofs=tuple(proofs), related=related, candidates=candidates[:MAX_CANDIDATES])


def names_ticket(local_part: str) -> bool:
    """Return whether a recipient's local part has the form of a ticket's address, signed or not."""
    is_signed = signing.ADDRESS.fullmatch(local_part) is not None
    return is_signed or _ADDRESS_DETAIL.fullmatch(_detail(local_part)) is not None


def split_by_ticket(envelope: Envelope, domains: frozenset[str]) -> tuple[Envelope, ...]:
    """Return an envelope for each ticket that its recipients name, since one message is for one ticket.

    Signed addresses come first, so that of two addresses of one ticket the better one decides; recipients that name no
    ticket go with the first. Above ``MAX_COPIES`` tickets the last envelope keeps the rest: evidence that disagrees,
    for a person to look at."""
    recipients_of: dict[str, list[str]] = {}
    for recipient in sorted(envelope.rcpt_tos, key=lambda address: not _is_signed(address, domains)):
        recipients_of.setdefault(_named_ticket(recipient, domains), []).append(recipient)
    plain = recipients_of.pop("", [])
    groups = list(recipients_of.values())
    if len(groups) < 2:
        return (envelope,)
    groups[MAX_COPIES - 1 :] = [[recipient for group in groups[MAX_COPIES - 1 :] for recipient in group]]
    groups[0] += plain
    return tuple(replace(envelope, rcpt_tos=tuple(group)) for group in groups if group)


def _is_signed(address: str, domains: frozenset[str]) -> bool:
    local, _at, domain = address.rpartition("@")
    return domain.lower() in domains and signing.ADDRESS.fullmatch(local) is not None


def _named_ticket(address: str, domains: frozenset[str]) -> str:
    """Return what an address names its ticket by, in small letters; ``""`` where it names none, or is not ours."""
    local, _at, domain = address.rpartition("@")
    if domain.lower() not in domains:
        return ""
    if (signed := signing.ADDRESS.fullmatch(local)) is not None:
        return f"{'sent ' if signed[1].lower() == 'sent' else ''}{signed[2].lower()}"
    candidate = next(iter(_address_details([local])), None)
    return candidate.identifier.lower() if candidate is not None else ""


def _local_parts_with_detail(message: ParsedMessage, envelope: Envelope, domains: frozenset[str]) -> tuple[str, ...]:
    """Return the local parts of recipients at our domains, from the first list in which one of them has a detail.

    The envelope says whom this copy is for. Where a gateway has dropped the detail from it, the fields that mail
    systems write remember it; To and Cc name the recipients of all copies, and are the sender's own."""
    fields = tuple(address.addr_spec for address in (*message.to, *message.cc))
    for addresses in (envelope.rcpt_tos, message.delivered_to, fields):
        pairs = (address.rpartition("@") for address in addresses)
        ours = tuple(dict.fromkeys(local for local, _at, domain in pairs if domain.lower() in domains))
        if any(map(names_ticket, ours)):
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
    return _both_ends([(signal, message_id) for message_id, signal in signal_of.items()])


def _both_ends(related: list[tuple[Signal, str]]) -> tuple[tuple[Signal, str], ...]:
    """Return the nearest ancestors and the oldest ones: RFC 5322 section 3.6.4 lets clients drop those between."""
    rest = related[MAX_NEAREST_ANCESTORS:]
    return (*related[:MAX_NEAREST_ANCESTORS], *rest[-MAX_OLDEST_ANCESTORS:])


def _proofs(
    message: ParsedMessage,
    local_parts: Iterable[str],
    related: Iterable[tuple[Signal, str]],
    keys: SigningKeys,
    now: float,
) -> Iterable[Evidence]:
    sender = author_address(message)
    for local in local_parts:
        if (address := signing.check_address(local, keys, sender=sender, now=now)) is not None:
            yield _proof(Signal.SIGNED_ADDRESS, local, address)
    for _signal, message_id in related:
        if (checked := signing.check_message_id(message_id, keys, sender=sender, now=now)) is not None:
            yield _proof(Signal.SIGNED_MESSAGE_ID, message_id, checked)


_PROOFS = {
    Proof.FORGED: (Strength.NONE, Finding.FORGED),
    Proof.EXPIRED: (Strength.MEDIUM, Finding.SIGNATURE_EXPIRED),
    Proof.WEAK_KEY: (Strength.MEDIUM, Finding.SIGNED_WITH_WEAK_KEY),
    Proof.VALID: (Strength.PROOF, Finding.PLAIN),
    Proof.FOR_ANOTHER: (Strength.PROOF, Finding.SIGNED_FOR_ANOTHER),
    Proof.FOR_SENDER: (Strength.PROOF_FOR_SENDER, Finding.PLAIN),
}
"""How strong each result of a check is, and what is said of it. What can be guessed or was leaked long ago is no more
than an address that anybody can write."""


def _proof(signal: Signal, value: str, checked: CheckedSignature) -> Evidence:
    strength, finding = _PROOFS[checked.proof]
    ticket_id = None if strength is Strength.NONE else checked.ticket_id
    return Evidence(signal=signal, value=value, ticket_id=ticket_id, strength=strength, finding=finding)


def _detail(local: str) -> str:
    """Return what follows the first ``+`` of a local part (RFC 5233)."""
    return local.partition("+")[2]


def _in_lower_case(ticket_id: str) -> str:
    """Undo the capitals in which some mail systems write addresses; the ids of the API have none."""
    return ticket_id.lower() if ticket_id.isupper() else ticket_id


def _address_details(local_parts: Iterable[str]) -> Iterable[Candidate]:
    for local in local_parts:
        detail = _detail(local)
        if (match := _ADDRESS_DETAIL.fullmatch(detail)) is not None:
            identifier = detail.upper() if match[1].isdigit() else _in_lower_case(match[1])
            yield Candidate(signal=Signal.ADDRESS_DETAIL, value=local, identifier=identifier, strength=Strength.MEDIUM)


def _subject_codes(subject: str, tag: re.Pattern[str]) -> Iterable[Candidate]:
    """Yield the codes of the subject's tags, or where it has none, codes that only look like a ticket's: a gateway may
    have taken the brackets off, or put the subject into small letters."""
    tagged = tuple((found[0], found[1]) for found in tag.finditer(subject))
    bare = islice(((found[0], found[0].upper()) for found in _BARE_CODE.finditer(subject)), MAX_BARE_CODES)
    signal = Signal.SUBJECT_TAG if tagged else Signal.SUBJECT_CODE
    for value, code in dict.fromkeys(tagged or bare):
        yield Candidate(signal=signal, value=value, identifier=code, strength=Strength.WEAK)


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
