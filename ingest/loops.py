"""What is compared of a message to know a loop: its words and when it was written; and our own words that come back.

The counting is in ``store/loops.py``, where the messages that were posted are.
"""

from collections.abc import Iterable
from datetime import datetime

from ingest.model.envelope import QueuedMessage
from ingest.model.loops import LoopCause, Pause, report_key
from ingest.model.message import ParsedMessage

MIN_OWN_WORDS_CHARACTERS = 40
"""Shortest text that is taken for ours where it comes back: two people may both say "Thank you, that helps."""
MAX_REPORT_KEYS = 50
"""Recipients of a report that are remembered; a mail of a ticket has few."""
_LIVE_SOURCES = ("smtp:", "lmtp:")


def written_at(queued: QueuedMessage, message: ParsedMessage) -> float:
    """Return when a message was written, as far as it matters for a loop (Unix time): when it arrived. What was read
    from a mailbox or a file may have lain there for days, and is counted by its Date; a later Date is not believed."""
    if queued.source_ref.source.startswith(_LIVE_SOURCES) or message.date is None:
        return queued.received_at
    try:
        dated = datetime.fromisoformat(message.date).timestamp()
    except (ValueError, OverflowError, OSError):
        return queued.received_at
    return min(max(dated, 0.0), queued.received_at)


def report_keys(message: ParsedMessage) -> tuple[str, ...]:
    """Return a key for each recipient that the report in a message is about; none for any other message."""
    report = message.delivery_report
    if report is None or report.original_message_id is None:
        return ()
    recipients = dict.fromkeys(item.recipient for item in report.recipients[:MAX_REPORT_KEYS])
    return tuple(report_key(report.kind, report.original_message_id, name) for name in recipients or ("",))


def are_our_words(content: str, said_on_ticket: Iterable[str]) -> bool:
    """Return whether a content is the same as something that others said on its ticket: our own notification that
    came back under another Message-ID and subject. Short texts are not: people say the same."""
    words = _words(content)
    return len(words) >= MIN_OWN_WORDS_CHARACTERS and any(words == _words(said) for said in said_on_ticket)


def is_comparable(content: str) -> bool:
    """Return whether a content is long enough to be known as ours."""
    return len(_words(content)) >= MIN_OWN_WORDS_CHARACTERS


def _words(content: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in content).casefold().split())


_CAUSES = {
    LoopCause.EQUAL: "the same words came again and again (INGEST_LOOP_EQUAL)",
    LoopCause.SENDER: "its sender wrote to it too often (INGEST_LOOP_SENDER)",
    LoopCause.TICKET: "too many mails came for it (INGEST_LOOP_TICKET)",
}


def reason_of(pause: Pause) -> str:
    """Return why a message is held, and what to do, in words for an operator; without any address."""
    return (
        f"a loop is likely on ticket {pause.ticket_id}: {_CAUSES[pause.cause]}; see `ingest loops list`, then"
        f" `ingest loops resume {pause.ticket_id}` with --release or --discard"
    )
