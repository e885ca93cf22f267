"""The attachment endpoints of the ticket API: create an attachment, upload its bytes, connect it to a message.

The API's documentation does not say how to upload (method, fields, how long the URL is valid). We send a PUT with the
content type, which the signed URLs of object stores take."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ingest.api.http import Http, Request, RetryingTransport
from ingest.api.responses import ApiResponse, ResponseClass, Unavailable, deferred
from ingest.log import printable

REFUSED_CONTENT_STATUSES = frozenset({405, 411, 413, 414, 415, 422})
"""Statuses of an upload URL that refuse the bytes themselves, for good. Every other refusal may be about the URL (it
has expired, its signature is wrong), and the next attempt creates another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentRefused:
    """The attachment cannot be added, now or later."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadTarget:
    """A new attachment at the API, and the URL that its bytes are uploaded to."""

    attachment_id: str
    upload_url: str


class AttachmentApi:
    """The attachment endpoints. Methods raise ``Unavailable`` if trying again later may help."""

    def __init__(self, transport: RetryingTransport, http: Http) -> None:
        self._transport = transport
        self._http = http

    async def create(
        self, ticket_id: str, *, filename: str, mime_type: str, metadata: Mapping[str, Any]
    ) -> UploadTarget | AttachmentRefused:
        """Create an attachment without content. ``metadata`` is stored with it; after a crash, ``find_by_metadata``
        finds the attachment by it."""
        response = await self._post(
            {"ticketId": ticket_id, "filename": filename, "mimeType": mime_type, "metadata": dict(metadata)}
        )
        if response.is_refusal:
            return AttachmentRefused(reason=printable(response.reason))
        created = response.body if isinstance(response.body, dict) else {}
        attachment_id, upload_url = created.get("id"), created.get("uploadUrl")
        if (
            response.response_class is not ResponseClass.ACCEPTED
            or not isinstance(attachment_id, str)
            or not isinstance(upload_url, str)
        ):
            raise Unavailable(deferred(response))
        return UploadTarget(attachment_id=attachment_id, upload_url=upload_url)

    async def upload(self, target: UploadTarget, content: bytes, mime_type: str) -> AttachmentRefused | None:
        """Upload the bytes. The token is not sent along: the URL is signed, and may be another company's."""
        response = await self._http.put(target.upload_url, content, mime_type)
        if response.response_class is ResponseClass.ACCEPTED:
            return None
        reason = f"the upload address answered {response.status}"
        if response.status in REFUSED_CONTENT_STATUSES:
            return AttachmentRefused(reason=reason)
        raise Unavailable(deferred(response if response.status is None else replace(response, reason=reason)))

    async def connect(
        self, ticket_id: str, attachment_ids: Sequence[str], ticket_message_id: str
    ) -> AttachmentRefused | None:
        """Connect attachments to a ticket message. Repeating it changes nothing."""
        body = {"ticketId": ticket_id, "attachmentIds": list(attachment_ids), "ticketMessageId": ticket_message_id}
        return _refusal(await self._post(body, "connect", is_repeatable=True))

    async def archive(self, ticket_id: str, attachment_ids: Sequence[str]) -> AttachmentRefused | None:
        """Archive attachments that no message will show. Repeating it changes nothing."""
        body = {"ticketId": ticket_id, "attachmentIds": list(attachment_ids)}
        return _refusal(await self._post(body, "archive", is_repeatable=True))

    async def find_by_metadata(self, ticket_id: str, key: str, value: str) -> tuple[str, ...]:
        """Return the ids of the ticket's attachments whose metadata have ``value`` under ``key``; none if the API
        refuses to list them."""
        request = Request(method="GET", path=("tickets", "attachments"), params={"ticketId": ticket_id})
        response = await self._transport.send(request)
        if response.is_refusal:
            return ()
        if response.response_class is not ResponseClass.ACCEPTED or not isinstance(response.body, list):
            raise Unavailable(deferred(response))
        return tuple(str(item["id"]) for item in response.body if _has_metadata(item, key, value))

    async def _post(self, body: Mapping[str, Any], *path: str, is_repeatable: bool = False) -> ApiResponse:
        request = Request(
            method="POST",
            path=("tickets", "attachments", *path),
            body=json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
            has_effect=not is_repeatable,
        )
        return await self._transport.send(request)


def _refusal(response: ApiResponse) -> AttachmentRefused | None:
    if response.response_class is ResponseClass.ACCEPTED:
        return None
    if response.is_refusal:
        return AttachmentRefused(reason=printable(response.reason))
    raise Unavailable(deferred(response))


def _has_metadata(item: object, key: str, value: str) -> bool:
    metadata = item.get("metadata") if isinstance(item, dict) and "id" in item else None
    return isinstance(metadata, dict) and metadata.get(key) == value
