"""``POST /webhooks/ticket-messages``: the API's webhook tells that a ticket has a new message.

What the request says is not believed: it only names a message, which is then asked for at the API, and of the answer
only the Message-ID of the mail is learned. So whoever knows the secret can make us look, and no more. The secret stands
in the path (``/webhooks/ticket-messages/<secret>``), in the field ``X-Ingest-Webhook-Secret``, or as a bearer token.
"""

import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ingest import log
from ingest.api import TicketApiClient, Unavailable
from ingest.model.teachers import Teacher
from ingest.signing import equal_secrets
from ingest.store import StoreUnavailable
from ingest.store.messages import Store

PATH = "/webhooks/ticket-messages"
SECRET_FIELD = "x-ingest-webhook-secret"  # noqa: S105 - the name of a field
MAX_BODY_BYTES = 256 * 1024
"""Largest request that is read. Only an id is wanted of it; an API may put the whole message beside it."""
MAX_REQUESTS_PER_MINUTE = 600
"""Requests that are looked into in a minute, since each is a request to the API. An API repeats what is refused."""
MAX_NAMED = 3
"""Ids of one request that are asked for: the event has an id, too, and nothing says which is which."""
MAX_DEPTH = 4
"""How deep in the request the message is looked for."""

_MESSAGE_ID_KEYS = ("ticketMessageId", "messageId")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_log = log.get("webhook")


class TicketMessageWebhook:
    """Learns the Message-IDs of the ticket messages that requests name."""

    def __init__(
        self,
        api: TicketApiClient,
        store: Store,
        *,
        secret: str,
        clock: Callable[[], float],
        on_learned: Callable[[], None] = lambda: None,
    ) -> None:
        """``clock`` gives Unix seconds. ``on_learned`` is called after something new was learned: a waiting message may
        have been requeued."""
        self._api = api
        self._store = store
        self._secret = secret
        self._clock = clock
        self._on_learned = on_learned
        self._minute = 0
        self._requests = 0

    def routes(self) -> list[Route]:
        """Return the routes to put into the worker's application."""
        return [Route(path, self._receive, methods=["POST"]) for path in (PATH, f"{PATH}/{{secret}}")]

    async def _receive(self, request: Request) -> Response:
        """Answer 200 for all that was understood, also where it taught nothing: an API repeats what failed."""
        if not any(equal_secrets(given, self._secret) for given in _given_secrets(request)):
            return _answer(401, "the secret is wrong")
        if self._is_too_often():
            return _answer(429, "too many requests", {"Retry-After": "60"})
        try:
            body = await _read(request)
        except ClientDisconnect:
            return _answer(400, "the request ended early")
        if body is None:
            return _answer(413, f"the request is larger than {MAX_BODY_BYTES} bytes")
        try:
            return await self._learn(body)
        except (Unavailable, StoreUnavailable) as error:
            _log.warning("could not look for a message of the webhook", reason=str(error))
            return _answer(503, "try again later", {"Retry-After": "60"})

    def _is_too_often(self) -> bool:
        minute = int(self._clock() // 60)
        if minute != self._minute:
            self._minute, self._requests = minute, 0
        self._requests += 1
        return self._requests > MAX_REQUESTS_PER_MINUTE

    async def _learn(self, body: bytes) -> Response:
        named = named_messages(body)
        if not named:
            return _answer(200, "it names no ticket message")
        for message_id in named:
            found = await self._api.find_message(message_id)
            if found is not None and found.id == message_id and found.ticket_id and found.email_message_id:
                return await self._learn_id_of(found.ticket_id, found.email_message_id)
        return _answer(200, "the API knows no mail of that message")

    async def _learn_id_of(self, ticket_id: str, email_message_id: str) -> Response:
        learned = await self._store.learn(email_message_id, ticket_id, learned_from=Teacher.WEBHOOK, now=self._clock())
        if learned:
            self._on_learned()
        return _answer(200, "learned" if learned else "known before")


def named_messages(body: bytes) -> tuple[str, ...]:
    """Return the ids that may be that of the ticket message which a request is about, at most ``MAX_NAMED``.

    The form of the API's requests is not documented. So the message is looked for wherever it may stand: an object with
    an ``id`` and a ``ticketId``, or under a key that says so."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    found = dict.fromkeys(value for record in _records(told, MAX_DEPTH) for value in _ids_in(record))
    return tuple(islice(found, MAX_NAMED))


def _records(told: object, depth: int) -> Iterator[dict[str, Any]]:
    """Yield the objects of a request, those at the top first."""
    if not isinstance(told, dict) or depth == 0:
        return
    yield told
    for value in told.values():
        yield from _records(value, depth - 1)


def _ids_in(record: dict[str, Any]) -> Iterator[str]:
    keys = (*_MESSAGE_ID_KEYS, "id") if isinstance(record.get("ticketId"), str) else _MESSAGE_ID_KEYS
    found = (record.get(key) for key in keys)
    nested = (record[key].get("id") for key in ("ticketMessage", "message") if isinstance(record.get(key), dict))
    return (value for value in (*found, *nested) if isinstance(value, str) and _ID.fullmatch(value))


def _given_secrets(request: Request) -> Iterator[str]:
    yield request.path_params.get("secret", "")
    yield request.headers.get(SECRET_FIELD, "")
    yield request.headers.get("authorization", "").partition("Bearer ")[2]


async def _read(request: Request) -> bytes | None:
    """Return the body; ``None`` where it is too large, as soon as that shows."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


def _answer(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"result": text}, status_code=status, headers=headers)
