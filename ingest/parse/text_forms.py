"""Converts plain text, HTML and enriched text roughly into each other, and tells which of them say nothing."""

import html
import re

_BLANK = re.compile("[\\s\xa0\u200b-\u200f\u2060\ufeff]*")
_TAG = re.compile(r"<[^<>]*>")
_OPENING = re.compile(r"<(style|script|title)\b[^<>]*>", re.IGNORECASE)
_WORDS = re.compile(r"(?:>|\A)[^<>\w&]*\w")
_INVISIBLE = re.compile(r"<(?:style|script|title|!)", re.IGNORECASE)
_SHOWS = re.compile(r"<(?:img|svg|hr|object|video|audio|iframe|embed)\b", re.IGNORECASE)
_ENRICHED = re.compile(r"<<|</?[A-Za-z0-9-]{1,60}>")
_PARAM = re.compile(r"<param>[^<]*</param>", re.IGNORECASE)
_META_CHARSET = re.compile(rb"<meta[^<>]{0,500}?charset\s*=\s*[\"']?\s*([A-Za-z0-9._:-]{1,60})", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"<\?xml[^<>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._:-]{1,60})", re.IGNORECASE)
_META_WINDOW_BYTES = 4096
"""How much of HTML is searched for a declared charset; the HTML standard asks for it in the first 1,024 bytes."""

_STUB = re.compile(
    r"""view\ (?:this|the)\ (?:e-?mail|message|newsletter)|in\ (?:a|your)\ (?:web\ ?)?browser
    |(?:does\ not|doesn't|cannot|can't|unable\ to|not)\ (?:support|display|read|view|show)\ (?:\w+\ ){0,4}html
    |html[- ](?:compatible|capable|enabled|format|e-?mail|version|message|viewer)|requires?\ html|enable\ html
    |this\ is\ an?\ html|part\ of\ this\ message\ in\ html|multi-?part\ message\ in\ mime
    |im\ (?:web)?browser|html-(?:nachricht|mail|format|fähig)|kein\ html
    |dans\ (?:votre|un)\ navigateur|format\ html|version\ html|en\ (?:su|tu|el)\ navegador|en\ formato\ html
    |no\ seu\ navegador|nel\ (?:tuo\ )?browser|formato\ html|in\ (?:uw|je|een)\ browser
    |w\ przeglądarce|в\ браузере|html形式|ブラウザ|浏览器|瀏覽器|브라우저""",
    re.IGNORECASE | re.VERBOSE,
)
"""Phrases of a text part that only tells its reader to look at the HTML, in the languages in which they were seen."""
_MAX_STUB_CHARACTERS = 400
"""Length up to which a text can be such a stub; a longer one says something."""


def is_blank(text: str) -> bool:
    """Whether ``text`` has only white space and invisible characters."""
    return _BLANK.fullmatch(text) is not None


def is_blank_html(markup: str) -> bool:
    """Whether HTML shows nothing: no word, no picture."""
    words = _WORDS.search(markup, max(markup.find("<body"), markup.find("<BODY"), 0))
    if words is not None and not _INVISIBLE.match(markup, markup.rfind("<", 0, words.start())):
        return False
    return _SHOWS.search(markup) is None and is_blank(visible_text(markup))


def visible_text(markup: str) -> str:
    """Return the words that HTML shows, roughly: good enough to compare and to measure, not to show."""
    return html.unescape(_TAG.sub(" ", _without_invisible(markup)))


def _without_invisible(markup: str) -> str:
    """Remove the elements whose text is not shown (style, script, title)."""
    lowered = markup.lower()
    kept: list[str] = []
    start = 0
    while opened := _OPENING.search(markup, start):
        closing = lowered.find(f"</{opened[1].lower()}", opened.end())
        if closing < 0:
            break
        kept.append(markup[start : opened.start()])
        start = closing
    return "".join((*kept, markup[start:]))


def is_stub(text: str, markup: str) -> bool:
    """Whether a text part only tells its reader to look at the HTML part, which says more."""
    words = " ".join(text[: 4 * _MAX_STUB_CHARACTERS].split())
    if len(words) > _MAX_STUB_CHARACTERS or _STUB.search(words) is None:
        return False
    shown = " ".join(visible_text(markup).split())
    return len(shown) > len(words) or words[:40].lower() not in shown.lower()


def to_html(text: str) -> str:
    """Turn plain text into HTML that looks the same."""
    return "<div>" + html.escape(text, quote=False).replace("\n", "<br>\n") + "</div>\n"


def from_enriched(text: str) -> str:
    """Remove the marks of text/enriched (RFC 1896) or of its forerunner text/richtext."""
    return _ENRICHED.sub(lambda mark: "<" if mark[0] == "<<" else "", _PARAM.sub("", text))


def declared_in_html(octets: bytes) -> str:
    """Return the charset that HTML names in a meta element or an XML declaration; ``""`` if it names none."""
    window = octets[:_META_WINDOW_BYTES]
    found = _META_CHARSET.search(window) or _XML_ENCODING.search(window)
    return found[1].decode("ascii") if found else ""


def normalise_lines(text: str) -> str:
    """Make every line end one line feed, and drop NUL characters."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\0", "") if "\0" in text else text
