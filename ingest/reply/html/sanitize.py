"""Removes from a mail's HTML what Markdown cannot say, and what could do harm when it is shown.

Afterwards the tree holds no elements but those of ``_TAGS``, no attributes but addresses of links and pictures and
small numbers, and no address of another scheme than those of ``_SCHEMES``; scripts, styles, hidden text and tracking
pixels are gone.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote

from lxml import etree

from ingest.reply.html import symbols
from ingest.reply.html.escape import VERBATIM, is_markup
from ingest.reply.html.sentinels import BLANK
from ingest.reply.html.tree import BLOCKS, Element, tag_names, text_of

_MAX_SHOWN_CHARACTERS = 2_000
"""The words of a link are compared with its address up to this length; no address that people use is longer."""

_TAGS = tag_names(
    "html body p div span br blockquote pre code b i s q a img ul ol li table thead tbody tfoot tr td th hr"
    " h1 h2 h3 h4 h5 h6"
)
_DROPPED = tag_names(
    "head script style title meta link base template noscript iframe frame frameset object embed applet video audio"
    " source canvas svg math map area select textarea datalist colgroup col dialog"
)
_RENAMED = (
    {
        "strong": "b",
        "em": "i",
        "del": "s",
        "strike": "s",
        "kbd": "code",
        "samp": "code",
        "tt": "code",
        "dir": "ul",
        "menu": "ul",
    }
    | dict.fromkeys(tag_names("listing xmp plaintext"), "pre")
    | dict.fromkeys(
        tag_names("center section article header footer main aside nav figure figcaption form fieldset"), "div"
    )
    | dict.fromkeys(tag_names("address dl dt dd details summary caption"), "div")
)
_SPANS = {"colspan": 2, "rowspan": 2}
_NUMBERS = {"li": {"level": 1}, "ol": {"start": 5}, "td": _SPANS, "th": _SPANS}
"""Attributes of elements that hold a number of a level, a start or a span, with the most digits that are accepted."""
_LEVEL = re.compile(r"mso-list:[^;]{0,20}level([1-9])")
_LINES_KEPT = re.compile(r"white-space:(?:pre|break-spaces)")
_SCHEMES = frozenset({"http", "https", "mailto", "tel", "sms", "ftp"})
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_UNPRINTABLE = dict.fromkeys((*range(32), 127))
_ADDRESS_SIGNS = "!#$%&'*+,/:;=?@[]~_-."
_SHOWABLE = re.compile(r"[\w!#$%&'+,/:;=?@~.-]*")
_NAME = re.compile(r"[^\[\]<>()`\\\s]+")
_PLAIN_ADDRESS = re.compile(rf"[\w{re.escape(_ADDRESS_SIGNS)}]*", re.ASCII)
_GAP = re.compile(r"(?<![ \t])(?:(?<=\n)[ \t]+|[ \t]{2,})(?=\S)")
_HIDDEN = re.compile(r"display:none|visibility:hidden|mso-hide:all|max-height:0(?:px)?;overflow:hidden")
_TINY = frozenset({"0", "1", "2", "0px", "1px", "2px"})
_TINY_STYLE = re.compile(r"(?:^|;)(?:width|height|max-width|max-height):[012](?:px)?(?:!important)?(?:;|$)")


def sanitize_tree(root: Element, pictures: Mapping[str, str]) -> None:
    """Change the tree in place. ``pictures`` has the file names of the pictures that ``cid:`` addresses name."""
    prose = _text_size(root) // 2
    stack = [(root, False)]
    while stack:
        element, lined = stack.pop()
        style = _bare_style(element.get("style", ""))
        if not isinstance(element.tag, str) or element.tag in _DROPPED or _is_hidden(element, style):
            _blank(element)
        elif element.tag == "img":
            _picture(element, style, pictures)
        elif element.tag == "input":
            _form_field(element)
        elif element.tag == "a":
            _link(element)
        elif element.tag == "pre" and not _is_prose(element, style, prose):
            _flatten(element)
        else:
            if not lined and (element.tag == "pre" or _LINES_KEPT.search(style)):
                lined = True
                _break_lines(element)
            _rename(element, style)
        if len(element):
            stack.extend([(child, lined) for child in element])


@lru_cache(maxsize=100)
def _bare_style(style: str) -> str:
    """Return a style in lower case and without white space. It is cached, because a mail has few different ones."""
    return "".join(style[:2_000].lower().split())


def _text_size(element: Element) -> int:
    return sum(len(piece) for piece in element.itertext())


def _flatten(code: Element) -> None:
    """Reduce code to its text: elements inside it would break it up."""
    text = "".join(str(piece) for piece in code.itertext())
    _blank(code)
    code.tag, code.text = "pre", text


def _is_prose(element: Element, style: str, most: int) -> bool:
    """Return whether preformatted text is a plain text mail (or a quote of one) put into HTML; otherwise it is code.
    ``most`` is half of the characters of the mail."""
    if len(element) == 1 and element[0].tag == "code":
        return False
    plain = "moz-quote-pre" in element.get("class", "") or "wrap" in element.attrib or "pre-wrap" in style
    return plain or _text_size(element) > most


def _break_lines(element: Element) -> None:
    """Turn the line ends that are shown into <br>. Those between blocks are not shown, and stay."""
    loose = any(inner.tag in BLOCKS for inner in element.iterdescendants())
    for inner in list(element.iter()):
        text, tail = inner.text or "", inner.tail or ""
        if "\n" in text and not (loose and text.isspace()):
            inner.text, *breaks = _indented(text.strip("\n") if inner is element else text).split("\n")
            for line in reversed(breaks):
                inner.insert(0, _break(line))
        if inner is not element and "\n" in tail and not (loose and tail.isspace()):
            inner.tail, *breaks = _indented(tail).split("\n")
            for line in reversed(breaks):
                inner.addnext(_break(line))


def _indented(text: str) -> str:
    """Write blanks that align something as ``BLANK``, so that they stay: a log, a diff or columns may be most of a
    mail."""
    return _GAP.sub(lambda blanks: BLANK * len(blanks.group().expandtabs()), text)


def _break(text: str) -> Element:
    line = etree.Element("br")
    line.tail = text
    return line


def _blank(element: Element) -> None:
    """Empty an element and make it a <span>. The text behind it stays."""
    tail = element.tail
    element.clear()
    element.tag, element.tail = "span", tail


def _is_hidden(element: Element, style: str) -> bool:
    """Return whether no reader of the mail sees an element: preheaders, and text that is meant for machines."""
    return (style != "" and _HIDDEN.search(style) is not None) or element.get("hidden") is not None


def _rename(element: Element, style: str) -> None:
    """Give an element its name in Markdown's terms: known elements keep theirs, similar ones get a known one, others
    become <span>. All attributes but small numbers are removed."""
    if "mso-list:ignore" in style:
        _word_bullet(element)
        return
    if element.text and not len(element):
        element.text = _shown_text(element, element.text, style)
    tag = _tag_for(element, style)
    tag = _RENAMED.get(tag, tag)
    numbers = _numbers(element, tag, style) if tag in _NUMBERS else ()
    element.attrib.clear()
    element.tag = tag if tag in _TAGS else "span"
    for name, value in numbers:
        element.set(name, value)


def _shown_text(element: Element, text: str, style: str) -> str:
    """Return the text of an element, in other characters if it is raised, lowered or in a symbol font."""
    if element.tag in ("sup", "sub"):
        return symbols.raised_or_lowered(element.tag, text)
    return symbols.pictographs(text) if symbols.is_symbol_font(style, element.get("face", "")) else text


def _numbers(element: Element, tag: str, style: str) -> list[tuple[str, str]]:
    if tag == "li":
        return [("level", level) for level in _LEVEL.findall(style)[:1]]
    given = [(name, element.get(name, ""), digits) for name, digits in _NUMBERS[tag].items()]
    return [(name, value) for name, value, digits in given if value.isdecimal() and len(value) <= digits]


def _tag_for(element: Element, style: str) -> str:
    if element.tag == "pre":
        return "div"
    if element.tag == "p":
        return _word_paragraph(element, style)
    if element.tag == "blockquote":
        return "div" if "border:none" in style and "padding:0" in style else "blockquote"
    return _emphasis(element.tag, style)


def _word_paragraph(element: Element, style: str) -> str:
    """Return what a <p> is: Word writes each line as a paragraph without margin, and each item of a list as one with a
    bullet of its own."""
    if "mso-list:" in style:
        return "li"
    return "div" if element.get("class", "").lower().startswith("mso") or "margin:0" in style else "p"


def _word_bullet(element: Element) -> None:
    """Remove the bullet that Word writes out, because Markdown makes its own. A number says that the list is
    ordered."""
    bullet = text_of(element, 8)
    _blank(element)
    if bullet.endswith((".", ")")):
        number = bullet.strip("(.)")
        element.set("start", number if number.isdecimal() else "1")


def _emphasis(tag: str, style: str) -> str:
    if tag in ("b", "strong") and "font-weight:normal" in style:
        return "span"
    if tag not in ("span", "font") or not style:
        return tag
    if "font-weight:bold" in style or "font-weight:700" in style:
        return "b"
    if "font-style:italic" in style:
        return "i"
    return "s" if "text-decoration:line-through" in style else tag


def _link(element: Element) -> None:
    """Keep a link with a harmless address; one that shows its own address becomes that address as text."""
    plain = element.get("href", "").strip()
    address = safe_address(plain)
    element.attrib.clear()
    shown = text_of(element, _MAX_SHOWN_CHARACTERS)
    if not address or (not shown and element.find(".//img") is None):
        element.tag = "span"
    elif _shows(shown, address, plain):
        del element[:]
        element.text = shown
        element.tag = VERBATIM
    else:
        element.set("href", address)


def _shows(shown: str, address: str, plain: str) -> bool:
    """Return whether the words of a link are its address, and can be written as they are."""
    same = shown in (plain, address, address.partition(":")[2], address.rstrip("/"))
    return same and _SHOWABLE.fullmatch(shown) is not None and not is_markup(shown)


def safe_address(address: str) -> str:
    """Return an address without what could break out of Markdown, or ``""`` if its scheme is not in ``_SCHEMES``."""
    address = address.translate(_UNPRINTABLE).strip()
    scheme = _SCHEME.match(address)
    if scheme is None or scheme.group(1).lower() not in _SCHEMES:
        return ""
    return address if _PLAIN_ADDRESS.fullmatch(address) else quote(address, safe=_ADDRESS_SIGNS, errors="replace")


def _form_field(element: Element) -> None:
    """Turn a check box into a character that shows whether it is ticked, and remove other fields of a form."""
    box = element.get("type", "").lower() == "checkbox"
    ticked = element.get("checked") is not None
    _blank(element)
    if box:
        element.text = "☑" if ticked else "☐"


def _picture(element: Element, style: str, pictures: Mapping[str, str]) -> None:
    """Keep a picture in its position with its file name, and remove one that nobody can see: it only reports that the
    mail was opened. An emoji becomes its character."""
    source, shown = element.get("src", "").strip(), element.get("alt", "")
    if symbols.is_emoji(shown):
        _blank(element)
        element.text = shown
        return
    tiny = element.get("width", "") in _TINY or element.get("height", "") in _TINY or _TINY_STYLE.search(style)
    identifier = source[4:] if source[:4].lower() == "cid:" else ""
    name = " ".join(_NAME.findall(pictures.get(identifier, "") or shown))[:200] or "image"
    element.attrib.clear()
    if tiny or not source:
        _blank(element)
        return
    address = f"cid:{quote(identifier, safe='@.-_$+')}" if identifier else safe_address(source)
    if identifier:
        element.set("src", address)
        element.set("alt", name)
    else:
        _remote_picture(element, address, name)


def _remote_picture(element: Element, address: str, name: str) -> None:
    """Turn a picture that lies on somebody's server into a link: shown, it would tell the sender who reads it, when
    and where. Inside a link, only its name is left."""
    if address.startswith("http") and next(element.iterancestors("a"), None) is None:
        element.tag = "a"
        element.set("href", address)
        element.text = name
    else:
        element.tag = "span"
        element.text = f"({name})"
