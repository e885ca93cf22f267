"""Parses message identifiers (RFC 5322 section 3.6.4) in Message-ID, In-Reply-To and References."""

import re

_BRACKETED = re.compile(r"<([^<>]{1,998})>|\([^()]*(?:\([^()]*\)[^()]*)*\)")
"""An identifier, or a comment: an identifier in a comment does not count."""
_COMMENT = re.compile(r"\([^()<>]*\)")
_MAX_ID_CHARACTERS = 998
"""Length of an identifier: the longest line of a header (RFC 5322 section 2.1.1). A longer one is none: cut off,
two that begin alike could not be told apart."""


def parse_message_ids(text: str) -> tuple[str, ...]:
    """Return every identifier in a field's value, in order, each once, normalised.

    Identifiers are what stands in angle brackets, whatever stands between them (``Message from Bob of Monday <1@a>``).
    If there are no brackets, every word with an ``@`` in it is one. What is longer than a line of a header is none.
    """
    found = [match[1] for match in _BRACKETED.finditer(text) if match[1]]
    if not found:
        bare = _COMMENT.sub(" ", text) if "(" in text else text
        found = [word for word in re.split(r"[\s,;]+", bare) if "@" in word]
    identifiers = (normalise_message_id(text) for text in found if len(text) <= _MAX_ID_CHARACTERS)
    return tuple(dict.fromkeys(identifier for identifier in identifiers if identifier))


def normalise_message_id(identifier: str) -> str:
    """Remove brackets, surrounding quotes and white space, and put the domain into lower case. May return ``""``."""
    bare = "".join(identifier.split()).strip("<>\"',;")
    local, at, domain = bare.rpartition("@")
    domain = _COMMENT.sub("", domain) if "(" in domain else domain
    return f"{local}{at}{domain.lower()}"[:_MAX_ID_CHARACTERS] if at else bare[:_MAX_ID_CHARACTERS]
