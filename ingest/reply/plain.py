"""Turns our Markdown into plain text, for a help desk that shows content as it is."""

import re
from collections.abc import Iterator

_FENCE = re.compile(r"[> ]*```")
_HEADING = re.compile(r"^((?:> ?)*)#{1,6} ")
_IMAGE = re.compile(r"!\[((?:[^\[\]\\\n]|\\.)*)\]\((?:<[^<>\n]*>|[^()\s<>]*)\)")
_SPAN = re.compile(
    r"""
    (?<![`\\])`([^`\n]+)`(?!`)                                      # 1: code
    | \[((?:[^\[\]\\\n]|\\.|\[[^\[\]\\\n]*\])*)\]                   # 2: the words of a link
      \((?:<([^<>\n]*)>|([^()\s<>]*))\)                             # 3, 4: its address
    | \\([!-/:-@\[-`{-~])                                           # 5: a character that is no sign
    | \*{1,3}(?=\S) | (?<=\S)\*{1,3} | ~~                           # emphasis
    """,
    re.VERBOSE,
)


def plain(markdown: str) -> str:
    """Return ``markdown`` without the signs that are noise to a reader: emphasis, headings, escapes, and the brackets
    of links, whose addresses stay. Lists, quotes, tables and code read well as they are, and stay. Time is linear in
    the size of ``markdown``."""
    return "\n".join(_lines(markdown))


def _lines(markdown: str) -> Iterator[str]:
    fenced = False
    for line in markdown.split("\n"):
        if _FENCE.match(line):
            fenced = not fenced
        elif fenced:
            yield line
        else:
            yield _SPAN.sub(_words, _IMAGE.sub(r"(\1)", _HEADING.sub(r"\1", line))).replace("\u00a0", " ").rstrip()


def _words(found: re.Match[str]) -> str:
    code, words, bracketed, bare, character = found.groups()
    if words is None:
        return str(code or character or "")
    words, address = _SPAN.sub(_words, words), bracketed or bare or ""
    return words if address in ("", words) else f"{words} <{address}>"
