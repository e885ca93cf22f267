"""The HTTP endpoints of the sandbox: those of the API's documentation, with strict requests and complete responses."""

import hmac
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from email.utils import formatdate
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingest.sandbox import records
from ingest.sandbox.faults import FaultLayer, FaultQueue, error
from ingest.sandbox.page import page
from ingest.sandbox.records import Record
from ingest.sandbox.schema import (
    ArchiveAttachments,
    Behaviour,
    ConnectAttachments,
    Fault,
    Merge,
    MessageEdit,
    NewAttachment,
    NewMessage,
    NewMessageWithEmailIds,
    RequestBody,
)
from ingest.sandbox.state import ApiError, SandboxState

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Largest request body: more than the worker uploads by default, so that its own limit is what a test meets."""
B = TypeVar("B", bound=RequestBody)
Endpoint = Callable[[Request], Awaitable[Response]]
_FAULTS = TypeAdapter(list[Fault])


def create_app(state: SandboxState, token: str, *, lenient: bool = False) -> ASGIApp:
    """Return the sandbox as an ASGI application. `lenient` also takes the email ids that are documented for responses
    only."""
    api = ApiEndpoints(state, NewMessageWithEmailIds if lenient else NewMessage)
    faults = FaultQueue()
    app = Starlette(
        routes=[
            *api.routes(),
            *_fault_routes(faults),
            *_agent_routes(state),
            *_report_routes(state, faults, api.requests),
            Route("/", page(state)),
        ],
        exception_handlers={
            ApiError: _api_error,
            ValidationError: _invalid_body,
            HTTPException: _http_error,
            ClientDisconnect: _client_gone,
        },
    )
    return DateLayer(FaultLayer(TokenLayer(app, token), faults), state)


class DateLayer:
    """ASGI middleware that adds the `Date` field, by the clock of `Behaviour.date_offset`."""

    def __init__(self, app: ASGIApp, state: SandboxState) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, and add the field to its response unless it has one."""

        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = formatdate(time.time() + self._state.behaviour.date_offset, usegmt=True)
                MutableHeaders(scope=message).setdefault("Date", date)
            await send(message)

        await self._app(scope, receive, send_dated)


class TokenLayer:
    """ASGI middleware that demands the token under `/api`. Upload URLs are signed instead; the page and the control
    endpoints are open."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, or answer 401 if it is under `/api` and lacks the token."""
        if scope["type"] == "http" and scope["path"].startswith("/api/") and not self._knows(scope):
            await error(401, "Authorization not provided")(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _knows(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"x-ravenna-api-token", b"")
        return hmac.compare_digest(given, self._token)


class ApiEndpoints:
    """The endpoints under ``/api``, and the uploads beside them."""

    def __init__(self, state: SandboxState, new_message: type[NewMessage]) -> None:
        self._state = state
        self._new_message = new_message
        self.requests: Counter[str] = Counter()

    def routes(self) -> list[Route]:
        """Return the routes of all endpoints; each request to them is counted in ``requests``."""
        table: list[tuple[str, str, Endpoint]] = [
            ("POST", "/api/ticket-messages", self._post_message),
            ("GET", "/api/ticket-messages", self._list_messages),
            ("GET", "/api/ticket-messages/{id}", self._get_message),
            ("POST", "/api/tickets/attachments", self._create_attachment),
            ("GET", "/api/tickets/attachments", self._list_attachments),
            ("POST", "/api/tickets/attachments/connect", self._connect),
            ("POST", "/api/tickets/attachments/archive", self._archive),
            ("GET", "/api/tickets", self._list_tickets),
            ("GET", "/api/tickets/summary/{identifier}", self._get_summary),
            ("GET", "/api/tickets/{identifier}", self._get_ticket),
            ("GET", "/api/users", self._list_users),
            ("GET", "/api/users/{id}", self._get_user),
            ("PUT", "/uploads/{id}", self._upload),
            ("GET", "/uploads/{id}", self._download),
        ]
        return [Route(path, self._counted(f"{method} {path}", run), methods=[method]) for method, path, run in table]

    def _counted(self, name: str, run: Endpoint) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            self.requests[name] += 1
            return await run(request)

        return endpoint

    # Messages

    async def _post_message(self, request: Request) -> Response:
        body = await _body(request, self._new_message)
        given = {key: value for key, value in body.model_dump(by_alias=True).items() if value is not None}
        given.setdefault("source", None)
        given.pop("slackTimestamp", None)
        return JSONResponse(self._state.post_message(given, request.headers.get("idempotency-key", "")))

    async def _list_messages(self, request: Request) -> Response:
        ticket_id = request.query_params.get("ticketId")
        if not ticket_id:
            raise ApiError(400, "Invalid input data", "ticketId: required")
        if ticket_id not in self._state.tickets:
            raise ApiError(404, "Ticket not found")
        return self._listing(request, self._state.listed_messages_of(ticket_id), sort_by="createdAt")

    async def _get_message(self, request: Request) -> Response:
        return JSONResponse(_found(self._state.messages, request, "Ticket message"))

    # Tickets and users

    async def _list_tickets(self, request: Request) -> Response:
        tickets: Iterable[Record] = self._state.tickets.values()
        if request.query_params.get("openFilter") != "false":
            tickets = (ticket for ticket in tickets if ticket["status"]["label"] not in ("Done", "Closed"))
        return self._listing(request, tickets, sort_by="updatedAt", descending=True)

    async def _get_ticket(self, request: Request) -> Response:
        return JSONResponse(self._state.ticket(request.path_params["identifier"]))

    async def _get_summary(self, request: Request) -> Response:
        ticket = self._state.ticket(request.path_params["identifier"])
        summary = {key: ticket[key] for key in ("id", "shortId", "number")}
        home = ticket["queue"]
        return JSONResponse(summary | {"queuePrefix": home["prefix"], "workspaceId": home["workspaceId"]})

    async def _list_users(self, request: Request) -> Response:
        """List users. The documentation does not say what `email` matches; here a user matches whose address contains
        it in any case, which is the reading that is hardest for a client."""
        wanted = request.query_params.get("email", "").lower()
        found = (user for user in self._state.users.values() if wanted in user["email"].lower())
        return self._listing(request, found, sort_by="createdAt")

    async def _get_user(self, request: Request) -> Response:
        return JSONResponse(_found(self._state.users, request, "User"))

    # Attachments

    async def _create_attachment(self, request: Request) -> Response:
        body = await _body(request, NewAttachment)
        base = str(request.base_url).rstrip("/")
        made = self._state.create_attachment(body.model_dump(by_alias=True), base)
        return JSONResponse(records.made_attachment(made))

    async def _list_attachments(self, request: Request) -> Response:
        ticket_id = request.query_params.get("ticketId", "")
        if ticket_id not in self._state.tickets:
            raise ApiError(404, "Ticket not found")
        return JSONResponse([records.listed_attachment(found) for found in self._state.attachments_of(ticket_id)])

    async def _connect(self, request: Request) -> Response:
        body = await _body(request, ConnectAttachments)
        self._state.connect(body.ticket_id, body.attachment_ids, body.ticket_message_id)
        return JSONResponse({})

    async def _archive(self, request: Request) -> Response:
        body = await _body(request, ArchiveAttachments)
        self._state.archive(body.ticket_id, body.attachment_ids)
        return JSONResponse({})

    async def _upload(self, request: Request) -> Response:
        """Take the bytes of an attachment as an object store does: with a Content-Length, and without our token."""
        if "content-length" not in request.headers:
            raise ApiError(411, "Length required")
        if "x-ravenna-api-token" in request.headers or "authorization" in request.headers:
            raise ApiError(400, "The address is signed; send no token")
        content_type = request.headers.get("content-type", "")
        signature = request.query_params.get("signature", "")
        self._state.upload(request.path_params["id"], signature, content_type, await _read(request))
        return Response(status_code=200)

    async def _download(self, request: Request) -> Response:
        attachment_id = request.path_params["id"]
        content = self._state.download(attachment_id, request.query_params.get("signature", ""))
        return Response(content, media_type="application/octet-stream")

    def _listing(
        self, request: Request, items: Iterable[Record], *, sort_by: str, descending: bool = False
    ) -> Response:
        """Return a page of a list in the API's envelope. `cursor` is the index of the first item of the next page."""
        behaviour = self._state.behaviour
        limit = _number(request, "limit", 100)
        if not 1 <= limit <= 10_000:
            raise ApiError(400, "Invalid input data", "limit: 1 to 10000")
        limit = min(limit, behaviour.page_limit or limit)
        key = request.query_params.get("sortBy", sort_by)
        if key not in ("createdAt", "updatedAt"):
            raise ApiError(400, "Invalid input data", f"sortBy: {key}")
        direction = request.query_params.get("sortDirection", "desc" if descending else "asc")
        newest_first = direction == "desc" and not behaviour.ascending
        ordered = sorted(items, key=lambda item: str(item[key]), reverse=newest_first)
        start = _number(request, "cursor", _number(request, "offset", 0))
        answer: dict[str, Any] = {"items": ordered[start : start + limit], "totalCount": len(ordered)}
        if start + limit < len(ordered):
            answer["nextCursor"] = str(start + limit)
        return JSONResponse(answer)


# What the real API does not have


def _fault_routes(faults: FaultQueue) -> list[Route]:
    """Return the routes that order faults, list those that wait, and forget them."""

    async def order(request: Request) -> Response:
        if "seed" in request.query_params:
            faults.seed(_number(request, "seed", 0))
        faults.add(*_FAULTS.validate_json(await _read(request)))
        return JSONResponse({"waiting": len(faults.waiting)})

    async def waiting(_request: Request) -> Response:
        return JSONResponse([fault.model_dump() for fault in faults.waiting])

    async def forget(_request: Request) -> Response:
        faults.waiting.clear()
        return JSONResponse({"waiting": 0})

    return [
        Route("/sandbox/faults", order, methods=["POST"]),
        Route("/sandbox/faults", waiting, methods=["GET"]),
        Route("/sandbox/faults", forget, methods=["DELETE"]),
    ]


def _agent_routes(state: SandboxState) -> list[Route]:
    """Return the routes that change how the API behaves, and those that do what an agent does in its web pages."""

    async def behaviour(request: Request) -> Response:
        if request.method == "PUT":
            state.behaviour = Behaviour.model_validate_json(await _read(request))
        return JSONResponse(state.behaviour.model_dump())

    async def edit(request: Request) -> Response:
        changes = await _body(request, MessageEdit)
        state.edit_message(request.path_params["id"], changes.model_dump(exclude_none=True))
        return JSONResponse(_found(state.messages, request, "Ticket message"))

    async def merge(request: Request) -> Response:
        body = await _body(request, Merge)
        state.merge(request.path_params["id"], body.into, move_messages=body.move_messages)
        return JSONResponse(_found(state.tickets, request, "Ticket"))

    return [
        Route("/sandbox/behaviour", behaviour, methods=["GET", "PUT"]),
        Route("/sandbox/messages/{id}", edit, methods=["PATCH"]),
        Route("/sandbox/tickets/{id}/merge", merge, methods=["POST"]),
    ]


def _report_routes(state: SandboxState, faults: FaultQueue, requests: Counter[str]) -> list[Route]:
    """Return the routes that tell what was posted and asked for."""

    async def posts(request: Request) -> Response:
        return JSONResponse(state.posts[_number(request, "skip", 0) :])

    async def counts(_request: Request) -> Response:
        known = {"tickets": state.tickets, "users": state.users, "messages": state.messages, "posts": state.posts}
        lengths = {name: len(items) for name, items in known.items()}
        return JSONResponse(lengths | {"faults": faults.played, "requests": dict(requests)})

    return [Route("/sandbox/posts", posts), Route("/sandbox/state", counts)]


# Reading requests


async def _read(request: Request) -> bytes:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise ApiError(413, "Request body is too large")
    return bytes(content)


async def _body(request: Request, form: type[B]) -> B:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise ApiError(415, "Send application/json")
    return form.model_validate_json(await _read(request))


def _number(request: Request, name: str, default: int) -> int:
    given = request.query_params.get(name)
    if given is None:
        return default
    if not given.isascii() or not given.isdigit() or len(given) > 9:
        raise ApiError(400, "Invalid input data", f"{name}: not a number")
    return int(given)


def _found(items: dict[str, Record], request: Request, kind: str) -> Record:
    found = items.get(request.path_params["id"])
    if found is None:
        raise ApiError(404, f"{kind} not found")
    return found


# Answering errors


async def _api_error(_request: Request, problem: Exception) -> Response:
    assert isinstance(problem, ApiError)
    return error(problem.status, str(problem), *problem.issues)


async def _invalid_body(_request: Request, problem: Exception) -> Response:
    assert isinstance(problem, ValidationError)
    issues = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in problem.errors())
    return error(400, "Invalid input data", *issues)


async def _client_gone(_request: Request, _problem: Exception) -> Response:
    """Answer a client that disconnected while it sent; nobody reads the response."""
    return Response(status_code=400)


async def _http_error(_request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    return error(problem.status_code, problem.detail)
