"""What tells, before any request, after which older messages a message has to be posted.

Messages of one ticket are posted in the order in which they arrived. Which ticket a message belongs to may only be
known after the API was asked, and an API that fails must not let a later message overtake. So each message is stored
with the names by which its ticket or thread is known from the message itself; two messages that share a name keep their
order.
"""

from ingest import tickets
from ingest.model.envelope import ReceivedMessage
from ingest.parse.thread_header import parse_thread_header

MAX_OLDEST_IDS = 2
"""How many ids at the far end of References count: the root is there, also where clients shorten the middle."""
MAX_NEAREST_IDS = 4
"""How many ids next to the message count: its parent, and what a client that cuts the far end still sends."""


def order_hints(message: ReceivedMessage, *, domains: frozenset[str], signing_key: bytes | None) -> tuple[str, ...]:
    """Names of a message's ticket and thread, each once: ``ticket:<id or code>`` in small letters, ``id:<Message-ID>``.

    Its own Message-ID is among them, so that an answer that arrives while the message is still queued stays behind it.
    """
    head = parse_thread_header(message.content[message.trace_length :])
    found = tickets.find_signals(head, message.envelope, domains=domains, key=signing_key)
    named = [proof.ticket_id for proof in found.proofs if proof.ticket_id]
    named += [candidate.identifier for candidate in found.candidates]
    ids = [*found.related_ids[:MAX_NEAREST_IDS], *head.references[:MAX_OLDEST_IDS]]
    own = [head.message_id] if head.message_id else []
    names = (*map(ticket_name, named), *(f"id:{message_id}" for message_id in (*own, *ids)))
    return tuple(dict.fromkeys(names))


def ticket_name(identifier: str) -> str:
    """A ticket's name in the order of messages. Letter case does not count: mail systems change it in addresses."""
    return f"ticket:{identifier.lower()}"
