"""Injects faults of networks and servers into chosen requests.

A fault comes with its request (header `X-Sandbox-Fault`, a JSON object), or is taken from a queue that
`POST /sandbox/faults` fills: "the next three POSTs are answered 503"."""

import asyncio
import random
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
        self.played = 0
        """Number of requests that a fault was applied to."""
        self._random = random.Random(0)  # noqa: S311 - repeatable, not secret

    def add(self, *faults: Fault) -> None:
        """Queue faults: each as often as its ``times`` says, or once for all requests if ``times`` is ``None``."""
        for fault in faults:
            once = fault if fault.times is None else fault.model_copy(update={"times": 1})
            self.waiting += [once] * (fault.times or 1)

    def seed(self, seed: int) -> None:
        """Draw from now on as after every other start with this seed."""
        self._random.seed(seed)

    def take(self, scope: Scope) -> Fault | None:
        """Return the fault in the request's header, or take the first one from the queue that fits the request."""
        if header := Headers(scope=scope).get("x-sandbox-fault"):
            return Fault.model_validate_json(header)
        found = next(filter(lambda fault: self._is_chosen(fault, scope), self.waiting), None)
        if found is not None:
            self.played += 1
            if found.times is not None:
                self.waiting.remove(found)
        return found

    def _is_chosen(self, fault: Fault, scope: Scope) -> bool:
        fits = fault.fits(scope["method"], scope["path"], scope["query_string"].decode("latin-1"))
        return fits and self._random.random() < fault.chance


class FaultLayer:
    """ASGI middleware that applies the faults; the rest of the sandbox does not know of them."""

    def __init__(self, app: ASGIApp, faults: FaultQueue) -> None:
        self._app = app
        self._faults = faults
        self._effects: set[asyncio.Task[list[Message]]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, with the fault that its header or the queue has for it."""
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
        effect = await self._begin_effect(fault, scope, receive)
        await asyncio.sleep(fault.delay)
        if fault.cut:
            await _cut(scope, receive)
        elif fault.status is not None:
            await _false_answer(fault, fault.status)(scope, receive, send)
        elif effect is None:
            await self._app(scope, receive, send)
        else:
            for message in await asyncio.shield(effect):
                await send(message)

    async def _begin_effect(self, fault: Fault, scope: Scope, receive: Receive) -> "asyncio.Task[list[Message]] | None":
        """Give the request to the application in a task of its own, which nothing ends that becomes of the client. An
        effect without a time of its own is over when this returns."""
        if not fault.effect and fault.effect_after is None:
            return None
        effect = asyncio.create_task(self._take_effect(fault.effect_after or 0.0, scope, await _received(receive)))
        self._effects.add(effect)
        effect.add_done_callback(self._effects.discard)
        if fault.effect_after is None:
            await asyncio.shield(effect)
        return effect

    async def _take_effect(self, seconds: float, scope: Scope, request: list[Message]) -> list[Message]:
        await asyncio.sleep(seconds)
        unread = iter(request)
        answer: list[Message] = []

        async def receive() -> Message:
            return next(unread, {"type": "http.disconnect"})

        async def keep(message: Message) -> None:
            answer.append(message)

        await self._app(scope, receive, keep)
        return answer


async def _received(receive: Receive) -> list[Message]:
    """Return the messages of a request up to the end of its body, or up to the end of the connection."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    return messages


async def _cut(scope: Scope, receive: Receive) -> None:
    scope["state"][CUT]()
    while (await receive())["type"] != "http.disconnect":
        pass


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
