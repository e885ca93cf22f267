"""The API's objects, as far as the worker needs them, read from JSON that we did not write.

Only an object's ``id`` is indispensable. All else may be missing, null or of another type from one version of the API
to the next, and then counts as absent."""

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

MAX_ID = 200


class Unreadable(Exception):
    """An answer that is not what the API documents. The text says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user of the help desk: agent, customer or bot."""

    id: str
    email: str
    name: str
    """First and last name; ``""`` where neither is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A ticket."""

    id: str
    code: str
    """``PREFIX-NUMBER`` as people write it; ``""`` where the API does not tell."""
    title: str = ""
    requester_id: str | None = None
    author_id: str | None = None
    follower_ids: tuple[str, ...] = ()
    merged_into: str | None = None
    """Id of the ticket that took this one in."""
    updated_at: str = ""
    """As the API writes it; only to tell whether the ticket has changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedMessage:
    """A message that the API has."""

    id: str
    ticket_id: str
    author_id: str
    author_email: str
    content: str
    source: str | None
    private: bool
    email_message_id: str | None
    """Normalised: no brackets, domain in lower case. So is ``email_in_reply_to``."""
    email_in_reply_to: str | None
    created_at: float | None
    """Unix time by the API's clock; ``None`` where it is unreadable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What is to be posted."""

    ticket_id: str
    author_id: str
    content: str
    appendix: str = ""
    """Lines of ours below the content: what is missing, and why."""
    private: bool = False
    email_message_id: str | None = None
    """Message-ID of the mail, normalised. Sent only where the settings allow undocumented fields."""
    email_in_reply_to: str | None = None


def user(item: object) -> User:
    """Read a user. Raises ``Unreadable`` where it has no id."""
    record = _record(item)
    names = (_text(record, "firstName"), _text(record, "lastName"))
    return User(id=_id(record), email=_text(record, "email"), name=" ".join(filter(None, names)))


def ticket(item: object) -> Ticket:
    """Read a ticket. Raises ``Unreadable`` where it has no id."""
    record = _record(item)
    return Ticket(
        id=_id(record),
        code=_code(record),
        title=_text(record, "title"),
        requester_id=_text(record, "requesterId") or None,
        author_id=_text(record, "authorId") or None,
        follower_ids=_follower_ids(record.get("followers")),
        merged_into=_text(record, "mergedIntoId") or None,
        updated_at=_text(record, "updatedAt"),
    )


def message(item: object) -> PostedMessage:
    """Read a ticket message. Raises ``Unreadable`` where it has no id."""
    record = _record(item)
    author = record.get("author")
    return PostedMessage(
        id=_id(record),
        ticket_id=_text(record, "ticketId"),
        author_id=_text(record, "authorId"),
        author_email=_text(author, "email") if isinstance(author, dict) else "",
        content=_text(record, "content"),
        source=_text(record, "source") or None,
        private=record.get("private") is True,
        email_message_id=message_id(_text(record, "emailMessageId")),
        email_in_reply_to=message_id(_text(record, "emailInReplyTo")),
        created_at=_time(_text(record, "createdAt")),
    )


def page(body: object) -> tuple[list[object], str | None]:
    """The items of a list answer and the cursor of the next page. Older versions of the API answer a bare array."""
    if isinstance(body, list):
        return body, None
    record = _record(body)
    items = record.get("items")
    if not isinstance(items, list):
        raise Unreadable("a list without items")
    return items, _text(record, "nextCursor") or None


def request_body(draft: Draft, *, author: bool, email_ids: bool) -> bytes:
    """The documented body of ``POST /ticket-messages``, and the email ids where the settings say so."""
    content = f"{draft.content}\n\n{draft.appendix}" if draft.appendix else draft.content
    fields: dict[str, object] = {"content": clean(content), "ticketId": draft.ticket_id, "source": "EMAIL"}
    if author:
        fields["authorId"] = draft.author_id
    if draft.private:
        fields["private"] = True
    if email_ids:
        ids = {"emailMessageId": draft.email_message_id, "emailInReplyTo": draft.email_in_reply_to}
        fields |= {name: f"<{value}>" for name, value in ids.items() if value}
    return json.dumps(fields, ensure_ascii=False).encode()


def post_fingerprint(author_id: str, content: str) -> str:
    """What a message of ours is known by at the API, whatever we would post in its place today: its author, and a
    digest of its words. What a server may change on the way does not count: white space, and the composition of
    characters."""
    return f"{author_id} {hashlib.sha256(words(content).encode()).hexdigest()}"


def words(content: str) -> str:
    """The words of a content, a space between them, composed (NFC)."""
    return " ".join(unicodedata.normalize("NFC", clean(content)).split())


def clean(text: str) -> str:
    """``text`` without NUL and lone surrogates: most databases refuse them, and would refuse the message for ever."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def message_id(text: str) -> str | None:
    """A Message-ID as the store keeps it: no brackets, domain in lower case; ``None`` for what is none."""
    left, at, domain = text.strip().removeprefix("<").removesuffix(">").strip().rpartition("@")
    found = f"{left}{at}{domain.lower()}"
    return found if left and domain and len(found) <= 998 and found.isprintable() and " " not in found else None


def _record(item: object) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise Unreadable(f"{type(item).__name__} where an object was expected")
    return item


def _id(record: Mapping[str, Any]) -> str:
    found = _text(record, "id")
    if not found or len(found) > MAX_ID or not found.isprintable():
        raise Unreadable("an object without an id")
    return found


def _text(record: Mapping[str, Any], key: str) -> str:
    """``""`` for what is no string."""
    value = record.get(key)
    return clean(value) if isinstance(value, str) else ""


def _code(record: Mapping[str, Any]) -> str:
    queue, number = record.get("queue"), record.get("number")
    prefix = _text(queue, "prefix") if isinstance(queue, dict) else ""
    return f"{prefix}-{number}" if prefix and isinstance(number, int) else _text(record, "code")


def _follower_ids(items: object) -> tuple[str, ...]:
    followers = items if isinstance(items, list) else []
    return tuple(_text(item, "id") for item in followers if isinstance(item, dict) and item.get("id"))


def _time(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None
