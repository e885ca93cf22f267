"""A model of the ticket API for the simulation, in place of ``ingest.api.http.Http``: requests in, responses out.

What a server does is independent of its client: an effect is planned when the request arrives, with the time at which
it comes, and is applied by ``advance``, also if the client has been killed meanwhile. All chance comes from one seed.
"""

import asyncio
import heapq
import html
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

import httpx

from ingest.api.http import Http, Request
from ingest.api.responses import ApiResponse, classify, classify_error
from ingest.config.settings import Settings

Answer = tuple[int, dict[str, str], Any]
"""Status, header fields and JSON body of a response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What this API always does, for the length of a run."""

    author: str = "named"
    """``named``: it keeps the author that it is told; else the id of the user under whom it posts everything."""
    source: str | None = "EMAIL"
    """The source that it stores."""
    form: str = "same"
    """What becomes of the content: ``same``, ``paragraph`` (wrapped in HTML) or ``escaped`` (HTML entities)."""
    clock_offset: float = 0.0
    """Its clock minus the true time, in seconds."""
    longest_lateness: float = 0.0
    """Seconds from a message's creation until lists show it, at most."""
    sorts: bool = True
    """It sorts lists as it is asked to."""
    page_items: int = 500
    """Items in a page, at most."""
    effect_window: float = 45.0
    """Its word: seconds from the beginning of a POST until its effect shows in lists, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How often requests fail while there are faults: each figure is a probability."""

    post: float = 0.0
    get: float = 0.0
    outages: tuple[tuple[float, float], ...] = ()
    """Times from which and until which no connection is accepted."""
    sick_ticket: str | None = None
    """A ticket whose requests all fail or hang."""
    until: float = 0.0
    """The time after which nothing fails any more."""
    edit: float = 0.0
    """The share of messages that somebody edits or deletes soon after they were posted."""
    broken_word: float = 0.0
    """The share of failing POSTs whose effect comes later than ``Traits.effect_window``."""


@dataclass(slots=True, kw_only=True)
class Message:
    """A ticket message."""

    id: str
    ticket_id: str
    author_id: str
    content: str
    source: str | None
    created_at: float
    """By the API's clock."""
    shows_at: float
    """True time from which on lists show it."""
    queue_id: str = ""
    """The mail that was posted as it, from the Idempotency-Key; the API itself makes no use of that."""
    posted_at: float = 0.0
    """True time of its creation."""
    deleted: bool = False
    changed: bool = False


@dataclass(slots=True, kw_only=True)
class Effect:
    """A POST on its way through the server, and what it came to."""

    request: Request
    answer: Answer | None = None


@dataclass(kw_only=True)
class ApiModel:
    """The API's state and what it does with requests.

    Args:
        random: draws latencies and faults.
        now: the true time in seconds.
    """

    random: Random
    now: Callable[[], float]
    traits: Traits = field(default_factory=Traits)
    faults: Faults = field(default_factory=Faults)
    tickets: dict[str, dict[str, Any]] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    """Address -> id."""
    messages: list[Message] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    on_post: Callable[[], None] = lambda: None
    """Called when a POST has arrived: a chance to kill its client."""
    broken_words: set[str] = field(default_factory=set)
    """Mails at which the API has broken its word."""
    changed_tickets: set[str] = field(default_factory=set)
    """Tickets of which a message was edited or deleted."""
    _planned: list[tuple[float, int, Callable[[float], None]]] = field(default_factory=list)
    _count: int = 0

    # Effects

    def plan(self, at: float, change: Callable[[float], None]) -> None:
        """Have a change happen at a time, whatever becomes of the clients."""
        self._count += 1
        heapq.heappush(self._planned, (at, self._count, change))

    @property
    def last_planned(self) -> float:
        """The time of the last change that is planned; 0 where none is."""
        return max((at for at, _, _ in self._planned), default=0.0)

    def advance(self) -> None:
        """Apply all changes that are due."""
        now = self.now()
        while self._planned and self._planned[0][0] <= now:
            at, _, change = heapq.heappop(self._planned)
            change(at)

    def merge(self, ticket_id: str, into: str) -> None:
        """Merge a ticket into another one; its messages stay."""
        self.tickets[ticket_id]["mergedIntoId"] = into
        self.trace.append(f"merge {ticket_id} {into}")

    def add_message(self, *, ticket_id: str, author_id: str, content: str, source: str | None, at: float) -> Message:
        """Store a message at a true time."""
        self._count += 1
        message = Message(
            id=f"m{self._count}",
            ticket_id=ticket_id,
            author_id=author_id,
            content=content,
            source=source,
            created_at=at + self.traits.clock_offset,
            shows_at=at,
            posted_at=at,
        )
        self.messages.append(message)
        return message

    def _post(self, effect: Effect, lateness: float, at: float) -> None:
        """Let a POST take effect."""
        assert effect.request.body is not None
        body = json.loads(effect.request.body)
        ticket = self.tickets.get(body["ticketId"])
        if ticket is None or ticket["mergedIntoId"]:
            effect.answer = _error(404 if ticket is None else 400, "Ticket is merged")
            return
        author = body.get("authorId", "token") if self.traits.author == "named" else self.traits.author
        source, content = self.traits.source, _formed(body["content"], self.traits.form)
        message = self.add_message(ticket_id=ticket["id"], author_id=author, content=content, source=source, at=at)
        message.queue_id = effect.request.headers["Idempotency-Key"]
        message.shows_at = at + lateness
        effect.answer = (201, {}, _record(message))
        self.trace.append(f"{at:.3f} post {message.id} {ticket['id']} {message.queue_id}")
        if self.random.random() < self.faults.edit and at < self.faults.until:
            self.plan(at + self.random.random() * 120, lambda _at: self._change(message))

    def _change(self, message: Message) -> None:
        self.changed_tickets.add(message.ticket_id)
        message.changed = True
        if self.random.random() < 0.3:
            message.deleted = True
        else:
            message.content = "An agent has put this in other words."
        self.trace.append(f"{self.now():.3f} change {message.id}")

    # Requests

    async def send(self, request: Request, seconds: float) -> ApiResponse:
        """Answer one request, or fail it."""
        now = self.now()
        if any(begin <= now < end for begin, end in self.faults.outages):
            await asyncio.sleep(0.01)
            return self._failed(request, httpx.ConnectError("refused"))
        self.advance()
        latency = 0.005 + self.random.random() ** 4 * 2.0
        if request.method == "POST":
            return await self._answer_post(request, seconds, latency)
        return await self._answer_get(request, seconds, latency)

    async def _answer_post(self, request: Request, seconds: float, latency: float) -> ApiResponse:
        assert request.body is not None
        ticket_id = json.loads(request.body)["ticketId"]
        effect = Effect(request=request)
        lateness = self.random.random() * self.traits.longest_lateness
        fault = self._fault(self.faults.post, ticket_id, _POST_FAULTS)
        self.on_post()
        if fault is None:
            self._plan_effect(effect, latency * self.random.random(), lateness)
            return await self._after(latency, seconds, request, lambda: effect.answer or _error(500, "no effect"))
        kind, has_effect = fault
        if has_effect:
            self._plan_late_effect(effect, lateness, at_once=kind == "429")
        latency = seconds + 1 if kind == "hang" else latency
        self.trace.append(f"{self.now():.3f} POST of {request.headers['Idempotency-Key']} meets {kind} {has_effect}")
        if kind == "cut":
            await asyncio.sleep(min(latency, seconds))
            return self._failed(request, httpx.ReadError("cut"))
        return await self._after(latency, seconds, request, lambda: self._false_answer(kind))

    async def _answer_get(self, request: Request, seconds: float, latency: float) -> ApiResponse:
        about = request.params.get("ticketId", request.path[-1])
        fault = self._fault(self.faults.get, about, _GET_FAULTS)
        if fault == "cut":
            await asyncio.sleep(min(latency, seconds))
            return self._failed(request, httpx.ReadError("cut"))
        if fault is not None:
            latency = seconds + 1 if fault == "hang" else latency
            return await self._after(latency, seconds, request, lambda: self._false_answer(fault))
        if self.random.random() < 0.5:
            early = self._read(request)
            return await self._after(latency, seconds, request, lambda: early)
        return await self._after(latency, seconds, request, lambda: self._read(request))

    async def _after(
        self, latency: float, seconds: float, request: Request, answer: Callable[[], Answer]
    ) -> ApiResponse:
        """Answer after ``latency``, or nothing where the client's time is over before."""
        await asyncio.sleep(min(latency, seconds))
        if latency >= seconds:
            return self._failed(request, TimeoutError())
        self.advance()
        status, headers, body = answer()
        self.trace.append(f"{self.now():.3f} {request.method} {'/'.join(request.path)} {status}")
        return classify(status, headers, body, self.now())

    def _failed(self, request: Request, error: Exception) -> ApiResponse:
        self.trace.append(f"{self.now():.3f} {request.method} {'/'.join(request.path)} {type(error).__name__}")
        return classify_error(error)

    def _fault(self, rate: float, about: str, kinds: Any) -> Any:
        """Return the fault of a request; ``None`` for none."""
        if self.now() >= self.faults.until:
            return None
        is_sick = self.faults.sick_ticket is not None and about in (
            self.faults.sick_ticket,
            self.tickets.get(self.faults.sick_ticket, {}).get("code"),
        )
        return self.random.choice(kinds) if is_sick or self.random.random() < rate else None

    def _false_answer(self, kind: str) -> Answer:
        if kind == "429" and self.random.random() < 0.7:
            return 429, {"retry-after": str(self.random.choice((0, 1, 7, 20)))}, None
        return (*_error(int(kind), "fault")[:2], None)

    def _plan_effect(self, effect: Effect, delay: float, lateness: float) -> None:
        self.plan(self.now() + delay, lambda at: self._post(effect, lateness, at))

    def _plan_late_effect(self, effect: Effect, lateness: float, *, at_once: bool) -> None:
        """Plan the effect of a POST that seems to have failed; now and then later than the API's word is."""
        window = self.traits.effect_window
        part = self.random.choice((self.random.random() ** 2, 1.0 - self.random.random() ** 2))
        delay = 0.0 if at_once else part * max(0.0, window - lateness)
        if not at_once and self.random.random() < self.faults.broken_word:
            delay = window * (1 + 3 * self.random.random())
            self.broken_words.add(effect.request.headers["Idempotency-Key"])
        self._plan_effect(effect, delay, lateness)

    # Reading

    def _read(self, request: Request) -> Answer:
        match request.path:
            case ("users",):
                user_id = self.users.get(request.params["email"])
                items = [{"id": user_id, "email": request.params["email"]}] if user_id else []
                return 200, {}, {"items": items}
            case ("tickets", identifier):
                found = self._find_ticket(identifier)
                return (200, {}, found) if found else _error(404, "Ticket not found")
            case ("ticket-messages",):
                return self._list(request.params)
        return _error(404, "no such path")

    def _find_ticket(self, identifier: str) -> dict[str, Any] | None:
        by_code = (ticket for ticket in self.tickets.values() if ticket["code"] == identifier)
        return self.tickets.get(identifier) or next(by_code, None)

    def _list(self, params: Mapping[str, str]) -> Answer:
        if params["ticketId"] not in self.tickets:
            return _error(404, "Ticket not found")
        now = self.now()
        shown = [m for m in self.messages if m.ticket_id == params["ticketId"] and m.shows_at <= now]
        if self.traits.sorts and params.get("sortDirection") == "desc":
            shown.reverse()
        begin = int(params.get("cursor", "0"))
        end = begin + min(self.traits.page_items, int(params["limit"]))
        page: dict[str, Any] = {"items": [_record(message) for message in shown[begin:end]]}
        if end < len(shown):
            page["nextCursor"] = str(end)
        return 200, {}, page


_POST_FAULTS = tuple(
    (kind, has_effect) for kind in ("hang", "hang", "500", "429", "cut") for has_effect in (True, False)
)
_GET_FAULTS = ("hang", "500", "429", "cut", "500")


def _error(status: int, message: str) -> Answer:
    return status, {}, {"code": "ERROR", "message": message}


def _formed(content: str, form: str) -> str:
    if form == "paragraph":
        return f"<p>{html.escape(content)}</p>"
    return html.escape(content) if form == "escaped" else content


def _record(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "ticketId": message.ticket_id,
        "authorId": message.author_id,
        "content": message.content,
        "source": message.source,
        "private": False,
        "createdAt": datetime.fromtimestamp(message.created_at, UTC).isoformat(),
        "deleted": message.deleted,
    }


class SimulatedHttp(Http):
    """The connections of one simulated process to the ``ApiModel``."""

    def __init__(self, settings: Settings, api: ApiModel) -> None:
        super().__init__(settings)
        self._api = api

    async def start(self) -> None:
        """There is nothing to open."""

    async def stop(self) -> None:
        """There is nothing to close."""

    async def send(self, request: Request) -> ApiResponse:
        """Send a request to the model."""
        return await self._api.send(request, request.timeout_seconds or self._timeout_seconds)
