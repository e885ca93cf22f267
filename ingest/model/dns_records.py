"""Questions to the DNS (RFC 1035) and their answers."""

from enum import StrEnum
from typing import NamedTuple


class RecordType(StrEnum):
    """The types of records that authentication asks for."""

    TXT = "TXT"
    A = "A"
    AAAA = "AAAA"
    MX = "MX"
    PTR = "PTR"


class Question(NamedTuple):
    """A name in small letters without the final dot, and the type of the records wanted."""

    name: str
    record_type: RecordType


class DnsAnswer(NamedTuple):
    """The records of a name and type, its aliases (CNAME) followed. That there are none is an answer, too."""

    values: tuple[str, ...] = ()
    """TXT: the strings of each record joined, one character for each byte. A and AAAA: addresses. MX: preference and
    name, such as ``10 mx.example.com``. PTR: names. Names have no final dot."""
    exists: bool = True
    """False: there is no such name at all (NXDOMAIN)."""


NO_SUCH_NAME = DnsAnswer(exists=False)
