"""Finds out who the sender of a mail is to its ticket: staff, on the ticket, another user of the API, or unknown.

It says whose address stands in From. Whether that person wrote the mail is the question of its authentication.
"""

from collections.abc import Collection, Sequence

from ingest import policy
from ingest.api import PostedMessage, Ticket, TicketApi, Unavailable, User
from ingest.model.mail_address import comparable_address, comparable_domain
from ingest.model.trust import AuthenticationResult, EvidenceLevel, Who
from ingest.policy import DecisionTable

STAFF_SOURCE = "WEB"
"""Source of ticket messages that are written in the help desk itself; customers write by mail, portal or chat."""


class SenderLookup:
    """Finds out who a sender is.

    Args:
        staff_domains: mail domains of the help desk's own people, as ``comparable_domain`` gives them.
        table: the decision table, which tells where the answer cannot change anything.
    """

    def __init__(self, ticket_api: TicketApi, *, staff_domains: Collection[str], table: DecisionTable) -> None:
        self._ticket_api = ticket_api
        self._staff_domains = frozenset(staff_domains)
        self._table = table

    async def who(
        self,
        address: str,
        user: User | None,
        ticket_names: Collection[str],
        *,
        authentication: AuthenticationResult,
        level: EvidenceLevel,
    ) -> Who:
        """Return who ``address`` is to the ticket. ``user`` is the API's user with that address. ``ticket_names`` are
        the ids and codes under which the ticket was looked up, those of tickets that were merged into it as well; none
        where the mail names no ticket.

        The ticket's messages are listed only where what they tell could change the treatment of the mail; else somebody
        who could be more than one of them is told as the least of them.

        Raises:
            Unavailable: the API cannot answer now.
        """
        if comparable_domain(address) in self._staff_domains or (user is not None and user.is_bot):
            return Who.STAFF
        if user is None:
            return Who.UNKNOWN
        tickets = await self._tickets(ticket_names)
        if any(user.id == ticket.assignee_id for ticket in tickets):
            return Who.STAFF
        if any(user.id == ticket.requester_id for ticket in tickets):
            return Who.ON_TICKET
        return await self._by_messages(user, tickets, authentication, level) if tickets else Who.API_USER

    async def _tickets(self, names: Collection[str]) -> list[Ticket]:
        """Return the ticket as each of its names finds it: a former id or code brings the people of a ticket that was
        merged into it. The first name is its id of today; its code of today says nothing more."""
        tickets: list[Ticket] = []
        for name in dict.fromkeys(names):
            if not any(name == ticket.code for ticket in tickets):
                found = await self._ticket_api.find_ticket(name)
                tickets += [found] if found is not None else []
        return tickets

    async def _by_messages(
        self, user: User, tickets: Sequence[Ticket], authentication: AuthenticationResult, level: EvidenceLevel
    ) -> Who:
        is_named = any(user.id in ticket.participant_ids for ticket in tickets)
        least = Who.ON_TICKET if is_named else Who.API_USER
        possible = {Who.STAFF, Who.ON_TICKET, least}
        if policy.is_same_whoever(possible, authentication=authentication, level=level, table=self._table):
            return least
        ids = dict.fromkeys(ticket_id for ticket in tickets for ticket_id in (ticket.id, *ticket.former_ids))
        found = [_role(message) for ticket_id in ids for message in await self._messages_of(user, ticket_id)]
        return Who.STAFF if Who.STAFF in found else Who.ON_TICKET if Who.ON_TICKET in found else least

    async def _messages_of(self, user: User, ticket_id: str) -> list[PostedMessage]:
        """Return the messages that a user wrote on a ticket; none where the token may not list them."""
        address = comparable_address(user.email)
        try:
            return [
                message
                async for message in self._ticket_api.list_messages(ticket_id)
                if message.author_id == user.id or comparable_address(message.author_email) == address
            ]
        except Unavailable as error:
            if not error.refused:
                raise
            return []


def _role(message: PostedMessage) -> Who | None:
    """Return what having written a message makes of its author; ``None``: nothing.

    A private note that came by mail makes nobody a participant: it is how mail of strangers is taken in."""
    if message.source == STAFF_SOURCE:
        return Who.STAFF
    return None if message.private or message.deleted else Who.ON_TICKET
