"""What a server's response means (RFC 3501 section 9), read tolerantly.

Servers send more than the grammar allows: response codes nobody registered, atoms with brackets in them, lists that
are never closed. Whatever comes is read as far as it makes sense, and nothing here raises: a response that cannot be
understood has no fields, and whoever needs them sees that they are missing.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from ingest.sources.imap.protocol.wire import Literal, Response

MAX_DEPTH = 32
MAX_PARSED = 1024 * 1024
"""Octets of the lines of a response that are taken apart; only SEARCH has reason to send more, and has no structure."""

Value: TypeAlias = "bytes | Literal | list[Value] | None"
"""An atom or a quoted string, a literal, NIL, or a list in parentheses."""

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
class Status:
    """``OK``, ``NO``, ``BAD``, ``BYE`` or ``PREAUTH``, tagged or not (RFC 3501 section 7.1)."""

    tag: str
    """``*`` where the response is untagged."""
    condition: str
    code: str = ""
    """The response code in upper case, such as ``UIDVALIDITY`` or ``AUTHENTICATIONFAILED``; ``""`` for none."""
    argument: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Data:
    """Untagged data: ``* 3 EXISTS``, ``* SEARCH 1 2``, ``* 4 FETCH (...)``."""

    name: str
    number: int = 0
    values: list[Value] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Continuation:
    """``+``: the server waits for us to go on."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Unknown:
    """A line that is no response at all, or one in which a literal does not end where its count says: then the octets
    of one thing were taken for another, and nothing that follows can be trusted."""

    line: bytes


def read(response: Response) -> Status | Data | Continuation | Unknown:
    """What ``response`` says."""
    head = response[0]
    assert isinstance(head, bytes)  # a response begins with a line
    if head.startswith(b"+"):
        return Continuation(head[1:].strip())
    if status := _STATUS.match(head):
        return _status(status)
    if head[:9].upper() == b"* SEARCH ":
        return Data("SEARCH", 0, list(head[9:].split()))
    return _data(head, response) or Unknown(head)


def _data(head: bytes, response: Response) -> Data | None:
    """Structured data; ``None`` where it is too much, out of step, or none."""
    if sum(len(piece) for piece in response if isinstance(piece, bytes)) > MAX_PARSED:
        return None
    if (numbered := _NUMBERED.match(head)) and _is_in_step(response):
        return Data(_text(numbered[2]).upper(), int(numbered[1]), values(_after(response, numbered.end())))
    if named := _NAMED.match(head):
        return Data(_text(named[1]).upper(), 0, values(_after(response, named.end())))
    return None


def _is_in_step(response: Response) -> bool:
    """Whether what follows the last literal looks like the end of a FETCH response. A count that is wrong would make
    a mail longer or shorter by octets that are not its own, and nobody would notice."""
    last = response[-1]
    return len(response) == 1 or (isinstance(last, bytes) and _END_OF_ITEMS.match(last) is not None)


def fields(data: Data) -> dict[str, Value]:
    """The items of a FETCH response by name in upper case; ``{}`` where there is no list of them."""
    items = next((value for value in data.values if isinstance(value, list)), [])
    pairs = zip(items[::2], items[1::2], strict=False)
    return {_text(name).upper(): value for name, value in pairs if isinstance(name, bytes)}


def numbers(found: Iterable[Value]) -> list[int]:
    """The numbers among ``found``, such as those of a SEARCH response."""
    return [int(value) for value in found if isinstance(value, bytes) and value.isdigit()]


def values(pieces: Iterable[bytes | Literal]) -> list[Value]:
    """The values in ``pieces``. A list that is not closed ends where the response ends; one that nobody opened ends
    nothing; lists deeper than ``MAX_DEPTH`` are read into the one above."""
    top: list[Value] = []
    stack = [top]
    for token in _tokens(pieces):
        if token is _OPEN and len(stack) < MAX_DEPTH:
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


def _status(match: re.Match[bytes]) -> Status:
    tag, condition, code, argument, text = (_text(part or b"") for part in match.groups())
    return Status(tag, condition.upper(), code.upper(), argument, text.strip())


def _after(response: Response, start: int) -> list[bytes | Literal]:
    head = response[0]
    assert isinstance(head, bytes)  # as in read
    return [head[start:], *response[1:]]


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")
