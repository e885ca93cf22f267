"""Composes the text of a ticket message: what the sender newly wrote, and the lines that we have to add to it.

This is the one place where a text becomes safe to be shown, whatever it came from: ``markdown_safety`` for what a
renderer would take for markup, ``invisible`` for characters that nobody sees and for signs that call people in a chat.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain

from ingest.authentication.author import named_sender
from ingest.compose.invisible import shown_name, without_effect
from ingest.compose.markdown_safety import safe_markdown
from ingest.languages import all_words
from ingest.model.defects import DefectKind
from ingest.model.message import (
    Address,
    Attachment,
    DeliveryReport,
    ParsedMessage,
    Reply,
    ReportedRecipient,
    ReportKind,
    ReportProof,
)
from ingest.model.reasons import CutReason

_MARKDOWN_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+!|~-])")
_SUBJECT_TAG = re.compile(r"\[[^\[\]]{0,60}\]")
"""A tag of a gateway or a ticket in a subject: ``[TAI-42]``, ``[EXTERNAL]``."""
_PREFIX_COUNT = re.compile(r"[\[(^*]?\d{1,3}[\])]?$")
"""How often a mail was answered, as some programs count: ``Re[2]:``, ``Re^3:``."""
_MAX_SUBJECT_CHARACTERS = 1_000
"""Of a subject this many characters are read; it bounds the cost."""
_MAX_PREFIXES = 20
"""So many prefixes are taken off a subject; programs that add one each time seldom come to five."""
MAX_REPORTED_FAILURES = 10
"""Failed recipients that a note on a delivery report lists: a mail of a ticket has few, and a note stays readable."""
MAX_DIAGNOSTIC_CHARACTERS = 300
"""How much of a mail server's answer such a note repeats: a few lines, as servers give."""
MAX_RECIPIENT_CHARACTERS = 320
"""Longest address that a note repeats (RFC 5321 section 4.5.3.1)."""
MAX_NOTICE_CHARACTERS = 2_000
"""How much of a mail is posted that only looks like a report: the words of a mail system, not the mail it returns."""
MAX_NAMED_ATTACHMENTS = 100
"""Attachments that are named as not added; of more, only the number is told, so that the post stays small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingAttachment:
    """An attachment that the ticket will not have."""

    attachment: Attachment
    reason: str
    """Why not, in words for the reader of the ticket."""


def compose_content(
    message: ParsedMessage, reply: Reply, *, names_sender: bool, plain: bool, warning: str = "", ticket_title: str = ""
) -> str:
    """Return the text to post. It is never empty.

    If the body holds nothing new, what the writer changed in the subject stands above it; ``ticket_title`` says what
    the subject was before.

    ``names_sender`` puts the sender above the text, for messages that are posted under the fallback author.
    ``warning`` stands above all, for notes whose sender is not proven. ``plain`` makes the lines that we add plain text
    instead of Markdown.
    """
    report = message.delivery_report
    if report is not None and report.proof is ReportProof.PROVEN:
        return _safe(_report(report, plain), plain)
    body = _body(message, reply, ticket_title, plain=plain)
    body = body if report is None else body[:MAX_NOTICE_CHARACTERS]
    lines = [warning if plain else f"**{_escape(warning)}**"] if warning else []
    sender = named_sender(message) if names_sender else None
    lines += [_from_line(sender, plain)] if sender is not None else []
    return _safe("\n\n".join([*lines, body]), plain)


def _safe(text: str, plain: bool) -> str:
    """Return a text that cannot harm who looks at it. Plain text is shown as it is, so nothing in it is markup.

    Invisible characters go first: without them, the signs on both sides may be markup."""
    text = without_effect(text)
    return text if plain else safe_markdown(text)


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
    return f"`{shown_name(name).replace('`', chr(0x2019))}`"


def human_size(size_bytes: int) -> str:
    """Return a size for people: ``980 bytes``, ``12 KB``, ``3.4 MB`` (decimal units)."""
    if size_bytes < 1_000:
        return f"{size_bytes} bytes"
    return f"{size_bytes / 1_000_000:.1f} MB" if size_bytes >= 1_000_000 else f"{size_bytes // 1_000} KB"


def _from_line(sender: Address, plain: bool) -> str:
    shown, address = shown_name(sender.display_name), shown_name(sender.addr_spec)
    name = f"{shown} " if shown else ""
    if plain:
        return f"From: {name}<{address}>"
    return f"**From:** {_escape(name)}{_escape(f'<{address}>')}"


def _escape(text: str) -> str:
    """Escape ``text`` for Markdown: a display name must not become a link or an image."""
    return _MARKDOWN_SPECIAL.sub(r"\\\1", text)


def has_nothing_new(reply: Reply) -> bool:
    """Return whether a body is empty, or nothing but a quote, so that what was written may stand in the subject."""
    reasons = (segment.reason.reason for segment in reply.segments if segment.reason is not None)
    return not reply.content or CutReason.NOTHING_LEFT in reasons


def _body(message: ParsedMessage, reply: Reply, ticket_title: str, *, plain: bool) -> str:
    changed = _changed_subject(message, ticket_title) if has_nothing_new(reply) else ""
    if not changed:
        return reply.content or _nothing_written(message)
    below = reply.content or _without_text(message)
    return "\n\n".join(filter(None, (changed if plain or not reply.markdown else _escape(changed), below)))


def _changed_subject(message: ParsedMessage, ticket_title: str) -> str:
    """Return what the writer put into the subject; ``""`` if it is the ticket's title or that of the mail answered.

    ``Re: [TAI-42] please cancel`` has all of it, ``Approve: Printer`` above a mail about ``Printer`` only the vote."""
    subject = _untagged(message.subject)
    topics = [value for name, value in message.headers if name == "thread-topic"]
    is_reply, rest = _without_reply_prefixes(subject)
    for known in map(_untagged, (*topics, ticket_title)):
        before = len(rest) - len(known)
        if known and rest.casefold().endswith(known.casefold()):
            return "" if is_reply else rest[:before].rstrip(" :：")
    return rest


def _untagged(subject: str) -> str:
    return " ".join(_SUBJECT_TAG.sub(" ", subject[:_MAX_SUBJECT_CHARACTERS]).split())


def _without_reply_prefixes(subject: str) -> tuple[bool, str]:
    """Return whether a subject begins with ``Re:`` or the like in any language, and the subject without that."""
    is_reply = False
    for _ in range(_MAX_PREFIXES):
        head, colon, rest = subject.replace("：", ":", 1).partition(":")
        if not colon or _PREFIX_COUNT.sub("", head).strip().lower() not in _reply_prefixes():
            break
        is_reply, subject = True, rest.strip()
    return is_reply, subject


@cache
def _reply_prefixes() -> frozenset[str]:
    words = (lambda language: language.reply_prefixes, lambda language: language.forward_prefixes)
    return frozenset(chain.from_iterable(map(all_words, words)))


def _nothing_written(message: ParsedMessage) -> str:
    """Return what is posted for a mail without text, since the API takes no empty message."""
    return _without_text(message) or message.subject or "(an empty mail)"


def _without_text(message: ParsedMessage) -> str:
    """Return what a mail without text has instead; ``""`` if it has nothing."""
    if any(defect.kind is DefectKind.ENCRYPTED for defect in message.defects):
        return "(an encrypted mail; only its recipient's key opens it)"
    count = len(message.attachments)
    return f"({count} attachment{'s' if count > 1 else ''}, no text)" if count else ""


_REPORT_HEADINGS = {
    ReportKind.DELIVERY: "A mail of this ticket could not be delivered:",
    ReportKind.COMPLAINT: "A recipient called a mail of this ticket spam, as a mail system says:",
    ReportKind.RECEIPT: "A mail program says what became of a mail of this ticket:",
}


def _report(report: DeliveryReport, plain: bool) -> str:
    is_delivery = report.kind is ReportKind.DELIVERY
    told = [recipient for recipient in report.recipients if not is_delivery or recipient.action in ("failed", "")]
    show = str if plain else _escape
    lines = [f"- {show(_recipient_line(item, is_delivery))}" for item in told[:MAX_REPORTED_FAILURES]]
    rest = [f"- and {len(told) - MAX_REPORTED_FAILURES} more"] if len(told) > MAX_REPORTED_FAILURES else []
    return "\n".join([_REPORT_HEADINGS[report.kind], "", *(lines or ["- (the report names no recipient)"]), *rest])


def _recipient_line(item: ReportedRecipient, is_delivery: bool) -> str:
    said = f"{item.status} {item.diagnostic[:MAX_DIAGNOSTIC_CHARACTERS]}" if is_delivery else item.action
    return f"{item.recipient[:MAX_RECIPIENT_CHARACTERS]}: {said}".strip()
