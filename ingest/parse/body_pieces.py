"""Pieces of the body, and how they are joined to its text form and its HTML form.

Each form is complete in itself: HTML is made for a piece that exists as text only; if a piece exists as HTML only, the
body has no text form. So nothing that the sender wrote is missing, whichever form is used later.
"""

import re
from html import escape
from typing import NamedTuple
from urllib.parse import quote

from ingest.parse import text_forms
from ingest.parse.mime import filename
from ingest.parse.mime.part import MimePart

_DOCUMENT_END = re.compile(r"</(?:body|html)\s*>", re.IGNORECASE)
_ONE_WORD_IN_MAY_DIFFER = 10
"""One word in so many may be missing from a text that counts as saying the same: converters change a few words."""
_WORD = re.compile(r"\w+|[\u2190-\U0010ffff]")
"""A word of letters and digits, or one symbol or emoji."""


class BodyPiece(NamedTuple):
    """A piece of the body: a text in one form or both, or a picture between texts."""

    text: str | None = None
    html: str | None = None
    picture: MimePart | None = None

    @property
    def has_words(self) -> bool:
        """Whether the piece is a text, not a picture and not empty."""
        return self.text is not None or self.html is not None


BodyPieces = list[BodyPiece]


def join_pieces(pieces: BodyPieces) -> tuple[str | None, str | None]:
    """Join pieces to a text and an HTML document; ``None`` for a form that they cannot have."""
    pieces = _without_outer_pictures(pieces)
    has_html = any(piece.html is not None for piece in pieces)
    has_text = pieces and all(piece.text is not None or piece.picture is not None for piece in pieces)
    return (_join_as_text(pieces) if has_text else None), (_join_as_html(pieces) if has_html else None)


def _without_outer_pictures(pieces: BodyPieces) -> BodyPieces:
    """Drop the pictures before the first and after the last text: there they are attachments like any other."""
    spoken = [index for index, piece in enumerate(pieces) if piece.has_words]
    return pieces[spoken[0] : spoken[-1] + 1] if spoken else []


def _join_as_text(pieces: BodyPieces) -> str:
    lines: list[str] = []
    for piece in pieces:
        text = f"[{_shown_name(piece.picture)}]" if piece.picture is not None else piece.text or ""
        lines.append(text if text.endswith("\n") or piece is pieces[-1] else text + "\n")
    return "".join(lines)


def _shown_name(picture: MimePart) -> str:
    return filename.safe_filename(picture.filename, picture.content_type, picture.number)


def _join_as_html(pieces: BodyPieces) -> str:
    return "\n".join(_piece_html(piece) for piece in pieces)


def without_inner_document_ends(markup: str) -> str:
    """Remove ``</body>`` and ``</html>`` from the middle of HTML.

    Readers of HTML stop there, and what follows would be lost: a further part, or a footer that a server added."""
    end = markup.lower().find("</html")
    goes_on = end >= 0 and markup[end:].partition(">")[2].strip()
    return _DOCUMENT_END.sub("", markup) if goes_on else markup


def _piece_html(piece: BodyPiece) -> str:
    if piece.html is not None:
        return piece.html
    if piece.picture is not None:
        source = quote(piece.picture.html_reference, safe="@.$+-_")
        return f'<div><img src="cid:{source}" alt="{escape(_shown_name(piece.picture))}"></div>\n'
    return text_forms.to_html(piece.text or "")


def words_of(piece: BodyPiece) -> frozenset[str]:
    """Return the words of a piece in lower case, those of both forms."""
    shown = f"{piece.text or ''} {text_forms.visible_text(piece.html or '')}"
    return frozenset(_WORD.findall(shown.lower()))


def contains_words(said: frozenset[str], wanted: frozenset[str]) -> bool:
    """Whether at least nine tenths of the ``wanted`` words are among ``said``."""
    return len(wanted & said) * _ONE_WORD_IN_MAY_DIFFER >= len(wanted) * (_ONE_WORD_IN_MAY_DIFFER - 1)
