"""Which messages have a claim to a ticket message: those that became it, and those whose POST is in doubt."""

from collections.abc import Sequence

from ingest.store import PostClaims, PostInDoubt, Transaction

MAX_RIVALS = 100
"""Messages in doubt with the same words that are looked at. More than a few are a loop of mail, not people."""

_OWNER = "SELECT queue_id FROM messages WHERE ticket_message_id = :ticket_message_id ORDER BY seq LIMIT 1"
_HELD_BEFORE = """
SELECT 1 FROM messages WHERE perhaps_posted_as = :ticket_message_id
    AND held_at_post_number < (SELECT first_post_number FROM messages WHERE queue_id = :queue_id)
LIMIT 1
"""
_IN_DOUBT = """
SELECT queue_id, post_began_at, post_fingerprints FROM messages
WHERE post_digest = :digest AND post_began_at IS NOT NULL AND ticket_message_id IS NULL AND queue_id <> :queue_id
ORDER BY seq LIMIT :limit
"""


def owners(tx: Transaction, ticket_message_ids: Sequence[str]) -> dict[str, str]:
    """Map each id of a ticket message to the queue id of the row that was posted as it; other ids are left out."""
    found = {name: tx.execute(_OWNER, {"ticket_message_id": name}) for name in ticket_message_ids}
    return {name: owner[0][0] for name, owner in found.items() if owner}


def claims(tx: Transaction, queue_id: str, ticket_message_ids: Sequence[str], digests: Sequence[str]) -> PostClaims:
    """Return what other messages than ``queue_id`` may claim: which of the ticket messages are theirs, and which of
    them are in doubt with the same words (one of ``digests``).

    A ticket message for which another one was held before the first POST of this one was there then, so that POST has
    not created it. The order is that of the transactions, not of clocks, which may be set between two processes."""
    held = {
        name
        for name in ticket_message_ids
        if tx.execute(_HELD_BEFORE, {"ticket_message_id": name, "queue_id": queue_id})
    }
    values = {"queue_id": queue_id, "limit": MAX_RIVALS}
    found = [row for digest in dict.fromkeys(digests) for row in tx.execute(_IN_DOUBT, {**values, "digest": digest})]
    rivals = {
        rival: PostInDoubt(began_at=began_at, post_fingerprints=tuple(fingerprints.split("\n")[:-1]))
        for rival, began_at, fingerprints in found
    }
    return PostClaims(taken=frozenset(owners(tx, ticket_message_ids)) | held, rivals=tuple(rivals.values()))
