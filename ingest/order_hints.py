"""What tells, before any request, after which older messages a message has to be posted.

Messages of one ticket are posted in the order in which they arrived. Which ticket a message belongs to may only be
known after the API was asked, and an API that fails must not let a later message overtake. So each message is stored
with the names by which its ticket or thread is known from the message itself; two messages that share a name keep their
order.
"""

import hashlib
from dataclasses import dataclass

from ingest import tickets
from ingest.model.envelope import ReceivedMessage
from ingest.model.outcome import Signal
from ingest.parse.thread_header import MAX_HEAD_BYTES, parse_thread_header

MAX_OLDEST_IDS = 2
"""How many ids at the far end of References count: the root is there, also where clients shorten the middle."""
MAX_NEAREST_IDS = 4
"""How many ids next to the message count: its parent, and what a client that cuts the far end still sends."""


MAX_BODY_BYTES = 64 * 1024
"""How much of the body tells two mails without Message-ID apart, beside its length. All of a large mail would take
longer than all else that is done before it is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalFacts:
    """What is known of a message before it is stored."""

    order_names: tuple[str, ...]
    """The names that it shares with those it must not overtake, each once."""
    is_unnamed: bool
    """It has neither Message-ID nor Date, so a later message with equal bytes may be another one."""


def order_hints(message: ReceivedMessage, signals: tickets.SignalSettings) -> ArrivalFacts:
    """Return the names of a message's ticket and thread: ``ticket:<id or code>`` in small letters, ``id:<Message-ID>``.

    Its own Message-ID is among them, so that an answer that arrives while the message is still queued stays behind it.
    A message without one is named by its body, ``body:<digest>``, so that two copies of it keep their order.
    """
    content = memoryview(message.content)[message.trace_length :]
    header = parse_thread_header(bytes(content[:MAX_HEAD_BYTES]))
    head = header.fields
    found = tickets.find_signals(head, message.envelope, signals, now=message.received_at)
    named = [proof.ticket_id for proof in found.proofs if proof.ticket_id]
    named += [candidate.identifier for candidate in found.candidates if _may_order(candidate, found)]
    ids = [*found.related_ids[:MAX_NEAREST_IDS], *head.references[:MAX_OLDEST_IDS]]
    own = f"id:{head.message_id}" if head.message_id else _body_name(content, header.body_start)
    names = (*map(ticket_name, named), own, *(f"id:{message_id}" for message_id in ids))
    return ArrivalFacts(
        order_names=tuple(dict.fromkeys(filter(None, names))),
        is_unnamed=header.body_start is not None and head.message_id is None and not header.is_dated,
    )


def _may_order(candidate: tickets.Candidate, found: tickets.FoundSignals) -> bool:
    """Return whether a candidate names the message. A code without the form of a tag is mostly none (``ISO-9001``), and
    would have strangers wait for each other: it counts only where no ancestor names the thread."""
    return candidate.signal is not Signal.SUBJECT_CODE or not found.related


def _body_name(content: memoryview, start: int | None) -> str:
    """Return the name of a body; ``""`` where there is none."""
    if start is None or start >= len(content):
        return ""
    digest = hashlib.blake2b(content[start : start + MAX_BODY_BYTES], digest_size=16)
    digest.update(b"%d" % (len(content) - start))
    return f"body:{digest.hexdigest()}"


def ticket_name(identifier: str) -> str:
    """A ticket's name in the order of messages. Letter case does not count: mail systems change it in addresses."""
    return f"ticket:{identifier.lower()}"
