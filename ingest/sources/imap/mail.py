"""A message of a mailbox as the rest of the worker takes it in."""

import re
from collections.abc import Iterable
from email.utils import parseaddr, parsedate_to_datetime

from ingest.config.imap_accounts import ImapAccount
from ingest.model.envelope import Envelope, ReceivedMessage, SourceRef
from ingest.sources.imap.protocol.uids import position

HEADERS_SEARCHED = 64 * 1024

_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")
_RETURN_PATH = re.compile(rb"^return-path:[ \t]*<?([^<>\s]*)>?", re.IGNORECASE | re.MULTILINE)
_FROM = re.compile(rb"^from:([^\r\n]{0,998})", re.IGNORECASE | re.MULTILINE)


def received(
    account: ImapAccount, folder: str, uid_validity: int, uid: int, content: bytes, *, now: float, incomplete: str = ""
) -> ReceivedMessage:
    """The message at a place of a folder."""
    return ReceivedMessage(
        envelope=Envelope(mail_from=reverse_path(content), rcpt_tos=account.addresses),
        content=content,
        source_ref=SourceRef(source=account.source(folder), position=position(uid_validity, uid)),
        received_at=now,
        incomplete=incomplete,
    )


def reverse_path(content: bytes) -> str:
    """The envelope's sender as the final delivery noted it in Return-Path (RFC 5321 section 4.4). Where a server
    notes none, the author stands in for it: an empty path would say that the mail is a report."""
    start = content[:HEADERS_SEARCHED]
    end = _END_OF_HEADERS.search(start)
    headers = start[: end.start()] if end else start
    if noted := _RETURN_PATH.search(headers):
        return noted[1].decode("utf-8", "replace")
    author = _FROM.search(headers)
    return parseaddr(author[1].decode("utf-8", "replace"))[1] if author else ""


def date_of(internal_date: bytes) -> float | None:
    """INTERNALDATE as a Unix time; ``None`` where it cannot be read."""
    try:
        return parsedate_to_datetime(internal_date.decode("ascii")).timestamp()
    except (ValueError, OverflowError):
        return None


def what_is_known(place: str, size: int | None, headers: bytes | None) -> bytes:
    """Octets to keep of a message that cannot be read: its headers, or at least where it is."""
    if headers:
        return headers.rstrip(b"\r\n") + b"\r\n\r\n"
    known: Iterable[str] = ("Subject: A mail that its server does not deliver", f"X-Ingest-Place: {place}")
    octets = "" if size is None else f"X-Ingest-Size: {size}\r\n"
    return ("\r\n".join(known) + f"\r\n{octets}\r\n").encode("utf-8")
