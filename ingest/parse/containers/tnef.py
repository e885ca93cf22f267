"""Parses TNEF (MS-OXTNEF), the ``winmail.dat`` of Outlook and Exchange: a container with a body and attachments.

It is parsed front to back. Damaged or unknown data ends the parsing of its own block only, so that one bad property
does not lose the attachments, as it does in the libraries for TNEF.
"""

import struct
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from ingest.parse.containers import rtf
from ingest.parse.limits import MAX_PARTS, MAX_TNEF_ATTRIBUTES, MAX_TNEF_PROPERTIES

SIGNATURE = 0x223E9F78
_HEADER = struct.Struct("<IH")
_ATTRIBUTE = struct.Struct("<BHHI")
_UINT16 = struct.Struct("<H")
_UINT32 = struct.Struct("<I")

_LEVELS = (1, 2)
"""First byte of a block: of the message, of an attachment."""
_CHECKSUM_BYTES = 2
"""Size of the checksum that follows each attribute (MS-OXTNEF section 2.1.2)."""
_BODY = 0x800C
_ATTACH_DATA = 0x800F
_ATTACH_TITLE = 0x8010
_ATTACH_REND_DATA = 0x9002
_MESSAGE_PROPERTIES = 0x9003
_ATTACH_PROPERTIES = 0x9005
_OEM_CODEPAGE = 0x9007

_PR_BODY = 0x1000
_PR_RTF_COMPRESSED = 0x1009
_PR_BODY_HTML = 0x1013
_PR_DISPLAY_NAME = 0x3001
_PR_ATTACH_DATA = 0x3701
_PR_ATTACH_FILENAME = 0x3704
_PR_ATTACH_LONG_FILENAME = 0x3707
_PR_ATTACH_MIME_TAG = 0x370E
_PR_ATTACH_CONTENT_ID = 0x3712
_PR_INTERNET_CODEPAGE = 0x3FDE

_OBJECT, _STRING, _UNICODE, _BINARY = 0x0D, 0x1E, 0x1F, 0x102
_VARIABLE = frozenset({_OBJECT, _STRING, _UNICODE, _BINARY})
_FIXED_SIZE_BYTES = {0x02: 4, 0x03: 4, 0x04: 4, 0x0A: 4, 0x0B: 4, 0x05: 8, 0x06: 8, 0x07: 8, 0x14: 8, 0x40: 8, 0x48: 16}
"""Size in bytes of each property type of fixed size, padded to four as it is stored."""
_MULTIPLE = 0x1000
_NAMED = 0x8000
_MESSAGE_OBJECT = bytes.fromhex("0703020000000000c000000000000046")
"""The interface identifier of IMessage, which stands before an embedded message."""
_MAX_VALUES = 10_000
"""Values of one property. More make no sense in a mail, so the property counts as damaged."""


class TnefContent(NamedTuple):
    """A body or attachment found in the container."""

    content_type: str
    octets: bytes
    charset: str = ""
    filename: str = ""
    content_id: str = ""
    is_attachment: bool = False


class _MapiProperty(NamedTuple):
    identifier: int
    kind: int
    octets: bytes


class _TnefMessage(NamedTuple):
    codepage: int
    properties: dict[int, _MapiProperty]
    bodies: list[bytes]
    attachments: list["_TnefAttachment"]


class _TnefAttachment(NamedTuple):
    properties: dict[int, _MapiProperty]
    titles: list[bytes]
    data: list[bytes]


def parse_tnef(octets: bytes) -> tuple[TnefContent, ...] | None:
    """Return the bodies, the best first, and then the attachments; ``None`` if the bytes are no TNEF."""
    if len(octets) < _HEADER.size or _HEADER.unpack_from(octets)[0] != SIGNATURE:
        return None
    message = _parse_message(octets)
    return (*_bodies(message), *(_content(each, message.codepage) for each in message.attachments))


def is_whole(octets: bytes) -> bool:
    """Whether the blocks of the container follow each other up to its end and are no more than are parsed. Then nothing
    in it was missed because of damage."""
    position = _HEADER.size
    for _ in range(MAX_TNEF_ATTRIBUTES):
        if position + _ATTRIBUTE.size > len(octets) or octets[position] not in _LEVELS:
            break
        position += _ATTRIBUTE.size + _ATTRIBUTE.unpack_from(octets, position)[3] + _CHECKSUM_BYTES
    return position <= len(octets) and not octets[position:].strip(b"\0\r\n")


def _parse_message(octets: bytes) -> _TnefMessage:
    codepage, properties = 1252, dict[int, _MapiProperty]()
    message = _TnefMessage(codepage, properties, [], [])
    for identifier, data in islice(_attributes(octets), MAX_TNEF_ATTRIBUTES):
        if identifier == _OEM_CODEPAGE and len(data) >= _UINT32.size:
            message = message._replace(codepage=_UINT32.unpack_from(data)[0])
        elif identifier == _BODY:
            message.bodies.append(data)
        elif identifier == _MESSAGE_PROPERTIES:
            properties.update(_by_identifier(data))
        elif identifier == _ATTACH_REND_DATA and len(message.attachments) < MAX_PARTS:
            message.attachments.append(_TnefAttachment({}, [], []))
        elif message.attachments:
            _add(message.attachments[-1], identifier, data)
    return message


def _add(attachment: _TnefAttachment, identifier: int, data: bytes) -> None:
    if identifier == _ATTACH_TITLE:
        attachment.titles.append(data)
    elif identifier == _ATTACH_DATA:
        attachment.data.append(data)
    elif identifier == _ATTACH_PROPERTIES:
        attachment.properties.update(_by_identifier(data))


def _by_identifier(data: bytes) -> dict[int, _MapiProperty]:
    return {found.identifier: found for found in islice(_properties(data), MAX_TNEF_PROPERTIES)}


def _attributes(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield identifier and data of each attribute; a checksum of two bytes follows each."""
    position = _HEADER.size
    while position + _ATTRIBUTE.size <= len(octets):
        _, identifier, _, length = _ATTRIBUTE.unpack_from(octets, position)
        position += _ATTRIBUTE.size
        yield identifier, octets[position : position + length]
        position += length + _CHECKSUM_BYTES


def _properties(octets: bytes) -> Iterator[_MapiProperty]:
    """Yield MAPI properties, up to the first that is damaged or of an unknown type."""
    position = _UINT32.size
    while position + 4 <= len(octets):
        kind, identifier = _UINT16.unpack_from(octets, position)[0], _UINT16.unpack_from(octets, position + 2)[0]
        position += 4
        try:
            position = _skip_name(octets, position) if identifier >= _NAMED else position
            value, position = _value(octets, position, kind)
        except struct.error:
            return
        if position < 0:
            return
        yield _MapiProperty(identifier, kind & ~_MULTIPLE, value)


def _skip_name(octets: bytes, position: int) -> int:
    """Return the position after the GUID and the number or name of a named property."""
    is_text = _UINT32.unpack_from(octets, position + 16)[0] != 0
    length = _UINT32.unpack_from(octets, position + 20)[0]
    return position + 24 + (_padded(length) if is_text else 0)


def _value(octets: bytes, position: int, kind: int) -> tuple[bytes, int]:
    """Return the first value of a property and the position after all its values, negative if the type is unknown."""
    count, base = 1, kind & ~_MULTIPLE
    if kind & _MULTIPLE or base in _VARIABLE:
        count = _UINT32.unpack_from(octets, position)[0]
        position += 4
    if base in _FIXED_SIZE_BYTES:
        return octets[position : position + _FIXED_SIZE_BYTES[base]], position + _FIXED_SIZE_BYTES[base] * min(
            count, len(octets)
        )
    if base not in _VARIABLE or count > _MAX_VALUES:
        return b"", -1
    first = b""
    for index in range(count):
        length = _UINT32.unpack_from(octets, position)[0]
        first = octets[position + 4 : position + 4 + length] if index == 0 else first
        position += 4 + _padded(length)
    return first, position


def _padded(length: int) -> int:
    return (length + 3) // 4 * 4


def _text(found: _MapiProperty | None, codepage: int) -> str:
    if found is None:
        return ""
    if found.kind == _UNICODE:
        return found.octets.decode("utf-16-le", "replace").rstrip("\0")
    return _decode(found.octets, codepage).rstrip("\0")


def _decode(octets: bytes, codepage: int) -> str:
    try:
        return octets.decode("utf-8" if codepage in (0, 65001) else f"cp{codepage}", "replace")
    except LookupError:
        return octets.decode("cp1252", "replace")


def _bodies(message: _TnefMessage) -> Iterator[TnefContent]:
    """Yield the HTML and the text; the RTF only if there is nothing else."""
    found = message.properties
    html, plain = found.get(_PR_BODY_HTML), found.get(_PR_BODY)
    if html is not None and html.octets.strip(b"\0 \r\n"):
        codepage = found.get(_PR_INTERNET_CODEPAGE)
        number = _UINT32.unpack(codepage.octets)[0] if codepage is not None and len(codepage.octets) == 4 else 0
        yield TnefContent("text/html", html.octets.rstrip(b"\0"), f"cp{number}" if number else "")
    text = _text(plain, message.codepage) or "".join(_decode(each, message.codepage) for each in message.bodies)
    if text.strip("\0 \r\n"):
        yield TnefContent("text/plain", text.rstrip("\0").encode("utf-8", "replace"), "utf-8")
    elif html is None and _PR_RTF_COMPRESSED in found:
        converted = rtf.decode_rtf(rtf.decompress(found[_PR_RTF_COMPRESSED].octets))
        yield TnefContent(f"text/{converted.subtype}", converted.text.encode("utf-8", "replace"), "utf-8")


def _content(attachment: _TnefAttachment, codepage: int) -> TnefContent:
    found = attachment.properties
    names = (found.get(name) for name in (_PR_ATTACH_LONG_FILENAME, _PR_ATTACH_FILENAME, _PR_DISPLAY_NAME))
    titles = (_decode(title, codepage).rstrip("\0") for title in attachment.titles)
    filename = next((name for name in (*(_text(each, codepage) for each in names), *titles) if name), "")
    data = attachment.data[0] if attachment.data else b""
    embedded = found.get(_PR_ATTACH_DATA)
    content_type = _text(found.get(_PR_ATTACH_MIME_TAG), codepage) or "application/octet-stream"
    if embedded is not None and not data:
        data = embedded.octets
        if data.startswith(_MESSAGE_OBJECT):
            data, content_type = data[len(_MESSAGE_OBJECT) :], "application/ms-tnef"
    content_id = _text(found.get(_PR_ATTACH_CONTENT_ID), codepage)
    return TnefContent(content_type, data, "", filename, content_id, is_attachment=True)
