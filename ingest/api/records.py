"""The API's objects, as far as the worker needs them: parsed from its JSON, and written for the one POST.

Only an object's ``id`` is required. Everything else may be missing, null or of another type from one version of the API
to the next, and then counts as absent."""

import hashlib
import html
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

MAX_ID_CHARACTERS = 200
"""Longest id that we accept. The API's ids have 25 characters; this leaves room for another form, and bounds a row."""
MAX_MESSAGE_ID_CHARACTERS = 998
"""RFC 5322 section 2.1.1: a line of a header has at most 998 characters, so no longer Message-ID can be sent."""

_TAG = re.compile(r"<[^<>]{0,2000}>")
_LINK_TARGET = re.compile(r"\]\([^()\s]{0,2000}\)")
_WORD = re.compile(r"\w+")
_ESCAPES = str.maketrans("", "", "\\\u2060")
"""What ``ingest.compose`` puts beside a sign: a backslash or a word joiner."""


class MalformedResponse(Exception):
    """A response is not what the API documents. The text says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user of the help desk: agent, customer or bot."""

    id: str
    email: str
    name: str
    """First and last name; empty if the API has neither."""
    is_bot: bool = False
    """A program that the help desk itself uses, so it is of staff."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A ticket of the help desk."""

    id: str
    code: str
    """``PREFIX-NUMBER`` as people write it; empty if the API does not return it."""
    title: str = ""
    requester_id: str | None = None
    author_id: str | None = None
    assignee_id: str | None = None
    """The agent who works on it."""
    follower_ids: tuple[str, ...] = ()
    merged_into: str | None = None
    """Id of the ticket that this one was merged into."""
    former_ids: tuple[str, ...] = ()
    """Ids of the tickets that were merged into this one, as far as a look-up came by them."""
    former_participant_ids: tuple[str, ...] = ()
    """Ids of those tickets' requesters and followers: a merge takes nobody's right to write away."""
    updated_at: str = ""
    """The text that the API returns; it only serves to see whether the ticket has changed."""

    @property
    def participant_ids(self) -> tuple[str, ...]:
        """Ids of the users who are on the ticket: requester, author, followers, and those of tickets merged into it."""
        named = (self.requester_id, self.author_id, *self.follower_ids, *self.former_participant_ids)
        return tuple(dict.fromkeys(user_id for user_id in named if user_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedMessage:
    """A ticket message: one that the API holds, ours or another's."""

    id: str
    ticket_id: str
    author_id: str
    author_email: str
    content: str
    source: str | None
    private: bool
    email_message_id: str | None
    """Normalised: no brackets, domain in lower case. ``email_in_reply_to`` has the same form."""
    email_in_reply_to: str | None
    created_at: float | None
    """Unix time by the API's clock; ``None`` if it is missing or malformed."""
    deleted: bool = False
    """Somebody has deleted it; the API lists it still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostFingerprint:
    """Identifies a ticket message of ours among those that the API lists: its author, and a digest of its content.

    The store remembers the fingerprint of each draft before it is posted, because a later attempt may make another
    draft of the same mail (another author, a newer version of this program)."""

    author_id: str
    digest: str
    """SHA-256 in hexadecimal of the comparable text."""
    ticket_id: str = ""
    """The ticket that it was to be posted to; empty in fingerprints of versions that did not note it."""

    @classmethod
    def of(cls, author_id: str, content: str, ticket_id: str = "") -> "PostFingerprint":
        """Return the fingerprint of a content. Its words count, not their form (see ``comparable_text``)."""
        digest = hashlib.sha256(comparable_text(content).encode()).hexdigest()
        return cls(author_id=author_id, digest=digest, ticket_id=ticket_id)

    @classmethod
    def parse(cls, stored: str) -> "PostFingerprint":
        """Return the fingerprint whose ``str`` is ``stored``."""
        author_id, digest, ticket_id = (*stored.split(" "), "")[:3]
        return cls(author_id=author_id, digest=digest, ticket_id=ticket_id)

    def __str__(self) -> str:
        """The form in which the store keeps it."""
        return f"{self.author_id} {self.digest} {self.ticket_id}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A ticket message that is to be posted."""

    ticket_id: str
    author_id: str
    content: str
    appendix: str = ""
    """Lines that we add below the content: which attachments are missing, and why."""
    private: bool = False
    email_message_id: str | None = None
    """Message-ID of the mail, normalised. It is sent only if the settings allow undocumented fields."""
    email_in_reply_to: str | None = None

    @property
    def fingerprint(self) -> PostFingerprint:
        """The fingerprint of what is to be posted, without the appendix: that may differ in each attempt."""
        return PostFingerprint.of(self.author_id, self.content, self.ticket_id)


def parse_user(item: object) -> User:
    """Parse a user. Raises ``MalformedResponse`` if it has no id."""
    record = _record(item)
    names = (_text(record, "firstName"), _text(record, "lastName"))
    return User(
        id=_id(record),
        email=_text(record, "email"),
        name=" ".join(filter(None, names)),
        is_bot=record.get("isBot") is True,
    )


def parse_ticket(item: object) -> Ticket:
    """Parse a ticket. Raises ``MalformedResponse`` if it has no id."""
    record = _record(item)
    return Ticket(
        id=_id(record),
        code=_code(record),
        title=_text(record, "title"),
        requester_id=_text(record, "requesterId") or None,
        author_id=_text(record, "authorId") or None,
        assignee_id=_text(record, "assigneeId") or None,
        follower_ids=_follower_ids(record.get("followers")),
        merged_into=_text(record, "mergedIntoId") or None,
        updated_at=_text(record, "updatedAt"),
    )


def parse_message(item: object) -> PostedMessage:
    """Parse a ticket message. Raises ``MalformedResponse`` if it has no id."""
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
        email_message_id=normalise_message_id(_text(record, "emailMessageId")),
        email_in_reply_to=normalise_message_id(_text(record, "emailInReplyTo")),
        created_at=_parse_time(_text(record, "createdAt")),
        deleted=record.get("deleted") is True,
    )


def parse_page(body: object) -> tuple[list[object], str | None]:
    """Parse a page of a list: its items, and the cursor of the next page (``None`` on the last one).

    Older versions of the API return a bare array, which is the only page.

    Raises:
        MalformedResponse: the body is no list.
    """
    if isinstance(body, list):
        return body, None
    record = _record(body)
    items = record.get("items")
    if not isinstance(items, list):
        raise MalformedResponse("a list without items")
    return items, _text(record, "nextCursor") or None


def request_body(draft: Draft, *, author: bool, email_ids: bool) -> bytes:
    """Return the JSON body of ``POST /ticket-messages``. ``author`` includes the author's id; ``email_ids`` includes
    the email ids, which the API does not document for requests."""
    content = f"{draft.content}\n\n{draft.appendix}" if draft.appendix else draft.content
    fields: dict[str, object] = {"content": storable_text(content), "ticketId": draft.ticket_id, "source": "EMAIL"}
    if author:
        fields["authorId"] = draft.author_id
    if draft.private:
        fields["private"] = True
    if email_ids:
        ids = {"emailMessageId": draft.email_message_id, "emailInReplyTo": draft.email_in_reply_to}
        fields |= {name: f"<{value}>" for name, value in ids.items() if value}
    return json.dumps(fields, ensure_ascii=False).encode()


def comparable_text(content: str) -> str:
    """Return the words of a content, in whatever form it is: Markdown, HTML or plain; the other characters of a text
    without words, such as a thumb.

    Tags, targets of links and all signs fall away, so that a text is the same text after a server has rendered it."""
    text = _TAG.sub(" ", html.unescape(storable_text(content)))
    text = unicodedata.normalize("NFC", _LINK_TARGET.sub("]", text))
    return " ".join(_WORD.findall(text)) or "".join(text.split()).translate(_ESCAPES)


def storable_text(text: str) -> str:
    """Return the text without NUL and lone surrogates. Most databases refuse them, so that the POST of such a message
    would fail each time."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def normalise_message_id(text: str) -> str | None:
    """Return a Message-ID in the form of the store (no brackets, domain in lower case), or ``None`` if it is none."""
    left, at, domain = text.strip().removeprefix("<").removesuffix(">").strip().rpartition("@")
    found = f"{left}{at}{domain.lower()}"
    is_valid = left and domain and len(found) <= MAX_MESSAGE_ID_CHARACTERS and found.isprintable() and " " not in found
    return found if is_valid else None


def _record(item: object) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise MalformedResponse(f"{type(item).__name__} where an object was expected")
    return item


def _id(record: Mapping[str, Any]) -> str:
    found = _text(record, "id")
    if not found or len(found) > MAX_ID_CHARACTERS or not found.isprintable():
        raise MalformedResponse("an object without an id")
    return found


def _text(record: Mapping[str, Any], key: str) -> str:
    """Return the string under ``key``; empty if it is missing or no string."""
    value = record.get(key)
    return storable_text(value) if isinstance(value, str) else ""


def _code(record: Mapping[str, Any]) -> str:
    queue, number = record.get("queue"), record.get("number")
    prefix = _text(queue, "prefix") if isinstance(queue, dict) else ""
    return f"{prefix}-{number}" if prefix and isinstance(number, int) else _text(record, "code")


def _follower_ids(items: object) -> tuple[str, ...]:
    followers = items if isinstance(items, list) else []
    return tuple(_text(item, "id") for item in followers if isinstance(item, dict) and item.get("id"))


def _parse_time(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None
