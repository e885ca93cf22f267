"""What the sender newly wrote: quotes, attributions, signatures and footers are told apart and cut, nothing is lost.

    text  ─► lines ──────────────────────────┐
                                             ├─► scan ─► arrange ─► Reply
    html  ─► tree ─► marks ─► Markdown lines ┘

Both roads lead to marked lines, and one reading of them. Start at ``scan`` for what is recognised, at ``arrange`` for
what is cut, and at ``languages.toml`` and ``clients`` for the tables.
"""

from collections.abc import Sequence

from ingest.message import ParsedMessage, Reply
from ingest.reply import attribution
from ingest.reply.arrange import arrange, whole
from ingest.reply.sent import mark_copies
from ingest.reply.source import bare, choose


def extract(message: ParsedMessage, sent: Sequence[str] = ()) -> Reply:
    """The new text of a message, as Markdown where its HTML was read.

    ``sent`` are texts that this sender was sent: their copies in the body are quotes, whatever was done to them.
    Never raises: where reading fails, the body is kept whole and ``how`` says why. Linear in the size of the body.
    """
    try:
        reply = _read(message, sent, briefly=True) or _read(message, sent, briefly=False)
        assert reply is not None, "a full reading leaves nothing out"
    except Exception as error:  # a reading that fails must not cost the customer's words
        body = message.text or bare(message.html or "")
        return whole(body, f"whole: {type(error).__name__} while reading it")
    return reply


def _read(message: ParsedMessage, sent: Sequence[str], *, briefly: bool) -> Reply | None:
    body = choose(message, briefly=briefly)
    if not body.lines:
        over = bool(body.text.strip())
        return whole(body.text, f"{body.source}: whole, over the limit" if over else "empty")
    lines = [part for line in body.lines for part in attribution.part(line)]
    mark_copies(lines, sent)
    return arrange(lines, message.subject, body.source)
