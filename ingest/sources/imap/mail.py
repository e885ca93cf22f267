"""Turns a fetched message into the ``ReceivedMessage`` that the rest of the worker takes."""

import re
from collections.abc import Iterable
from email.utils import parseaddr, parsedate_to_datetime

from ingest.config.imap_accounts import ImapAccount
from ingest.model.envelope import Envelope, ReceivedMessage, SourceRef
from ingest.sources.imap.protocol.uids import position

MAX_SEARCHED_BYTES = 64 * 1024
"""Return-Path and From are searched for in this many bytes. Final delivery puts Return-Path at the top, and header
sections of real mail are smaller."""

_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")
_RETURN_PATH = re.compile(rb"^return-path:[ \t]*<?([^<>\s]*)>?", re.IGNORECASE | re.MULTILINE)
_FROM = re.compile(rb"^from:([^\r\n]{0,998})", re.IGNORECASE | re.MULTILINE)

MAX_PLACEHOLDER_BYTES = 64 * 1024
"""Exchange's notices have one or two kilobytes."""
_EXCHANGE = re.compile(rb'^from:[ \t]*"?Microsoft Exchange Server\b', re.IGNORECASE | re.MULTILINE)
_RETRIEVAL_FAILED = re.compile(rb"^subject:\s*Retrieval using the \S+ protocol failed", re.IGNORECASE | re.MULTILINE)
_DELIVERED = re.compile(rb"^(?:received|message-id):", re.IGNORECASE | re.MULTILINE)


def is_exchange_placeholder(content: bytes) -> bool:
    """Return whether ``content`` is the notice that Exchange sends under the UID of a mail that it cannot give by IMAP.
    It is known by its subject or, in other languages, by having neither Received nor Message-ID, as no mail has."""
    if len(content) > MAX_PLACEHOLDER_BYTES:
        return False
    end = _END_OF_HEADERS.search(content)
    headers = content[: end.start()] if end else content
    if not _EXCHANGE.search(headers):
        return False
    return _RETRIEVAL_FAILED.search(headers) is not None or _DELIVERED.search(headers) is None


def received_message(
    account: ImapAccount, folder: str, uid_validity: int, uid: int, content: bytes, *, now: float, incomplete: str = ""
) -> ReceivedMessage:
    """Return the message with this UID of ``folder``. ``incomplete`` says why ``content`` is not the whole mail."""
    return ReceivedMessage(
        envelope=Envelope(mail_from=reverse_path(content), rcpt_tos=account.addresses),
        content=content,
        source_ref=SourceRef(source=account.source(folder), position=position(uid_validity, uid)),
        received_at=now,
        incomplete=incomplete,
    )


def reverse_path(content: bytes) -> str:
    """Return the envelope sender that final delivery recorded in Return-Path (RFC 5321 section 4.4). If there is
    none, return the From address instead: an empty sender would mark the mail as a delivery report."""
    start = content[:MAX_SEARCHED_BYTES]
    end = _END_OF_HEADERS.search(start)
    headers = start[: end.start()] if end else start
    if found := _RETURN_PATH.search(headers):
        return found[1].decode("utf-8", "replace")
    author = _FROM.search(headers)
    return parseaddr(author[1].decode("utf-8", "replace"))[1] if author else ""


def parse_internal_date(internal_date: bytes) -> float | None:
    """Return an INTERNALDATE as a Unix time, or ``None`` if it cannot be parsed."""
    try:
        return parsedate_to_datetime(internal_date.decode("ascii")).timestamp()
    except (ValueError, OverflowError):
        return None


def placeholder_content(location: str, size: int | None, headers: bytes | None) -> bytes:
    """Return what to store instead of a message that cannot be fetched: its headers if we have them, else a header
    section that names its location and size."""
    if headers:
        return headers.rstrip(b"\r\n") + b"\r\n\r\n"
    fields: Iterable[str] = ("Subject: A mail that its server does not deliver", f"X-Ingest-Place: {location}")
    size_field = "" if size is None else f"X-Ingest-Size: {size}\r\n"
    return ("\r\n".join(fields) + f"\r\n{size_field}\r\n").encode("utf-8")
