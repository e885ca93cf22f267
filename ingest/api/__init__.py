"""The ticket API: the only place that knows HTTP, and the only one that maps it to outcomes.

Read ``client.py`` for what can be asked, ``verdict.py`` for what an answer means, ``gate.py`` for when to be silent.
"""

from ingest.api.attachments import Attachments, Refused, UploadTarget
from ingest.api.client import Owned, TicketApiClient
from ingest.api.records import Draft, PostedMessage, Ticket, User, post_fingerprint
from ingest.api.responses import Unavailable
from ingest.api.ticket_api import TicketApi

__all__ = [
    "Attachments",
    "Draft",
    "Owned",
    "PostedMessage",
    "Refused",
    "Ticket",
    "TicketApi",
    "TicketApiClient",
    "Unavailable",
    "UploadTarget",
    "User",
    "post_fingerprint",
]
