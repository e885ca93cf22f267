"""The ticket API: the only place that knows HTTP, and the only one that maps it to outcomes.

Read ``client.py`` for what can be asked, ``verdict.py`` for what an answer means, ``gate.py`` for when to be silent.
"""

from ingest.api.client import Owned, TicketApi, Unavailable
from ingest.api.records import Draft, PostedMessage, Ticket, User

__all__ = ["Draft", "Owned", "PostedMessage", "Ticket", "TicketApi", "Unavailable", "User"]
