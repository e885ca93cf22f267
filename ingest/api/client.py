"""The ticket API as the pipeline sees it."""

import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

from ingest.api import records
from ingest.api.attachments import Attachments
from ingest.api.cache import Cache
from ingest.api.circuit_breaker import CircuitBreaker
from ingest.api.http import Http, Request
from ingest.api.line import RetryingTransport
from ingest.api.records import Draft, PostedMessage, Ticket, Unreadable, User
from ingest.api.responses import ApiResponse, ResponseClass, Unavailable, deferred, outcome
from ingest.config.settings import Settings
from ingest.log import get, redact_address
from ingest.model.outcome import Deferred, Delivered, Failed

CLOCK_SKEW = 300.0
"""Seconds by which the API's clock may be behind ours."""
TICKET_SECONDS = 15.0
"""For how long a ticket is remembered: replies to one ticket come in bursts."""
MAX_REMEMBERED = 10_000
PAGE = 100
MAX_PAGES = 100
MAX_LISTED = 1_000
MAX_CONVERSATION = 200
MAX_MERGES = 8
"""Tickets merged into tickets merged into tickets."""
GONE = (404, 410)
UNKNOWN = (400, 404, 410, 422)
"""Refusals of a look-up by something out of a mail: also "that is no address", "that is no id"."""

T = TypeVar("T")
Owned = Callable[[Sequence[str]], Awaitable[Collection[str]]]
"""Of these ticket message ids, those that other messages of ours are known to have become."""

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_ADDRESS = re.compile(r"[^\s@]{1,64}@[^\s@]{1,255}")
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")

log = get("api")


class TicketApiClient:
    """The ticket API; an async context manager. Look-ups raise ``Unavailable``; posting always has an outcome.

    ``clock`` gives seconds that only ever grow: it times what is remembered, and pauses."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._http = Http(settings)
        self._gate = CircuitBreaker(clock)
        self._line = RetryingTransport(self._http, self._gate)
        self.attachments = Attachments(self._line, self._http)
        seconds = settings.user_cache
        self._users = Cache(self._fetch_user, seconds=seconds, entries=MAX_REMEMBERED, clock=clock)
        self._tickets = Cache(self._fetch_ticket, seconds=TICKET_SECONDS, entries=MAX_REMEMBERED, clock=clock)
        self._keeps_author = settings.send_author
        self._told: set[str] = set()

    async def __aenter__(self) -> "TicketApiClient":
        await self._http.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._users.close()
        await self._tickets.close()
        await self._http.stop()

    @property
    def stopped(self) -> bool:
        """Whether the API refused our token (401, 403), so that nothing but slow probes is sent."""
        return self._gate.stopped

    @property
    def held_for(self) -> float:
        """Seconds until the next message may be sent, 0 when it may be sent now: claiming mail before is idle work."""
        return self._gate.held_for

    # Looking up

    async def find_user(self, email: str) -> User | None:
        """The user with this address, compared exactly but for the case of ASCII letters; remembered for a while."""
        return await self._users.get(email) if _ADDRESS.fullmatch(email) and email.isprintable() else None

    async def find_ticket(self, identifier: str) -> Ticket | None:
        """The ticket with this id, short id or ``PREFIX-NUMBER``, or the one that it was merged into."""
        return await self._tickets.get(identifier) if _IDENTIFIER.fullmatch(identifier) else None

    async def list_messages(self, ticket_id: str) -> AsyncIterator[PostedMessage]:
        """All messages of a ticket, in the API's order; none where there is no such ticket."""
        async for item in self._items("ticket-messages", {"ticketId": ticket_id}):
            yield _read(records.message, item)

    async def conversation(self, ticket_id: str) -> tuple[PostedMessage, ...]:
        """The latest that was said on a ticket in public: ``MAX_CONVERSATION`` messages at most, out of the first
        ``MAX_LISTED`` that the API lists; nothing where the token may not list them: a mail can be read without.

        Where the API posts under the token's own user, nobody is named as the author of what came by mail."""
        try:
            listed = await self._list(ticket_id, MAX_LISTED) if self._settings.api_can_list else []
        except Unavailable as error:
            if not error.refused:
                raise
            return ()
        said = sorted((message for message in listed if not message.private), key=_when)
        return tuple(said if self._keeps_author else map(_of_nobody, said))[-MAX_CONVERSATION:]

    async def _list(self, ticket_id: str, limit: int) -> list[PostedMessage]:
        listed: list[PostedMessage] = []
        async with aclosing(self._items("ticket-messages", {"ticketId": ticket_id})) as items:
            async for item in items:
                listed.append(_read(records.message, item))
                if len(listed) == limit:
                    break
        return listed

    async def list_tickets(self, *, limit: int) -> tuple[Ticket, ...]:
        """At most ``limit`` (1 to 10,000) tickets, closed ones too, the most recently updated first."""
        wanted = {"limit": str(limit), "openFilter": "false"}
        newest_first = wanted | {"sortBy": "updatedAt", "sortDirection": "desc"}
        body = await self._look_up("tickets", params=newest_first, absent=UNKNOWN)
        if body is None:
            self._tell_once("the API does not sort tickets by updatedAt; its own order is taken")
            body = await self._look_up("tickets", params=wanted)
        items, _cursor = _read(records.page, body)
        return tuple(_read(records.ticket, item) for item in items[:limit])

    # Posting

    async def post_message(self, draft: Draft, *, idempotency_key: str) -> Delivered | Deferred | Failed:
        """Post a draft. It is repeated in here only while that certainly had no effect."""
        body = records.request_body(
            draft, author=self._settings.send_author, email_ids=self._settings.send_undocumented
        )
        headers = {"Idempotency-Key": idempotency_key}
        request = Request(
            method="POST",
            path=("ticket-messages",),
            body=body,
            headers=headers,
            ticket_id=draft.ticket_id,
            has_effect=True,
        )
        answer = await self._line.send(request)
        if answer.meaning is ResponseClass.REFUSED and await self._has_moved(draft.ticket_id):
            return Deferred(reason=f"{answer.reason}: the ticket was merged into another one meanwhile")
        self._watch_author(answer, draft)
        return outcome(answer, draft)

    async def find_posted(
        self, draft: Draft, *, since: float, owned: Owned, post_fingerprints: Collection[str] = ()
    ) -> Delivered | None:
        """The message that an unconfirmed attempt of ours left at the API, if it did.

        ``since`` is the Unix time of the first attempt; ``post_fingerprints`` are what was to be
        posted then: the user may have been added since, and a newer version of ourselves may read the mail otherwise.
        Two honest mails may say the same words, so a message that is ``owned`` by another of ours does not count.

        A ticket whose messages the API does not know (404) proves nothing: it took our POST, or may have."""
        if not self._settings.api_can_list:
            self._tell_once("INGEST_API_CAN_LIST is off: a POST in doubt is repeated, and may show twice")
            return None
        async with aclosing(self._items("ticket-messages", {"ticketId": draft.ticket_id}, absent=())) as items:
            listed = [_read(records.message, item) async for item in items]
        ours = {records.post_fingerprint(draft.author_id, draft.content), *post_fingerprints}
        like = [message for message in listed if self._is_like(message, draft, ours, since)]
        taken = await owned([message.id for message in like]) if like else ()
        return next((_found(message, draft) for message in like if message.id not in taken), None)

    def _is_like(self, message: PostedMessage, draft: Draft, ours: Collection[str], since: float) -> bool:
        if message.created_at is not None and message.created_at < since - CLOCK_SKEW:
            return False
        if draft.email_message_id is not None and draft.email_message_id == message.email_message_id:
            return True
        if message.source not in ("EMAIL", None):
            return False
        content = records.words(message.content).removesuffix(records.words(draft.appendix))
        authors = (
            (message.author_id,)
            if self._keeps_author
            else {post_fingerprint.rpartition(" ")[0] for post_fingerprint in ours}
        )
        return any(records.post_fingerprint(author_id, content) in ours for author_id in authors)

    def _watch_author(self, answer: ApiResponse, draft: Draft) -> None:
        """Some versions of the API do not document ``authorId``, and may post under the token's own user."""
        if answer.meaning is not ResponseClass.ACCEPTED or not isinstance(answer.body, dict) or not self._keeps_author:
            return
        if answer.body.get("authorId") not in (None, draft.author_id):
            self._keeps_author = False
            self._tell_once(
                "the API posts under another author than we named; set INGEST_SEND_AUTHOR=false if it always does"
            )

    async def _has_moved(self, ticket_id: str) -> bool:
        """Whether a refusal is the fault of what we remember: the ticket was merged a moment ago."""
        self._tickets.forget(ticket_id)
        try:
            ticket = await self.find_ticket(ticket_id)
        except Unavailable:
            return False
        return ticket is not None and ticket.id != ticket_id

    # Asking

    async def _fetch_user(self, email: str) -> User | None:
        """The API's own comparison is not documented, so ours decides."""
        async with aclosing(self._items("users", {"email": email}, absent=UNKNOWN)) as items:
            users = [_read(records.user, item) async for item in items]
        same = [user for user in users if _fold(user.email) == _fold(email)]
        if len(same) > 1:
            log.warning("several users have one address", address=redact_address(email), users=len(same))
        return next((user for user in same if user.email == email), same[0] if same else None)

    async def _fetch_ticket(self, identifier: str) -> Ticket | None:
        """Follows merges; where the end cannot be seen, the last ticket that can."""
        ticket = await self._one_ticket(identifier)
        for _hop in range(MAX_MERGES):
            into = await self._one_ticket(ticket.merged_into) if ticket is not None and ticket.merged_into else None
            if into is None:
                break
            ticket = into
        return ticket

    async def _one_ticket(self, identifier: str) -> Ticket | None:
        """Older versions of the API know tickets by id only, and codes by their summary."""
        if not _IDENTIFIER.fullmatch(identifier):
            return None
        body = await self._look_up("tickets", identifier, absent=UNKNOWN)
        if body is None and "-" in identifier:
            summary = await self._look_up("tickets", "summary", identifier, absent=UNKNOWN)
            ticket_id = _read(records.ticket, summary).id if summary is not None else ""
            body = await self._look_up("tickets", ticket_id, absent=UNKNOWN) if ticket_id else None
        return _read(records.ticket, body) if body is not None else None

    async def _items(
        self, path: str, params: Mapping[str, str], absent: Collection[int] = GONE
    ) -> AsyncGenerator[object, None]:
        """The items of all pages. Raises ``Unavailable`` rather than leave some out."""
        cursor: str | None = None
        for _page in range(MAX_PAGES):
            further = {"cursor": cursor} if cursor is not None else {}
            body = await self._look_up(path, params={**params, "limit": str(PAGE), **further}, absent=absent)
            items, cursor = _read(records.page, body if body is not None else [])
            for item in items:
                yield item
            if cursor is None:
                return
        raise Unavailable(Deferred(reason=f"GET /{path} has no end: more than {MAX_PAGES} pages"))

    async def _look_up(
        self, *path: str, params: Mapping[str, str] | None = None, absent: Collection[int] = GONE
    ) -> Any:
        """The JSON of the answer; ``None`` where the API proves, by a status in ``absent``, that there is nothing."""
        answer = await self._line.send(Request(method="GET", path=path, params=params or {}))
        if answer.meaning is ResponseClass.ACCEPTED and answer.body is not None:
            return answer.body
        if answer.meaning is ResponseClass.REFUSED and answer.status in absent:
            return None
        if answer.meaning is ResponseClass.FORBIDDEN:
            self._tell_once(f"the API forbids GET /{path[0]}; give the token that right, the mail that needs it waits")
        raise Unavailable(deferred(answer), refused=answer.is_refusal)

    def _tell_once(self, what: str) -> None:
        if what not in self._told:
            self._told.add(what)
            log.warning(what)


def _read(read: Callable[[object], T], item: object) -> T:
    try:
        return read(item)
    except Unreadable as problem:
        raise Unavailable(Deferred(reason=f"the API's answer could not be read: {problem}")) from problem


def _when(message: PostedMessage) -> float:
    return message.created_at or 0.0


def _of_nobody(message: PostedMessage) -> PostedMessage:
    return replace(message, author_id="") if message.source == "EMAIL" else message


def _found(message: PostedMessage, draft: Draft) -> Delivered:
    return Delivered(
        ticket_id=message.ticket_id or draft.ticket_id,
        ticket_message_id=message.id,
        email_message_id=message.email_message_id,
        email_in_reply_to=message.email_in_reply_to,
        note="found by looking after an unconfirmed attempt",
    )


def _fold(email: str) -> str:
    """Only ASCII letters lose their case: to Unicode, the Kelvin sign is a ``k`` and ``ß`` is ``ss``, and one
    address would pass for another's."""
    return email.translate(_LOWER)
