"""Message identifiers (RFC 5322 section 3.6.4), as they are found in Message-ID, In-Reply-To and References."""

import re

_BRACKETED = re.compile(r"<([^<>]{1,998})>|\([^()]*(?:\([^()]*\)[^()]*)*\)")
"""An identifier, or a comment, which may have one in it that does not count."""
_COMMENT = re.compile(r"\([^()<>]*\)")
_MAX_ID_CHARACTERS = 998


def parse_message_ids(text: str) -> tuple[str, ...]:
    """Every identifier in a field's value, in order, each once, normalised.

    Those in angle brackets, whatever stands between them (``Message from Bob of Monday <1@a>``); where there are no
    brackets, every word with an ``@`` in it.
    """
    found = [match[1] for match in _BRACKETED.finditer(text) if match[1]]
    if not found:
        bare = _COMMENT.sub(" ", text) if "(" in text else text
        found = [word for word in re.split(r"[\s,;]+", bare) if "@" in word]
    return tuple(dict.fromkeys(identifier for identifier in map(normalise_message_id, found) if identifier))


def normalise_message_id(identifier: str) -> str:
    """No brackets, quotes around it or white space; the domain in lower case. ``""`` where nothing is left."""
    bare = "".join(identifier.split()).strip("<>\"',;")
    local, at, domain = bare.rpartition("@")
    domain = _COMMENT.sub("", domain) if "(" in domain else domain
    return f"{local}{at}{domain.lower()}"[:_MAX_ID_CHARACTERS] if at else bare[:_MAX_ID_CHARACTERS]
