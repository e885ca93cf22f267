"""Builds the API's objects with all keys of its responses, from the few that matter."""

import html
import random
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

Record = dict[str, Any]
_LISTED = (
    "id", "filename", "location", "status", "source", "ticketId", "ticketMessageId", "mimeType", "createdAt",
    "updatedAt", "metadata", "authorId", "placement", "downloadUrl",
)  # fmt: skip
_MADE = (
    "id", "filename", "mimeType", "location", "status", "source", "ticketMessageId", "ticketId", "uploadUrl",
    "downloadUrl", "authorId", "placement",
)  # fmt: skip
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_random = random.SystemRandom()


def new_id() -> str:
    """Return a new id of the form that the API uses: a cuid, 25 characters of which the first is a `c`."""
    return "c" + "".join(_random.choices(_BASE36, k=24))


def timestamp(now: float) -> str:
    """Return a Unix time as the API writes times: ISO 8601 in UTC, with milliseconds."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def user(given: Mapping[str, Any]) -> Record:
    """Build a user. `given` has at least `id` and `email`."""
    return {
        "firstName": None,
        "lastName": None,
        "image": None,
        "emailVerified": None,
        "defaultWorkspaceId": None,
        "isGuestCreated": False,
        "isBot": False,
        "createdAt": "2026-09-01T08:00:00.000Z",
        "auth0Id": None,
        "updatedAt": "2026-09-01T08:00:00.000Z",
        "slackUsers": [],
        "outOfOffice": None,
        **given,
    }


def queue(given: Mapping[str, Any], workspace: Mapping[str, Any]) -> Record:
    """Build a queue of tickets. `given` has `id`, `name` and `prefix`."""
    return {
        "workspaceId": workspace["id"],
        "workspace": workspace,
        "type": "DEFAULT",
        "settings": None,
        "deletedAt": None,
        **given,
    }


def ticket(given: Mapping[str, Any], home: Record) -> Record:
    """Build a ticket. `given["status"]` is a label and `given["followers"]` a list of user ids; `home` is its queue."""
    label = str(given.get("status", "In Progress"))
    return {
        "code": None,
        "description": None,
        "published": True,
        "source": None,
        "originalQueueId": None,
        "requesterId": None,
        "authorId": None,
        "assigneeId": None,
        "approvers": [],
        "resolvedAt": None,
        "closedAt": None,
        "archivedAt": None,
        "snoozeUntil": None,
        "mergedIntoId": None,
        "mergedAt": None,
        "mergedInto": None,
        "metadata": None,
        **given,
        "shortId": str(given["id"])[-8:],
        "followers": [{"id": follower} for follower in given.get("followers", [])],
        "statusId": label.lower().replace(" ", "-"),
        "status": {"id": label.lower().replace(" ", "-"), "label": label},
        "queue": home,
        "requester": {"userGroups": []},
        "author": {"userGroups": []},
        "assignee": {"userGroups": []},
    }


def message(given: Mapping[str, Any], author: Record) -> Record:
    """Build a ticket message. `given` has at least `id`, `ticketId`, `authorId`, `content`, `source` and
    `createdAt`."""
    return {
        "author": {key: author[key] for key in ("firstName", "lastName", "email", "image")},
        "status": "CREATED",
        "slackChannelId": None,
        "slackMessages": [],
        "deleted": False,
        "reactions": [],
        "emailMessageId": None,
        "emailInReplyTo": None,
        "private": False,
        "aiGenerated": False,
        "agentResponseType": None,
        "metadata": None,
        "updatedAt": given["createdAt"],
        "deletedAt": None,
        **given,
    }


def stored_content(content: str, form: str) -> str:
    """Return posted text in the form that the API stores it in (`Behaviour.content`)."""
    if form == "paragraphs":
        return "".join(f"<p>{html.escape(part)}</p>" for part in content.split("\n\n"))
    if form == "reflowed":
        return re.sub(r"\s+", "\n", content.strip()) + "\n"
    if form == "escaped":
        return re.sub(r"([*_#\[\]()<>.!+-])", r"\\\1", content)
    return content


def attachment(given: Mapping[str, Any], base: str, now: str) -> Record:
    """Build an attachment. `base` is the URL under which the sandbox takes and returns its bytes."""
    url = f"{base}/uploads/{given['id']}?signature={given['signature']}"
    known = {key: value for key, value in given.items() if key != "signature"}
    return {
        "location": f"sandbox/{given['id']}",
        "status": "pending",
        "source": "INTEGRATION",
        "ticketMessageId": None,
        "metadata": None,
        "authorId": None,
        "placement": "MESSAGE",
        "createdAt": now,
        "updatedAt": now,
        "uploadUrl": url,
        "downloadUrl": url,
        **known,
    }


def made_attachment(attachment: Record) -> Record:
    """Return the keys of an attachment that the response to its creation has: the upload URL, but no metadata."""
    return {key: attachment[key] for key in _MADE}


def listed_attachment(attachment: Record) -> Record:
    """Return the keys of an attachment that the list of a ticket's attachments has."""
    return {key: attachment[key] for key in _LISTED}
