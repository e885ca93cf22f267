"""Email ingest: a reply to a help desk's notification becomes one ticket message.

Mail comes in by SMTP or LMTP, from IMAP mailboxes, or from files (replay). It is safe on disk before it is
acknowledged. The ticket is found from Message-ID, In-Reply-To and References, and from signed addresses; what
the sender newly wrote is posted to ``POST /api/ticket-messages`` once, under the right author, with retry.

Start reading at ``pipeline.py``: it tells the story of one message.
"""

__version__ = "0.1.0"
