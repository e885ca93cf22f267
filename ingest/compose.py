"""The text of a ticket message: what the sender newly wrote, and the few lines that we have to add to it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.model.defects import DefectKind
from ingest.model.message import Address, Attachment, DeliveryReport, ParsedMessage, Reply

_MARKDOWN_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+!|~-])")
MAX_REPORTED = 10
MAX_MISSING = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """An attachment that the ticket will not have."""

    attachment: Attachment
    reason: str


def content(message: ParsedMessage, reply: Reply, *, names_sender: bool, plain: bool) -> str:
    """What is posted. ``names_sender`` puts the sender in the first line, where the author cannot tell it."""
    if message.delivery_report is not None:
        return _report(message.delivery_report, plain)
    body = reply.content or _nothing_written(message)
    if not names_sender or not message.from_:
        return body
    return f"{_from_line(message.from_[0], plain)}\n\n{body}"


def appendix(missing: Sequence[Missing]) -> str:
    """What could not be brought, by name and size; ``""`` where all was."""
    named = missing[:MAX_MISSING]
    lines = [f"- {_shown(item.attachment.filename)} ({size(item.attachment.size)}): {item.reason}" for item in named]
    rest = [f"- and {len(missing) - len(named)} more"] if len(missing) > len(named) else []
    return "\n".join(["Attachments that could not be added:", "", *lines, *rest]) if lines else ""


def _shown(name: str) -> str:
    return f"`{name.replace('`', chr(0x2019))}`"


def size(octets: int) -> str:
    """A size for people."""
    if octets < 1_000:
        return f"{octets} bytes"
    return f"{octets / 1_000_000:.1f} MB" if octets >= 1_000_000 else f"{octets // 1_000} KB"


def _from_line(sender: Address, plain: bool) -> str:
    name = f"{sender.display_name} " if sender.display_name else ""
    if plain:
        return f"From: {name}<{sender.addr_spec}>"
    return f"**From:** {_escape(name)}{_escape(f'<{sender.addr_spec}>')}"


def _escape(text: str) -> str:
    """``text`` as Markdown that shows just that: a display name must not become a link or an image."""
    return _MARKDOWN_SPECIAL.sub(r"\\\1", text)


def _nothing_written(message: ParsedMessage) -> str:
    """A mail may hold pictures and not a word; a ticket message must hold something."""
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
        f"- {show(f'{item.recipient}: {item.status} {item.diagnostic}'.strip())}" for item in failed[:MAX_REPORTED]
    ]
    return "\n".join(["A mail of this ticket could not be delivered:", "", *lines])
