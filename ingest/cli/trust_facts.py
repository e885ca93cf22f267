"""How far a mail was trusted, as ``explain`` and ``messages show`` tell it: for programs and in words."""

from collections.abc import Iterator
from typing import Any

from ingest.model.described import DescribedStrEnum
from ingest.model.trust import Authentication, AuthenticationMode, EvidenceLevel, Treatment, Trust


def trust_facts(
    trust: Trust | None, *, authentication: Authentication | None = None, level: EvidenceLevel | None = None
) -> dict[str, Any]:
    """Return the cell of the decision table that applied. Where none did, ``authentication`` and ``level`` say what was
    found out all the same."""
    known = trust.authentication if trust is not None else authentication
    found_level = trust.level if trust is not None else level
    return {
        "who": trust.who.value if trust is not None else None,
        "authentication": known.result.value if known is not None else None,
        "domain": known.domain if known is not None else "",
        "reason": known.reason if known is not None else "",
        "evidence_level": found_level.value if found_level is not None else None,
        "treatment": trust.treatment.value if trust is not None else None,
    }


def trust_in_words(trust: Trust) -> Iterator[tuple[str, str]]:
    """Yield name and sentence of each of the things that decided, and of what was decided."""
    known = trust.authentication
    domain = f"{known.domain}: " if known.domain else ""
    yield "sender", _in_words(trust.who)
    yield "authentication", f"{known.result}: {domain}{known.reason or known.result.meaning}"
    yield "evidence level", _in_words(trust.level)
    yield "treatment", _in_words(trust.treatment)


def other_mode_in_words(mode: AuthenticationMode, treatment: Treatment, other: Treatment) -> str:
    """Return what the other value of ``INGEST_AUTHENTICATION`` would make of a mail treated as ``treatment``."""
    told = "the same" if other is treatment else _in_words(other)
    return f"with INGEST_AUTHENTICATION={mode.other}: {told}"


def _in_words(member: DescribedStrEnum) -> str:
    return f"{member}: {member.meaning}"
