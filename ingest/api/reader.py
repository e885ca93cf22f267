"""Reads from the ticket API: single objects, and lists page by page. What cannot be read raises ``Unavailable``."""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from typing import Any, TypeVar

from ingest.api import records
from ingest.api.http import Request, RetryingTransport
from ingest.api.records import MalformedResponse, PostedMessage
from ingest.api.responses import ResponseClass, Unavailable, deferred
from ingest.log import get
from ingest.model.outcome import Deferred

PAGE_ITEMS = 100
"""Items that we ask for in one page of a list."""
MAX_PAGES = 100
"""Pages of one list. A server that never ends a list must not keep us reading for ever."""
GONE_STATUSES = (404, 410)
UNKNOWN_STATUSES = (400, 404, 410, 422)
"""Statuses that say "there is none" to a look-up by a value out of a mail: also "this is no address", "no id"."""

T = TypeVar("T")

log = get("api")


class ApiReader:
    """Sends GETs, each with a time-out of ``lookup_seconds``."""

    def __init__(self, transport: RetryingTransport, *, lookup_seconds: float) -> None:
        self._transport = transport
        self._lookup_seconds = lookup_seconds
        self._warned: set[str] = set()

    async def items(
        self,
        path: str,
        params: Mapping[str, str],
        absent: Collection[int] = GONE_STATUSES,
        *,
        page_items: int = PAGE_ITEMS,
        max_pages: int = MAX_PAGES,
    ) -> AsyncGenerator[object, None]:
        """Iterate over the items of all pages. Raises ``Unavailable`` rather than leave some out."""
        cursor: str | None = None
        for _page in range(max_pages):
            next_page = {"cursor": cursor} if cursor is not None else {}
            body = await self.look_up(path, params={**params, "limit": str(page_items), **next_page}, absent=absent)
            items, cursor = parse(records.parse_page, body if body is not None else [])
            for item in items:
                yield item
            if cursor is None:
                return
        raise Unavailable(Deferred(reason=f"GET /{path} has no end: more than {max_pages} pages"))

    async def look_up(
        self, *path: str, params: Mapping[str, str] | None = None, absent: Collection[int] = GONE_STATUSES
    ) -> Any:
        """Return the JSON of the response; ``None`` if the API proves, by a status in ``absent``, that there is
        nothing."""
        request = Request(method="GET", path=path, params=params or {}, timeout_seconds=self._lookup_seconds)
        response = await self._transport.send(request)
        if response.response_class is ResponseClass.ACCEPTED and response.body is not None:
            return response.body
        if response.response_class is ResponseClass.REFUSED and response.status in absent:
            return None
        if response.response_class is ResponseClass.FORBIDDEN:
            self.warn_once(f"the API forbids GET /{path[0]}; give the token that right, the mail that needs it waits")
        raise Unavailable(deferred(response), refused=response.is_refusal)

    def warn_once(self, warning: str) -> None:
        """Tell the operator something once, however often it is seen."""
        if warning not in self._warned:
            self._warned.add(warning)
            log.warning(warning)


def parse(read: Callable[[object], T], item: object) -> T:
    """Return the record that ``read`` makes of an item; raise ``Unavailable`` if it is malformed."""
    try:
        return read(item)
    except MalformedResponse as problem:
        raise Unavailable(Deferred(reason=f"the API's answer could not be read: {problem}")) from problem


def creation_time(message: PostedMessage) -> float:
    """Return when the API stored a message, by its clock; 0 if it does not tell."""
    return message.created_at or 0.0
