"""Attachments at the ticket API: a place is made, the octets are put there, and the message is told of it.

How the octets are to be put (method, fields, how long the address is good for) is documented nowhere; a PUT with the
content type is what signed addresses of object stores take."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ingest.api.http import Http, Request
from ingest.api.line import RetryingTransport
from ingest.api.responses import ApiResponse, ResponseClass, Unavailable, deferred
from ingest.log import printable

UNWANTED = frozenset({405, 411, 413, 414, 415, 422})
"""What an upload address answers to octets that it will never take. Every other refusal may be about the address (it is
too old, its signature went wrong), and the next attempt makes another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The API will not take this attachment, now or later."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadTarget:
    """Where the octets of a new attachment go."""

    attachment_id: str
    upload_url: str


class Attachments:
    """The attachment endpoints. Methods raise ``Unavailable`` where trying again later may help."""

    def __init__(self, line: RetryingTransport, http: Http) -> None:
        self._line = line
        self._http = http

    async def create(
        self, ticket_id: str, *, filename: str, mime_type: str, metadata: Mapping[str, Any]
    ) -> UploadTarget | Refused:
        """Make a place for an attachment. ``metadata`` is kept with it, and tells after a crash whose it was."""
        body = {"ticketId": ticket_id, "filename": filename, "mimeType": mime_type, "metadata": dict(metadata)}
        answer = await self._post(body)
        if answer.is_refusal:
            return Refused(reason=printable(answer.reason))
        found = answer.body if isinstance(answer.body, dict) else {}
        attachment_id, upload_url = found.get("id"), found.get("uploadUrl")
        if (
            answer.meaning is not ResponseClass.ACCEPTED
            or not isinstance(attachment_id, str)
            or not isinstance(upload_url, str)
        ):
            raise Unavailable(deferred(answer))
        return UploadTarget(attachment_id=attachment_id, upload_url=upload_url)

    async def upload(self, place: UploadTarget, content: bytes, mime_type: str) -> Refused | None:
        """Put the octets there. The token is not sent: the address is signed, and may be another company's."""
        answer = await self._http.put(place.upload_url, content, mime_type)
        if answer.meaning is ResponseClass.ACCEPTED:
            return None
        reason = f"the upload address answered {answer.status}"
        if answer.status in UNWANTED:
            return Refused(reason=reason)
        raise Unavailable(deferred(answer if answer.status is None else replace(answer, reason=reason)))

    async def connect(self, ticket_id: str, attachment_ids: Sequence[str], ticket_message_id: str) -> Refused | None:
        """Tie attachments to a message. Doing it twice is doing it once."""
        body = {"ticketId": ticket_id, "attachmentIds": list(attachment_ids), "ticketMessageId": ticket_message_id}
        return _refused(await self._post(body, "connect", repeatable=True))

    async def archive(self, ticket_id: str, attachment_ids: Sequence[str]) -> Refused | None:
        """Put attachments away that no message will ever show."""
        body = {"ticketId": ticket_id, "attachmentIds": list(attachment_ids)}
        return _refused(await self._post(body, "archive", repeatable=True))

    async def of_message(self, ticket_id: str, key: str, value: str) -> tuple[str, ...]:
        """Ids of the ticket's attachments whose metadata say ``value`` for ``key``."""
        request = Request(method="GET", path=("tickets", "attachments"), params={"ticketId": ticket_id})
        answer = await self._line.send(request)
        if answer.is_refusal:
            return ()
        if answer.meaning is not ResponseClass.ACCEPTED or not isinstance(answer.body, list):
            raise Unavailable(deferred(answer))
        return tuple(str(item["id"]) for item in answer.body if _has(item, key, value))

    async def _post(self, body: Mapping[str, Any], *path: str, repeatable: bool = False) -> ApiResponse:
        request = Request(
            method="POST",
            path=("tickets", "attachments", *path),
            body=json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
            has_effect=not repeatable,
        )
        return await self._line.send(request)


def _refused(answer: ApiResponse) -> Refused | None:
    if answer.meaning is ResponseClass.ACCEPTED:
        return None
    if answer.is_refusal:
        return Refused(reason=printable(answer.reason))
    raise Unavailable(deferred(answer))


def _has(item: object, key: str, value: str) -> bool:
    metadata = item.get("metadata") if isinstance(item, dict) and "id" in item else None
    return isinstance(metadata, dict) and metadata.get(key) == value
