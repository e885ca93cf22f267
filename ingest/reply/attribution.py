"""``On <date>, <name> wrote:``, in any language, wrapped over lines or not.

Evidence is weighed instead of matching one pattern per client: an address, a date, a time, a verb, an opening word,
a colon at the end, and quoted lines below. So an unlisted language is read by what needs no words. All patterns run
on at most ``_LENGTH`` characters of joined lines, and none can backtrack over more than that.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.reply.languages import LANGUAGES, every, index
from ingest.reply.lines import Line

_LINES = 6
_LENGTH = 400
_VERB_LENGTH = 40

_VERBS = index(lambda language: language.wrote)
_ASIAN = re.compile(r"[\u0e00-\u0e7f\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")


def _alternation(words: Sequence[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_VERB = re.compile(
    rf"(?<!\w)(?:{_alternation([verb for verb in _VERBS if not _ASIAN.search(verb)])})(?!\w)"
    rf"|(?:{_alternation([verb for verb in _VERBS if _ASIAN.search(verb)])})"
)
_OPENS = frozenset(every(lambda language: language.opens))
_PRONOUNS = {language.name: frozenset(language.i) for language in LANGUAGES}
_EMAIL = re.compile(r"[\w.+=-]{1,64}@[\w-]{1,63}\.[\w.-]{1,190}|[\w.+=-]{1,64}@(?=\W|$)")
_YEAR = r"(?:19|20|25)\d{2}"
_DATE = re.compile(
    rf"(?<!\d)(?:\d{{1,4}} ?[./-] ?\d{{1,2}} ?[./-] ?\d{{1,4}}|{_YEAR} ?[年년]|{_YEAR}(?!\d)|\d{{1,2}}月 ?\d{{1,2}}日)"
    r"|[١٢]\d{3}|[۱۲]\d{3}"
)
_TIME = re.compile(r"(?<![\d:.])\d{1,2} ?[:：.h] ?\d{2}(?![\d.])|[时時시] ?\d{1,2} ?[分분]|\d{1,2} ?(?:am|pm)\b")
_SENTENCE_END = re.compile(r"[.!?…)][ \t]+")
_ZONE = re.compile(r"(?:gmt|utc) ?[+-]\d")
_COLONS = (":", "：", "﹕")
_ENDS = (*_COLONS, "--")


@dataclass(frozen=True, slots=True)
class Attribution:
    """An attribution that was found: the line after its last one, what it was, and how sure that is."""

    stop: int
    languages: tuple[str, ...]
    unmarked: bool
    """What follows may be quoted without any mark: the attribution alone is proof."""

    @property
    def reason(self) -> str:
        """Such as ``attribution (German)``."""
        return f"attribution ({'/'.join(self.languages[:3])})" if self.languages else "attribution"


def find(lines: Sequence[Line], start: int) -> Attribution | None:
    """The attribution that begins at this line, if one does."""
    if not _may_begin(lines, start):
        return None
    joined = ""
    for stop in range(start + 1, min(start + 1 + _LINES, len(lines) + 1)):
        joined = _join(joined, lines[stop - 1])
        if len(joined) > _LENGTH or (lines[stop - 1].blank and not _continues(joined, lines, stop)):
            return None
        if _may_end(joined, lines[stop - 1]):
            found = _weigh(joined, lines, stop)
            if found:
                return None if _better_start(lines, start, stop) else found
            if joined.endswith(_ENDS):
                return None
    return None


def part(line: Line) -> Sequence[Line]:
    """A line that holds the end of a reply and an attribution, as some programs join them, in two."""
    if line.depth or len(line.text) > _LENGTH * 2 or "@" not in line.text or not line.plain.endswith(_COLONS):
        return (line,)
    for sentence_end in _SENTENCE_END.finditer(line.text):
        head, rest = line.cut(sentence_end.end())
        if _first_word(rest.plain) in _OPENS and _DATE.search(rest.plain) and _weigh(rest.plain, [rest], 1):
            return head, rest
    return (line,)


def _may_begin(lines: Sequence[Line], start: int) -> bool:
    """A cheap look that spares most lines the joining and weighing."""
    text = lines[start].plain
    if not text:
        return False
    first = text[:1]
    return (
        first.isdigit()
        or first in "\"'“„«<(-‐–—"
        or text.endswith(_ENDS)
        or "@" in text
        or _first_word(text) in _OPENS
        or (_ASIAN.match(first) is not None and any(map(str.isdigit, text[:60])))
        or (start + 1 < len(lines) and lines[start + 1].plain.startswith("<"))
    )


def _may_end(joined: str, last: Line) -> bool:
    """A cheap look at the end: a colon, dashes, an address, the verb, or a line that a date leads."""
    return (
        joined.endswith((*_ENDS, ">", ")"))
        or joined[:1].isdigit()
        or _VERB.search(last.plain[-_VERB_LENGTH:].lower()) is not None
    )


def _first_word(text: str) -> str:
    return text[:40].split(" ", 1)[0].strip(".,:;()-־").lower()


def _join(joined: str, line: Line) -> str:
    """The next line added; a quote mark that closes an address broken over lines belongs to it."""
    text = line.plain[:_LENGTH]
    if line.depth and joined.rfind("<") > joined.rfind(">"):
        text = ">" + text
    return f"{joined} {text}" if joined and text else joined or text


def _continues(joined: str, lines: Sequence[Line], stop: int) -> bool:
    """Some clients put blank lines around an address, in the middle of the attribution."""
    return joined.rfind("<") > joined.rfind(">") or (stop < len(lines) and lines[stop].text.strip() == "<")


def _better_start(lines: Sequence[Line], start: int, stop: int) -> bool:
    """Whether the attribution begins further down: the line above it is text that happens to look like an opening."""
    for later in range(stop - 1, start, -1):
        if _opens(lines[later].plain) and _DATE.search(lines[later].plain[:_LENGTH].lower()):
            joined = ""
            for line in lines[later:stop]:
                joined = _join(joined, line)
            if _weigh(joined, lines, stop):
                return True
    return False


def _opens(text: str) -> bool:
    return text[:1].isdigit() or _first_word(text) in _OPENS


def _weigh(joined: str, lines: Sequence[Line], stop: int) -> Attribution | None:
    text = joined.strip("-–— ").lower() if joined.startswith("-") else joined.lower()
    verb = _VERB.search(text)
    email = _EMAIL.search(text) is not None
    if not verb and not email and not _ZONE.search(text):
        return None if not _dated(text) else _by_date(text, lines, stop)
    languages = _VERBS[verb.group()] if verb else ()
    dated = _DATE.search(text) is not None
    timed = _TIME.search(text) is not None
    if not _ended(text, verb):
        return _unended(text, lines, stop, dated=dated, timed=timed, email=email)
    quoted = _quoted_below(lines, stop)
    if verb and _is_sentence(text, languages) and not (email and quoted):
        return None
    if (verb and email) or (dated and timed and (verb or email)):
        return Attribution(stop, languages, unmarked=True)
    if quoted and (dated or timed or email or _is_short(text, verb)):
        return Attribution(stop, languages, unmarked=False)
    return None


def _ended(text: str, verb: re.Match[str] | None) -> bool:
    """It ends as attributions do: with a colon, dashes, or the verb itself."""
    return text.endswith(_ENDS) or (verb is not None and verb.end() >= len(text.rstrip(" .>)")))


def _dated(text: str) -> bool:
    return text.endswith(_ENDS) and _DATE.search(text) is not None and _TIME.search(text) is not None


def _by_date(text: str, lines: Sequence[Line], stop: int) -> Attribution | None:
    """An unknown language and no address: the date, the time and the quoted lines below have to do."""
    return Attribution(stop, (), unmarked=False) if _opens(text) and _quoted_below(lines, stop) else None


def _unended(
    text: str, lines: Sequence[Line], stop: int, *, dated: bool, timed: bool, email: bool
) -> Attribution | None:
    """Without a colon: only where a date leads and no person writes so."""
    if not dated or not text[:1].isdigit():
        return None
    if timed and _ZONE.search(text):
        return Attribution(stop, (), unmarked=True)
    if email and text.endswith(">") and _quoted_below(lines, stop):
        return Attribution(stop, (), unmarked=False)
    return None


def _is_sentence(text: str, languages: Sequence[str]) -> bool:
    """``I wrote``, ``he wrote``: a person says so, no mail program."""
    words = frozenset(text.split())
    return any(not words.isdisjoint(_PRONOUNS[language]) for language in languages)


def _is_short(text: str, verb: re.Match[str] | None) -> bool:
    """``Jane Doe wrote:`` and nothing else, where the name does not begin like a sentence."""
    return verb is not None and len(text) <= 60 and len(text.split()) <= 6 and "," not in text


def _quoted_below(lines: Sequence[Line], stop: int) -> bool:
    for line in lines[stop : stop + 4]:
        if not line.blank or line.quoted:
            return line.quoted or line.text.startswith(("| ", "|\n"))
    return False
