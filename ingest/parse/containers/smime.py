"""S/MIME (RFC 8551): what is inside an opaque ``application/pkcs7-mime`` part.

Signed data holds the mail in clear, wrapped in DER or BER; it is taken out, and the signature is not checked. Enveloped
data is encrypted. The reader knows just as much ASN.1 as that takes.
"""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from ingest.parse.limits import MAX_EXPANDED_OCTETS

_SIGNED = bytes.fromhex("2a864886f70d010702")
_ENVELOPED = bytes.fromhex("2a864886f70d010703")
_COMPRESSED = bytes.fromhex("2a864886f70d0109100109")
_AUTH_ENVELOPED = bytes.fromhex("2a864886f70d0109100117")
_KINDS = {_SIGNED: "signed", _ENVELOPED: "encrypted", _AUTH_ENVELOPED: "encrypted", _COMPRESSED: "compressed"}
_OBJECT_IDENTIFIER, _OCTET_STRING = 0x06, 0x04
_CONSTRUCTED, _INDEFINITE = 0x20, 0x80
_EXPLICIT_0 = 0xA0
_MAX_DEPTH = 12
_MAX_CHUNKS = 100_000


class Opened(NamedTuple):
    """What a container is, and the MIME entity in it (``b""`` where it cannot be read)."""

    kind: str
    """``signed``, ``encrypted``, ``compressed``, or ``""`` where the octets are no such container."""
    entity: bytes = b""


class _Node(NamedTuple):
    tag: int
    start: int
    end: int
    next: int


def open_container(octets: bytes) -> Opened:
    """Look into a container. Never fails: what cannot be followed is left closed."""
    try:
        return _open(octets)
    except (ValueError, IndexError, StopIteration, zlib.error):
        return Opened("")


def _open(octets: bytes) -> Opened:
    info = _children(octets, _node(octets, 0, len(octets)))
    identifier, content = next(info), next(info, None)
    kind = _KINDS.get(octets[identifier.start : identifier.end], "")
    if kind not in ("signed", "compressed") or content is None:
        return Opened(kind)
    body = next(_children(octets, content))
    encapsulated = next((node for node in _children(octets, body) if _holds_content(octets, node)), None)
    if encapsulated is None:
        return Opened(kind)
    wrapped = list(_children(octets, encapsulated))[1]
    entity = b"".join(_octet_strings(octets, next(_children(octets, wrapped)), 0))
    return Opened(kind, _inflate(entity) if kind == "compressed" else entity)


def _holds_content(octets: bytes, node: _Node) -> bool:
    """EncapsulatedContentInfo: a sequence of an object identifier and, in ``[0]``, the content."""
    if not node.tag & _CONSTRUCTED:
        return False
    inner = [child.tag for child in _children(octets, node)]
    return inner[:2] == [_OBJECT_IDENTIFIER, _EXPLICIT_0]


def _inflate(octets: bytes) -> bytes:
    return zlib.decompressobj().decompress(octets, MAX_EXPANDED_OCTETS)


def _octet_strings(octets: bytes, node: _Node, depth: int) -> Iterator[bytes]:
    """The content of an octet string, which BER may cut into many."""
    if depth > _MAX_DEPTH:
        raise ValueError("octet strings lie too deep in each other")
    if not node.tag & _CONSTRUCTED:
        yield octets[node.start : node.end]
        return
    for child in _children(octets, node):
        yield from _octet_strings(octets, child, depth + 1)


def _children(octets: bytes, parent: _Node) -> Iterator[_Node]:
    position = parent.start
    for _ in range(_MAX_CHUNKS):
        if position >= parent.end or octets[position : position + 2] == b"\0\0":
            return
        child = _node(octets, position, parent.end)
        yield child
        position = child.next


def _node(octets: bytes, position: int, limit: int, depth: int = 0) -> _Node:
    """The element at ``position``. An indefinite length ends where its end-of-contents octets are found."""
    tag, first = octets[position], octets[position + 1]
    start = position + 2
    if first == _INDEFINITE:
        return _indefinite(octets, tag, start, limit, depth)
    if first & 0x80:
        start += first & 0x7F
        length = int.from_bytes(octets[position + 2 : start], "big")
    else:
        length = first
    end = min(start + length, limit)  # a mail that was cut off is read as far as it goes
    return _Node(tag, start, end, end)


def _indefinite(octets: bytes, tag: int, start: int, limit: int, depth: int) -> _Node:
    if depth > _MAX_DEPTH:
        raise ValueError("elements lie too deep in each other")
    position = start
    while position < limit and octets[position : position + 2] != b"\0\0":
        position = _node(octets, position, limit, depth + 1).next
    return _Node(tag, start, position, min(position + 2, limit))
