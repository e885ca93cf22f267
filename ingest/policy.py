"""Decides, once ticket and sender are known, what becomes of a mail: one table, ``DECISION_TABLE``.

Three things decide (``model/trust.py``): who the sender is to the ticket, whether the mail was shown to come from the
sender's domain, and how well it proves its ticket. From alone makes nobody an author, because anybody can write it.
Whether a person wrote the mail at all is decided before, by ``screening``.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import product
from types import MappingProxyType

from ingest.model.author import Author, AuthorRemark
from ingest.model.outcome import Resolution, RuleName, Strength
from ingest.model.trust import AuthenticationMode, AuthenticationResult, EvidenceLevel, Treatment, Trust, Who
from ingest.model.verdict import Action, Verdict

Row = tuple[Treatment, Treatment, Treatment, Treatment]
"""The treatments of one kind of sender, in the order of ``EvidenceLevel``."""
DecisionTable = Mapping[tuple[Who, AuthenticationResult], Row]

PROVEN, NOTHING_KNOWN, FAILED = AuthenticationResult
POST, FLAGGED, POST_FALLBACK, NOTE, NOTE_FALLBACK, HOLD, UNMATCHED = Treatment

DECISION_TABLE: DecisionTable = MappingProxyType(
    {
        # who, authentication            signed for sender  signed or known  guessable      none
        (Who.STAFF, PROVEN): (POST, POST, POST, UNMATCHED),
        (Who.STAFF, NOTHING_KNOWN): (NOTE_FALLBACK, NOTE_FALLBACK, HOLD, HOLD),
        (Who.STAFF, FAILED): (HOLD, HOLD, HOLD, HOLD),
        (Who.ON_TICKET, PROVEN): (POST, POST, POST, UNMATCHED),
        (Who.ON_TICKET, NOTHING_KNOWN): (POST, FLAGGED, NOTE_FALLBACK, HOLD),
        (Who.ON_TICKET, FAILED): (NOTE, NOTE_FALLBACK, HOLD, HOLD),
        (Who.API_USER, PROVEN): (POST, NOTE, HOLD, UNMATCHED),
        (Who.API_USER, NOTHING_KNOWN): (NOTE_FALLBACK, NOTE_FALLBACK, HOLD, HOLD),
        (Who.API_USER, FAILED): (HOLD, HOLD, HOLD, HOLD),
        (Who.UNKNOWN, PROVEN): (POST_FALLBACK, NOTE_FALLBACK, HOLD, UNMATCHED),
        (Who.UNKNOWN, NOTHING_KNOWN): (NOTE_FALLBACK, NOTE_FALLBACK, HOLD, HOLD),
        (Who.UNKNOWN, FAILED): (HOLD, HOLD, HOLD, HOLD),
    }
)
"""What becomes of a mail. An agent is never the author on the word of From alone; a stranger writes to no ticket by
counting up; a leaked address lets its finder write a note, never a public message. ``[decision]`` in the settings file
replaces it. docs/decision-table.md says the same in words."""


def decide(
    *,
    who: Who,
    authentication: AuthenticationResult,
    level: EvidenceLevel,
    table: DecisionTable = DECISION_TABLE,
    mode: AuthenticationMode = AuthenticationMode.REQUIRED,
) -> Treatment:
    """Return the cell of ``table`` for a mail."""
    row = table[who, effective(authentication, mode)]
    return row[tuple(EvidenceLevel).index(level)]


def effective(authentication: AuthenticationResult, mode: AuthenticationMode) -> AuthenticationResult:
    """Return what an authentication counts as: in advisory mode, nothing known counts as proven."""
    is_advised = mode is AuthenticationMode.ADVISORY and authentication is NOTHING_KNOWN
    return PROVEN if is_advised else authentication


def admit(resolution: Resolution, *, is_released: bool) -> Verdict | None:
    """Return the verdict about a mail that has no cell in the table, because it names several tickets, or none although
    an operator released it. ``None`` for all others."""
    if resolution.conflict:
        tickets = sorted({e.ticket_id for e in resolution.evidence if e.ticket_id})
        return Verdict(
            rule=RuleName.CONFLICT,
            action=Action.QUARANTINE,
            reason=f"its evidence names several tickets: {', '.join(tickets)}; release it to one of them",
        )
    if resolution.ticket_id is not None or not is_released:
        return None
    return Verdict(rule=RuleName.UNMATCHED, action=Action.QUARANTINE, reason=_REASONS[RuleName.UNMATCHED])


# What is told of a decision


def hold(trust: Trust, resolution: Resolution, machine: Verdict | None = None) -> Verdict:
    """Return the verdict about a mail that the table does not let pass. The reason names no address.

    ``machine`` is the rule by which a machine wrote it: that tells an operator more than the cell does, unless the mail
    is perhaps forged."""
    rule = _rule(trust, resolution.strength)
    reason = _REASONS[rule].format(**_facts(trust, resolution))
    if machine is not None and rule is not RuleName.FORGED_AUTHOR:
        rule, reason = machine.rule, f"{machine.reason}, and {reason}"
    return Verdict(rule=rule, action=Action.QUARANTINE, reason=reason)


def hold_list(author: Author) -> Verdict:
    """Return the verdict about a mail whose author is only named by a list that is not proven."""
    reason = (
        f"From has the address of a list of {author.list_domain}, and nothing shows that {author.list_domain} sent it"
    )
    return Verdict(
        rule=RuleName.UNPROVEN_LIST, action=Action.QUARANTINE, reason=f"{reason}: so its author is not known"
    )


def _rule(trust: Trust, strength: Strength) -> RuleName:
    """Return the rule that says best why a mail is held: forgery first, then what the operator can do most about."""
    if trust.authentication.result is FAILED:
        return RuleName.FORGED_AUTHOR
    if trust.level is EvidenceLevel.NONE:
        return RuleName.UNMATCHED
    if trust.authentication.result is NOTHING_KNOWN and trust.who is Who.STAFF:
        return RuleName.UNPROVEN_AUTHOR
    if trust.level is EvidenceLevel.GUESSABLE:
        return RuleName.WEAK_EVIDENCE if strength is Strength.WEAK else RuleName.GUESSABLE_ADDRESS
    return RuleName.DECISION_TABLE


_REASONS = MappingProxyType(
    {
        RuleName.FORGED_AUTHOR: "{domain} says that this mail is not its own ({why}): look at it with `ingest messages"
        " show`, then release or discard it",
        RuleName.UNMATCHED: "nothing in it names a ticket",
        RuleName.UNPROVEN_AUTHOR: "From names somebody of staff, nothing shows that {domain} sent it ({why}), and only"
        " a guessable address or subject names ticket {ticket}",
        RuleName.WEAK_EVIDENCE: "only its subject names ticket {ticket}, and the sender, {who}, is not on that ticket",
        RuleName.GUESSABLE_ADDRESS: "only an address that anybody can guess names ticket {ticket}, and the sender,"
        " {who}, is not on that ticket",
        RuleName.DECISION_TABLE: "the decision table of the settings holds such mail ({cell})",
    }
)


def _facts(trust: Trust, resolution: Resolution) -> Mapping[str, str]:
    return {
        "domain": trust.authentication.domain or "the sender's domain",
        "why": trust.authentication.reason or trust.authentication.result.value,
        "ticket": resolution.ticket_id or "",
        "who": _WHO_IN_REASONS[trust.who],
        "cell": trust.cell,
    }


_WHO_IN_REASONS = MappingProxyType(
    {
        Who.STAFF: "of staff",
        Who.ON_TICKET: "not proven",
        Who.API_USER: "a user of the API",
        Who.UNKNOWN: "nobody that the API knows",
    }
)


FLAGGED_REMARKS = (AuthorRemark.NAME_SHOWS_ADDRESS, AuthorRemark.LOOKALIKE_DOMAIN)
"""Remarks on the author by which a reader could take the sender for somebody else. Honest mail has the others."""


def flag(trust: Trust, resolution: Resolution, remarks: Collection[AuthorRemark] = ()) -> str:
    """Return why a person may want to look at a mail that is posted; ``""`` where there is no reason."""
    reasons = ["nothing proves its sender"] if trust.treatment.is_flagged else []
    others = dict.fromkeys(evidence.ticket_id for evidence in resolution.disagreeing if evidence.ticket_id)
    reasons += [f"weaker evidence names ticket {', '.join(others)}"] if others else []
    reasons += [_FLAGS[remark] for remark in FLAGGED_REMARKS if remark in remarks]
    return "; ".join(reasons)


_FLAGS = MappingProxyType(
    {
        AuthorRemark.NAME_SHOWS_ADDRESS: "the sender's name shows another address",
        AuthorRemark.LOOKALIKE_DOMAIN: "the sender's domain has letters that look like others",
    }
)


MACHINE_WARNING = "Sent by a machine, so that no automatic answer of the help desk reaches it."
"""The first line of a note that would be a message if a person had sent it."""


def warning(trust: Trust, mode: AuthenticationMode) -> str:
    """Return what the first line of a note has to say about its sender; ``""`` where there is nothing."""
    domain = trust.authentication.domain or "the sender's domain"
    match effective(trust.authentication.result, mode):
        case AuthenticationResult.FAILED:
            return f"Perhaps forged: {domain} says that this mail is not its own."
        case AuthenticationResult.NOTHING_KNOWN:
            return f"Not proven: nothing shows that {domain} sent this mail."
    is_stranger = trust.who in (Who.API_USER, Who.UNKNOWN)
    return "Not on this ticket: its sender has not taken part in it before." if is_stranger else ""


def settings_that_matter(who: Who, authentication: AuthenticationResult, level: EvidenceLevel) -> tuple[str, ...]:
    """Return the names of the settings that could change what becomes of such a mail, beside ``[decision]``."""

    def treatment(mode: AuthenticationMode) -> Treatment:
        return decide(who=who, authentication=authentication, level=level, mode=mode)

    treatments = [treatment(mode) for mode in AuthenticationMode]
    matters = {
        "INGEST_AUTHENTICATION": len(set(treatments)) > 1,
        "INGEST_STAFF_DOMAINS": who is Who.STAFF,
        "INGEST_SIGNING_KEY": level in (EvidenceLevel.SIGNED_FOR_SENDER, EvidenceLevel.SIGNED_OR_KNOWN),
        "INGEST_FALLBACK_AUTHOR_ID": any(t.is_posted and not t.is_as_sender for t in treatments),
        "INGEST_WAITING_LIMIT": level is EvidenceLevel.NONE,
    }
    return tuple(name for name, does in matters.items() if does)


def is_same_whoever(
    senders: Iterable[Who],
    *,
    authentication: AuthenticationResult,
    level: EvidenceLevel,
    table: DecisionTable = DECISION_TABLE,
) -> bool:
    """Return whether a mail is treated the same whoever of ``senders`` its sender is, in both modes. If so,
    nobody needs to find out."""
    wanted = tuple(senders)
    return all(
        len({decide(who=who, authentication=authentication, level=level, table=table, mode=mode) for who in wanted}) < 2
        for mode in AuthenticationMode
    )


# The table of the settings file


def read_table(given: Mapping[str, object]) -> DecisionTable:
    """Return the table that ``[decision]`` of the settings file holds; ``DECISION_TABLE`` where that is empty.

    It replaces the whole table: ``staff.proven = { signed-for-sender = "post", ... }`` for each row.

    Raises:
        ValueError: a cell is missing or has a name that does not exist; one line for each.
    """
    if not given:
        return DECISION_TABLE
    problems = [*_unknown_names(given)]
    cells: dict[tuple[Who, AuthenticationResult, EvidenceLevel], Treatment] = {}
    for who, result, level in product(Who, AuthenticationResult, EvidenceLevel):
        try:
            cells[who, result, level] = _read_cell(given, who, result, level)
        except ValueError as problem:
            problems.append(str(problem))
    if problems:
        raise ValueError("\n".join(problems))
    rows = product(Who, AuthenticationResult)
    return {(who, result): _row(cells[who, result, level] for level in EvidenceLevel) for who, result in rows}


def _row(cells: Iterable[Treatment]) -> Row:
    first, second, third, fourth = cells
    return first, second, third, fourth


def _read_cell(given: Mapping[str, object], who: Who, result: AuthenticationResult, level: EvidenceLevel) -> Treatment:
    place = f"decision.{who}.{result}.{level}"
    value: object = given
    for name in (who, result, level):
        value = value.get(name) if isinstance(value, Mapping) else None
    if value is None:
        raise ValueError(f"{place}: the cell is missing; [decision] replaces the whole table (docs/decision-table.md)")
    try:
        treatment = Treatment.named(str(value))
    except ValueError as problem:
        raise ValueError(f"{place}: {problem}") from None
    if level is EvidenceLevel.NONE and treatment.is_posted:
        raise ValueError(f"{place}: {treatment} needs a ticket; it can be quarantine or unmatched")
    return treatment


def _unknown_names(given: Mapping[str, object]) -> Iterator[str]:
    """Yield a line for each row or column that does not exist, most often a misspelled one."""
    for who, rows in given.items():
        if who not in tuple(Who):
            yield f"decision.{who}: there is no such row; it is one of {', '.join(Who)}"
            continue
        for result, cells in rows.items() if isinstance(rows, Mapping) else ():
            if result not in tuple(AuthenticationResult):
                yield f"decision.{who}.{result}: there is no such row; it is one of {', '.join(AuthenticationResult)}"
                continue
            for level in cells if isinstance(cells, Mapping) else ():
                if level not in tuple(EvidenceLevel):
                    yield f"decision.{who}.{result}.{level}: no such column; it is one of {', '.join(EvidenceLevel)}"
