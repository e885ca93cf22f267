"""Finds what the sender of a mail newly wrote. Quotes, attributions, signatures and footers are recognised and cut;
nothing is lost: what was cut is returned as well.

>>> from ingest.model.message import ParsedMessage
>>> message = ParsedMessage(
...     message_id=None,
...     text="It works, thank you.\\n\\nOn Mon, 5 Jan 2026 at 10:14, Sam <s@desk.example> wrote:\\n> Does it work?\\n",
... )
>>> reply = extract(message)
>>> reply.content
'It works, thank you.'
>>> reply.method
'text: attribution (English), quote marks'
>>> [str(segment.kind) for segment in reply.segments]
['new', 'attribution', 'quote']

A copy of what the ticket sent is recognised even where nothing marks it as a quote:

>>> sent = "Please restart the printer, wait ten minutes, and tell us whether the lamp is green."
>>> message = ParsedMessage(message_id=None, text=f"It is red.\\n\\n{sent}\\n")
>>> extract(message, sent=[sent]).content
'It is red.'

A message is made from the bytes of a mail by ``ingest.parse.parse``. The steps, each in the module of its name:

    text  ─► lines ────────────────────────────────────┐
                                                       ├─► classify ─► select ─► Reply
    html  ─► html.client_markup ─► html.page (Markdown) ┘

Both ways lead to lines, which are read in one way. Texts of the ticket (``sent``, ``written``) mark lines as well; if a
reply is ``ambiguous``, a second reading with these texts can improve it. ``recognise`` has what attributions, headers,
signatures and footers look like, ``html.client_markup`` the markup of each mail program.
"""

from collections.abc import Sequence
from dataclasses import replace

from ingest.model.message import ParsedMessage, Reply
from ingest.model.reasons import CutReason, Recognised
from ingest.reply.body import HTML, TEXT, bare_text, choose_body
from ingest.reply.recognise import attribution
from ingest.reply.recognise.ticket_text import TicketText
from ingest.reply.select import keep_whole, select_reply

__all__ = ["extract"]

_MIN_WORDS_OF_UNMARKED_QUOTE = 20
"""A mail that answers another and has this many words may quote it without any mark; a shorter one hardly has room for
a quote and an answer."""


def extract(message: ParsedMessage, sent: Sequence[str] = (), written: Sequence[str] = ()) -> Reply:
    """Return what the sender of ``message`` newly wrote, as Markdown if its HTML was read.

    ``sent`` are texts that this sender was sent: copies of them in the body are quotes, however they were wrapped or
    marked up. ``written`` are texts that the sender wrote to the ticket before: inside a quote, copies of them are no
    answers. Both are texts as the API has them, Markdown or HTML.

    Never raises: if reading fails, the whole body is kept and ``method`` says why. The content is never empty unless
    the body is. Time is linear in the size of the body and of the texts.
    """
    try:
        known = TicketText(sent, written)
        reply = _extract_once(message, known, text_only_quotes=True) or _extract_once(
            message, known, text_only_quotes=False
        )
        assert reply is not None, "a reading with full markup has no text-only lines"
    except Exception as error:  # a reading that fails must not cost the customer's words
        reason = Recognised(CutReason.READING_FAILED, type(error).__name__)
        text = message.text
        return keep_whole(text, TEXT, reason) if text else keep_whole(bare_text(message.html or ""), HTML, reason)
    return reply


def _extract_once(message: ParsedMessage, known: TicketText, *, text_only_quotes: bool) -> Reply | None:
    """Extract the reply in one pass over the body; ``None`` if a line that is kept was read as bare text only."""
    body = choose_body(message, text_only_quotes=text_only_quotes)
    if not body.lines:
        kept = keep_whole(body.text, body.origin, Recognised(CutReason.OVER_LIMIT))
        return kept if body.text.strip() else replace(kept, method="empty")
    lines = attribution.split_joined_lines(body.lines)
    known.mark(lines)
    reply = select_reply(lines, message.subject, body.origin, beside_ticket=bool(known))
    if reply is not None and message.in_reply_to and not reply.elided:
        may_quote = len(reply.content.split()) >= _MIN_WORDS_OF_UNMARKED_QUOTE
        return replace(reply, ambiguous=not known) if may_quote else reply
    return reply
