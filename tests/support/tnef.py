"""TNEF containers for the parser's tests, written down attribute by attribute."""

import struct

from tests.support.mime import in_base64


def attribute(level: int, identifier: int, data: bytes) -> bytes:
    """Return one attribute of the message (level 1) or of an attachment (level 2), with its checksum."""
    return struct.pack("<BHHI", level, identifier, 6, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)


def prop(kind: int, identifier: int, value: bytes) -> bytes:
    """Return one MAPI property; values of variable size get their count, length and padding."""
    if kind in (0x1E, 0x1F, 0x102, 0x0D):
        return struct.pack("<HHII", kind, identifier, 1, len(value)) + value + b"\0" * (-len(value) % 4)
    return struct.pack("<HH", kind, identifier) + value


def props(*properties: bytes) -> bytes:
    """Return the data of an attribute that holds MAPI properties."""
    return struct.pack("<I", len(properties)) + b"".join(properties)


def tnef(*attributes: bytes) -> bytes:
    """Return a TNEF container."""
    return struct.pack("<IH", 0x223E9F78, 1) + b"".join(attributes)


def winmail(octets: bytes) -> bytes:
    """Return a MIME part that holds a TNEF container."""
    return in_base64("application/ms-tnef", octets, 'Content-Disposition: attachment; filename="winmail.dat"')
