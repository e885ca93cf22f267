"""The client of the ticket API: looking up users, tickets and messages, posting, and finding a POST again."""

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import replace

from ingest.api import records
from ingest.api.attachments import AttachmentApi
from ingest.api.cache import Cache
from ingest.api.circuit_breaker import CircuitBreaker
from ingest.api.http import Http, Request, RetryingTransport
from ingest.api.post_search import FindClaims, PostSearch
from ingest.api.reader import UNKNOWN_STATUSES, ApiReader, creation_time, parse
from ingest.api.recognition import SENT_SOURCE, Search, learn
from ingest.api.records import Draft, MalformedResponse, PostedMessage, PostFingerprint, Ticket, User
from ingest.api.responses import ApiResponse, ResponseClass, Unavailable, post_outcome
from ingest.config.settings import Settings
from ingest.log import get, redact_address
from ingest.model.api_profile import ApiProfile
from ingest.model.mail_address import comparable_address, with_unicode_domain
from ingest.model.outcome import Deferred, Delivered, Failed, PostEffect, Quarantined

TICKET_CACHE_SECONDS = 15.0
"""How long a ticket is cached. Replies to one ticket come in bursts; a longer time would miss a merge."""
MAX_CACHED_ENTRIES = 10_000
"""Users and tickets in each cache: a few megabytes at most."""
MAX_LISTED_MESSAGES = 1_000
"""Messages of a ticket that are listed for its conversation: ten requests, before a mail is read a second time."""
MAX_CONVERSATION_MESSAGES = 200
"""Messages that a mail is compared with. Quotes are of recent messages, and each costs time to compare."""
MAX_CONVERSATION_BYTES = 256 * 1024
"""UTF-8 bytes of these messages together, the newest first: the text of 50 to 100 long mails. It bounds what a reading
beside them costs, and what the cache takes."""
CONVERSATION_CACHE_SECONDS = 15.0
"""How long a conversation is cached. Nobody answers a message within seconds of it, and replies come in bursts."""
MAX_CACHED_CONVERSATIONS = 128
"""Conversations in the cache: 32 MiB of text at most."""
MAX_MERGE_HOPS = 8
"""Merges that are followed (a ticket merged into one that was merged itself), so that a circle of them ends."""
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_ADDRESS = re.compile(r"[^\s@]{1,64}@[^\s@]{1,255}")

log = get("api")


class TicketApiClient:
    """The ticket API over HTTP; an async context manager. Look-ups raise ``Unavailable``; posting returns an outcome.

    ``clock`` gives monotonic seconds. It times the caches and the circuit breaker."""

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        *,
        profile: ApiProfile = ApiProfile(),  # noqa: B008 - frozen
        save_profile: Callable[[ApiProfile], Awaitable[None]] | None = None,
        http: Http | None = None,
        steady_clock: Callable[[], float] = time.time,
    ) -> None:
        """``profile`` is what was learned of the API before; ``save_profile`` keeps what is learned now. ``http`` sends
        the requests; by default a new one that reaches the API of the settings. ``steady_clock`` gives the Unix seconds
        by which the beginning of a POST is noted: the API's clock is compared with it."""
        self._settings = settings
        self._http = http or Http(settings)
        self._circuit_breaker = CircuitBreaker(clock)
        self._transport = RetryingTransport(self._http, self._circuit_breaker)
        self.attachments = AttachmentApi(self._transport, self._http)
        self._users = Cache(self._fetch_user, seconds=settings.user_cache, max_entries=MAX_CACHED_ENTRIES, clock=clock)
        self._tickets = Cache(
            self._fetch_ticket, seconds=TICKET_CACHE_SECONDS, max_entries=MAX_CACHED_ENTRIES, clock=clock
        )
        self._conversations = Cache(
            self._fetch_conversation,
            seconds=CONVERSATION_CACHE_SECONDS,
            max_entries=MAX_CACHED_CONVERSATIONS,
            clock=clock,
        )
        lookup_seconds = min(settings.api_timeout, settings.api_lookup_timeout)
        self._reader = ApiReader(self._transport, lookup_seconds=lookup_seconds)
        self._post_search = PostSearch(self._reader, self._fresh_ticket)
        # Our clock may have been set since the earlier process that compared it with the API's.
        self._profile = replace(profile, clock_offset_seconds=None)
        self._save_profile = save_profile
        self._steady_clock = steady_clock

    async def __aenter__(self) -> "TicketApiClient":
        await self._http.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._users.close()
        await self._tickets.close()
        await self._conversations.close()
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

    def resume(self) -> None:
        """Send again at once, although the API asked for a pause or refused our token."""
        self._circuit_breaker.resume()

    def use_token(self, settings: Settings) -> None:
        """Use the token of these settings from the next request on.

        Raises:
            ConfigError: it cannot be sent; the old one is used further.
        """
        self._http.use_token(settings)
        self._circuit_breaker.resume()

    # Looking up

    async def find_user(self, email: str) -> User | None:
        """Return the user with exactly this address, but for the case of ASCII letters; cached for a while."""
        return await self._users.get(email) if _ADDRESS.fullmatch(email) and email.isprintable() else None

    async def find_ticket(self, identifier: str) -> Ticket | None:
        """Return the ticket with this id, short id or ``PREFIX-NUMBER``, or the one that it was merged into."""
        return await self._tickets.get(identifier) if _IDENTIFIER.fullmatch(identifier) else None

    async def _fresh_ticket(self, ticket_id: str) -> Ticket | None:
        """Return the ticket as it is now: what is cached of it may be older than a merge."""
        self._tickets.forget(ticket_id)
        return await self.find_ticket(ticket_id)

    async def list_messages(self, ticket_id: str) -> AsyncIterator[PostedMessage]:
        """Iterate over all messages of a ticket, in the API's order; none if there is no such ticket."""
        async for item in self._reader.items("ticket-messages", {"ticketId": ticket_id}):
            yield parse(records.parse_message, item)

    async def find_message(self, message_id: str) -> PostedMessage | None:
        """Return the ticket message with this id, or ``None`` if there is none."""
        if not _IDENTIFIER.fullmatch(message_id):
            return None
        body = await self._reader.look_up("ticket-messages", message_id, absent=UNKNOWN_STATUSES)
        return parse(records.parse_message, body) if body is not None else None

    async def conversation(self, ticket_id: str) -> tuple[PostedMessage, ...]:
        """Return the latest public messages of a ticket, oldest first: at most ``MAX_CONVERSATION_MESSAGES`` with
        ``MAX_CONVERSATION_BYTES`` of text, out of the first ``MAX_LISTED_MESSAGES`` that the API lists; cached for
        ``CONVERSATION_CACHE_SECONDS``. Returns none if the token may not list messages: the mail can be read without
        them.

        If the API posts under the token's own user, the messages that came by mail have an empty author id."""
        try:
            latest = await self._conversations.get(ticket_id) if self._settings.api_can_list else ()
        except Unavailable as error:
            if not error.refused:
                raise
            return ()
        if not latest:  # a 404 that passes would else be believed for seconds
            self._conversations.forget(ticket_id)
        if self._settings.send_author and self._profile.keeps_author:
            return latest
        return tuple(map(_without_author, latest))

    async def _fetch_conversation(self, ticket_id: str) -> tuple[PostedMessage, ...]:
        listed = await self._list(ticket_id, MAX_LISTED_MESSAGES)
        public = sorted((message for message in listed if not message.private), key=creation_time)
        return _within_bytes(public[-MAX_CONVERSATION_MESSAGES:], MAX_CONVERSATION_BYTES)

    async def _list(self, ticket_id: str, limit: int) -> list[PostedMessage]:
        listed: list[PostedMessage] = []
        async with aclosing(self._reader.items("ticket-messages", {"ticketId": ticket_id})) as items:
            async for item in items:
                listed.append(parse(records.parse_message, item))
                if len(listed) == limit:
                    break
        return listed

    async def list_tickets(self, *, limit: int) -> tuple[Ticket, ...]:
        """Return at most ``limit`` (1 to 10,000) tickets, closed ones too, the most recently updated first."""
        wanted = {"limit": str(limit), "openFilter": "false"}
        newest_first = wanted | {"sortBy": "updatedAt", "sortDirection": "desc"}
        body = await self._reader.look_up("tickets", params=newest_first, absent=UNKNOWN_STATUSES)
        if body is None:
            self._reader.warn_once("the API does not sort tickets by updatedAt; its own order is taken")
            body = await self._reader.look_up("tickets", params=wanted)
        items, _cursor = parse(records.parse_page, body)
        return tuple(parse(records.parse_ticket, item) for item in items[:limit])

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
        if response.response_class is ResponseClass.REFUSED and await self._may_have_moved(draft.ticket_id):
            reason = f"{response.reason}: the ticket may have been merged into another one meanwhile"
            return Deferred(reason=reason, post_effect=PostEffect.NONE)
        await self._learn_profile(response, draft)
        return post_outcome(response, draft)

    async def find_posted(
        self,
        draft: Draft,
        *,
        began_at: float,
        find_claims: FindClaims,
        post_fingerprints: Collection[PostFingerprint] = (),
    ) -> Delivered | Quarantined | None:
        """Look for the ticket message that an earlier POST in doubt created.

        ``began_at`` is the Unix time at which it began. ``post_fingerprints`` are those of the drafts of earlier
        attempts: the user may have been added since, the ticket may have been merged, or a newer version of this
        program may read the mail differently. Two honest mails may have the same text, so ``find_claims``
        tells which messages belong to other mails, and which mails in doubt they may belong to.

        Returns ``Delivered`` if it is there, ``Quarantined`` if there is one that it may be with other words (edited or
        deleted by now), so that a person has to decide, and ``None`` if there is none.

        Raises:
            Unavailable: the API does not list the messages. A 404 for the ticket is no proof either: it took our
                POST, or may have.
        """
        if not self._settings.api_can_list:
            self._reader.warn_once("INGEST_API_CAN_LIST is off: a POST in doubt is repeated, and may show twice")
            return None
        fingerprints = (draft.fingerprint, *post_fingerprints)
        search = Search(draft=draft, fingerprints=fingerprints, began_at=began_at, profile=self._profile)
        return await self._post_search.find(search, find_claims)

    async def count_posted(
        self, ticket_id: str, *, began_at: float, post_fingerprints: Collection[PostFingerprint]
    ) -> int:
        """Return how many messages of a ticket have one of these fingerprints and were posted since ``began_at``.

        Raises:
            Unavailable: the API does not list the messages.
        """
        draft = Draft(ticket_id=ticket_id, author_id="", content="")
        search = Search(draft=draft, fingerprints=post_fingerprints, began_at=began_at, profile=self._profile)
        return await self._post_search.count(search)

    async def _learn_profile(self, response: ApiResponse, draft: Draft) -> None:
        """Note what the API did with a post that it accepted, and tell the operator once where that is unexpected."""
        if response.response_class is not ResponseClass.ACCEPTED:
            return
        try:
            posted = records.parse_message(response.body)
        except MalformedResponse:
            return
        profile = learn(self._profile, posted, draft, now=self._steady_clock())
        if not profile.keeps_author:
            self._reader.warn_once(
                "the API posts under another author than we named; set INGEST_SEND_AUTHOR=false if it always does"
            )
        if profile.source not in ("", SENT_SOURCE):
            self._reader.warn_once(f"the API stores source {profile.source!r} where we sent {SENT_SOURCE}")
        sent = records.comparable_text(f"{draft.content} {draft.appendix}")
        if posted.content and records.comparable_text(posted.content) != sent:
            self._reader.warn_once(
                "the API changes the words of what is posted: a POST in doubt may have to wait for a person"
            )
        await self._keep_profile(profile)

    async def _keep_profile(self, profile: ApiProfile) -> None:
        changed = profile.differs_from(self._profile)
        self._profile = profile
        if changed and self._save_profile is not None:
            await self._save_profile(profile)

    async def _may_have_moved(self, ticket_id: str) -> bool:
        """Whether a refusal may be due to our cache: the ticket was merged into another one a moment ago, or the API
        does not tell now, which proves no refusal for good."""
        try:
            ticket = await self._fresh_ticket(ticket_id)
        except Unavailable:
            return True
        return ticket is not None and ticket.id != ticket_id

    # Requests

    async def _fetch_user(self, email: str) -> User | None:
        """Ask for the user, and compare the address ourselves: how the API compares is not documented.

        A domain that is no ASCII is asked for in both of its spellings, since the API's user may have either."""
        found: dict[str, User] = {}
        for spelling in dict.fromkeys((email, with_unicode_domain(email))):
            async with aclosing(self._reader.items("users", {"email": spelling}, absent=UNKNOWN_STATUSES)) as items:
                users = [parse(records.parse_user, item) async for item in items]
            found |= {user.id: user for user in users if comparable_address(user.email) == comparable_address(email)}
        same = list(found.values())
        if len(same) > 1:
            log.warning("several users have one address", address=redact_address(email), users=len(same))
        return next((user for user in same if user.email == email), same[0] if same else None)

    async def _fetch_ticket(self, identifier: str) -> Ticket | None:
        """Return the ticket, or the one that it was merged into; after ``MAX_MERGE_HOPS``, or if the next ticket is not
        found, the last one that was."""
        ticket = await self._one_ticket(identifier)
        for _hop in range(MAX_MERGE_HOPS):
            into = await self._one_ticket(ticket.merged_into) if ticket is not None and ticket.merged_into else None
            if ticket is None or into is None:
                break
            ticket = replace(
                into, former_ids=(*ticket.former_ids, ticket.id), former_participant_ids=ticket.participant_ids
            )
        return ticket

    async def _one_ticket(self, identifier: str) -> Ticket | None:
        """Return a ticket without following merges. Older versions of the API find a ticket by its id only, and a code
        by its summary."""
        if not _IDENTIFIER.fullmatch(identifier):
            return None
        body = await self._reader.look_up("tickets", identifier, absent=UNKNOWN_STATUSES)
        if body is None and "-" in identifier:
            summary = await self._reader.look_up("tickets", "summary", identifier, absent=UNKNOWN_STATUSES)
            ticket_id = parse(records.parse_ticket, summary).id if summary is not None else ""
            body = await self._reader.look_up("tickets", ticket_id, absent=UNKNOWN_STATUSES) if ticket_id else None
        return parse(records.parse_ticket, body) if body is not None else None


def _within_bytes(messages: Sequence[PostedMessage], limit: int) -> tuple[PostedMessage, ...]:
    """Return the latest of the messages whose text has ``limit`` UTF-8 bytes at most; the oldest of them may be cut."""
    kept: list[PostedMessage] = []
    for message in reversed(messages):
        text = message.content.encode("utf-8", "replace")
        is_cut = len(text) > limit
        kept.append(replace(message, content=text[:limit].decode("utf-8", "ignore")) if is_cut else message)
        limit -= len(text)
        if limit <= 0:
            break
    return tuple(reversed(kept))


def _without_author(message: PostedMessage) -> PostedMessage:
    return replace(message, author_id="") if message.source == "EMAIL" else message
