"""A tolerant parser of server responses (RFC 3501 section 9).

Servers send more than the grammar allows: unregistered response codes, atoms that contain brackets, lists that are
never closed. Everything is parsed as far as possible, and nothing here raises: what could not be parsed is missing from
the result, and the caller handles that.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from ingest.sources.imap.protocol.wire import Literal, Response

MAX_LIST_DEPTH = 32
"""Deeper lists are parsed as part of the list at this depth. FETCH responses of the items we ask for nest two deep; the
limit bounds what a hostile server makes us build."""
MAX_PARSED_BYTES = 1024 * 1024
"""A response whose lines have more octets than this is not parsed. Only SEARCH has reason to be longer; it is handled
separately, because it needs no tokenizer."""

Value: TypeAlias = "bytes | Literal | list[Value] | None"
"""An atom or quoted string (``bytes``), a literal, NIL (``None``), or a parenthesized list."""

_STATUS = re.compile(
    rb"(?P<tag>\S+) (?P<condition>OK|NO|BAD|BYE|PREAUTH)\b ?"
    rb"(?:\[(?P<code>[^\]\s]+)(?: (?P<argument>[^\]]*))?\] ?)?(?P<text>.*)",
    re.IGNORECASE | re.DOTALL,
)
_NUMBERED = re.compile(rb"\* (\d{1,10}) ([A-Za-z]+) ?", re.ASCII)
_NAMED = re.compile(rb"\* ([A-Za-z][A-Za-z0-9-]*) ?", re.ASCII)
_TOKEN = re.compile(
    rb'[\x00-\x20]+|(?P<open>\()|(?P<close>\))|"(?P<quoted>(?:[^"\\]|\\.)*)"?|(?P<atom>(?:[^\x00-\x20()"\[]+|\[[^\]]*\]?)+)',
    re.DOTALL,
)
_END_OF_ITEMS = re.compile(
    rb'(?: +[A-Za-z][^\s()"]* +(?:"[^"]*"|\((?:[^()]|\([^()]*\))*\)|[^\s()"]+))* *\)[ \t]*\Z', re.DOTALL
)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class StatusResponse:
    """A tagged or untagged ``OK``, ``NO``, ``BAD``, ``BYE`` or ``PREAUTH`` (RFC 3501 section 7.1)."""

    tag: str
    """``*`` if the response is untagged."""
    condition: str
    code: str = ""
    """The response code in upper case, such as ``UIDVALIDITY`` or ``AUTHENTICATIONFAILED``; ``""`` if there is none."""
    argument: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class UntaggedData:
    """Untagged data: ``* 3 EXISTS``, ``* SEARCH 1 2``, ``* 4 FETCH (...)``."""

    name: str
    number: int = 0
    values: list[Value] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Continuation:
    """A continuation request (``+``): the server waits for the rest of a command."""

    text: bytes


@dataclass(frozen=True, slots=True)
class UnparsableResponse:
    """A line that is no response, or a response whose literal does not end where its count says. Either way we have
    lost track of the stream, and nothing that follows can be trusted."""

    line: bytes


def parse_response(response: Response) -> StatusResponse | UntaggedData | Continuation | UnparsableResponse:
    """Parse one response. Never raises."""
    head = response[0]
    assert isinstance(head, bytes)  # a response begins with a line
    if head.startswith(b"+"):
        return Continuation(head[1:].strip())
    if status := _STATUS.match(head):
        return _status(status)
    if head[:9].upper() == b"* SEARCH ":
        return UntaggedData("SEARCH", 0, list(head[9:].split()))
    return _data(head, response) or UnparsableResponse(head)


def _data(head: bytes, response: Response) -> UntaggedData | None:
    """Return untagged data, or ``None`` if the response is too long, out of step, or something else."""
    if sum(len(piece) for piece in response if isinstance(piece, bytes)) > MAX_PARSED_BYTES:
        return None
    if (numbered := _NUMBERED.match(head)) and _is_in_step(response):
        return UntaggedData(
            _text(numbered[2]).upper(), int(numbered[1]), parse_values(_after(response, numbered.end()))
        )
    if named := _NAMED.match(head):
        return UntaggedData(_text(named[1]).upper(), 0, parse_values(_after(response, named.end())))
    return None


def _is_in_step(response: Response) -> bool:
    """Return whether the text after the last literal looks like the end of a FETCH response. Without this check a wrong
    octet count would silently make a mail longer or shorter."""
    last = response[-1]
    return len(response) == 1 or (isinstance(last, bytes) and _END_OF_ITEMS.match(last) is not None)


def fetch_items(data: UntaggedData) -> dict[str, Value]:
    """Return the items of a FETCH response by name in upper case, or ``{}`` if there is no list of them."""
    items = next((value for value in data.values if isinstance(value, list)), [])
    pairs = zip(items[::2], items[1::2], strict=False)
    return {_text(name).upper(): value for name, value in pairs if isinstance(name, bytes)}


def numbers(found: Iterable[Value]) -> list[int]:
    """Return the numbers among ``found``, such as those of a SEARCH response."""
    return [int(value) for value in found if isinstance(value, bytes) and value.isdigit()]


def parse_values(pieces: Iterable[bytes | Literal]) -> list[Value]:
    """Parse the values in ``pieces``. A list that is not closed ends with the response, a surplus closing parenthesis
    is ignored, and lists deeper than ``MAX_LIST_DEPTH`` become part of the one above."""
    top: list[Value] = []
    stack = [top]
    for token in _tokens(pieces):
        if token is _OPEN and len(stack) < MAX_LIST_DEPTH:
            inner: list[Value] = []
            stack[-1].append(inner)
            stack.append(inner)
        elif token is _CLOSE and len(stack) > 1:
            stack.pop()
        elif token is not _OPEN and token is not _CLOSE:
            stack[-1].append(token)
    return top


_OPEN, _CLOSE = Literal(None, -1), Literal(None, -2)


def _tokens(pieces: Iterable[bytes | Literal]) -> Iterator[bytes | Literal | None]:
    for piece in pieces:
        if isinstance(piece, Literal):
            yield piece
            continue
        for match in _TOKEN.finditer(piece):
            if match.lastgroup is not None:
                yield _token(match)


def _token(match: re.Match[bytes]) -> bytes | Literal | None:
    kind, found = match.lastgroup, match[0]
    if kind == "open":
        return _OPEN
    if kind == "close":
        return _CLOSE
    if kind == "quoted":
        return _ESCAPED.sub(rb"\1", match["quoted"])
    return None if found.upper() == b"NIL" else found


def _status(match: re.Match[bytes]) -> StatusResponse:
    tag, condition, code, argument, text = (_text(part or b"") for part in match.groups())
    return StatusResponse(tag, condition.upper(), code.upper(), argument, text.strip())


def _after(response: Response, start: int) -> list[bytes | Literal]:
    head = response[0]
    assert isinstance(head, bytes)  # as in parse_response
    return [head[start:], *response[1:]]


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")
