"""Composes the text of a ticket message: what the sender newly wrote, and the lines that we have to add to it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.model.defects import DefectKind
from ingest.model.message import Address, Attachment, DeliveryReport, ParsedMessage, Reply

_MARKDOWN_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+!|~-])")
MAX_REPORTED_FAILURES = 10
"""Failed recipients that a note on a delivery report lists: a mail of a ticket has few, and a note stays readable."""
MAX_NAMED_ATTACHMENTS = 100
"""Attachments that are named as not added; of more, only the number is told, so that the post stays small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingAttachment:
    """An attachment that the ticket will not have."""

    attachment: Attachment
    reason: str
    """Why not, in words for the reader of the ticket."""


def compose_content(message: ParsedMessage, reply: Reply, *, names_sender: bool, plain: bool, warning: str = "") -> str:
    """Return the text to post. It is never empty.

    ``names_sender`` puts the sender above the text, for messages that are posted under the fallback author.
    ``warning`` stands above all, for notes whose sender is not proven. ``plain`` makes the lines that we add plain text
    instead of Markdown.
    """
    if message.delivery_report is not None:
        return _report(message.delivery_report, plain)
    body = reply.content or _nothing_written(message)
    lines = [warning if plain else f"**{_escape(warning)}**"] if warning else []
    lines += [_from_line(message.from_[0], plain)] if names_sender and message.from_ else []
    return "\n\n".join([*lines, body])


def compose_appendix(missing: Sequence[MissingAttachment], unread_parts: int = 0) -> str:
    """Return the lines that name the attachments which could not be added; ``""`` where all were.

    ``unread_parts`` is the number of parts of the mail beyond the limit, of which no name is known."""
    named = missing[:MAX_NAMED_ATTACHMENTS]
    lines = [
        f"- {_as_code(item.attachment.filename)} ({human_size(item.attachment.size)}): {item.reason}" for item in named
    ]
    rest = [f"- and {len(missing) - len(named)} more"] if len(missing) > len(named) else []
    if unread_parts:
        rest.append(
            f"- and {unread_parts:,} more {'parts that were' if unread_parts > 1 else 'part that was'} not read"
        )
    return "\n".join(["Attachments that could not be added:", "", *lines, *rest]) if lines or rest else ""


def _as_code(name: str) -> str:
    return f"`{name.replace('`', chr(0x2019))}`"


def human_size(size_bytes: int) -> str:
    """Return a size for people: ``980 bytes``, ``12 KB``, ``3.4 MB`` (decimal units)."""
    if size_bytes < 1_000:
        return f"{size_bytes} bytes"
    return f"{size_bytes / 1_000_000:.1f} MB" if size_bytes >= 1_000_000 else f"{size_bytes // 1_000} KB"


def _from_line(sender: Address, plain: bool) -> str:
    name = f"{sender.display_name} " if sender.display_name else ""
    if plain:
        return f"From: {name}<{sender.addr_spec}>"
    return f"**From:** {_escape(name)}{_escape(f'<{sender.addr_spec}>')}"


def _escape(text: str) -> str:
    """Escape ``text`` for Markdown: a display name must not become a link or an image."""
    return _MARKDOWN_SPECIAL.sub(r"\\\1", text)


def _nothing_written(message: ParsedMessage) -> str:
    """Return what is posted for a mail without text, since the API takes no empty message."""
    if any(defect.kind is DefectKind.ENCRYPTED for defect in message.defects):
        return "(an encrypted mail; only its recipient's key opens it)"
    count = len(message.attachments)
    if count:
        return f"({count} attachment{'s' if count > 1 else ''}, no text)"
    return message.subject or "(an empty mail)"


def _report(report: DeliveryReport, plain: bool) -> str:
    failed = [recipient for recipient in report.recipients if recipient.action in ("failed", "")]
    show = str if plain else _escape
    lines = [
        f"- {show(f'{item.recipient}: {item.status} {item.diagnostic}'.strip())}"
        for item in failed[:MAX_REPORTED_FAILURES]
    ]
    return "\n".join(["A mail of this ticket could not be delivered:", "", *lines])
