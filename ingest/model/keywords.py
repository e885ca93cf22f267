"""Reads fields whose value is one keyword, such as Auto-Submitted (RFC 3834 section 5) or X-Autoreply."""

import re

MAX_FIELD_CHARACTERS = 998
"""How much of a field is read: RFC 5322 section 2.1.1 allows no longer line, and a keyword stands at the beginning."""
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)


def keyword(value: str) -> str:
    """Return the first word of a field in lower case, without comments (nested ones, too), quotes and parameters;
    ``""`` if it has none.

    >>> keyword(' (set by the gateway) "No" ; owner-email="a@b.example"')
    'no'
    """
    bare = _without_comments(value[:MAX_FIELD_CHARACTERS]).replace('"', " ").replace("'", " ")
    return next(iter(bare.partition(";")[0].lower().split()), "")


def _without_comments(text: str) -> str:
    """Remove comments (RFC 5322 section 3.2.2) outside quoted strings. A comment without its end goes on to the end."""
    kept: list[str] = []
    depth, is_quoted = 0, False
    for character in _QUOTED_PAIR.sub(" ", text):
        if character == '"' and not depth:
            is_quoted = not is_quoted
        if character == "(" and not is_quoted:
            depth += 1
        if not depth:
            kept.append(character)
        elif character == ")" and not is_quoted:
            depth -= 1
            kept.append(" ")
    return "".join(kept)
