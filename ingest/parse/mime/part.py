"""One MIME part of a message: what its header says, and its content."""

import re
from dataclasses import dataclass, field
from functools import cached_property

from ingest.parse.mime import encoded_words, parameters, transfer_encoding
from ingest.parse.mime.header import HeaderBlock

_TYPE = re.compile(r"[!#-'*+.0-9^-z|~-]+/[!#-'*+.0-9^-z|~-]+")
_KINDS_OF_TEXT = {"text": "text/plain", "text/": "text/plain", "plain": "text/plain", "html": "text/html"}


@dataclass(frozen=True, kw_only=True)
class MimePart:
    """A node of the tree of MIME parts."""

    number: int
    """Number of the part, counted depth first from 0."""
    header: HeaderBlock
    source: bytes
    """The bytes that hold the part; its body is from ``start`` to ``end``."""
    start: int
    end: int
    default_type: str = "text/plain"
    children: list["MimePart"] = field(default_factory=list)
    is_cut: bool = False
    """A limit kept this multipart from being taken apart."""

    @cached_property
    def _type(self) -> parameters.StructuredField:
        return parameters.parse_structured_field(self.header.get("content-type"))

    @cached_property
    def _disposition(self) -> parameters.StructuredField:
        return parameters.parse_structured_field(self.header.get("content-disposition"))

    @cached_property
    def content_type(self) -> str:
        """``type/subtype`` in lower case; the default if the field is missing or no type (RFC 2045 section 5.2)."""
        declared = _KINDS_OF_TEXT.get(self._type.value, self._type.value)
        return declared if _TYPE.fullmatch(declared) else self.default_type

    @property
    def main_type(self) -> str:
        """The part of ``content_type`` before the slash."""
        return self.content_type.partition("/")[0]

    @property
    def disposition(self) -> str:
        """``inline``, ``attachment``, another word, or ``""``."""
        return self._disposition.value

    def parameter(self, name: str) -> str:
        """Return a parameter of Content-Type; ``""`` if it is missing."""
        return self._type.parameters.get(name, "")

    @property
    def charset(self) -> str:
        """The label of the declared charset; ``""`` if none is declared."""
        return (self.parameter("charset").split() or [""])[0]

    @property
    def filename(self) -> str:
        """The name that the sender gave the file, unchanged; ``""`` if there is none."""
        return self._disposition.parameters.get("filename", "") or self.parameter("name")

    @property
    def content_id(self) -> str:
        """Content-ID without its brackets."""
        return encoded_words.decode_header_text(encoded_words.raw_text(self.header.get("content-id"))).strip(" <>")

    @property
    def html_reference(self) -> str:
        """What a ``cid:`` reference in HTML calls the part: its Content-ID, or a name of ours if it has none."""
        return self.content_id or f"part{self.number}"

    @property
    def content_location(self) -> str:
        """Content-Location, by which HTML may refer to a picture as well (RFC 2557)."""
        return encoded_words.decode_header_text(encoded_words.raw_text(self.header.get("content-location"))).replace(
            " ", ""
        )

    @property
    def encoding(self) -> str:
        """The name of the transfer encoding as written; of several fields, the first one that has to be undone."""
        fields = (field.value for field in self.header.fields if field.name == "content-transfer-encoding")
        names = [value.decode("ascii", "replace") for value in fields]
        return next((name for name in names if transfer_encoding.transforms(name)), names[0] if names else "")

    @property
    def raw(self) -> bytes:
        """The body as sent, its transfer encoding not undone."""
        return self.source[self.start : self.end]

    def decoded(self) -> transfer_encoding.DecodedBytes:
        """Undo the transfer encoding of the body. It is decoded at each call and not kept, because it may be large."""
        return transfer_encoding.decode_transfer_encoding(self.raw, self.encoding)
