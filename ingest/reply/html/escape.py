"""Escapes text so that Markdown shows it as it is: what would be markup gets a backslash, and nothing else does."""

import re

from ingest.reply.html.sentinels import BACKSLASH, BLANK, CLOSING_BRACKET, ESCAPE, OPENING_BRACKET
from ingest.reply.html.tree import Element

_BRACKETS = {ord("["): OPENING_BRACKET, ord("]"): CLOSING_BRACKET}
VERBATIM = "verbatim"
"""The name of an element of our own. Its text is an address or the like and is not escaped; ``escape_text`` turns it
into a <span>."""
_SPACE = re.compile(r"[ \t\r\n\f]+")
_SUSPECT = re.compile(r"[`*_<\]~&\\|\t\r\n\f]|  ")
_SPECIAL = re.compile(
    r"`|\*(?! \S)|(?<!\S )\*|(?<![^\W_])_|_(?![^\W_])|<(?=[A-Za-z/!?]|$)|\](?=[(\[:]|$)|~(?=~|$)|(?<=~)~"
    r"|&(?=#?\w{1,32};)|\\(?=[`*_<\]~&\\]|$)"
)
_LONE = re.compile(r"(\s*\d{0,9})([-+#.)][-#]*\s*)")
"""Matches a line that is nothing but the sign of a list, a heading or a rule."""
_RULES = frozenset("|:- \u00a0")


def escape_text(root: Element) -> None:
    """Collapse white space as a browser does, and escape what Markdown would take for markup, outside of code."""
    for link in root.iter("a"):
        _part_from_exclamation(link)
    stack = [(root, False, _escaped)]
    while stack:
        element, verbatim, outside = stack.pop()
        inside = verbatim or element.tag in ("pre", "code", VERBATIM)
        escaped = _escaped_in_link if element.tag == "a" else outside
        if element.text and not inside:
            element.text = _opening(element, escaped(element.text))
        if element.tail and not verbatim:
            element.tail = outside(element.tail)
        if element.tag == VERBATIM:
            element.tag = "span"
        if len(element):
            stack.extend([(child, inside, escaped) for child in element])


def _part_from_exclamation(link: Element) -> None:
    """Escape an exclamation mark directly before a link, which would make the link a picture."""
    previous, parent = link.getprevious(), link.getparent()
    if previous is not None and (previous.tail or "").endswith("!"):
        previous.tail = f"{(previous.tail or '')[:-1]}{ESCAPE}!"
    elif previous is None and parent is not None and parent.tag == "code" and not parent.text:
        _part_from_exclamation(parent)  # the conversion puts the link outside
    elif previous is None and parent is not None and (parent.text or "").endswith("!"):
        parent.text = f"{(parent.text or '')[:-1]}{ESCAPE}!"


def _opening(element: Element, text: str) -> str:
    """Escape the first line of an element if it is a lone sign before a <br>: the conversion does not do so."""
    lone = _LONE.fullmatch(text) if len(element) and element[0].tag == "br" else None
    return f"{lone.group(1)}{ESCAPE}{lone.group(2)}" if lone else text


def is_markup(text: str) -> bool:
    """Return whether Markdown would take some of this text for markup."""
    return _SPECIAL.search(text) is not None


def plain_markdown(text: str) -> str:
    """Return text as Markdown that shows it as it is."""
    return with_backslashes(_escaped(text))


def with_backslashes(markdown: str) -> str:
    """Replace the sentinels of this module by backslashes and brackets, and ``BLANK`` by no-break spaces."""
    markdown = markdown.replace(ESCAPE, "\\").replace(BACKSLASH, "\\\\").replace(BLANK, "\u00a0")
    for bracket, placeholder in _BRACKETS.items():
        markdown = markdown.replace(placeholder, f"\\{chr(bracket)}")
    return markdown


def _escaped(text: str) -> str:
    if not _SUSPECT.search(text):
        return text
    text = _SPECIAL.sub(_escape_one, _SPACE.sub(" ", text))
    return text.replace("-", f"{ESCAPE}-", 1) if _divides(text) else text


def _divides(text: str) -> bool:
    """Return whether Markdown could take a text for the line below the head of a table, by its characters alone."""
    return "|" in text and "-" in text and _RULES.issuperset(text)


def _escaped_in_link(text: str) -> str:
    """Escape the words of a link, with sentinels for its brackets. The conversion puts a backslash of its own before a
    bracket in a link's words; with one of ours before it, the two would be an escaped backslash, and the bracket would
    end the words and begin another address."""
    return _escaped(text).replace(f"{ESCAPE}]", "]").translate(_BRACKETS)


def _escape_one(found: re.Match[str]) -> str:
    return BACKSLASH if found.group() == "\\" else ESCAPE + found.group()
