"""Turns the blocks that mail programs write into those that were meant: tables that are only used for layout become
blocks, and runs of ``<div>`` become lines of one paragraph."""

from collections.abc import Set

from lxml import etree

from ingest.reply.html.sentinels import NUMBER_END
from ingest.reply.html.tree import BLOCKS, Element, tag_names

_HOLDING_NO_BLOCKS = tag_names("b i s q a code span h1 h2 h3 h4 h5 h6")
_MOVED_INTO_BLOCKS = tag_names("b i s a")
_HOLDING_TEXT = tag_names("div p h1 h2 h3 h4 h5 h6 li td th dt dd")
_HOLDING_LINES = tag_names("html body div td th li blockquote")
_GROUPS = tag_names("thead tbody tfoot")
_TABLE = tag_names("table thead tbody tfoot tr td th")
_PARENTS = {"td": tag_names("tr"), "th": tag_names("tr"), "tr": _GROUPS | {"table"}} | dict.fromkeys(
    _GROUPS, tag_names("table")
)
_LEVELS = tag_names("blockquote ul ol")
_MAX_LEVELS = 30
"""Deeper levels of quotes and lists are flattened. A long thread has about ten."""
_MAX_CHECKED_CELLS = 400
"""This many cells of a table are checked for long content; it bounds the cost of a large table."""
_MAX_COLUMNS = 100
"""A table whose widest row has more columns is not kept as a table: Markdown fills all other rows up to that width."""
_MAX_CELL_CHARACTERS = 600
"""A cell with more characters holds text of a page, so that the table is used for layout."""
_BLANK = "\u00a0\u200b\ufeff \t\r\n"


def normalise_blocks(root: Element) -> None:
    """Change the tree in place. It must hold only the elements that ``sanitize_tree`` leaves."""
    if sum(1 for _ in root.iter(*_LEVELS)) > _MAX_LEVELS:
        _flatten(root)
    elements = list(root.iter())
    _keep_real_tables_and_lists(elements)
    holders = _holders(elements)
    _move_into_blocks(root, holders)
    for element in elements:
        if element.tag in _HOLDING_NO_BLOCKS and element in holders:
            element.tag = "div"
    for element in elements:
        if element in holders and element.tag in _HOLDING_LINES:
            _list_loose_items(element)
            _join_lines(element, holders)


def _keep_real_tables_and_lists(elements: list[Element]) -> None:
    """Turn layout tables, broken lists and misplaced cells into <div>; keep real tables and lists."""
    for element in elements:
        parent = element.getparent()
        if parent is not None and element.tag in _PARENTS and parent.tag not in _PARENTS[element.tag]:
            element.tag = "div"
        elif element.tag == "table" and not is_data_table(element):
            _unwrap_table(element)
        elif element.tag in ("ul", "ol"):
            _adopt_nested_lists(element)
            if not _is_list(element):
                element.tag = "div"


def _flatten(root: Element) -> None:
    """Turn quotes and lists below the deepest level that is kept into <div>. Markdown writes each level before each
    line, so that hundreds of levels, which only an attacker writes, would multiply the size."""
    stack = [(root, 0)]
    while stack:
        element, depth = stack.pop()
        depth += element.tag in _LEVELS
        if depth > _MAX_LEVELS and element.tag in _LEVELS | {"li"}:
            element.tag = "div"
        stack.extend([(child, depth) for child in element])


def _holders(elements: list[Element]) -> set[Element]:
    """Return the elements with a block inside. Each is visited once, so that deep trees cost no more than wide ones."""
    holders: set[Element] = set()
    for element in elements:
        if element.tag not in BLOCKS:
            continue
        parent = element.getparent()
        while parent is not None and parent not in holders:
            holders.add(parent)
            parent = parent.getparent()
    return holders


def _move_into_blocks(root: Element, holders: Set[Element]) -> None:
    """Move a link or emphasis around blocks into each of them, as Markdown needs it."""
    stack: list[tuple[Element, dict[str, Element]]] = [(root, {})]
    while stack:
        element, outer = stack.pop()
        if element in holders:
            if element.tag in _MOVED_INTO_BLOCKS:
                outer = outer | {element.tag: element}
            stack.extend([(child, outer) for child in element])
        elif element.tag in _HOLDING_TEXT and NUMBER_END not in (element.text or ""):
            for given in outer.values():
                _fill(element, given)


def _fill(block: Element, given: Element) -> None:
    """Put the content of a block into a copy of an element."""
    inner = etree.Element(given.tag)
    inner.attrib.update(given.attrib)
    inner.text, block.text = block.text, None
    inner.extend(list(block))
    block.append(inner)


def _rows(table: Element) -> list[Element]:
    groups = [group if group.tag in _GROUPS else (group,) for group in table]
    return [row for group in groups for row in group if row.tag == "tr"]


def is_data_table(table: Element) -> bool:
    """Return whether a table has rows and columns of short cells; any other is only used for layout."""
    rows = _rows(table)
    cells = [cell for row in rows for cell in row]
    if len(rows) < 2 or len(cells) < 4 or len(cells) < len(rows) * 1.5 or max(map(_width, rows)) > _MAX_COLUMNS:
        return False
    return not any(_is_large(cell) for cell in cells[:_MAX_CHECKED_CELLS])


def _width(row: Element) -> int:
    spans = [cell.get("colspan", "1") for cell in row]
    return sum(int(span) if span.isdecimal() and len(span) < 3 else 1 for span in spans)


def _is_large(cell: Element) -> bool:
    size = 0
    for inner in cell.iter():
        if inner.tag in ("table", "blockquote", "ul", "ol", "pre", "hr"):
            return True
        size += len(inner.text or "") + len(inner.tail or "")
        if size > _MAX_CELL_CHARACTERS:
            return True
    return False


def _adopt_nested_lists(element: Element) -> None:
    """Move a list that stands between two items into the item above it: Gmail and Outlook indent in this way."""
    for child in list(element):
        above = child.getprevious()
        if child.tag in ("ul", "ol") and above is not None and above.tag == "li":
            above.append(child)


def _is_list(element: Element) -> bool:
    """Return whether a list has items and nothing else. Anything between them would end the list in Markdown."""
    texts = (element.text, *(child.tail for child in element))
    return all(child.tag == "li" for child in element) and not any(text and text.strip() for text in texts)


def _unwrap_table(table: Element) -> None:
    rows = _rows(table)
    for element in (table, *table, *rows, *(cell for row in rows for cell in row)):
        if element.tag in _TABLE:
            element.tag = "div"


def _list_loose_items(parent: Element) -> None:
    """Put items without a list, as Word writes them, into one. Their levels say which lie inside others."""
    lists: list[tuple[str, Element]] = []
    for child in list(parent) if parent.tag != "li" else ():
        if child.tag != "li":
            lists = []
            continue
        level = child.get("level", "1")
        while len(lists) > 1 and lists[-1][0] > level:
            lists.pop()
        if not lists:
            lists = [(level, _list_for(child))]
            child.addprevious(lists[0][1])
        elif lists[-1][0] < level and len(lists[-1][1]):
            lists.append((level, _list_for(child)))
            lists[-2][1][-1].append(lists[-1][1])
        lists[-1][1].append(child)


def _list_for(item: Element) -> Element:
    """Return an empty list of the kind that an item of Word belongs to: ordered if the item has a start."""
    start = next((inner.get("start") for inner in item.iter("span") if inner.get("start")), None)
    return etree.Element("ul") if start is None else etree.Element("ol", {"start": start})


def _join_lines(parent: Element, holders: Set[Element]) -> None:
    """Join adjacent <div> into lines of one paragraph. ``<div>a</div><div>b</div>`` is two lines, not two paragraphs,
    and ``<div><br></div>`` is the blank line between two paragraphs."""
    paragraph: Element | None = None
    for child in list(parent):
        if child.tag == "div" and child not in holders:
            _drop_last_break(child)
        if child.tag != "div" or child in holders or _is_empty(child):
            paragraph = None
        elif paragraph is not None:
            _continue(paragraph, child)
        else:
            child.tag = "span" if _is_lone(child, parent) else "p"
            paragraph = None if child.tail and child.tail.strip() else child


def _is_lone(line: Element, parent: Element) -> bool:
    """Return whether this is the first line of an item. As a paragraph it would put blank lines between all items."""
    return parent.tag == "li" and line.getprevious() is None and not (parent.text or "").strip()


def _drop_last_break(line: Element) -> None:
    """Remove a <br> at the end of a <div>: it shows nothing."""
    last: Element | None = line
    while (last is not None and not (last.tail or "").strip()) or last is line:
        inner = next(last.iterchildren(reversed=True), None)
        if last.tag == "br":
            parent = last.getparent()
            if parent is not None:
                parent.remove(last)
            return
        last = inner


def _continue(paragraph: Element, line: Element) -> None:
    """Add a line to a paragraph, and the text that stood behind the line as another."""
    tail, line.tail = line.tail, None
    last = next(paragraph.iterchildren(reversed=True), None)
    if last is None or last.tag != "br" or (last.tail or "").strip():
        last = etree.SubElement(paragraph, "br")
    last.tail = line.text or ""
    paragraph.extend(list(line))
    parent = line.getparent()
    if parent is not None:
        parent.remove(line)
    if tail and tail.strip():
        etree.SubElement(paragraph, "br").tail = tail


def _is_empty(element: Element) -> bool:
    if element.text and element.text.strip(_BLANK):
        return False
    filled = any(str(piece).strip(_BLANK) for piece in element.itertext())
    return not filled and next(element.iter("img"), None) is None
