"""Decides which MIME parts are the body and which are attachments, and decodes the body."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from ingest.model.defects import DefectKind
from ingest.parse import text_forms
from ingest.parse.body_pieces import (
    BodyPiece,
    BodyPieces,
    contains_words,
    join_pieces,
    without_inner_document_ends,
    words_of,
)
from ingest.parse.charsets.decode import decode_text
from ingest.parse.containers import pgp, rtf, tnef
from ingest.parse.containers.unwrap import is_smime, is_tnef
from ingest.parse.defect_log import DefectLog
from ingest.parse.limits import MAX_BODY_BYTES
from ingest.parse.mime import format_flowed, uuencode
from ingest.parse.mime.part import MimePart

_PLAIN_TYPES = frozenset({"text/plain", "text/markdown", "text/x-markdown", "text/enriched", "text/richtext"})
_HTML_TYPES = frozenset({"text/html", "application/xhtml+xml", "text/x-html"})
_DUPLICATES = frozenset({"text/x-amp-html", "text/watch-html"})
"""Further forms of the body for programs that can show them. They are ignored where there is another form."""
_SIGNATURE_TYPES = frozenset(
    {"application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"}
)
_MAX_SIGNATURE_BYTES = 64 * 1024
"""Size above which a signature part counts as an attachment: a chain of certificates takes a few thousand bytes, so
a larger one is a file under a signature's type."""


class MessageBody(NamedTuple):
    """The body as text and as HTML (``None`` for a form that it lacks), and the parts that are attachments."""

    text: str | None
    html: str | None
    attachments: tuple[MimePart, ...]


@dataclass(slots=True)
class _BodyState:
    """What has been found so far while the tree of parts is walked."""

    defects: DefectLog
    hints: tuple[str, ...]
    attachments: list[MimePart] = field(default_factory=list)
    bytes_left: int = 2 * MAX_BODY_BYTES
    """How much more text may be decoded."""
    has_text: bool = False
    """A text part with something in it came before."""
    unnamed: list[MimePart] = field(default_factory=list)
    """Text parts marked as attachments but without a name: the first one is the body if there is no other."""
    from_tnef: BodyPieces = field(default_factory=list)
    """Bodies found in TNEF containers; used where they say more than the body beside them."""


def parse_body(root: MimePart, hints: tuple[str, ...], defects: DefectLog) -> MessageBody:
    """Decode the body of a message and list its attachments.

    Args:
        root: the root of the tree of parts.
        hints: labels of charsets that the message declares, tried for parts that declare none.
        defects: takes what was wrong.
    """
    state = _BodyState(defects, hints)
    pieces = _parse_part(root, state)
    if state.from_tnef:
        said = words_of(BodyPiece(*join_pieces(pieces)))
        pieces += [body for body in state.from_tnef if not contains_words(said, words_of(body))]
    elif not state.has_text and state.unnamed:
        part = state.unnamed[0]
        state.attachments.remove(part)
        pieces.append(_parse_text(part, state))
        defects.note(DefectKind.BODY, "the only text is marked as an attachment; read as the body")
    text, markup = join_pieces(pieces)
    if text is not None and markup is not None and text_forms.is_stub(text, markup):
        defects.note(DefectKind.BODY, "the text part only says to look at the HTML part")
        text = None
    return MessageBody(text, markup and without_inner_document_ends(markup), tuple(state.attachments))


def _parse_part(part: MimePart, state: _BodyState) -> BodyPieces:
    """Return the body pieces of a part and of the parts in it; parts that are no body go to the attachments."""
    if part.main_type == "multipart" or (part.children and part.content_type not in _PLAIN_TYPES):
        return _parse_container(part, state)
    if _is_body(part, state):
        return _parse_leaf(part, state)
    if part.content_type == "application/pgp-encrypted":
        _note_encrypted("OpenPGP", state)
    if not _is_empty(part):
        state.attachments.append(part)
    if part.disposition == "attachment" and not part.filename and part.content_type in _PLAIN_TYPES | _HTML_TYPES:
        state.unnamed.append(part)
    is_picture = part.main_type == "image" and part.disposition != "attachment"
    return [BodyPiece(picture=part)] if is_picture else []


def _is_empty(part: MimePart) -> bool:
    """Whether a part is an undamaged TNEF container that has only formatting in it."""
    if not is_tnef(part):
        return False
    octets = part.decoded().octets
    return tnef.parse_tnef(octets) == () and tnef.is_whole(octets)


def _parse_container(part: MimePart, state: _BodyState) -> BodyPieces:
    if is_tnef(part):
        return _parse_tnef(part, state)
    if not part.children:
        return _parse_broken(part, state)
    before = len(state.attachments)
    pieces = _CONTAINERS.get(part.content_type, _parse_mixed)(part, state)
    if is_smime(part) and not pieces and len(state.attachments) == before:
        state.attachments.append(part)
    return pieces


def _parse_mixed(part: MimePart, state: _BodyState) -> BodyPieces:
    return [piece for child in part.children for piece in _parse_part(child, state)]


def _parse_alternative(part: MimePart, state: _BodyState) -> BodyPieces:
    """Choose from an alternative (RFC 2046 section 5.1.4) the first text and the last HTML.

    Forms that say something else are kept as well, because some senders write alternative and mean mixed."""
    forms = _parse_forms(part, state)
    if not forms:
        state.attachments += [child for child in part.children if child.content_type in _DUPLICATES]
        return []
    plain = next((form for form in forms if form.html is None), None)
    rich = _best_html([form for form in forms if form.html is not None], plain)
    chosen = BodyPiece(plain.text if plain else rich.text, rich.html)
    others = [form for form in forms if form is not plain and form is not rich]
    said = words_of(chosen) if others else frozenset[str]()
    further = [form for form in others if not contains_words(said, words_of(form))]
    if plain and any(form.text is None for form in further) and not contains_words(words_of(rich), words_of(plain)):
        further.insert(0, plain)  # the text form will be given up, and the HTML has to say it all
    return [chosen, *further]


def _parse_forms(part: MimePart, state: _BodyState) -> BodyPieces:
    """Return each form of an alternative as one piece. A form does not count as text before the other forms, so that a
    named text part in one of them is still body."""
    had_text = state.has_text
    branches: list[BodyPieces] = []
    for child in part.children:
        if child.content_type not in _DUPLICATES:
            state.has_text = had_text
            branches.append(_parse_part(child, state))
    forms = [form for form in (BodyPiece(*join_pieces(branch)) for branch in branches) if form.has_words]
    state.has_text = had_text or bool(forms)
    return forms


def _best_html(forms: BodyPieces, plain: BodyPiece | None) -> BodyPiece:
    """Return the last HTML form that says what the text form says, or the last one; an empty piece without HTML."""
    if plain is None or len(forms) < 2:
        return forms[-1] if forms else BodyPiece()
    wanted = words_of(plain)
    return next((form for form in reversed(forms) if contains_words(words_of(form), wanted)), forms[-1])


def _parse_related(part: MimePart, state: _BodyState) -> BodyPieces:
    """Parse the root of a related multipart; the parts that it refers to are attachments (RFC 2387).

    Parts that nothing can refer to (no name, identifier or location) and multiparts are parsed as body."""
    start = part.parameter("start").strip("<> ")
    root = next((child for child in part.children if start and child.content_id == start), part.children[0])
    pieces = _parse_part(root, state)
    for child in part.children:
        if child is root:
            continue
        if child.main_type == "multipart" or not (child.content_id or child.content_location or child.filename):
            pieces += _parse_part(child, state)
        else:
            state.attachments.append(child)
    return pieces


def _parse_signed(part: MimePart, state: _BodyState) -> BodyPieces:
    """Parse what was signed (RFC 1847). The signature itself is left out: it is no file that a person sent."""
    signed = next((child for child in part.children if child.content_type not in _SIGNATURE_TYPES), part.children[0])
    for child in part.children:
        if child is signed:
            continue
        if child.content_type in _SIGNATURE_TYPES and child.end - child.start <= _MAX_SIGNATURE_BYTES:
            state.defects.note(DefectKind.SIGNATURE, f"{child.content_type} is left out, and not checked")
        else:
            state.attachments.append(child)
    return _parse_part(signed, state)


def _parse_encrypted(part: MimePart, state: _BodyState) -> BodyPieces:
    kind = "OpenPGP" if "pgp" in part.parameter("protocol").lower() else part.parameter("protocol") or "unknown kind"
    _note_encrypted(kind, state)
    state.attachments += part.children
    return []


def _note_encrypted(kind: str, state: _BodyState) -> None:
    state.defects.note(DefectKind.ENCRYPTED, f"{kind}; only the recipient's key opens it")


def _parse_tnef(part: MimePart, state: _BodyState) -> BodyPieces:
    """Note the body in a TNEF container. It usually repeats the one beside it, and is used only if it says more."""
    pieces = [_parse_text(body, state) for body in _bodies_in_tnef(part, state)]
    forms = {("html" if piece.html is not None else "text"): piece for piece in reversed(pieces)}
    joined = BodyPiece(forms["text"].text if "text" in forms else None, forms["html"].html if "html" in forms else None)
    if joined.has_words:
        state.from_tnef.append(joined)
    return []


def _bodies_in_tnef(part: MimePart, state: _BodyState) -> list[MimePart]:
    """Return the bodies in a TNEF container, the best first. Its files become attachments, and so does the body of a
    mail that is attached in it."""
    bodies: list[MimePart] = []
    if not tnef.is_whole(part.decoded().octets):
        state.attachments.append(part)
    for child in part.children:
        if is_tnef(child) and child.children:
            state.attachments += _bodies_in_tnef(child, state)[:1]
        elif child.disposition == "attachment" and not child.children:
            state.attachments.append(child)
        elif child.content_type in _PLAIN_TYPES | _HTML_TYPES:
            bodies.append(child)
        else:
            _parse_part(child, state)
    return bodies


def _parse_broken(part: MimePart, state: _BodyState) -> BodyPieces:
    """Parse a multipart that has no parts as text. If a limit kept it from being taken apart, attach it."""
    if part.is_cut:
        state.attachments.append(part)
        return []
    return _parse_leaf(part, state)


_CONTAINERS: dict[str, Callable[[MimePart, _BodyState], BodyPieces]] = {
    "multipart/alternative": _parse_alternative,
    "multipart/related": _parse_related,
    "multipart/signed": _parse_signed,
    "multipart/encrypted": _parse_encrypted,
}
"""Every other multipart is parsed as mixed (RFC 2046 section 5.1.3)."""


def _is_body(part: MimePart, state: _BodyState) -> bool:
    """Whether a part is body: a text that is not marked as an attachment, and has no name if other text came before."""
    if part.content_type not in _PLAIN_TYPES | _HTML_TYPES:
        return part.number == 0 and part.main_type == "text" and part.content_type != "text/calendar"
    if part.disposition == "attachment":
        return False
    return not part.filename or not state.has_text


def _parse_leaf(part: MimePart, state: _BodyState) -> BodyPieces:
    piece = _parse_text(part, state)
    pieces = [piece] if piece.has_words else []
    state.has_text = state.has_text or piece.has_words
    for child in part.children:
        pieces += _parse_part(child, state)
    return pieces


def _parse_text(part: MimePart, state: _BodyState) -> BodyPiece:
    """Decode a text part. A blank one gives an empty piece."""
    text = _decode_part(part, state)
    if part.content_type in _HTML_TYPES or (part.main_type == "multipart" and "<html" in text[:1000].lower()):
        return BodyPiece() if text_forms.is_blank_html(text) else BodyPiece(html=text)
    if part.content_type == "text/rtf" and text.startswith("{\\rtf"):
        return _parse_rtf(text)
    if part.content_type in ("text/enriched", "text/richtext"):
        text = text_forms.from_enriched(text)
    elif part.parameter("format").lower() == "flowed":
        text = format_flowed.unflow(text, delete_space=part.parameter("delsp").lower() == "yes")
    if pgp.is_encrypted(text):
        state.defects.note(DefectKind.ENCRYPTED, "OpenPGP in the text; only the recipient's key opens it")
    signed = pgp.without_armour(text)
    if signed is not None:
        state.defects.note(DefectKind.BODY, "the text is signed with OpenPGP in line; read without checking")
        text = signed
    return BodyPiece() if text_forms.is_blank(text) else BodyPiece(text=text)


def _parse_rtf(markup: str) -> BodyPiece:
    """Decode a body in RTF, which old programs send."""
    found = rtf.decode_rtf(markup.encode("cp1252", "replace"))
    if found.subtype == "html":
        return BodyPiece() if text_forms.is_blank_html(found.text) else BodyPiece(html=found.text)
    return BodyPiece() if text_forms.is_blank(found.text) else BodyPiece(text=found.text)


def _decode_part(part: MimePart, state: _BodyState) -> str:
    """Decode the characters of a text part. A text above the limit is cut, and its part is attached as well."""
    decoded = part.decoded()
    octets = uuencode.extract_files(decoded.text).text if part.children else decoded.text
    if decoded.repair:
        state.defects.note(DefectKind.ENCODING, decoded.repair)
    limit = min(MAX_BODY_BYTES, state.bytes_left)
    if len(octets) > limit:
        state.defects.note(DefectKind.CUT, f"a text part has {len(octets)} octets; {limit} were read, all are attached")
        state.attachments.append(part)
        octets = octets[:limit]
    state.bytes_left -= len(octets)
    inside = text_forms.declared_in_html(octets) if part.content_type in _HTML_TYPES else ""
    found = decode_text(octets, part.charset or inside, (inside, *state.hints))
    if found.repair:
        state.defects.note(DefectKind.CHARSET, f"text {found.repair}")
    return text_forms.normalise_lines(found.text)
