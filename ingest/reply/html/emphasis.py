"""Turns emphasis into what Markdown can show. Its signs must not reach over the end of a paragraph, nor stand between a
letter and a punctuation mark, where they open or close nothing (CommonMark, "flanking"): they would be seen as they
are."""

import unicodedata

from lxml import etree

from ingest.reply.html.tree import BLOCKS, Element

_SIGNS = {"b": "*", "i": "*", "s": "~"}
_EMPHASIS = frozenset(_SIGNS)
_LETTER = "x"
"""The signs of adjacent emphasis count as a letter, so that each element is valid by itself."""


def normalise_emphasis(root: Element) -> None:
    """Change the tree in place. Emphasis that is empty or inside emphasis of the same kind is removed, each line gets
    its own, and punctuation at an edge is moved out where the signs would be seen. Afterwards no ``<span>`` parts a
    text."""
    etree.strip_tags(root, "span")
    _thin_out(root)
    etree.strip_tags(root, "span")
    for element in root.iter("code"):
        _join(element)
    etree.strip_tags(root, "span")
    for element in reversed(list(root.iter(*_EMPHASIS, "a"))):
        _end_with_line(element)
    for element in reversed(list(root.iter(*_EMPHASIS))):
        _mend_start(element)
        _mend_end(element)
        if _is_empty(element):
            element.tag = "span"
    etree.strip_tags(root, "span")


def _thin_out(root: Element) -> None:
    stack: list[tuple[Element, frozenset[str]]] = [(root, frozenset())]
    while stack:
        element, outer = stack.pop()
        if element.tag in BLOCKS:
            outer = frozenset()
        elif element.tag in outer or (element.tag in _EMPHASIS and _is_empty(element)):
            element.tag = "span"
        elif element.tag in _EMPHASIS or element.tag == "code":
            outer |= {element.tag}
        if len(element):
            stack.extend([(child, outer) for child in element])


def _join(code: Element) -> None:
    """Join adjacent elements of code into one: their signs would be read as one sign."""
    run = [code]
    while not run[-1].tail and (following := run[-1].getnext()) is not None and following.tag == "code":
        run.append(following)
    parent = code.getparent()
    if len(run) == 1 or parent is None:
        return
    code.tail, run[-1].tail = run[-1].tail, None
    for piece in run[1:]:
        piece.tag = "span"
        code.append(piece)


def _end_with_line(element: Element) -> None:
    """Split an inline element at each <br>: the break moves out, and the text after it gets a new element of the same
    kind."""
    tail, element.tail = element.tail, None
    part = element
    for child in list(element) if element.find("br") is not None else ():
        if child.tag != "br":
            if part is not element:
                part.append(child)
            continue
        following = etree.Element(element.tag)
        following.attrib.update(element.attrib)
        following.text, child.tail = child.tail, None
        part.addnext(child)
        child.addnext(following)
        part = following
    part.tail = tail


def _is_empty(element: Element) -> bool:
    return not len(element) and not (element.text or "").strip()


def _mend_start(element: Element) -> None:
    if not _before(element).isalnum():
        return
    text = element.text or ""
    inner = text.lstrip("".join(filter(_is_sign, text[:20])))
    signs = text[: len(text) - len(inner)]
    if not (text or _touches(element, 0)):
        element.tag = "span"
    elif signs:
        element.text = inner
        _append_before(element, signs)


def _mend_end(element: Element) -> None:
    if not _after(element).isalnum():
        return
    last = element[-1] if len(element) else None
    text = (element.text if last is None else last.tail) or ""
    inner = text.rstrip("".join(filter(_is_sign, text[-20:])))
    if not (text or _touches(element, -1)):
        element.tag = "span"
    elif inner != text:
        element.tail = text[len(inner) :] + (element.tail or "")
        if last is None:
            element.text = inner
        else:
            last.tail = inner


def _touches(element: Element, at: int) -> bool:
    """Return whether the child at ``at`` (first or last) is emphasis of the same signs, which has been mended
    before."""
    return len(element) > 0 and _SIGNS.get(element[at].tag) == _SIGNS.get(element.tag)


def _append_before(element: Element, text: str) -> None:
    previous, parent = element.getprevious(), element.getparent()
    if previous is not None:
        previous.tail = (previous.tail or "") + text
    elif parent is not None:
        parent.text = (parent.text or "") + text


def _before(element: Element) -> str:
    """Return the character before the opening signs of an element, or an empty text."""
    previous, parent = element.getprevious(), element.getparent()
    if previous is not None:
        return (previous.tail or "")[-1:] or (_LETTER if previous.tag in _EMPHASIS else "")
    if parent is None:
        return ""
    return (parent.text or "")[-1:] or (_before(parent) if parent.tag in _EMPHASIS else "")


def _after(element: Element) -> str:
    """Return the character behind the closing signs of an element, or an empty text."""
    following, parent = element.getnext(), element.getparent()
    if element.tail:
        return element.tail[0]
    if following is not None:
        return _LETTER if following.tag in _EMPHASIS else ""
    return _after(parent) if parent is not None and parent.tag in _EMPHASIS else ""


def _is_sign(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"
