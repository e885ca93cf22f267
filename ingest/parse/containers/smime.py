"""Opens S/MIME (RFC 8551): returns what is inside an opaque ``application/pkcs7-mime`` part.

Signed data holds the mail in clear, wrapped in DER or BER; the mail is taken out, and the signature is not checked.
Enveloped data is encrypted. The parser here knows only as much ASN.1 as that takes.
"""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from ingest.parse.limits import MAX_EXPANDED_BYTES

_SIGNED = bytes.fromhex("2a864886f70d010702")
_ENVELOPED = bytes.fromhex("2a864886f70d010703")
_COMPRESSED = bytes.fromhex("2a864886f70d0109100109")
_AUTH_ENVELOPED = bytes.fromhex("2a864886f70d0109100117")
_KINDS = {_SIGNED: "signed", _ENVELOPED: "encrypted", _AUTH_ENVELOPED: "encrypted", _COMPRESSED: "compressed"}
_OBJECT_IDENTIFIER, _OCTET_STRING = 0x06, 0x04
_CONSTRUCTED, _INDEFINITE = 0x20, 0x80
_EXPLICIT_0 = 0xA0
_MAX_DEPTH = 12
"""Levels of octet strings, or of elements of indefinite length, inside each other. It bounds the recursion."""
_MAX_ELEMENTS = 100_000
"""Elements read from one constructed element. A file of 100 MB in strings of 1 KB fits."""


class OpenedContainer(NamedTuple):
    """The kind of a container, and the MIME entity in it (``b""`` if it cannot be decoded)."""

    kind: str
    """``signed``, ``encrypted``, ``compressed``, or ``""`` if the bytes are no such container."""
    entity: bytes = b""


class _Asn1Element(NamedTuple):
    tag: int
    start: int
    end: int
    next: int


def open_container(octets: bytes) -> OpenedContainer:
    """Open a container. Never fails: one that cannot be decoded gives an empty entity."""
    try:
        return _open(octets)
    except (ValueError, IndexError, StopIteration, zlib.error):
        return OpenedContainer("")


def _open(octets: bytes) -> OpenedContainer:
    info = _elements_in(octets, _element(octets, 0, len(octets)))
    identifier, content = next(info), next(info, None)
    kind = _KINDS.get(octets[identifier.start : identifier.end], "")
    if kind not in ("signed", "compressed") or content is None:
        return OpenedContainer(kind)
    body = next(_elements_in(octets, content))
    encapsulated = next((element for element in _elements_in(octets, body) if _holds_content(octets, element)), None)
    if encapsulated is None:
        return OpenedContainer(kind)
    wrapped = list(_elements_in(octets, encapsulated))[1]
    entity = b"".join(_octet_strings(octets, next(_elements_in(octets, wrapped)), 0))
    return OpenedContainer(kind, _inflate(entity) if kind == "compressed" else entity)


def _holds_content(octets: bytes, element: _Asn1Element) -> bool:
    """Whether an element is an EncapsulatedContentInfo: a sequence of an object identifier and, in ``[0]``, content."""
    if not element.tag & _CONSTRUCTED:
        return False
    inner = [child.tag for child in _elements_in(octets, element)]
    return inner[:2] == [_OBJECT_IDENTIFIER, _EXPLICIT_0]


def _inflate(octets: bytes) -> bytes:
    return zlib.decompressobj().decompress(octets, MAX_EXPANDED_BYTES)


def _octet_strings(octets: bytes, element: _Asn1Element, depth: int) -> Iterator[bytes]:
    """Yield the content of an octet string, which BER may cut into many."""
    if depth > _MAX_DEPTH:
        raise ValueError("octet strings lie too deep in each other")
    if not element.tag & _CONSTRUCTED:
        yield octets[element.start : element.end]
        return
    for child in _elements_in(octets, element):
        yield from _octet_strings(octets, child, depth + 1)


def _elements_in(octets: bytes, parent: _Asn1Element) -> Iterator[_Asn1Element]:
    position = parent.start
    for _ in range(_MAX_ELEMENTS):
        if position >= parent.end or octets[position : position + 2] == b"\0\0":
            return
        child = _element(octets, position, parent.end)
        yield child
        position = child.next


def _element(octets: bytes, position: int, limit: int, depth: int = 0) -> _Asn1Element:
    """Parse the element at ``position``. One of indefinite length ends at its end-of-contents octets."""
    tag, first = octets[position], octets[position + 1]
    start = position + 2
    if first == _INDEFINITE:
        return _indefinite(octets, tag, start, limit, depth)
    if first & 0x80:
        start += first & 0x7F
        length = int.from_bytes(octets[position + 2 : start], "big")
    else:
        length = first
    end = min(start + length, limit)  # a mail that was cut off is decoded as far as it goes
    return _Asn1Element(tag, start, end, end)


def _indefinite(octets: bytes, tag: int, start: int, limit: int, depth: int) -> _Asn1Element:
    if depth > _MAX_DEPTH:
        raise ValueError("elements lie too deep in each other")
    position = start
    while position < limit and octets[position : position + 2] != b"\0\0":
        position = _element(octets, position, limit, depth + 1).next
    return _Asn1Element(tag, start, position, min(position + 2, limit))
