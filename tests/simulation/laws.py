"""The laws that every run of the simulation has to keep."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.simulation import mails
from tests.simulation.api_model import Message
from tests.simulation.mails import Mail
from tests.simulation.world import EPOCH, Delivery, World

SICK_TICKET_SECONDS = 120.0
"""While one ticket is sick, mail of the others is posted within this time: a few look-ups that hang, one after the
other, and no more."""


def violations(world: World) -> list[str]:
    """Return a sentence for each law that the run has broken, and what could not be settled."""
    rows = _rows(world)
    return [
        *world.problems,
        *_lost(world, rows),
        *_doubled(world),
        *_out_of_order(world, rows),
        *_starved(world),
    ]


def _rows(world: World) -> dict[str, dict[str, Any]]:
    names = ("queue_id", "seq", "state", "rule", "reason", "ticket_id", "ticket_message_id")
    found = world.disk.rows(f"SELECT {', '.join(names)} FROM messages ORDER BY seq")
    return {row[0]: dict(zip(names, row, strict=True)) for row in found}


def _posted(world: World) -> dict[str, list[Message]]:
    posted: dict[str, list[Message]] = {}
    for message in world.api.messages:
        posted.setdefault(message.queue_id, []).append(message)
    posted.pop("", None)
    return posted


def _lost(world: World, rows: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Every accepted mail has one row; it is on its ticket, or there is a reason that the run knows."""
    if world.disk.rows("SELECT value FROM counters WHERE name = 'accepted'") != [(len(rows),)]:
        yield "lost: the ledger does not hold"
    posted = _posted(world)
    for delivery in world.plan.deliveries:
        queue_id = world.queue_ids.get(delivery)
        row = rows.get(queue_id or "")
        if row is None:
            yield f"lost: mail {delivery.mail.number} has no row"
        elif (problem := _problem(world, delivery, row, posted.get(row["queue_id"], []), rows)) is not None:
            yield f"lost: mail {delivery.mail.number}: {problem} ({row})"


def _problem(
    world: World, delivery: Delivery, row: dict[str, Any], posted: list[Message], rows: dict[str, dict[str, Any]]
) -> str | None:
    match row["state"], row["rule"]:
        case "delivered", _:
            own = [message for message in posted if message.id == row["ticket_message_id"]]
            if not own and _is_stray(world, row["ticket_message_id"]):
                return None
            if not own:
                return "delivered as a message that is not its own"
            if own[0].ticket_id not in _homes(world, delivery.mail.ticket):
                return "on another ticket"
        case "discarded", "duplicate":
            copies = [d for d in world.plan.deliveries if d.mail == delivery.mail and d != delivery]
            return None if copies else "discarded as a duplicate, and there is no other"
        case "discarded", "operator":
            return None if posted else "discarded by the person, but it is not there"
        case "quarantined", "poison":
            return None if delivery.mail.content in world.plan.poison else "held as poison"
        case "quarantined" | "waiting", _ if _has_lost_parent(world, delivery, rows):
            return None
        case state, rule:
            return f"{state} {rule}"
    return None


def _is_stray(world: World, ticket_message_id: str) -> bool:
    """Whether a message is the effect of a POST at which the API broke its word: it came when nobody looked for it any
    more, so a mail with the same words may be taken for it.

    While no post has been accepted since the start, nothing tells the API's clock from ours but the ``Date`` of its
    responses. That may be the clock of a proxy, and a window that is too narrow would double our own posts."""
    return any(m.id == ticket_message_id and m.queue_id in world.api.broken_words for m in world.api.messages)


def _has_lost_parent(world: World, delivery: Delivery, rows: dict[str, dict[str, Any]]) -> bool:
    """Whether the mail that it answers did not come to a ticket either."""
    parent = delivery.mail.parent
    ids = [world.queue_ids[d] for d in world.plan.deliveries if d.mail.number == parent and d in world.queue_ids]
    return parent is not None and not any(rows[queue_id]["state"] == "delivered" for queue_id in ids)


def _homes(world: World, ticket: int) -> set[str]:
    name = mails.ticket_id(ticket)
    return {name, world.api.tickets[name]["mergedIntoId"] or name}


def _doubled(world: World) -> Iterator[str]:
    """A mail is on a ticket at most once, also if it came by two addresses."""
    number_of = {queue_id: delivery.mail.number for delivery, queue_id in world.queue_ids.items()}
    broken = {number_of.get(queue_id) for queue_id in world.api.broken_words}
    counts = Counter(number_of.get(m.queue_id) for m in world.api.messages if m.queue_id)
    for number, count in counts.items():
        if count > 1 and number not in broken:
            times = [round(m.posted_at - EPOCH, 1) for m in world.api.messages if number_of.get(m.queue_id) == number]
            yield f"doubled: mail {number} was posted {count} times, at {times}"


def _out_of_order(world: World, rows: dict[str, dict[str, Any]]) -> Iterator[str]:
    """The mails of one ticket are posted in the order in which they arrived, if they name it in the same way."""
    mail_of = {queue_id: delivery.mail for delivery, queue_id in world.queue_ids.items()}
    first_posts: dict[str, float] = {}
    for message in sorted(world.api.messages, key=lambda m: m.posted_at):
        if message.queue_id in mail_of:
            first_posts.setdefault(message.queue_id, message.posted_at)
    delivered = [q for q in rows if rows[q]["state"] == "delivered" and q in first_posts and q not in world.held]
    for position, later in enumerate(delivered):
        for earlier in delivered[:position]:
            if _keep_order(mail_of[earlier], mail_of[later]) and first_posts[earlier] > first_posts.get(later, 0):
                yield f"out of order: mail {mail_of[later].number} went before mail {mail_of[earlier].number}"


def _keep_order(one: Mail, other: Mail) -> bool:
    """Whether two mails name their ticket in the same way, so that the store knows their order before any request."""
    return one.ticket == other.ticket and one.naming == other.naming and one.naming != "reply"


def _starved(world: World) -> Iterator[str]:
    """A sick ticket holds up nobody else."""
    if world.plan.faults.sick_ticket is None:
        return
    for delivery, queue_id in world.queue_ids.items():
        times = [m.posted_at - EPOCH for m in world.api.messages if m.queue_id == queue_id]
        waited = min(times) - _complete_at(world, delivery) if times else 0.0
        if delivery.mail.ticket != 0 and waited > SICK_TICKET_SECONDS:
            yield f"starved: mail {delivery.mail.number} waited {waited:.0f} seconds"


def _complete_at(world: World, delivery: Delivery) -> float:
    """The virtual time at which a mail and all that it answers have arrived: it waits for those that it answers."""
    parent = delivery.mail.parent
    parents = [d for d in world.plan.deliveries if d.mail.number == parent] if parent is not None else []
    return max([delivery.at, *(_complete_at(world, d) for d in parents)])
