"""Makes a text safe to be rendered as Markdown, whatever it came from: no raw HTML, no links that run scripts, no
pictures that are fetched from elsewhere, no fence that swallows what stands below.

Only what is dangerous is changed, by one backslash, or by an invisible sign where a backslash could be seen (in what
may be code). What is certainly code stays as it is. All else reads as it was written.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from html import unescape

from ingest.compose.code_lines import CodeLines, LineKind
from ingest.compose.invisible import WORD_JOINER

SAFE_SCHEMES = frozenset({"http", "https", "mailto", "tel", "sms", "ftp"})
"""Schemes of addresses that may be links. All others may run something (``javascript:``, ``data:``, ``search-ms:``)."""
_MAX_TARGET_CHARACTERS = 200
"""What is looked at of an address to find its scheme. Written with entities, ``javascript`` has 110 characters."""

MAX_READ_CHARACTERS = 100_000
"""A longer text is not read line by line: each sign in it loses its effect, which is fast. The slowest text of this
length takes half a second, during which nothing else runs."""

_SUSPECT = re.compile(r"<[A-Za-z/!?]|!\[|\][(:]|\] \(")
_FENCE = re.compile("```|~~~")
_ANY_MARKUP = re.compile(r"(<)(?=[A-Za-z/!?])|(!)(?=\[)|(\])(?=[ ]?\(|:)|(`|~)(?=\4\4)")
_MARKUP = re.compile(
    r"""
    (?P<escaped_tag>\\<)(?=[A-Za-z/!?])
    | (?P<escaped>\\.)
    | (?P<autolink><(?:(?:https?|ftp)://[^\s<>`"'\\]+ | (?:mailto|tel|sms):[^\s<>`"'\\]+
                      | [A-Za-z0-9.!#$%&'*+?^_{|}~-]+@[A-Za-z0-9.-]+)>)
    | (?P<picture>!\[(?:[^\[\]\\`]|\\.){0,400}\]\(cid:[\w@.%$+-]{1,400}\))
    | (?P<tag><)(?=[A-Za-z/!?])
    | (?P<image>!)(?=\[)
    | (?P<link>\])(?=[ ]?\()
    | (?P<definition>\])(?=:)
    """,
    re.VERBOSE,
)
_BACKSLASHED = {"tag": "\\<", "image": "!\\", "link": "\\]", "definition": "\\]"}
_JOINED = {
    "tag": f"<{WORD_JOINER}",
    "image": f"!{WORD_JOINER}",
    "link": f"]{WORD_JOINER}",
    "definition": f"]{WORD_JOINER}",
}
_BEHIND_URL = {"tag": f"<{WORD_JOINER}", "escaped_tag": f"\\<{WORD_JOINER}"}
_BARE_URL = re.compile(r"://|www\.", re.IGNORECASE)
_TICKS = re.compile(r"`+")
_TARGET = re.compile(r"(?:[ ]?\(|:)[\s>]*(?:<(?P<bracketed>[^<>\n]*)|(?P<bare>[^\s<][^ \t\n]*)?)(?P<behind>.*)")
_TITLE_OR_END = re.compile(r">?\s*(?:$|[\"'(])")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):")
_MAY_BEGIN_SCHEME = re.compile(r"[A-Za-z&\\\x00-\x20\x7f-\xad\u200b-\u206f\ufeff]")
_BACKSLASH = re.compile(r"\\(?=[!-/:-@\[-`{-~])")
_UNSEEN = re.compile(r"[\x00-\x20\x7f-\xa0\u00ad\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]")


def safe_markdown(text: str) -> str:
    """Return a text that is safe to be rendered, and that what is written below it cannot become a part of.

    A safe text is returned as it is. Linear in the size of the text."""
    if not _SUSPECT.search(text) and not _FENCE.search(text):
        return text
    if len(text) > MAX_READ_CHARACTERS:
        return _ANY_MARKUP.sub(rf"\g<0>{WORD_JOINER}", text)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    strict = any(_escape(line, below, _BACKSLASHED, ()) != line for line, below in _with_line_below(lines))
    if not strict and not _FENCE.search(text):
        return text
    read = list(CodeLines(strict=strict).read(lines))
    return "\n".join(_escape_prose(read) if strict else (line for line, _ in read))


def _with_line_below(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    return zip(lines, (*lines[1:], ""), strict=True)


def _escape_prose(read: Sequence[tuple[str, LineKind]]) -> Iterator[str]:
    """Yield the lines with what is dangerous escaped, except in code."""
    is_clear = True  # no line of this paragraph has a lone backtick, which may begin code that goes on here
    for (line, kind), below in zip(read, (*(line for line, _ in read[1:]), ""), strict=True):
        if kind is LineKind.CODE or not line.strip(" \t"):
            is_clear = True
            yield line
            continue
        spans = _code_spans(line)
        is_clear = is_clear and spans is not None
        if kind is LineKind.PROSE and is_clear:
            yield _escape(line, below, _BACKSLASHED, spans or ())
        else:
            yield _escape(line, below, _JOINED, ())


def _code_spans(line: str) -> Sequence[tuple[int, int]] | None:
    """Return where the code of a line begins and ends; ``None`` where renderers may not agree: a backtick without its
    like may belong to another line, one behind a backslash is no sign, and a bar may end a cell of a table."""
    runs = [found.span() for found in _TICKS.finditer(line)]
    if not runs:
        return ()
    if "\\`" in line:
        return None
    following: dict[int, int] = {}
    partner = [-1] * len(runs)
    for at in reversed(range(len(runs))):
        size = runs[at][1] - runs[at][0]
        partner[at] = following.get(size, -1)
        following[size] = at
    return _pair(line, runs, partner)


def _pair(line: str, runs: Sequence[tuple[int, int]], partner: Sequence[int]) -> Sequence[tuple[int, int]] | None:
    spans, at = [], 0
    while at < len(runs):
        end = partner[at]
        if end < 0:
            return None
        spans.append((runs[at][0], runs[end][1]))
        at = end + 1
    return None if any("|" in line[start:end] for start, end in spans) else spans


def _escape(line: str, below: str, signs: Mapping[str, str], spans: Sequence[tuple[int, int]]) -> str:
    """Return a line with what is dangerous outside of ``spans`` replaced by ``signs``. ``below`` is the next line, on
    which the address of a link may stand.

    Renderers that make a link of each URL (GitHub Flavored Markdown) take a backslash behind it for a part of it."""
    if not _SUSPECT.search(line):
        return line
    pieces: list[str] = []
    copied = ahead = 0
    url = _BARE_URL.search(line)
    url_at = url.start() if url is not None else len(line)
    for found in _MARKUP.finditer(line):
        at = found.start()
        while ahead < len(spans) and spans[ahead][1] <= at:
            ahead += 1
        in_code = ahead < len(spans) and spans[ahead][0] <= at
        sign = None if in_code else _sign_for(found, below, signs, url_at)
        if sign is not None:
            pieces += (line[copied:at], sign)
            copied = found.end()
    return "".join((*pieces, line[copied:])) if pieces else line


def _sign_for(found: re.Match[str], below: str, signs: Mapping[str, str], url_at: int) -> str | None:
    """Return what is written in place of some markup; ``None`` where it is harmless. ``url_at`` is where the
    first URL of the line begins."""
    line, at, name = found.string, found.start(), found.lastgroup or ""
    if name in _BEHIND_URL and line[at - 1 : at] not in ("", " ", "\t") and at > url_at:
        return _BEHIND_URL[name]
    is_dangerous = _IS_DANGEROUS.get(name)
    return signs.get(name) if is_dangerous is None or is_dangerous(line, at + 1, below) else None


def _target(line: str, at: int, below: str) -> re.Match[str] | None:
    """Return the address that follows, behind blanks and at most one line end."""
    same = line[at : at + _MAX_TARGET_CHARACTERS]
    return _TARGET.match(f"{same}\n{below[:_MAX_TARGET_CHARACTERS]}")


def _is_dangerous_link(line: str, at: int, below: str) -> bool:
    found = _target(line, at, below)
    return found is not None and _is_dangerous(found["bracketed"] or found["bare"] or "", at, line)


def _is_dangerous_definition(line: str, at: int, below: str) -> bool:
    """Return whether a line such as ``[1]: data:x`` gives a link its address. With more behind it, it is a text."""
    found = _target(line, at, below)
    if found is None or not _TITLE_OR_END.match(found["behind"]):
        return False
    return _is_dangerous(found["bracketed"] or found["bare"] or "", at, line)


def _is_dangerous(address: str, at: int, line: str) -> bool:
    """Return whether an address, as written in Markdown, has a scheme that is not known to be safe."""
    if not address:
        return len(line) - at > _MAX_TARGET_CHARACTERS  # it is further on than we look
    if not _MAY_BEGIN_SCHEME.match(address):
        return False
    plain = _UNSEEN.sub("", _BACKSLASH.sub("", unescape(address))).lower()
    scheme = _SCHEME.match(plain)
    return scheme is not None and scheme.group(1) not in SAFE_SCHEMES


_IS_DANGEROUS = {"link": _is_dangerous_link, "definition": _is_dangerous_definition}
