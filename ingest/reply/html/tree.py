"""Parses HTML into a tree, within limits that a hostile or broken mail cannot pass: they are checked before parsing."""

import re

from lxml import etree

from ingest.reply.html.sentinels import CONTROL

MAX_HTML_CHARACTERS = 2_000_000
"""Longer HTML is read as bare text. Mail that a person wrote is far below, and parsing time grows with the size."""
_MAX_TAGS_AND_LINES = 60_000
"""HTML with more tags and lines is read as bare text: each costs far more than its bytes."""
_LONG_TAG_CHARACTERS = 2_000
"""Only the attributes of tags with this many characters are counted; a shorter tag cannot hold many."""
_MAX_ATTRIBUTES = 150
"""A long tag with more attributes than about this many loses them: parsers compare each with all others, in quadratic
time."""

Element = etree._Element

_LONG = re.compile(rf"<([a-zA-Z][a-zA-Z0-9:]{{0,20}})\s([^<>]{{{_LONG_TAG_CHARACTERS},}})>")
_CONTROL_ENTITY = re.compile(r"&#(?:x0*f|0*6)", re.IGNORECASE)
"""Numeric entities (``&#xF...``, ``&#6...``) that may decode to a control character or to one of our sentinels."""


def tag_names(listed: str) -> frozenset[str]:
    """Return the tag names in a text with spaces between them."""
    return frozenset(listed.split())


BLOCKS = tag_names(
    "html body p div blockquote pre ul ol li table thead tbody tfoot tr td th hr h1 h2 h3 h4 h5 h6 center dl dt dd"
)


class HtmlOverLimit(Exception):
    """The HTML passes a limit of size, number or depth. It can still be read as bare text. The message names the limit,
    for people."""


def parse_html(html: str) -> Element | None:
    """Return the root element, or ``None`` if the HTML is empty. Text after ``</html>`` is part of it, comments are
    not.

    Raises HtmlOverLimit: it is too large, has too many tags or lines, or is nested too deeply.
    """
    if len(html) > MAX_HTML_CHARACTERS:
        raise HtmlOverLimit("HTML over the size limit")
    if html.count("<") + html.count("\n") > _MAX_TAGS_AND_LINES:
        raise HtmlOverLimit("HTML with too many tags or lines")
    html = _LONG.sub(_spare_attributes, CONTROL.sub("", html))
    parser = etree.HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True)
    try:
        root = etree.fromstring(html.encode("utf-8", "replace"), parser)
    except (etree.ParserError, etree.XMLSyntaxError):
        return None
    if any("depth" in entry.message.lower() for entry in parser.error_log.filter_from_errors()):
        raise HtmlOverLimit("HTML nested too deeply")
    if root is not None:
        _adopt(root)
        if _CONTROL_ENTITY.search(html):
            _drop_controls(root)
        etree.strip_elements(root, "head", "script", "style", "title", with_tail=False)
    return root


def _adopt(root: Element) -> None:
    """Move the other roots into the first: text that gateways and lists add behind ``</html>`` is parsed as another
    root."""
    for sibling in list(root.itersiblings()):
        sibling.tag = "div"
        root.append(sibling)


def _drop_controls(root: Element) -> None:
    for element in root.iter():
        element.text = element.text and CONTROL.sub("", element.text)
        element.tail = element.tail and CONTROL.sub("", element.tail)
        for name, value in element.items():
            element.set(name, CONTROL.sub("", str(value)))


def _spare_attributes(tag: re.Match[str]) -> str:
    """Return a tag without its attributes if it has too many of them."""
    name, attributes = tag.groups()
    return tag.group() if attributes.count("=") + attributes.count(" ") < _MAX_ATTRIBUTES * 2 else f"<{name}>"


def text_of(element: Element, limit: int = 400) -> str:
    """Return the first ``limit`` characters of the text inside an element, with one space between two words."""
    found: list[str] = []
    size = 0
    for piece in element.itertext():
        found.append(str(piece))
        size += len(piece)
        if size > limit:
            break
    return " ".join("".join(found).split())[:limit]
