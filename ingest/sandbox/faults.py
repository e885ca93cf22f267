"""Injects faults of networks and servers into chosen requests.

A fault comes with its request (header `X-Sandbox-Fault`, a JSON object), or is taken from a queue that
`POST /sandbox/faults` fills: "the next three POSTs are answered 503"."""

import asyncio
from http import HTTPStatus

from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingest.sandbox.schema import Fault

FAULTY = ("/api/", "/uploads/")
BODILESS = (204, 205, 304)
CUT = "cut_connection"
"""Key in the ASGI `state` of the function that closes the connection at once; `server.py` sets it."""


class FaultQueue:
    """The faults that wait for a request that they fit."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []

    def add(self, *faults: Fault) -> None:
        self.waiting += [fault.model_copy(update={"times": 1}) for fault in faults for _ in range(fault.times)]

    def take(self, scope: Scope) -> Fault | None:
        """Return the fault in the request's header, or take the first one from the queue that fits the request."""
        if header := Headers(scope=scope).get("x-sandbox-fault"):
            return Fault.model_validate_json(header)
        found = next((fault for fault in self.waiting if fault.fits(scope["method"], scope["path"])), None)
        if found is not None:
            self.waiting.remove(found)
        return found


class FaultLayer:
    """ASGI middleware that applies the faults; the rest of the sandbox does not know of them."""

    def __init__(self, app: ASGIApp, faults: FaultQueue) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            fault = self._faults.take(scope) if scope["path"].startswith(FAULTY) else None
        except ValidationError as problem:
            await error(400, f"X-Sandbox-Fault: {problem}")(scope, receive, send)
            return
        if fault is None:
            await self._app(scope, receive, send)
        else:
            await self._play(fault, scope, receive, send)

    async def _play(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        answer: list[Message] = []
        if fault.effect:
            await self._app(scope, receive, _into(answer))
        await asyncio.sleep(fault.delay)
        if fault.cut:
            await _cut(scope, receive)
        elif fault.status is not None:
            await _false_answer(fault, fault.status)(scope, receive, send)
        elif fault.effect:
            for message in answer:
                await send(message)
        else:
            await self._app(scope, receive, send)


async def _cut(scope: Scope, receive: Receive) -> None:
    scope["state"][CUT]()
    while (await receive())["type"] != "http.disconnect":
        pass


def _into(answer: list[Message]) -> Send:
    async def keep(message: Message) -> None:
        answer.append(message)

    return keep


def _false_answer(fault: Fault, status: int) -> Response:
    headers = {"Retry-After": fault.retry_after} if fault.retry_after is not None else {}
    if status in BODILESS:
        return Response(None, status, headers)
    if fault.body is not None:
        return HTMLResponse(fault.body, status, headers)
    return error(status, "Fault on order", headers=headers)


def error(status: int, message: str, *issues: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a response with the API's error envelope."""
    try:
        code = HTTPStatus(status).name
    except ValueError:
        code = f"STATUS_{status}"
    envelope: dict[str, object] = {"message": message, "code": code}
    if issues:
        envelope["issues"] = [{"message": issue} for issue in issues]
    return JSONResponse(envelope, status, headers)
