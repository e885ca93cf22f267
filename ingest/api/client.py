"""The client of the ticket API: looking up users, tickets and messages, posting, and finding a POST again."""

import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

from ingest.api import records
from ingest.api.attachments import AttachmentApi
from ingest.api.cache import Cache
from ingest.api.circuit_breaker import CircuitBreaker
from ingest.api.http import Http, Request, RetryingTransport
from ingest.api.records import Draft, MalformedResponse, PostedMessage, PostFingerprint, Ticket, User
from ingest.api.responses import ApiResponse, ResponseClass, Unavailable, deferred, post_outcome
from ingest.config.settings import Settings
from ingest.log import get, redact_address
from ingest.model.outcome import Deferred, Delivered, Failed

CLOCK_SKEW_SECONDS = 300.0
"""How far the API's clock may be behind ours: machines without time synchronisation drift by minutes."""
TICKET_CACHE_SECONDS = 15.0
"""How long a ticket is cached. Replies to one ticket come in bursts; a longer time would miss a merge."""
MAX_CACHED_ENTRIES = 10_000
"""Users and tickets in each cache: a few megabytes at most."""
PAGE_ITEMS = 100
"""Items that we ask for in one page of a list."""
MAX_PAGES = 100
"""Pages of one list. A server that never ends a list must not keep us reading for ever."""
MAX_LISTED_MESSAGES = 1_000
"""Messages of a ticket that are listed for its conversation: ten requests, before a mail is read a second time."""
MAX_CONVERSATION_MESSAGES = 200
"""Messages that a mail is compared with. Quotes are of recent messages, and each costs time to compare."""
MAX_MERGE_HOPS = 8
"""Merges that are followed (a ticket merged into one that was merged itself), so that a circle of them ends."""
GONE_STATUSES = (404, 410)
UNKNOWN_STATUSES = (400, 404, 410, 422)
"""Statuses that say "there is none" to a look-up by a value out of a mail: also "this is no address", "no id"."""

T = TypeVar("T")
Owned = Callable[[Sequence[str]], Awaitable[Collection[str]]]
"""Returns those of the given ticket message ids that are known to belong to other mails of ours."""

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_ADDRESS = re.compile(r"[^\s@]{1,64}@[^\s@]{1,255}")
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")

log = get("api")


class TicketApiClient:
    """The ticket API over HTTP; an async context manager. Look-ups raise ``Unavailable``; posting returns an outcome.

    ``clock`` gives monotonic seconds. It times the caches and the circuit breaker."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._http = Http(settings)
        self._circuit_breaker = CircuitBreaker(clock)
        self._transport = RetryingTransport(self._http, self._circuit_breaker)
        self.attachments = AttachmentApi(self._transport, self._http)
        self._users = Cache(self._fetch_user, seconds=settings.user_cache, max_entries=MAX_CACHED_ENTRIES, clock=clock)
        self._tickets = Cache(
            self._fetch_ticket, seconds=TICKET_CACHE_SECONDS, max_entries=MAX_CACHED_ENTRIES, clock=clock
        )
        self._keeps_author = settings.send_author
        """False once the API is known to post under another author than the one we name."""
        self._warned: set[str] = set()

    async def __aenter__(self) -> "TicketApiClient":
        await self._http.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._users.close()
        await self._tickets.close()
        await self._http.stop()

    @property
    def is_stopped(self) -> bool:
        """True while the API refuses our token (401, 403), so that nothing but single probes is sent."""
        return self._circuit_breaker.is_stopped

    @property
    def wait_seconds(self) -> float:
        """Seconds until the next message may be sent, 0 if one may be sent now. There is no use in claiming mail
        before."""
        return self._circuit_breaker.wait_seconds

    # Looking up

    async def find_user(self, email: str) -> User | None:
        """Return the user with exactly this address, but for the case of ASCII letters; cached for a while."""
        return await self._users.get(email) if _ADDRESS.fullmatch(email) and email.isprintable() else None

    async def find_ticket(self, identifier: str) -> Ticket | None:
        """Return the ticket with this id, short id or ``PREFIX-NUMBER``, or the one that it was merged into."""
        return await self._tickets.get(identifier) if _IDENTIFIER.fullmatch(identifier) else None

    async def list_messages(self, ticket_id: str) -> AsyncIterator[PostedMessage]:
        """Iterate over all messages of a ticket, in the API's order; none if there is no such ticket."""
        async for item in self._items("ticket-messages", {"ticketId": ticket_id}):
            yield _parse(records.parse_message, item)

    async def conversation(self, ticket_id: str) -> tuple[PostedMessage, ...]:
        """Return the latest public messages of a ticket, oldest first: at most ``MAX_CONVERSATION_MESSAGES``, out of
        the first ``MAX_LISTED_MESSAGES`` that the API lists. Returns none if the token may not list messages: the mail
        can be read without them.

        If the API posts under the token's own user, the messages that came by mail have an empty author id."""
        try:
            listed = await self._list(ticket_id, MAX_LISTED_MESSAGES) if self._settings.api_can_list else []
        except Unavailable as error:
            if not error.refused:
                raise
            return ()
        public = sorted((message for message in listed if not message.private), key=_creation_time)
        with_authors = public if self._keeps_author else map(_without_author, public)
        return tuple(with_authors)[-MAX_CONVERSATION_MESSAGES:]

    async def _list(self, ticket_id: str, limit: int) -> list[PostedMessage]:
        listed: list[PostedMessage] = []
        async with aclosing(self._items("ticket-messages", {"ticketId": ticket_id})) as items:
            async for item in items:
                listed.append(_parse(records.parse_message, item))
                if len(listed) == limit:
                    break
        return listed

    async def list_tickets(self, *, limit: int) -> tuple[Ticket, ...]:
        """Return at most ``limit`` (1 to 10,000) tickets, closed ones too, the most recently updated first."""
        wanted = {"limit": str(limit), "openFilter": "false"}
        newest_first = wanted | {"sortBy": "updatedAt", "sortDirection": "desc"}
        body = await self._look_up("tickets", params=newest_first, absent=UNKNOWN_STATUSES)
        if body is None:
            self._warn_once("the API does not sort tickets by updatedAt; its own order is taken")
            body = await self._look_up("tickets", params=wanted)
        items, _cursor = _parse(records.parse_page, body)
        return tuple(_parse(records.parse_ticket, item) for item in items[:limit])

    # Posting

    async def post_message(self, draft: Draft, *, idempotency_key: str) -> Delivered | Deferred | Failed:
        """Post a draft. The request is repeated in here only if the one before certainly had no effect."""
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
        response = await self._transport.send(request)
        if response.response_class is ResponseClass.REFUSED and await self._has_moved(draft.ticket_id):
            return Deferred(reason=f"{response.reason}: the ticket was merged into another one meanwhile")
        self._check_author(response, draft)
        return post_outcome(response, draft)

    async def find_posted(
        self, draft: Draft, *, since: float, owned: Owned, post_fingerprints: Collection[PostFingerprint] = ()
    ) -> Delivered | None:
        """Return the ticket message that an unconfirmed attempt of ours created, or ``None`` if the API has none.

        ``since`` is the Unix time of the first attempt. ``post_fingerprints`` are those of the drafts of earlier
        attempts: the user may have been added since, or a newer version of this program may read the mail differently.
        Two honest mails may have the same text, so a message that is ``owned`` by another mail does not count.

        Raises:
            Unavailable: the API does not list the messages. A 404 for the ticket is no proof either: it took our
                POST, or may have.
        """
        if not self._settings.api_can_list:
            self._warn_once("INGEST_API_CAN_LIST is off: a POST in doubt is repeated, and may show twice")
            return None
        async with aclosing(self._items("ticket-messages", {"ticketId": draft.ticket_id}, absent=())) as items:
            listed = [_parse(records.parse_message, item) async for item in items]
        fingerprints = {draft.fingerprint, *post_fingerprints}
        candidates = [message for message in listed if self._may_be_ours(message, draft, fingerprints, since)]
        taken = await owned([message.id for message in candidates]) if candidates else ()
        return next((_found(message, draft) for message in candidates if message.id not in taken), None)

    def _may_be_ours(
        self, message: PostedMessage, draft: Draft, fingerprints: Collection[PostFingerprint], since: float
    ) -> bool:
        """Whether a listed message may be the draft, or what an earlier attempt made of the same mail."""
        if message.created_at is not None and message.created_at < since - CLOCK_SKEW_SECONDS:
            return False
        if draft.email_message_id is not None and draft.email_message_id == message.email_message_id:
            return True
        if message.source not in ("EMAIL", None):
            return False
        content = records.comparable_text(message.content).removesuffix(records.comparable_text(draft.appendix))
        found = PostFingerprint.of(message.author_id, content)
        if self._keeps_author:
            return found in fingerprints
        return any(found.digest == fingerprint.digest for fingerprint in fingerprints)

    def _check_author(self, response: ApiResponse, draft: Draft) -> None:
        """Notice that the API posts under another author. Some versions do not document ``authorId``, and may post
        under the token's own user."""
        if (
            response.response_class is not ResponseClass.ACCEPTED
            or not isinstance(response.body, dict)
            or not self._keeps_author
        ):
            return
        if response.body.get("authorId") not in (None, draft.author_id):
            self._keeps_author = False
            self._warn_once(
                "the API posts under another author than we named; set INGEST_SEND_AUTHOR=false if it always does"
            )

    async def _has_moved(self, ticket_id: str) -> bool:
        """Whether a refusal is due to our cache: the ticket was merged into another one a moment ago."""
        self._tickets.forget(ticket_id)
        try:
            ticket = await self.find_ticket(ticket_id)
        except Unavailable:
            return False
        return ticket is not None and ticket.id != ticket_id

    # Requests

    async def _fetch_user(self, email: str) -> User | None:
        """Ask for the user, and compare the address ourselves: how the API compares is not documented."""
        async with aclosing(self._items("users", {"email": email}, absent=UNKNOWN_STATUSES)) as items:
            users = [_parse(records.parse_user, item) async for item in items]
        same = [user for user in users if _lower_ascii(user.email) == _lower_ascii(email)]
        if len(same) > 1:
            log.warning("several users have one address", address=redact_address(email), users=len(same))
        return next((user for user in same if user.email == email), same[0] if same else None)

    async def _fetch_ticket(self, identifier: str) -> Ticket | None:
        """Return the ticket, or the one that it was merged into; after ``MAX_MERGE_HOPS``, or if the next ticket is not
        found, the last one that was."""
        ticket = await self._one_ticket(identifier)
        for _hop in range(MAX_MERGE_HOPS):
            into = await self._one_ticket(ticket.merged_into) if ticket is not None and ticket.merged_into else None
            if into is None:
                break
            ticket = into
        return ticket

    async def _one_ticket(self, identifier: str) -> Ticket | None:
        """Return a ticket without following merges. Older versions of the API find a ticket by its id only, and a code
        by its summary."""
        if not _IDENTIFIER.fullmatch(identifier):
            return None
        body = await self._look_up("tickets", identifier, absent=UNKNOWN_STATUSES)
        if body is None and "-" in identifier:
            summary = await self._look_up("tickets", "summary", identifier, absent=UNKNOWN_STATUSES)
            ticket_id = _parse(records.parse_ticket, summary).id if summary is not None else ""
            body = await self._look_up("tickets", ticket_id, absent=UNKNOWN_STATUSES) if ticket_id else None
        return _parse(records.parse_ticket, body) if body is not None else None

    async def _items(
        self, path: str, params: Mapping[str, str], absent: Collection[int] = GONE_STATUSES
    ) -> AsyncGenerator[object, None]:
        """Iterate over the items of all pages. Raises ``Unavailable`` rather than leave some out."""
        cursor: str | None = None
        for _page in range(MAX_PAGES):
            next_page = {"cursor": cursor} if cursor is not None else {}
            body = await self._look_up(path, params={**params, "limit": str(PAGE_ITEMS), **next_page}, absent=absent)
            items, cursor = _parse(records.parse_page, body if body is not None else [])
            for item in items:
                yield item
            if cursor is None:
                return
        raise Unavailable(Deferred(reason=f"GET /{path} has no end: more than {MAX_PAGES} pages"))

    async def _look_up(
        self, *path: str, params: Mapping[str, str] | None = None, absent: Collection[int] = GONE_STATUSES
    ) -> Any:
        """Return the JSON of the response; ``None`` if the API proves, by a status in ``absent``, that there is
        nothing."""
        response = await self._transport.send(Request(method="GET", path=path, params=params or {}))
        if response.response_class is ResponseClass.ACCEPTED and response.body is not None:
            return response.body
        if response.response_class is ResponseClass.REFUSED and response.status in absent:
            return None
        if response.response_class is ResponseClass.FORBIDDEN:
            self._warn_once(f"the API forbids GET /{path[0]}; give the token that right, the mail that needs it waits")
        raise Unavailable(deferred(response), refused=response.is_refusal)

    def _warn_once(self, warning: str) -> None:
        if warning not in self._warned:
            self._warned.add(warning)
            log.warning(warning)


def _parse(parse: Callable[[object], T], item: object) -> T:
    try:
        return parse(item)
    except MalformedResponse as problem:
        raise Unavailable(Deferred(reason=f"the API's answer could not be read: {problem}")) from problem


def _creation_time(message: PostedMessage) -> float:
    return message.created_at or 0.0


def _without_author(message: PostedMessage) -> PostedMessage:
    return replace(message, author_id="") if message.source == "EMAIL" else message


def _found(message: PostedMessage, draft: Draft) -> Delivered:
    return Delivered(
        ticket_id=message.ticket_id or draft.ticket_id,
        ticket_message_id=message.id,
        email_message_id=message.email_message_id,
        email_in_reply_to=message.email_in_reply_to,
        note="found by looking after an unconfirmed attempt",
    )


def _lower_ascii(email: str) -> str:
    """Lower only the ASCII letters. In Unicode the Kelvin sign is a ``k`` and `ß` is ``ss``, so one address would pass
    for another's."""
    return email.translate(_LOWER)
