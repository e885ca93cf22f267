"""Which parts are the body, and which are attachments."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from ingest.model.defects import DefectKind
from ingest.parse import text_forms
from ingest.parse.charsets import decode
from ingest.parse.containers import pgp, rtf, tnef
from ingest.parse.containers.unwrap import is_smime, is_tnef
from ingest.parse.defect_log import DefectLog
from ingest.parse.limits import MAX_BODY_OCTETS
from ingest.parse.mime import format_flowed, uuencode
from ingest.parse.mime.part import Part
from ingest.parse.pieces import Piece, Pieces, as_one_document, compose, says_all, words

_PLAIN_TYPES = frozenset({"text/plain", "text/markdown", "text/x-markdown", "text/enriched", "text/richtext"})
_HTML_TYPES = frozenset({"text/html", "application/xhtml+xml", "text/x-html"})
_DUPLICATES = frozenset({"text/x-amp-html", "text/watch-html"})
"""Further forms of the body for programs that can show them: left out where there is another."""
_SIGNATURE_TYPES = frozenset(
    {"application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"}
)
_MAX_SIGNATURE_OCTETS = 64 * 1024
"""A chain of certificates takes a few thousand; what is larger is a file under a signature's name."""


class Body(NamedTuple):
    """What the sender wrote, and the parts that are not it."""

    text: str | None
    html: str | None
    attachments: tuple[Part, ...]


@dataclass(slots=True)
class _Reading:
    """What is known while the tree is read."""

    defects: DefectLog
    hints: tuple[str, ...]
    attachments: list[Part] = field(default_factory=list)
    octets_left: int = 2 * MAX_BODY_OCTETS
    has_text: bool = False
    unnamed: list[Part] = field(default_factory=list)
    """Text parts marked as attachments, without a name: the body after all, where there is no other."""
    from_tnef: Pieces = field(default_factory=list)


def read(root: Part, hints: tuple[str, ...], defects: DefectLog) -> Body:
    """Read the tree of parts of a message."""
    reading = _Reading(defects, hints)
    pieces = _read(root, reading)
    if reading.from_tnef:
        said = words(Piece(*compose(pieces)))
        pieces += [body for body in reading.from_tnef if not says_all(said, words(body))]
    elif not reading.has_text and reading.unnamed:
        part = reading.unnamed[0]
        reading.attachments.remove(part)
        pieces.append(_read_text(part, reading))
        defects.note(DefectKind.BODY, "the only text is marked as an attachment; read as the body")
    text, markup = compose(pieces)
    if text is not None and markup is not None and text_forms.is_stub(text, markup):
        defects.note(DefectKind.BODY, "the text part only says to look at the HTML part")
        text = None
    return Body(text, markup and as_one_document(markup), tuple(reading.attachments))


def _read(part: Part, reading: _Reading) -> Pieces:
    """The pieces of a part; what is no piece goes to the attachments."""
    if part.main_type == "multipart" or (part.children and part.content_type not in _PLAIN_TYPES):
        return _read_container(part, reading)
    if _is_body(part, reading):
        return _read_leaf(part, reading)
    if part.content_type == "application/pgp-encrypted":
        _note_encrypted("OpenPGP", reading)
    if not _is_empty(part):
        reading.attachments.append(part)
    if part.disposition == "attachment" and not part.filename and part.content_type in _PLAIN_TYPES | _HTML_TYPES:
        reading.unnamed.append(part)
    is_picture = part.main_type == "image" and part.disposition != "attachment"
    return [Piece(picture=part)] if is_picture else []


def _is_empty(part: Part) -> bool:
    """Whether a part is TNEF with nothing but formatting in it."""
    if not is_tnef(part):
        return False
    octets = part.decoded().octets
    return tnef.read(octets) == () and tnef.is_whole(octets)


def _read_container(part: Part, reading: _Reading) -> Pieces:
    if is_tnef(part):
        return _read_tnef(part, reading)
    if not part.children:
        return _read_broken(part, reading)
    before = len(reading.attachments)
    pieces = _CONTAINERS.get(part.content_type, _read_mixed)(part, reading)
    if is_smime(part) and not pieces and len(reading.attachments) == before:
        reading.attachments.append(part)
    return pieces


def _read_mixed(part: Part, reading: _Reading) -> Pieces:
    return [piece for child in part.children for piece in _read(child, reading)]


def _read_alternative(part: Part, reading: _Reading) -> Pieces:
    """The same in several forms: the first text and the last HTML are taken, and whatever says something else."""
    forms = _read_forms(part, reading)
    if not forms:
        reading.attachments += [child for child in part.children if child.content_type in _DUPLICATES]
        return []
    plain = next((form for form in forms if form.html is None), None)
    rich = _best_html([form for form in forms if form.html is not None], plain)
    chosen = Piece(plain.text if plain else rich.text, rich.html)
    others = [form for form in forms if form is not plain and form is not rich]
    said = words(chosen) if others else frozenset[str]()
    further = [form for form in others if not says_all(said, words(form))]
    if plain and any(form.text is None for form in further) and not says_all(words(rich), words(plain)):
        further.insert(0, plain)  # the text form will be given up, and the HTML has to say it all
    return [chosen, *further]


def _read_forms(part: Part, reading: _Reading) -> Pieces:
    """Each form of an alternative as one piece; none has text before it that another form has."""
    had_text = reading.has_text
    branches: list[Pieces] = []
    for child in part.children:
        if child.content_type not in _DUPLICATES:
            reading.has_text = had_text
            branches.append(_read(child, reading))
    forms = [form for form in (Piece(*compose(branch)) for branch in branches) if form.says_something]
    reading.has_text = had_text or bool(forms)
    return forms


def _best_html(forms: Pieces, plain: Piece | None) -> Piece:
    """The last form in HTML; of several the last that says what the text says, for some senders write alternative and
    mean mixed."""
    if plain is None or len(forms) < 2:
        return forms[-1] if forms else Piece()
    wanted = words(plain)
    return next((form for form in reversed(forms) if says_all(words(form), wanted)), forms[-1])


def _read_related(part: Part, reading: _Reading) -> Pieces:
    """A root and what it refers to (RFC 2387). Texts without a name or an identifier are body, wherever they stand."""
    start = part.parameter("start").strip("<> ")
    root = next((child for child in part.children if start and child.content_id == start), part.children[0])
    pieces = _read(root, reading)
    for child in part.children:
        if child is root:
            continue
        if child.main_type == "multipart" or not (child.content_id or child.content_location or child.filename):
            pieces += _read(child, reading)
        else:
            reading.attachments.append(child)
    return pieces


def _read_signed(part: Part, reading: _Reading) -> Pieces:
    """RFC 1847: what was signed, and the signature, which is no file that a person sent."""
    signed = next((child for child in part.children if child.content_type not in _SIGNATURE_TYPES), part.children[0])
    for child in part.children:
        if child is signed:
            continue
        if child.content_type in _SIGNATURE_TYPES and child.end - child.start <= _MAX_SIGNATURE_OCTETS:
            reading.defects.note(DefectKind.SIGNATURE, f"{child.content_type} is left out, and not checked")
        else:
            reading.attachments.append(child)
    return _read(signed, reading)


def _read_encrypted(part: Part, reading: _Reading) -> Pieces:
    kind = "OpenPGP" if "pgp" in part.parameter("protocol").lower() else part.parameter("protocol") or "unknown kind"
    _note_encrypted(kind, reading)
    reading.attachments += part.children
    return []


def _note_encrypted(kind: str, reading: _Reading) -> None:
    reading.defects.note(DefectKind.ENCRYPTED, f"{kind}; only the recipient's key opens it")


def _read_tnef(part: Part, reading: _Reading) -> Pieces:
    """The body in a TNEF container repeats the one beside it; it counts where there is no other, or only a footer."""
    pieces = [_read_text(body, reading) for body in _bodies_in_tnef(part, reading)]
    forms = {("html" if piece.html is not None else "text"): piece for piece in reversed(pieces)}
    joined = Piece(forms["text"].text if "text" in forms else None, forms["html"].html if "html" in forms else None)
    if joined.says_something:
        reading.from_tnef.append(joined)
    return []


def _bodies_in_tnef(part: Part, reading: _Reading) -> list[Part]:
    """The bodies in a container, the best first. Its files are attachments, and so is the body of a mail that is
    attached in it."""
    bodies: list[Part] = []
    if not tnef.is_whole(part.decoded().octets):
        reading.attachments.append(part)
    for child in part.children:
        if is_tnef(child) and child.children:
            reading.attachments += _bodies_in_tnef(child, reading)[:1]
        elif child.disposition == "attachment" and not child.children:
            reading.attachments.append(child)
        elif child.content_type in _PLAIN_TYPES | _HTML_TYPES:
            bodies.append(child)
        else:
            _read(child, reading)
    return bodies


def _read_broken(part: Part, reading: _Reading) -> Pieces:
    """A multipart that could not be taken apart: text, unless a limit kept us from trying."""
    if part.is_cut:
        reading.attachments.append(part)
        return []
    return _read_leaf(part, reading)


_CONTAINERS: dict[str, Callable[[Part, _Reading], Pieces]] = {
    "multipart/alternative": _read_alternative,
    "multipart/related": _read_related,
    "multipart/signed": _read_signed,
    "multipart/encrypted": _read_encrypted,
}
"""Every other multipart is read as mixed (RFC 2046 section 5.1.3)."""


def _is_body(part: Part, reading: _Reading) -> bool:
    """Text is body unless it is sent as a file: marked so, or named while other text came before it."""
    if part.content_type not in _PLAIN_TYPES | _HTML_TYPES:
        return part.number == 0 and part.main_type == "text" and part.content_type != "text/calendar"
    if part.disposition == "attachment":
        return False
    return not part.filename or not reading.has_text


def _read_leaf(part: Part, reading: _Reading) -> Pieces:
    piece = _read_text(part, reading)
    pieces = [piece] if piece.says_something else []
    reading.has_text = reading.has_text or piece.says_something
    for child in part.children:
        pieces += _read(child, reading)
    return pieces


def _read_text(part: Part, reading: _Reading) -> Piece:
    """A text part as a piece; blank ones say nothing."""
    text = _decode(part, reading)
    if part.content_type in _HTML_TYPES or (part.main_type == "multipart" and "<html" in text[:1000].lower()):
        return Piece() if text_forms.is_blank_html(text) else Piece(html=text)
    if part.content_type == "text/rtf" and text.startswith("{\\rtf"):
        return _from_rtf(text)
    if part.content_type in ("text/enriched", "text/richtext"):
        text = text_forms.from_enriched(text)
    elif part.parameter("format").lower() == "flowed":
        text = format_flowed.unflow(text, delete_space=part.parameter("delsp").lower() == "yes")
    if pgp.is_encrypted(text):
        reading.defects.note(DefectKind.ENCRYPTED, "OpenPGP in the text; only the recipient's key opens it")
    signed = pgp.without_armour(text)
    if signed is not None:
        reading.defects.note(DefectKind.BODY, "the text is signed with OpenPGP in line; read without checking")
        text = signed
    return Piece() if text_forms.is_blank(text) else Piece(text=text)


def _from_rtf(markup: str) -> Piece:
    """RTF as the body itself, which old programs send."""
    found = rtf.read(markup.encode("cp1252", "replace"))
    if found.subtype == "html":
        return Piece() if text_forms.is_blank_html(found.text) else Piece(html=found.text)
    return Piece() if text_forms.is_blank(found.text) else Piece(text=found.text)


def _decode(part: Part, reading: _Reading) -> str:
    """The characters of a text part. What is over the limit is cut, and the whole is then an attachment as well."""
    decoded = part.decoded()
    octets = uuencode.split(decoded.text).text if part.children else decoded.text
    if decoded.repair:
        reading.defects.note(DefectKind.ENCODING, decoded.repair)
    limit = min(MAX_BODY_OCTETS, reading.octets_left)
    if len(octets) > limit:
        reading.defects.note(
            DefectKind.CUT, f"a text part has {len(octets)} octets; {limit} were read, all are attached"
        )
        reading.attachments.append(part)
        octets = octets[:limit]
    reading.octets_left -= len(octets)
    inside = text_forms.declared_in_html(octets) if part.content_type in _HTML_TYPES else ""
    found = decode.decode(octets, part.charset or inside, (inside, *reading.hints))
    if found.repair:
        reading.defects.note(DefectKind.CHARSET, f"text {found.repair}")
    return text_forms.normalise_lines(found.text)
