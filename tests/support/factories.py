"""Makes envelopes, claimed messages and parsed messages for tests, with defaults for every field."""

from typing import Any

from ingest.model.envelope import Envelope, QueuedMessage, SourceRef
from ingest.model.message import Address, ParsedMessage

DOMAIN = "mail.ravenna.example"
ALICE = "alice@customer.example"


def address(addr_spec: str, name: str = "") -> Address:
    return Address(display_name=name, addr_spec=addr_spec)


def parsed(**facts: Any) -> ParsedMessage:
    """Make a mail from Alice to the help desk; ``facts`` are the fields that differ from the defaults."""
    facts.setdefault("message_id", "reply-1@customer.example")
    facts.setdefault("from_", (address(ALICE, "Alice Example"),))
    facts.setdefault("text", "It works now.")
    facts.setdefault("content_digest", "d" * 64)
    return ParsedMessage(**facts)


def envelope(*rcpt_tos: str, mail_from: str = ALICE) -> Envelope:
    return Envelope(mail_from=mail_from, rcpt_tos=rcpt_tos or (f"help@{DOMAIN}",))


def queued(**facts: Any) -> QueuedMessage:
    """Make a message that was just claimed for the first time; ``facts`` as for ``parsed``."""
    facts.setdefault("queue_id", "Q1")
    facts.setdefault("envelope", envelope())
    facts.setdefault("source_ref", SourceRef(source="smtp:25"))
    facts.setdefault("size", 100)
    facts.setdefault("received_at", 1000.0)
    facts.setdefault("retry_window_start", 1000.0)
    facts.setdefault("attempts", 1)
    facts.setdefault("lone_crashes", 0)
    facts.setdefault("first_attempt_at", 1000.0)
    facts.setdefault("lease_token", "lease")
    return QueuedMessage(**facts)
