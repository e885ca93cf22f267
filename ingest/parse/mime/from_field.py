"""Reads the From field, strictly where it says who the author is and leniently where it does not matter.

One address decides who the author is and which domain has to prove the mail. So it must be the one that every other
program reads, too: DMARC checkers, mail clients, the relay that wrote Authentication-Results. Names may be broken in
any way; what could be read as a second address, or as another one, makes the field name nobody.

Time is bounded by ``MAX_FROM_CHARACTERS``.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from typing import NamedTuple

from ingest.model.author import AuthorFault
from ingest.model.mail_address import ascii_domain, comparable_address
from ingest.model.message import Address
from ingest.parse.mime import encoded_words

MAX_FROM_CHARACTERS = 8192
"""Length of all From fields together that is read, far above what people send; a longer one names nobody. It bounds the
time for quotes and brackets without an end, each of which is searched to the end of the field."""
MAX_LOCAL_PART_CHARACTERS = 255
"""Length of a local part. RFC 5321 allows 64 octets, and senders of bulk mail write more."""

# A quoted string has at most 500 characters: quotes without an end cost little so. Those of a longer one are letters.
_FOLD = re.compile(r"\r?\n(?=[ \t])")
_PIECE = re.compile(r'"(?:[^"\\]|\\.){0,500}+"|[<>,;:]|[ \t]+|[^"<>,;:() \t]+|["()]', re.DOTALL)
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\-\u0080-\U0010ffff]+")
_QUOTED_LOCAL_PART = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_UNQUOTED = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
)
_LITERAL = re.compile(r"\[[A-Za-z0-9:.]{1,64}\]")
_ENCODED_WORD = re.compile(r"=\?[^?]*\?[bBqQ]\?")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories of characters that are not shown, or that change how others are shown."""


class FromField(NamedTuple):
    """What From says: the one author, or why there is none."""

    author: Address | None
    fault: AuthorFault | None


UNREADABLE = FromField(None, AuthorFault.BROKEN_ADDRESS)
"""What a field says that a fault of ours keeps from being read."""


class _FromTokenKind(Enum):
    TEXT = auto()
    QUOTED = auto()
    SPACE = auto()
    COMMENT = auto()
    SIGN = auto()


class _Piece(NamedTuple):
    kind: _FromTokenKind
    text: str


class _Mailbox(NamedTuple):
    name: str
    address: str


class _Broken(Exception):
    """The field names nobody; the argument is the ``AuthorFault``."""


def parse_from(values: Sequence[str]) -> FromField:
    """Read all From fields of a mail; several that name the same address are one.

    Args:
        values: the values of the fields, folded, with 8-bit text decoded and encoded words still in them.
    """
    try:
        return FromField(_one_author(values), None)
    except _Broken as broken:
        return FromField(None, broken.args[0])


def parse_mailbox(text: str) -> Address | AuthorFault:
    """Read a field or an argument that has to be exactly one mailbox, by the same rules as From."""
    found = parse_from((text,))
    return found.author or found.fault or AuthorFault.NO_ADDRESS


def _one_author(values: Sequence[str]) -> Address:
    if sum(map(len, values)) > MAX_FROM_CHARACTERS:
        raise _Broken(AuthorFault.BROKEN_ADDRESS)
    authors = [author for value in values for author in _authors(value)]
    if not authors:
        raise _Broken(AuthorFault.NO_ADDRESS)
    if len({comparable_address(author.addr_spec) for author in authors}) > 1:
        raise _Broken(AuthorFault.SEVERAL_AUTHORS)
    return authors[0]


def _authors(value: str) -> list[Address]:
    pieces = list(_pieces(encoded_words.normalise_encoded_words(_FOLD.sub(" ", value))))
    return [Address(display_name=_name(box.name), addr_spec=_addr_spec(box.address)) for box in _mailboxes(pieces)]


def _pieces(text: str) -> Iterator[_Piece]:
    """Split the field into words, quoted strings, comments, white space and signs."""
    comment_ends = _comment_ends(text)
    position = 0
    while position < len(text):
        if position in comment_ends:
            end = comment_ends[position]
            yield _Piece(_FromTokenKind.COMMENT, text[position + 1 : end])
            position = end + 1
            continue
        match = _PIECE.match(text, position)
        assert match is not None
        position = match.end()
        yield _Piece(_kind(match[0]), match[0])


def _kind(text: str) -> _FromTokenKind:
    if text[0] == '"' and len(text) > 1:
        return _FromTokenKind.QUOTED
    if text in ("<", ">", ",", ";", ":"):
        return _FromTokenKind.SIGN
    return _FromTokenKind.SPACE if text[0] in " \t" else _FromTokenKind.TEXT


_COMMENT_SIGN = re.compile(r'\\.|"(?:[^"\\]|\\.){0,500}+"|[()]', re.DOTALL)


def _comment_ends(text: str) -> dict[int, int]:
    """Return the position of the closing parenthesis for each one that opens a comment, outermost comments only.
    A parenthesis without its other half is an ordinary character."""
    open_at: list[int] = []
    ends: dict[int, int] = {}
    for sign in _COMMENT_SIGN.finditer(text):
        if sign[0] == "(":
            open_at.append(sign.start())
        elif sign[0] == ")" and open_at:
            ends[open_at.pop()] = sign.start()
    return ends


def _mailboxes(pieces: list[_Piece]) -> list[_Mailbox]:
    found: list[_Mailbox] = []
    name_before = ""
    is_group = _is_group(pieces)
    for item in _items(pieces):
        mailbox = _mailbox(item)
        if mailbox is None:  # the part before an unquoted comma of a name: Archer, Alice <alice@customer.example>
            name_before += f"{_text(item).strip()}, " if _text(item).strip() else ""
            continue
        if is_group:
            raise _Broken(AuthorFault.GROUP)
        found.append(mailbox._replace(name=name_before + mailbox.name))
        name_before = ""
    return found


def _is_group(pieces: list[_Piece]) -> bool:
    """Whether the field is a group: a colon with a semicolon after it, or with nothing in angle brackets. Else a colon
    is part of a name that somebody forgot to quote."""
    signs = "".join(piece.text for piece in pieces if piece.kind is _FromTokenKind.SIGN)
    outside = re.sub(r"<[^<>]*>", "<>", signs)
    _, colon, after = outside.partition(":")
    return bool(colon) and (";" in after or "<" not in after)


def _items(pieces: list[_Piece]) -> Iterator[list[_Piece]]:
    """Split the field at its commas and semicolons. Outlook's users and scripts separate addresses with semicolons."""
    item: list[_Piece] = []
    is_inside = False
    for piece in pieces:
        if piece.kind is _FromTokenKind.SIGN and piece.text in "<>":
            is_inside = piece.text == "<"
        if piece.kind is _FromTokenKind.SIGN and piece.text in ",;" and not is_inside:
            yield item
            item = []
        else:
            item.append(piece)
    yield item


def _mailbox(item: list[_Piece]) -> _Mailbox | None:
    """Read what stands between two commas; ``None`` where no address is in it."""
    texts = [piece.text if piece.kind is _FromTokenKind.SIGN else "" for piece in item]
    if "<" in texts:
        return _angled(item, texts.index("<"))
    if ">" in texts:
        raise _Broken(AuthorFault.BROKEN_ADDRESS)
    return _bare(item)


def _bare(item: list[_Piece]) -> _Mailbox | None:
    """Read an address without brackets. Words before it are taken for a name; behind it they could belong to it."""
    words = [word for word in _words(item) if any(piece.kind is not _FromTokenKind.COMMENT for piece in word)]
    addresses = [at for at, word in enumerate(words) if "@" in _text(word, _FromTokenKind.TEXT)]
    if len(addresses) > 1:
        raise _Broken(AuthorFault.SEVERAL_AUTHORS)
    if not addresses:
        return None
    if addresses[0] + 1 < len(words):
        raise _Broken(AuthorFault.BROKEN_ADDRESS)
    comments = "".join(piece.text for piece in item if piece.kind is _FromTokenKind.COMMENT)
    return _Mailbox(comments, _without_comment(_after_colon(words[-1])))


def _angled(item: list[_Piece], start: int) -> _Mailbox:
    """Read ``name <address>``. Doubled brackets and a closing one that is missing are common, and clear."""
    while start + 1 < len(item) and item[start + 1].text == "<":
        start += 1
    inside = item[start + 1 :]
    end = next(
        (at for at, piece in enumerate(inside) if piece.kind is _FromTokenKind.SIGN and piece.text == ">"), len(inside)
    )
    rest = [piece for piece in inside[end:] if piece.text != ">"]
    if any(
        piece.kind is _FromTokenKind.SIGN or "@" in piece.text
        for piece in rest
        if piece.kind is not _FromTokenKind.COMMENT
    ):
        raise _Broken(AuthorFault.SEVERAL_AUTHORS)
    comments = "".join(piece.text for piece in rest if piece.kind is _FromTokenKind.COMMENT)
    if any(piece.kind is _FromTokenKind.COMMENT for piece in inside[:end]):
        raise _Broken(AuthorFault.COMMENT_IN_ADDRESS)
    return _Mailbox(_text(item[:start]).strip("< ") or comments, _text(inside[:end]).strip())


def _words(item: list[_Piece]) -> Iterator[list[_Piece]]:
    """Split at white space; a comment that touches a word without a space stands inside the word."""
    word: list[_Piece] = []
    for piece in item:
        if piece.kind is _FromTokenKind.SPACE:
            yield word
            word = []
        else:
            word.append(piece)
    yield word


def _after_colon(word: list[_Piece]) -> list[_Piece]:
    colons = [at for at, piece in enumerate(word) if piece.text == ":"]
    return word[colons[-1] + 1 :] if colons else word


def _without_comment(pieces: list[_Piece]) -> str:
    """Return an address; comments may stand at its ends only."""
    while pieces and pieces[0].kind is _FromTokenKind.COMMENT:
        pieces = pieces[1:]
    while pieces and pieces[-1].kind is _FromTokenKind.COMMENT:
        pieces = pieces[:-1]
    if any(piece.kind is _FromTokenKind.COMMENT for piece in pieces):
        raise _Broken(AuthorFault.COMMENT_IN_ADDRESS)
    return _text(pieces)


def _text(pieces: list[_Piece], only: _FromTokenKind | None = None) -> str:
    kept = (piece for piece in pieces if only is None or piece.kind is only)
    return "".join(f"({piece.text})" if piece.kind is _FromTokenKind.COMMENT else piece.text for piece in kept)


def _name(text: str) -> str:
    quoted = text.strip()
    if quoted[:1] == quoted[-1:] == '"' and len(quoted) > 1:
        text = re.sub(r"\\(.)", r"\1", quoted)
    return encoded_words.decode_header_text(text).strip(" \"',")


def _addr_spec(text: str) -> str:
    """Return ``local-part@domain`` with the domain as A-labels, or raise what is wrong with it."""
    if _ENCODED_WORD.search(text):
        raise _Broken(AuthorFault.ENCODED_ADDRESS)
    if any(unicodedata.category(character) in _HIDDEN for character in text):
        raise _Broken(AuthorFault.HIDDEN_CHARACTER)
    text = text.removeprefix("mailto:")
    local, at, domain = text.rpartition("@")
    if not at:
        raise _Broken(AuthorFault.NO_ADDRESS)
    return f"{_local_part(local)}@{_domain(domain)}"


def _local_part(text: str) -> str:
    """Return a local part in its shortest form: quotes that need not be go (RFC 5321 section 4.1.2)."""
    if len(text) <= MAX_LOCAL_PART_CHARACTERS:
        if _LOCAL_PART.fullmatch(text) and not any(character.isspace() for character in text):
            return unicodedata.normalize("NFC", text)
        if _QUOTED_LOCAL_PART.fullmatch(text):
            inner = re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
            return inner if _UNQUOTED.fullmatch(inner) else text
    raise _Broken(AuthorFault.BROKEN_ADDRESS)


def _domain(text: str) -> str:
    if _LITERAL.fullmatch(text):
        return text.lower()
    domain = ascii_domain(text)
    if not _DOMAIN.fullmatch(domain):
        raise _Broken(AuthorFault.NO_DOMAIN)
    return domain
