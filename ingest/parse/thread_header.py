"""Parses, fast, the few header fields that tell which thread a message belongs to.

``receive`` needs them before the message is stored, for every message, so this must be cheap (0.1 ms): only these
fields are decoded, and no more than ``MAX_HEAD_BYTES`` of the message are looked at. ``parse`` reads it all later.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ingest.model.message import ParsedMessage
from ingest.parse.defect_log import DefectLog
from ingest.parse.mime import encoded_words
from ingest.parse.mime.addresses import find_addresses
from ingest.parse.mime.header import HeaderBlock, parse_message_header
from ingest.parse.mime.message_ids import parse_message_ids

MAX_HEAD_BYTES = 64 * 1024
"""How much of a message is searched; far more than the header of an honest mail has. Only ``parse`` sees the rest."""

_DELIVERED = frozenset({"delivered-to", "x-original-to", "envelope-to", "x-delivered-to"})
_WANTED = _DELIVERED | {"message-id", "in-reply-to", "references", "subject", "to", "cc"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadHeader:
    """The fields of a header that place a message in its thread, as ``parse_thread_header`` finds them."""

    fields: ParsedMessage
    """A message that has only its Message-ID, In-Reply-To, References, Subject, To, Cc and Delivered-To fields."""
    is_dated: bool
    """It has a Date field."""
    body_start: int | None
    """Where the body begins; ``None`` if the header goes on beyond what was looked at, or cannot be parsed."""


def parse_thread_header(content: bytes) -> ThreadHeader:
    """Parse the header fields of a message that tell its thread.

    Never raises: a header that cannot be parsed gives a message without any of them.
    """
    try:
        header = parse_message_header(content[:MAX_HEAD_BYTES], DefectLog())
        return ThreadHeader(
            fields=_thread_fields(header),
            is_dated=bool(header.get("date")),
            body_start=header.body_start if header.body_start < MAX_HEAD_BYTES else None,
        )
    except Exception:  # an order of posting that is only approximate must not keep a mail from being stored
        return ThreadHeader(fields=ParsedMessage(message_id=None), is_dated=False, body_start=None)


def _thread_fields(header: HeaderBlock) -> ParsedMessage:
    fields = [(field.name, _text(field.value)) for field in header.fields if field.name in _WANTED]
    own_ids = parse_message_ids(_all(fields, "message-id"))
    delivered = (address.addr_spec for name, text in fields if name in _DELIVERED for address in find_addresses(text))
    return ParsedMessage(
        message_id=own_ids[0] if own_ids else None,
        in_reply_to=parse_message_ids(_all(fields, "in-reply-to")),
        references=parse_message_ids(_all(fields, "references")),
        subject=next((text for name, text in fields if name == "subject"), ""),
        to=find_addresses(_all(fields, "to")),
        cc=find_addresses(_all(fields, "cc")),
        delivered_to=tuple(dict.fromkeys(delivered)),
    )


def _text(value: bytes) -> str:
    return encoded_words.decode_header_text(encoded_words.raw_text(value))


def _all(fields: Sequence[tuple[str, str]], name: str) -> str:
    return " ".join(text for found, text in fields if found == name)
