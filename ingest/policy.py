"""Decides, once ticket and sender are known, whether this sender may write to this ticket.

Mail that may not is quarantined (a person must look) or discarded (nobody needs it; its content is kept for the
retention time). Whether a person wrote the mail at all is decided before, by ``screening.py``.
"""

from ingest.model.outcome import Resolution, RuleName, Strength
from ingest.model.verdict import Action, Verdict


def admit(resolution: Resolution, *, is_note: bool, is_participant: bool, is_released: bool = False) -> Verdict | None:
    """Return ``None`` if the message may go to the ticket that it was resolved to, else the verdict that stops it.

    ``is_note`` says that it is to be a private note (a delivery report); ``is_participant``, that the sender is the
    ticket's requester or follower, or has written to it before; ``is_released``, that an operator released the
    message, which then needs no participant but still a ticket. How strong the sender's own identity is (DKIM, DMARC,
    ARC) is not asked yet; that question belongs here.
    """
    if resolution.conflict:
        tickets = sorted({e.ticket_id for e in resolution.evidence if e.ticket_id})
        return Verdict(
            rule=RuleName.CONFLICT,
            action=Action.QUARANTINE,
            reason=f"its evidence names several tickets: {', '.join(tickets)}; release it to one of them",
        )
    if resolution.ticket_id is None:
        return _unmatched(is_note)
    if resolution.strength is Strength.WEAK and not (is_participant or is_released):
        return Verdict(
            rule=RuleName.WEAK_EVIDENCE,
            action=Action.QUARANTINE,
            reason=f"only its subject names ticket {resolution.ticket_id}, and the sender is not on that ticket",
        )
    return None


def _unmatched(is_note: bool) -> Verdict:
    if is_note:
        return Verdict(
            rule=RuleName.DELIVERY_REPORT,
            action=Action.DISCARD,
            reason="it is a delivery report about no ticket of ours",
        )
    return Verdict(rule=RuleName.UNMATCHED, action=Action.QUARANTINE, reason="nothing in it names a ticket")
