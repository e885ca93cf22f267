"""What the sender newly wrote: quotes, attributions, signatures and footers are told apart and cut, nothing is lost.

    text  ─► lines ──────────────────────────┐
                                             ├─► scan ─► arrange ─► Reply
    html  ─► tree ─► marks ─► Markdown lines ┘

Both roads lead to marked lines, and one reading of them. What was said on the ticket before (``sent``) marks lines as
well; a reply that says ``open`` is worth a second reading beside it. Start at ``scan`` for what is recognised, at
``arrange`` for what is cut, and at ``languages.toml`` and ``clients`` for the tables.
"""

from collections.abc import Sequence
from dataclasses import replace

from ingest.model.message import ParsedMessage, Reply
from ingest.reply.body import bare_text, choose_body
from ingest.reply.recognise import attribution
from ingest.reply.recognise.ticket_text import TicketText
from ingest.reply.select import select_reply, whole

_MANY_WORDS = 20
"""A mail that answers another and is this long may quote it without any mark."""


def extract(message: ParsedMessage, sent: Sequence[str] = (), written: Sequence[str] = ()) -> Reply:
    """The new text of a message, as Markdown where its HTML was read.

    ``sent`` are texts that this sender was sent: their copies in the body are quotes, whatever was done to them.
    ``written`` are texts that they wrote to the ticket before: inside a quote, their copies are no answers.
    Never raises: where reading fails, the body is kept whole and ``how`` says why. Linear in the size of the body.
    """
    try:
        known = TicketText(sent, written)
        reply = _read(message, known, text_only_quotes=True) or _read(message, known, text_only_quotes=False)
        assert reply is not None, "a full reading leaves nothing out"
    except Exception as error:  # a reading that fails must not cost the customer's words
        why = f"whole, {type(error).__name__} while reading it"
        return whole(message.text, "text", why) if message.text else whole(bare_text(message.html or ""), "html", why)
    return reply


def _read(message: ParsedMessage, known: TicketText, *, text_only_quotes: bool) -> Reply | None:
    body = choose_body(message, text_only_quotes=text_only_quotes)
    if not body.lines:
        kept = whole(body.text, body.source, "whole, over the limit")
        return kept if body.text.strip() else replace(kept, method="empty")
    lines = [part for line in body.lines for part in attribution.split_joined_line(line)]
    known.mark(lines)
    reply = select_reply(lines, message.subject, body.source)
    if reply is not None and message.in_reply_to and not reply.elided and len(reply.content.split()) >= _MANY_WORDS:
        return replace(reply, ambiguous=not known)
    return reply
