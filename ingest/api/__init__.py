"""The ticket API: the only package that knows HTTP, and the only one that maps it to outcomes.

``client.py`` has what can be asked, ``reader.py`` pages, ``post_search.py`` the look for a POST in doubt,
``responses.py`` what a response means, ``circuit_breaker.py`` when nothing is sent.
"""

from ingest.api.attachments import AttachmentApi, AttachmentRefused, UploadTarget
from ingest.api.client import TicketApiClient
from ingest.api.recognition import Claims, Rival
from ingest.api.records import Draft, PostedMessage, PostFingerprint, Ticket, User
from ingest.api.responses import Unavailable
from ingest.api.ticket_api import TicketApi

__all__ = [
    "AttachmentApi",
    "AttachmentRefused",
    "Claims",
    "Draft",
    "PostFingerprint",
    "PostedMessage",
    "Rival",
    "Ticket",
    "TicketApi",
    "TicketApiClient",
    "Unavailable",
    "UploadTarget",
    "User",
]
