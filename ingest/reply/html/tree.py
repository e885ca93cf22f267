"""HTML as a tree, within bounds: what a hostile or broken mail can make of it is cut off before it costs anything."""

import re

from lxml import etree

from ingest.reply.html.sentinels import CONTROL

HTML_LIMIT = 2_000_000
"""Characters of HTML that are read as a tree. More is read as bare text."""
_PIECES_LIMIT = 60_000
"""Tags and lines; each costs more than its octets."""
_LONG_TAG = 2_000
_ATTRIBUTES = 150

Element = etree._Element

_LONG = re.compile(rf"<([a-zA-Z][a-zA-Z0-9:]{{0,20}})\s([^<>]{{{_LONG_TAG},}})>")
_CONTROL_ENTITY = re.compile(r"&#(?:x0*f|0*6)", re.IGNORECASE)
"""Maybe one of them."""


def tag_names(listed: str) -> frozenset[str]:
    """The tags in a list of words."""
    return frozenset(listed.split())


BLOCKS = tag_names(
    "html body p div blockquote pre ul ol li table thead tbody tfoot tr td th hr h1 h2 h3 h4 h5 h6 center dl dt dd"
)


class HtmlOverLimit(Exception):
    """The HTML is beyond a bound; it can still be read as bare text."""


def parse_html(html: str) -> Element | None:
    """The root element, or ``None`` where there is nothing in it; text after ``</html>`` counts, comments do not."""
    if len(html) > HTML_LIMIT:
        raise HtmlOverLimit("HTML over the size limit")
    if html.count("<") + html.count("\n") > _PIECES_LIMIT:
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
    """What gateways and lists add behind ``</html>`` is read as another root beside the first."""
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
    """Parsers compare each attribute with all others: a tag of thousands loses them."""
    name, attributes = tag.groups()
    return tag.group() if attributes.count("=") + attributes.count(" ") < _ATTRIBUTES * 2 else f"<{name}>"


def text_of(element: Element, limit: int = 400) -> str:
    """The beginning of the text inside an element."""
    found: list[str] = []
    size = 0
    for piece in element.itertext():
        found.append(str(piece))
        size += len(piece)
        if size > limit:
            break
    return " ".join("".join(found).split())[:limit]
